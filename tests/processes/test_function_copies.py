"""Cached functions are handed to other processes and copied as functions are: by name."""

import copy
import multiprocessing
import pickle
from typing import Any

import pytest
from flask import Flask

from fleetcache import Cache, SyncCache
from fleetcache.contrib.flask import FleetCache
from tests.support.run import run

threads, tasks, extension = SyncCache("memory://"), Cache("memory://"), FleetCache()


@threads.cached(key="square:{n}")
def square(n: int) -> int:
    return n * n


@tasks.namespace("cubes").cached(key="cube:{n}")
async def cube(n: int) -> int:
    return n**3


@extension.cached(key="double:{n}")
def double(n: int) -> int:
    return 2 * n


class Shop:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    @threads.cached(key="price:{self.factor}:{n}")
    def price(self, n: int) -> int:
        return self.factor * n

    @tasks.cached(key="offer:{self.factor}:{n}")
    async def offer(self, n: int) -> int:
        return self.factor * n - 1


@pytest.mark.parametrize("function", [square, cube, double, Shop.price, Shop.offer])
def test_they_are_themselves_again(function: Any) -> None:
    assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301 - our own bytes
    assert copy.copy(function) is function
    assert copy.deepcopy({"loader": function})["loader"] is function


@pytest.mark.parametrize("way", [lambda bound: pickle.loads(pickle.dumps(bound)), copy.copy])  # noqa: S301 - as above
def test_bound_methods_are_bound_again(way: Any) -> None:
    assert way(Shop(3).price)(2) == 6
    assert run(way(Shop(3).offer)(2)) == 5


def test_a_deep_copy_of_a_bound_method_is_bound_to_a_copy() -> None:
    shop = Shop(3)
    held: list[Any] = [shop.price, shop]
    price, same = copy.deepcopy(held)
    assert price.__self__ is same is not shop


def test_a_pool_of_processes_takes_them() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(square, [2, 3]) == [4, 9]
        assert pool.map(Shop(2).price, [2, 3]) == [4, 6]


def test_one_that_others_cannot_import_says_so() -> None:
    @threads.cached(key="local")
    def local() -> int:
        return 1

    with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
        pickle.dumps(local)
    assert copy.deepcopy(local) is local


def test_what_is_cached_in_a_flask_app_works_after_it() -> None:
    app = Flask("copies")
    app.config["FLEETCACHE_URL"] = "memory://"
    extension.init_app(app)
    with app.app_context():
        assert copy.deepcopy(double)(2) == 4
