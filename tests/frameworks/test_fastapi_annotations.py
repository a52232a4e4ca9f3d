"""Annotations that are text, some of which only type checkers can read."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Request, Response

from fleetcache import Cache
from fleetcache.contrib.fastapi import cached_response
from tests.frameworks.asking import asking, did
from tests.support.run import run

if TYPE_CHECKING:
    from decimal import Decimal


def dependency(skip: int = 0) -> Decimal:
    return skip  # type: ignore[return-value] # as above


app, calls = FastAPI(), count(1)
cached = cached_response(Cache("memory://"))


@app.get("/plain/{item}")
@cached
async def plain(item: int, skip: Annotated[int, Depends(dependency)]) -> dict[str, int]:
    return {"item": item, "skip": skip, "call": next(calls)}


@app.get("/seen")
@cached
async def seen(request: Request, response: Response) -> Any:
    response.headers["X-Path"] = request.url.path
    return next(calls)


def test_they_are_read_as_fastapi_reads_them() -> None:
    async def scene() -> None:
        async with asking(app) as client:
            answers = [await client.get(path) for path in ("/plain/1", "/plain/01", "/plain/1?skip=2")]
            assert [answer.json()["skip"] for answer in answers] == [0, 0, 2]
            assert [did(answer) for answer in answers] == ["stored", "hit", "stored"]
            answers = [await client.get("/seen") for _ in range(2)]
            assert [answer.headers["x-path"] for answer in answers] == ["/seen"] * 2
            assert did(answers[1]) == "hit"

    run(scene())
