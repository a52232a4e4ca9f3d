"""The names of functions in keys: two functions of one cache never share a name."""

import functools
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from fleetcache import Cache, SyncCache
from fleetcache.errors import KeyRuleError
from fleetcache.format.function_keys import FunctionKey
from fleetcache.format.function_names import Names, module_of

HERE = __name__


def defined(
    source: str, *, name: str = "load", module: str = "shop.prices", file: str | None = "/srv/prices.py"
) -> Any:
    """Return a function of a made-up module, in its own namespace."""
    known: dict[str, Any] = {"__name__": module} | ({} if file is None else {"__file__": file})
    exec(compile(source, file or "<cell>", "exec"), known)  # noqa: S102 - modules as a test needs them
    return known[name]


# -- differences beyond name and arguments -----------------------------------------------------------------------------


def loader_of(region: str) -> Callable[[str], str]:
    def load(item: str) -> str:
        return f"{region}: {item}"

    return load


def with_default(region: str) -> Callable[..., str]:
    def load(item: str, region: str = region) -> str:
        return f"{region}: {item}"

    return load


def in_a_factory() -> Callable[[str], str]:
    def load(item: str) -> str:
        return item

    return load


def unnamed(fn: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


def unnamed_retry(fn: Callable[..., Any], times: int) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return [fn(*args, **kwargs) for _ in range(times)][-1]

    return wrapper


def buyers() -> str:
    return "buyers"


def sellers() -> str:
    return "sellers"


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (loader_of("north"), "captures region, which its keys would not show: pass key=, .*region=..."),
        (lambda n: n, "a lambda has no unique name: pass key="),
        (unnamed_retry(buyers, 3), "captures fn, times, .*if this is a decorator's wrapper, give it functools.wraps"),
        (unnamed(loader_of("north")), "load captures region"),
        (unnamed(lambda: "x"), "a lambda has no unique name"),
        (functools.partial(buyers), "partials and callable objects .* pass key="),
        (functools.update_wrapper(unnamed(buyers), loader_of("x")), "load captures region"),
    ],
)
@pytest.mark.parametrize("face", [SyncCache, Cache])
def test_what_names_and_arguments_do_not_tell_must_be_told_by_a_key(face: Any, function: Any, said: str) -> None:
    names = face("memory://")._scope.root.names
    with pytest.raises(KeyRuleError, match=said):
        FunctionKey(function, None, names)
    FunctionKey(function, lambda *_, **__: "k", names)


def test_a_default_tells_what_a_function_would_have_captured() -> None:
    names = Names()
    north, south = (FunctionKey(with_default(region), None, names) for region in ("north", "south"))
    assert (north.key(("tea",), {}), south.key(("tea",), {})) == (
        f"{HERE}.with_default.<locals>.load(tea,north)",
        f"{HERE}.with_default.<locals>.load(tea,south)",
    )


def test_an_app_factory_may_run_again() -> None:
    names = Names()
    assert {names.take(in_a_factory()) for _ in range(3)} == {f"{HERE}.in_a_factory.<locals>.load"}


def test_a_function_may_call_itself_and_its_base_class() -> None:
    def factorial(n: int) -> int:
        return n * factorial(n - 1) if n else 1

    class Base:
        def name(self) -> str:
            return "base"

    class Child(Base):
        def name(self) -> str:
            return f"child of {super().name()}"

    assert Names().take(factorial).endswith("factorial")
    assert Names().take(Child.name).endswith("Child.name")

    @SyncCache("memory://").cached
    def power(n: int) -> int:
        return 2 * power(n - 1) if n else 1

    assert power(10) == 1024


# -- one name, one function --------------------------------------------------------------------------------------------

PLAIN = "def load(n): return n + 1"


def test_two_functions_of_one_name_from_two_files_are_an_error() -> None:
    names = Names()
    names.take(defined(PLAIN))
    with pytest.raises(KeyRuleError, match=r"shop\.prices\.load is the name of another .* in /srv/prices\.py: rename"):
        names.take(defined(PLAIN, file="/srv/other/prices.py"))


def test_another_cache_and_another_namespace_have_names_of_their_own() -> None:
    names = Names()
    names.take(defined(PLAIN))
    names.take(defined(PLAIN, file="/srv/other.py"), "namespace:")
    Names().take(defined(PLAIN, file="/srv/other.py"))


def test_a_reload_of_an_edited_function_gets_keys_of_its_own() -> None:
    names = Names()
    first = names.take(defined(PLAIN))
    assert first == "shop.prices.load"
    assert names.take(defined(f"\n\n# moved\n{PLAIN}")) == first
    edited = names.take(defined("def load(n): return n + 2"))
    assert edited.startswith(f"{first}@")
    assert names.take(defined("def load(n): return n + 2")) == edited
    assert names.take(defined("def load(n): return n + 3")) not in {first, edited}
    assert names.take(defined(PLAIN)) == first  # the edit was undone


@pytest.mark.parametrize(
    "other",
    [
        "def load(n): return n * 1",
        "def load(n): return m + 1",
        "def load(n, m=0): return n + 1",
        "def load(n): return n + 1.0",
        "def load(n): return n in {1, 2}",
        "def load(n): return [m + 1 for m in n]",
        "async def load(n): return n + 1",
    ],
)
def test_every_edit_that_changes_what_a_function_does_is_seen(other: str) -> None:
    names = Names()
    assert names.take(defined(PLAIN)) != names.take(defined(other))


