"""A small shop: all instances share its responses, and all forget them when a price changes.

Run it: ``uvicorn examples.fastapi.app:app --workers 2``. With ``REDIS_URL`` workers and other hosts are one cache.
The database is a file, ``SHOP_DATABASE``, by default ``shop.sqlite3`` here.
"""

import os
import sqlite3
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel

from fleetcache import Cache
from fleetcache.contrib.fastapi import cached_response, lifespan
from fleetcache.ops import OpsApp

cache = Cache.from_env()
app = FastAPI(lifespan=lifespan(cache))
app.mount("/ops", OpsApp(cache))


class Product(BaseModel):
    """A product of the shop."""

    id: int
    name: str
    cents: int


def database() -> Iterator[sqlite3.Connection]:
    """Yield a connection for one request; a response does not depend on it."""
    connection = sqlite3.connect(os.environ.get("SHOP_DATABASE") or "shop.sqlite3", check_same_thread=False)
    with connection:
        connection.execute("CREATE TABLE IF NOT EXISTS product (id INTEGER PRIMARY KEY, name TEXT, cents INTEGER)")
        connection.execute(
            "INSERT OR IGNORE INTO product VALUES (1, 'tea', 450), (2, 'coffee', 780), (3, 'cocoa', 390)"
        )
    try:
        yield connection
    finally:
        connection.close()


Database = Annotated[sqlite3.Connection, Depends(database)]


def page(skip: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> tuple[int, int]:
    """Return a part of a list: the parameters that a dependency reads are in the key of a response, too."""
    return limit, skip


@app.get("/products")
@cached_response(ttl="1m", stale="1h", tags=("products",))
def products(db: Database, part: Annotated[tuple[int, int], Depends(page)]) -> list[Product]:
    """Return the list: a minute old at most, or older while one instance reads it again."""
    rows = db.execute("SELECT id, name, cents FROM product ORDER BY id LIMIT ? OFFSET ?", part)
    return [Product(id=row[0], name=row[1], cents=row[2]) for row in rows]


@app.get("/products/{product_id}")
@cached_response(ttl="1h")
def product(product_id: int, db: Database) -> Product:
    """Return one product. A missing product is not cached."""
    row = db.execute("SELECT id, name, cents FROM product WHERE id = ?", (product_id,)).fetchone()
    if row is None:
        raise HTTPException(404)
    return Product(id=row[0], name=row[1], cents=row[2])


@app.put("/products/{product_id}/price")
async def change_price(product_id: int, cents: int, db: Database) -> None:
    """Change the database first, then let every instance forget the old price."""
    with db:
        db.execute("UPDATE product SET cents = ? WHERE id = ?", (cents, product_id))
    await product.invalidate(product_id=product_id)
    await cache.invalidate_tags("products")
