# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""The type checkers' view of the public API for threads. Never run: mypy and pyright read it, both strictly.

Lines that end in ``type: ignore`` must be errors, because an unneeded ignore is an error itself.
"""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from fleetcache import MISSING, Cache, Found, Health, Keep, NoStore, Settings, Stats, SyncCache
from fleetcache.policy.results import Missing


@dataclass
class User:
    name: str


def load_user() -> User:
    return User("Ann")


def maybe_load_user() -> User | None:
    return None


def user_any_way() -> User | NoStore[User] | Keep[User]:
    return Keep(User("Ann"), ttl="5m", stale=timedelta(hours=1))


def always_kept() -> Keep[User]:
    return Keep(User("Ann"))


def decides_always() -> Keep[User] | NoStore[User]:
    return Keep(User("Ann"))


def anything() -> Any:
    return 1


def load_users(keys: list[str]) -> dict[str, User]:
    return {key: User(key) for key in keys}


def reading(cache: SyncCache) -> None:
    assert_type(cache.get("k"), Any)
    assert_type(cache.get("k", allow_stale=True), Any)
    assert_type(cache.get("k", 3), Any)
    assert_type(cache.get("k", type=User), User | None)
    assert_type(cache.get("k", 0, type=str), str | int)
    assert_type(cache.get("k", MISSING, type=User), User | Missing)
    assert_type(cache.peek("k", type=User), User | None)
    assert_type(cache.get_many(["a", "b"], type=User), dict[str, Any])
    assert_type(cache.lookup("k"), Found[Any] | None)
    assert_type(cache.lookup("k", type=int | str), Found[Any] | None)
    shown = cache.lookup("k", type=User)
    if shown is not None:
        assert_type(shown.value, User)
        assert_type((shown.fresh_for, shown.age, shown.stale), tuple[float, float, bool])
    cache.lookup("k", User)  # type: ignore[call-overload]


def loading(cache: SyncCache) -> None:
    assert_type(cache.get_or_set("k", load_user), User)
    assert_type(cache.get_or_set("k", lambda: 3), int)
    assert_type(cache.get_or_set("k", maybe_load_user), User | None)
    assert_type(cache.get_or_set("k", user_any_way, ttl="5m", stale=60, tags=["users"]), User)
    assert_type(cache.get_or_set("k", always_kept, early=True, load_timeout=0.5, offline_ttl=0), User)
    assert_type(cache.get_or_set("k", always_kept, load_limit="5s"), User)
    assert_type(cache.refresh("k", always_kept, load_limit=5, errors={KeyError: 5}), User)
    assert_type(cache.get_or_set("k", decides_always), User)
    assert_type(cache.get_or_set("k", anything), Any)
    assert_type(cache.refresh("k", user_any_way), User)
    assert_type(cache.get_or_set_many(["a"], load_users), dict[str, User])


def writing(cache: SyncCache) -> None:
    assert_type(cache.add("k", 1, ttl=timedelta(seconds=5)), bool)
    assert_type(cache.delete("k", strict=True), bool)
    assert_type(cache.delete_many(("a", "b")), int)
    assert_type(cache.incr("k", 2, ttl="1h"), int)
    assert_type(cache.touch("k", "5m"), bool)
    claim = cache.claim("k", ttl="10s", wait=False)
    if claim is not None:
        assert_type(claim.release(), bool)
    assert_type(cache.is_claimed("k"), bool)
    cache.set("k", User("Ann"), ttl=1, stale="1m", tags=("users",), type=User, strict=True)
    cache.set_many({"a": 1, "b": None})
    cache.invalidate_tags("users", "geo")
    cache.clear()
    assert_type(cache.stats(), Stats)
    assert_type(cache.health(), Health)
    assert_type(cache.namespace("users", ttl="1h").get("k", type=User), User | None)
    with cache.bypass():
        pass


def building() -> None:
    SyncCache("redis://localhost", prefix="shop", ttl="5m")
    SyncCache(settings=Settings(ttl="1h", driver="memory"))
    assert_type(SyncCache.from_env(), SyncCache)
    with SyncCache("memory://") as opened:
        assert_type(opened, SyncCache)


@contextmanager
def fresh_connections() -> Any:
    yield


cache = SyncCache("memory://")
cache.around_refresh(fresh_connections)


@cache.cached
def bare(name: str, *, age: int = 0) -> User:
    return User(f"{name}{age}")


@cache.cached(ttl="5m", key="user:{name}", tags=("users",), clearable=True)
def with_options(name: str, *, age: int = 0) -> User:
    return User(f"{name}{age}")


@cache.cached
def bare_any_way(name: str) -> User | NoStore[User] | Keep[User]:
    return NoStore(User(name))


@cache.cached(ttl=5)
def kept_with_options(name: str) -> Keep[User]:
    return Keep(User(name))


def functions() -> None:
    assert_type(bare("ann", age=3), User)
    assert_type(with_options("ann", age=3), User)
    assert_type(bare_any_way("ann"), User)
    assert_type(kept_with_options("ann"), User)
    assert_type(bare.key("ann", age=3), str)
    assert_type(bare.peek("ann"), User | None)
    assert_type(bare.refresh("ann"), User)
    assert_type(bare.invalidate("ann"), bool)
    assert_type(bare.uncached("ann"), User)
    with_options.invalidate_all(strict=True)
    passed_on: Callable[[str], User] = with_options
    passed_on("ann")


class Service:
    @cache.cached(key="service:{name}")
    def user(self, name: str, *, age: int = 0) -> User:
        return User(f"{name}{age}")


def methods(service: Service) -> None:
    assert_type(service.user("ann", age=3), User)
    assert_type(service.user.key("ann"), str)
    assert_type(service.user.invalidate("ann", age=3), bool)
    assert_type(Service.user(service, "ann"), User)


def beside_a_loop(cache: Cache) -> None:
    assert_type(cache.sync.get("k", type=User), User | None)
    assert_type(cache.sync.get_or_set("k", load_user), User)

    @cache.sync.cached(ttl="1m")
    def doubled(n: int) -> int:
        return 2 * n

    assert_type(doubled(2), int)


# -- errors -----------------------------------------------------------------------------------------------------------


def refused(service: Service) -> None:
    cache.get(3)  # type: ignore[call-overload]
    cache.set("k", 1, 60)  # type: ignore[arg-type]
    cache.get_or_set("k", load_users)  # type: ignore[arg-type]
    cache.incr("k", "2")  # type: ignore[arg-type]
    bare(3)  # type: ignore[arg-type]
    bare()  # type: ignore[call-arg]
    with_options.key("ann", year=3)  # type: ignore[call-arg]
    service.user(3)  # type: ignore[arg-type]
    cache.cached(ttll=5)  # type: ignore[call-overload]
    found = cache.get("k", type=str)
    number: int = found  # type: ignore[assignment]
    assert number


async def tasks_see_the_types_of_cache(cache: SyncCache) -> None:
    async def load() -> User:
        return load_user()

    assert_type(await cache.aio.get("k", type=User), User | None)
    assert_type(await cache.aio.get_or_set("k", load), User)
    assert_type(await cache.aio.incr("n", create=False), int)
    await cache.aio.get_or_set("k", load_user)  # type: ignore[arg-type]
    cached = cache.aio.cached(load)
    assert_type(await cached(), User)
