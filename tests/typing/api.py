# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""The type checkers' view of the public API. Never run: mypy and pyright read it, both strictly.

Lines that end in ``type: ignore`` must be errors, because an unneeded ignore is an error itself.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from fleetcache import MISSING, Cache, Found, Health, Keep, NoStore, Settings, Stats
from fleetcache.policy.results import Missing


@dataclass
class User:
    name: str


async def load_user() -> User:
    return User("Ann")


async def maybe_load_user() -> User | None:
    return None


async def user_or_not_kept() -> User | NoStore[User]:
    return NoStore(User("Ann"))


async def user_any_way() -> User | NoStore[User] | Keep[User]:
    return Keep(User("Ann"), ttl="5m", stale=timedelta(hours=1))


async def always_kept() -> Keep[User]:
    return Keep(User("Ann"))


async def decides_always() -> Keep[User] | NoStore[User]:
    return Keep(User("Ann"))


async def never_kept() -> NoStore[User]:
    return NoStore(User("Ann"))


async def anything() -> Any:
    return 1


def plain_loader() -> User:
    return User("Ann")


async def load_users(keys: list[str]) -> dict[str, User]:
    return {key: User(key) for key in keys}


async def reading(cache: Cache) -> None:
    assert_type(await cache.get("k"), Any)
    assert_type(await cache.get("k", allow_stale=True), Any)
    assert_type(await cache.get("k", 3), Any)
    assert_type(await cache.get("k", type=User), User | None)
    assert_type(await cache.get("k", None, type=User), User | None)
    assert_type(await cache.get("k", 0, type=str), str | int)
    assert_type(await cache.get("k", MISSING, type=User), User | Missing)
    assert_type(await cache.get("k", type=int | str), Any)
    assert_type(await cache.get("k", type=list[User]), list[User] | None)
    found = await cache.get("k", MISSING, type=User)
    if found is not MISSING:
        assert_type(found, User)
    assert_type(cache.peek("k"), Any)
    assert_type(cache.peek("k", type=User), User | None)
    assert_type(cache.peek("k", 0, type=str), str | int)
    assert_type(await cache.get_many(["a", "b"], type=User), dict[str, Any])
    assert_type(await cache.lookup("k"), Found[Any] | None)
    assert_type(await cache.lookup("k", type=int | str), Found[Any] | None)
    shown = await cache.lookup("k", type=User)
    if shown is not None:
        assert_type(shown.value, User)
        assert_type((shown.fresh_for, shown.age, shown.stale), tuple[float, float, bool])
    await cache.lookup("k", User)  # type: ignore[call-overload]


async def loading(cache: Cache) -> None:
    assert_type(await cache.get_or_set("k", load_user), User)
    assert_type(await cache.get_or_set("k", maybe_load_user), User | None)
    assert_type(await cache.get_or_set("k", user_or_not_kept), User)
    assert_type(await cache.get_or_set("k", user_any_way, ttl="5m", stale=60, tags=["users"]), User)
    assert_type(await cache.get_or_set("k", always_kept), User)
    assert_type(await cache.get_or_set("k", never_kept, early=True, load_timeout=0.5, offline_ttl=0), User)
    assert_type(await cache.get_or_set("k", never_kept, load_limit="5s"), User)
    assert_type(await cache.refresh("k", never_kept, load_limit=5, errors={KeyError: 5}), User)
    assert_type(await cache.get_or_set("k", decides_always), User)
    assert_type(await cache.get_or_set("k", anything), Any)
    assert_type(await cache.refresh("k", user_any_way), User)
    assert_type(await cache.refresh("k", always_kept), User)
    assert_type(await cache.get_or_set_many(["a"], load_users), dict[str, User])


async def writing(cache: Cache) -> None:
    assert_type(await cache.add("k", 1, ttl=timedelta(seconds=5)), bool)
    assert_type(await cache.delete("k", strict=True), bool)
    assert_type(await cache.delete_many(("a", "b")), int)
    assert_type(await cache.incr("k", 2, ttl="1h"), int)
    assert_type(await cache.touch("k", "5m"), bool)
    claim = await cache.claim("k", ttl="10s", wait=False)
    if claim is not None:
        assert_type(await claim.release(), bool)
    assert_type(await cache.is_claimed("k"), bool)
    await cache.set("k", User("Ann"), ttl=1, stale="1m", tags=("users",), type=User, strict=True)
    await cache.set_many({"a": 1, "b": None})
    await cache.invalidate_tags("users", "geo")
    await cache.clear()
    assert_type(cache.stats(), Stats)
    assert_type(await cache.health(), Health)
    users = cache.namespace("users", ttl="1h")
    assert_type(await users.get("k", type=User), User | None)
    with cache.bypass():
        pass