def test_a_notebooks_cell_may_run_again_and_two_notebooks_share_nothing_by_chance() -> None:
    notebook = Names()
    known: dict[str, Any] = {"__name__": "__main__"}

    def cell(source: str) -> str:
        exec(compile(source, "<ipython-input>", "exec"), known)  # noqa: S102 - as above
        return notebook.take(known["load"])

    first = cell(PLAIN)
    assert first.startswith("__main__.load@")
    assert cell(PLAIN) == first
    assert cell("def load(n): return n + 2") != first


def test_the_digest_of_a_function_is_the_same_in_every_process() -> None:
    code = (
        "from fleetcache.format.function_names import Names\n"
        'names = {}\nexec(\'def f(x): return x in {1, "a", "b", "c"} and [y for y in x]\', names)\n'
        "f = names['f']; f.__module__ = '__main__'\n"
        "print(Names().take(f))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)  # noqa: S603 - our own code
        for seed in ("1", "2", "3")
    ]
    assert len({run.stdout for run in runs}) == 1
    assert b"@" in runs[0].stdout


# -- decorators below --------------------------------------------------------------------------------------------------


def retried(times: int, when: Callable[[Exception], bool] | None = None) -> Callable[[Any], Any]:
    def decorate(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            for left in reversed(range(times)):
                try:
                    return fn(*args, **kwargs)
                except ValueError as error:
                    if not left or (when is not None and not when(error)):
                        raise
            return None

        return call

    return decorate


def priced(n: int) -> int:
    return n


def test_a_wrapper_without_wraps_has_the_name_of_the_function_that_it_passes_all_on_to() -> None:
    names = Names()
    keys = {FunctionKey(unnamed(fn), None, names).key((), {}) for fn in (buyers, sellers)}
    assert keys == {f"{HERE}.buyers()", f"{HERE}.sellers()"}
    assert names.take(unnamed(unnamed(len_of))) == f"{HERE}.len_of"
    by_place = FunctionKey(unnamed(len_of), None, Names()).key(("a",), {})
    assert by_place == FunctionKey(unnamed(len_of), None, Names()).key((), {"text": "a"})


def test_a_function_without_its_wrapper_or_in_another_is_another_one() -> None:
    for first, second in ((buyers, unnamed(buyers)), (unnamed(buyers), unnamed_too(buyers))):
        names = Names()
        names.take(first)
        with pytest.raises(KeyRuleError, match="already with other decorators below"):
            names.take(second)


def unnamed_too(fn: Callable[[], str]) -> Callable[..., str]:
    def wrapper(*args: Any, **kwargs: Any) -> str:
        return fn(*args, **kwargs).upper()

    return wrapper


def len_of(text: str) -> int:
    return len(text)


def test_a_function_behind_wraps_has_its_own_name() -> None:
    assert FunctionKey(retried(3)(priced), None).key((1,), {}) == f"{HERE}.priced(1)"


def test_one_function_with_two_decorators_is_two_functions() -> None:
    names = Names()
    name = names.take(retried(3)(priced))
    assert names.take(retried(3)(priced)) == name  # the app factory runs again
    for other in (priced, retried(2)(priced), retried(3)(retried(3)(priced)), retried(3, bool)(priced)):
        with pytest.raises(KeyRuleError, match="other decorators below: pass key="):
            names.take(other)


def test_a_predicate_that_is_made_anew_is_the_same() -> None:
    names = Names()
    assert names.take(retried(3, lambda _: True)(priced))

    def again() -> Any:
        return retried(3, lambda error: error.args == ())(priced)

    names = Names()
    assert names.take(again()) == names.take(again())


# -- the module of a program -------------------------------------------------------------------------------------------

SCRIPT = """
from fleetcache import SyncCache
cache = SyncCache("memory://")
@cache.cached
def load(n: int) -> int:
    return n
if __name__ == "__main__":
    print(load.key(1))
    import multiprocessing
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(load.key, (1,)))
"""


@pytest.mark.parametrize(
    ("known", "module"),
    [
        ({"__file__": "/srv/jobs.py"}, "jobs"),
        ({"__file__": "C:\\srv\\nightly.jobs.py"}, "nightly"),
        ({"__file__": "/srv/shop/__main__.py", "__spec__": ModuleSpec("shop.__main__", None)}, "shop.__main__"),
        ({}, "__main__"),
    ],
)
@pytest.mark.parametrize("program", ["__main__", "__mp_main__"])
def test_a_program_has_the_name_of_its_module_or_file(known: dict[str, Any], module: str, program: str) -> None:
    known = {"__name__": program} | known
    exec(PLAIN, known)  # noqa: S102 - as above
    assert module_of(known["load"]) == module


@pytest.mark.parametrize(
    ("arguments", "key"),
    [(["jobs.py"], "jobs.load(1)"), (["-m", "jobs"], "jobs.load(1)"), (["-m", "shop.jobs"], "shop.jobs.load(1)")],
)
def test_a_script_has_the_name_that_others_import_it_by(tmp_path: Path, arguments: list[str], key: str) -> None:
    (tmp_path / "shop").mkdir()
    for folder in (tmp_path, tmp_path / "shop"):
        (folder / "jobs.py").write_text(SCRIPT)
    ran = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, check=True, text=True)  # noqa: S603 - our own code
    assert ran.stdout.split() == [key, key]
