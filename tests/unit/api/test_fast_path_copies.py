"""The near hit is written out five times, because a call costs a third of a hit. This test holds the copies equal.

``FastPath.peek`` is the model. A copy may differ in the object that the attributes belong to, in the declared type, and
in the lines before the look-up, by which a cached function finds the key of its arguments. ``peek`` itself returns the
default after a miss; the copies go on to the rules.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

API = Path(__file__).parents[3] / "src" / "fleetcache" / "api"
MODEL = "fast_path.FastPath.peek"
VERBS = ["reads.Reads.get", "sync_reads.SyncReads.get"]
FUNCTIONS = ["cached.CachedFunction.__call__", "sync_cached.SyncCachedFunction.__call__"]


def hits(folder: Path) -> Iterator[tuple[str, ast.Try]]:
    """Return each near hit in a folder of modules: the ``try`` statements that read the counting clock."""
    for path in sorted(folder.rglob("*.py")):
        for cls in ast.parse(path.read_text()).body:
            for function in cls.body if isinstance(cls, ast.ClassDef) else []:
                for node in ast.walk(function):
                    if isinstance(node, ast.Try) and "._ticks)" in text(node.body):
                        yield f"{path.stem}.{getattr(cls, 'name', '')}.{getattr(function, 'name', '')}", node


def text(lines: list[ast.stmt]) -> str:
    """Return the source of some lines, without comments and in one form."""
    return ast.unparse(ast.Module(lines, []))


class _SameOwner(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name("face", node.ctx) if node.id in {"self", "verbs"} else node


def plain(hit: ast.Try) -> tuple[str, str, str]:
    """Return a hit without its differences, its lines before the look-up, and the condition on the arguments."""
    tree = _SameOwner().visit(ast.parse(ast.unparse(hit)).body[0])
    before = [line for line in tree.body if not isinstance(line, ast.If)][:-1]
    look_up, judged = tree.body[len(before) :]
    arguments = ""
    if isinstance(judged.test, ast.BoolOp) and isinstance(judged.test.op, ast.And):
        arguments = ast.unparse(ast.Tuple(judged.test.values[1:], ast.Load()))
        judged.test = judged.test.values[0]
    for compared in judged.test.values:  # the entry's two types with the declared one
        compared.comparators = [ast.Name("declared", ast.Load())]
    if isinstance(judged.body[-1], ast.Return):
        del judged.body[-1]
    tree.body, tree.orelse = [look_up, judged], []
    return ast.unparse(tree), text(before), arguments


def test_every_copy_is_known() -> None:
    assert sorted(name for name, _ in hits(API.parent)) == sorted([MODEL, *VERBS, *FUNCTIONS])


def test_the_copies_are_equal() -> None:
    found = {name: plain(hit) for name, hit in hits(API)}
    model = found[MODEL][0]
    assert "next(face._ticks)" in model
    assert "held.freq += 1" in model
    for name in (*VERBS, *FUNCTIONS):
        assert found[name][0] == model, name
    assert {found[name][1:] for name in (MODEL, *VERBS)} == {("", "")}
    (function,) = {found[name][1:] for name in FUNCTIONS}
    assert all(function), "a function finds its key, and compares the types of its arguments"


@pytest.mark.parametrize("name", [*VERBS, *FUNCTIONS])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("held.freq < 3", "held.freq < 4"),
        ("held.fresh_until > now", "held.stale_until > now"),
        (" and held.generation.until > now", ""),
        ("near_hits -= 1", "near_hits -= 2"),
        ("(KeyError, TypeError)", "(KeyError)"),
        ("return held.value", "return held"),
        ("held.also is", "held.tags is"),
        ("now = next(", "now = held.fresh_until - next("),
    ],
)
def test_twin_a_changed_copy_is_seen(name: str, old: str, new: str) -> None:
    found = dict(hits(API))
    source = ast.unparse(found[name])
    assert old in source
    changed = ast.parse(source.replace(old, new)).body[0]
    assert isinstance(changed, ast.Try)
    assert plain(changed)[0] != plain(found[MODEL])[0]


def test_twin_a_new_copy_is_seen(tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text((API / "reads.py").read_text())
    assert [name for name, _ in hits(tmp_path)] == ["new.Reads.get"]