def building() -> None:
    Cache("redis://localhost", prefix="shop", ttl="5m")
    Cache(settings=Settings(ttl="1h", near_max_bytes="8MiB", driver="memory"))
    assert_type(Cache.from_env(), Cache)


cache = Cache("memory://")


@cache.cached
async def bare(name: str, *, age: int = 0) -> User:
    return User(f"{name}{age}")


@cache.cached(
    ttl="5m", key="user:{name}", tags=("users",), clearable=True, load_limit="5s", max_loads=4, errors={KeyError: "5s"}
)
async def with_options(name: str, *, age: int = 0) -> User:
    return User(f"{name}{age}")


@cache.cached
async def bare_any_way(name: str) -> User | NoStore[User] | Keep[User]:
    return NoStore(User(name))


@cache.cached
async def bare_kept(name: str) -> Keep[User]:
    return Keep(User(name))


@cache.cached(ttl=5)
async def kept_with_options(name: str) -> Keep[User]:
    return Keep(User(name))


@cache.cached(ttl=5)
async def any_way_with_options(name: str) -> User | NoStore[User | None] | None:
    return NoStore(User(name))


def user_key(name: str) -> str:
    return f"u:{name}"


@cache.namespace("users").cached(key=user_key)
async def in_a_namespace(name: str) -> User:
    return User(name)


async def functions() -> None:
    assert_type(await bare("ann", age=3), User)
    assert_type(await with_options("ann", age=3), User)
    assert_type(await bare_any_way("ann"), User)
    assert_type(await bare_kept("ann"), User)
    assert_type(await kept_with_options("ann"), User)
    assert_type(await any_way_with_options("ann"), User | None)
    assert_type(await in_a_namespace("ann"), User)
    assert_type(bare.key("ann", age=3), str)
    assert_type(bare.peek("ann"), User | None)
    assert_type(await bare.refresh("ann"), User)
    assert_type(await bare.invalidate("ann"), bool)
    assert_type(await bare.uncached("ann"), User)
    await with_options.invalidate_all()
    await with_options.invalidate_all(strict=True)
    passed_on: Callable[[str], Coroutine[Any, Any, User]] = with_options
    await passed_on("ann")


class Service:
    @cache.cached(key="service:{name}")
    async def user(self, name: str, *, age: int = 0) -> User:
        return User(f"{name}{age}")

    @cache.cached
    async def bare(self, name: str) -> User | NoStore[User]:
        return User(name)

    def __cache_key__(self) -> str:
        return "service"


async def methods(service: Service) -> None:
    assert_type(await service.user("ann", age=3), User)
    assert_type(await service.bare("ann"), User)
    assert_type(service.user.key("ann"), str)
    assert_type(await service.user.invalidate("ann", age=3), bool)
    assert_type(await service.user.refresh("ann"), User)
    assert_type(service.user.peek("ann"), User | None)
    await service.user.invalidate_all(strict=True)
    await Service.user.invalidate_all()
    assert_type(await service.user.uncached("ann"), User)
    assert_type(await Service.user(service, "ann"), User)


# -- errors -----------------------------------------------------------------------------------------------------------


async def refused(service: Service) -> None:
    await cache.get(3)  # type: ignore[call-overload]
    await cache.get("k", typ=int)  # type: ignore[call-overload]
    await cache.set("k", 1, ttl=["5m"])  # type: ignore[arg-type]
    await cache.set("k", 1, 60)  # type: ignore[arg-type]
    await cache.get_or_set("k", plain_loader)  # type: ignore[arg-type]
    await cache.get_or_set("k", load_users)  # type: ignore[arg-type]
    await cache.get_or_set_many(["a"], load_user)  # type: ignore[arg-type]
    await cache.incr("k", "2")  # type: ignore[arg-type]
    await cache.touch("k")  # type: ignore[call-arg]
    await bare(3)  # type: ignore[arg-type]
    await bare()  # type: ignore[call-arg]
    await with_options("ann", 3)  # type: ignore[call-arg]
    await with_options.invalidate(3)  # type: ignore[arg-type]
    with_options.key("ann", year=3)  # type: ignore[call-arg]
    await service.user(3)  # type: ignore[arg-type]
    await service.user.invalidate("ann", year=3)  # type: ignore[call-arg]
    await with_options.invalidate_all(True)  # type: ignore[call-arg]
    cache.cached(clearable="yes")  # type: ignore[call-overload]
    cache.cached(ttll=5)  # type: ignore[call-overload]
    cache.cached(plain_loader)  # type: ignore[arg-type]
    cache.cached(ttl=5)(plain_loader)  # type: ignore[arg-type]
    Keep(1, "5m")  # type: ignore[call-arg]
    Settings("redis")  # type: ignore[call-arg]
    Settings(driver="dynamo")  # type: ignore[arg-type]
    found = await cache.get("k", type=str)
    number: int = found  # type: ignore[assignment]
    assert number
