"""The ports of policy: the errors of a loader that let an old value answer, and the error that its one caller gets."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fleetcache.policy.ports import LoaderEndedError, is_failure, load_apart
from tests.support.run import run


@pytest.mark.parametrize(
    ("error", "stands_in"),
    [
        (LookupError(), True),
        (LoaderEndedError(asyncio.CancelledError()), True),
        (LoaderEndedError(KeyboardInterrupt()), False),
        (LoaderEndedError(SystemExit()), False),
        (asyncio.CancelledError(), False),
        (KeyboardInterrupt(), False),
    ],
    ids=repr,
)
def test_an_old_value_stands_in_for_failures_of_the_loader_alone(error: BaseException, stands_in: bool) -> None:
    assert is_failure(error) is stands_in


class Running:
    """Runs a loader as an engine does."""

    async def run_loader(self, loader: Callable[..., Any], *args: Any) -> Any:
        try:
            return await loader(*args)
        except SystemExit as error:
            raise LoaderEndedError(error) from None


def test_its_one_caller_gets_what_the_loader_raised() -> None:
    async def ends(code: int) -> None:
        raise SystemExit(code)

    async def main() -> None:
        with pytest.raises(SystemExit) as caught:
            await load_apart(Running(), ends, 3)
        assert caught.value.code == 3
        assert caught.value.__context__ is None or caught.value.__suppress_context__

    run(main())


def test_its_one_caller_gets_what_the_loader_returned() -> None:
    async def returns(value: str) -> str:
        return value

    async def main() -> None:
        assert await load_apart(Running(), returns, "x") == "x"

    run(main())
