# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""The type checkers' view of cached endpoints. Never run: mypy and pyright read it, both strictly.

Lines that end in ``type: ignore`` must be errors, because an unneeded ignore is an error itself.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, assert_type

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from fleetcache import Cache, SyncCache
from fleetcache.contrib.fastapi import cached_response

app, cache = FastAPI(), Cache("memory://")


@dataclass
class User:
    name: str


class Session:
    pass


def session() -> Session:
    return Session()


@app.get("/users/{user_id}")
@cached_response(cache, ttl="5m", cookies=("theme",), ignore=("client",))
async def user(user_id: int, *, verbose: bool = False) -> User:
    return User(str(user_id) if verbose else "Ann")


@app.get("/prices/{item}")
@cached_response(ttl="5m", cookies="key")
def price(item: str) -> float:
    return len(item)


@app.get("/orders/{order_id}")
@cached_response(cache.namespace("orders"))
async def order(order_id: int, db: Annotated[Session, Depends(session)]) -> User:
    return User(f"{order_id} {db}")


@cached_response(cache)
async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.url.path)


async def an_endpoint_keeps_its_types() -> None:
    assert_type(await user(1), User)
    assert_type(await user(1, verbose=True), User)
    assert_type(await price("tea"), float)
    assert_type(await page.uncached(Request({})), PlainTextResponse)
    assert_type(await user.uncached(1), User)
    assert_type(price.uncached("tea"), float)
    await user("1")  # type: ignore[arg-type]
    await user(user=1)  # type: ignore[call-arg]
    await price(1)  # type: ignore[arg-type]


async def parameters_by_position_are_the_functions_own() -> None:
    await user.invalidate(1)
    await user.invalidate(1, verbose=True)
    await user.invalidate(user_id=1)
    assert_type(user.key(1), str)
    assert_type(price.key("tea"), str)
    await user.invalidate("1")  # type: ignore[call-overload]
    await user.invalidate(1, True)  # type: ignore[call-overload]
    user.key("1")  # type: ignore[call-overload]
    await price.invalidate(1)  # type: ignore[call-overload]
    await price.invalidate_all()
    await price.invalidate_all("tea")  # type: ignore[call-arg]


async def by_name_dependencies_and_the_request_need_not_be_there() -> None:
    await order.invalidate(order_id=1)
    await page.invalidate(slug="a")
    assert_type(order.key(order_id=1), str)


async def what_is_wrong_is_an_error(threads: SyncCache) -> None:
    cached_response(threads)  # type: ignore[arg-type]
    cached_response(cache, cookies=True)  # type: ignore[arg-type]
    cached_response(cache, ignore=1)  # type: ignore[arg-type]
    cached_response(cache, authorization="maybe")  # type: ignore[arg-type]
    known: Callable[[int], Coroutine[Any, Any, User]] = user
    await known(1)
