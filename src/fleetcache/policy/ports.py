"""The protocols of the parts that policy gets: policy knows no tier, no wire and no event loop.

``Runtime`` runs the rules for one face: asyncio provides futures and tasks, threads provide waits that block and never
suspend. The other protocols are the tiers as policy uses them, documented only by the classes of the same names.
"""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

from ..format.entry import Tags
from ..futures import NO_ANSWER, Future
from .lookup import DecodedValue, Lookup, NewEntry
from .options import CallOptions

__all__ = [
    "NO_ANSWER",
    "Alarm",
    "CoherencePort",
    "EntriesPort",
    "FlightPort",
    "Future",
    "Landed",
    "LimitPassed",
    "LoaderEndedError",
    "NearPort",
    "Runtime",
    "SharedPort",
    "TrustPort",
    "Work",
    "is_failure",
    "load_apart",
]


class LoaderEndedError(Exception):
    """The loader ended by an exception for its own caller alone, kept in ``original``; a joined caller takes over.

    ``original`` is a cancellation that the cache did not cause, or any other ``BaseException`` that is not an
    ``Exception``: test runners, ``gevent.Timeout`` and ``sys.exit`` raise such exceptions.
    """

    def __init__(self, original: BaseException) -> None:
        super().__init__("the loader was cancelled, or raised an exception that is not an Exception")
        self.original = original


def is_failure(error: BaseException) -> bool:
    """Return whether an old value may answer instead of the error, where the options allow an old value at all.

    It may not if the error must reach the loader's own caller, as ``KeyboardInterrupt`` must.
    """
    if isinstance(error, LoaderEndedError):
        return isinstance(error.original, (Exception, CancelledError))
    return isinstance(error, Exception)


class Loads(Protocol):
    """Runs loaders."""

    async def run_loader(self, loader: Callable[..., Any], *args: Any) -> Any:
        """Run the user's loader; raise ``LoaderEndedError`` if it ended by an exception for its caller alone."""
        ...


async def load_apart(ports: Loads, loader: Callable[..., Any], *args: Any) -> Any:
    """Run the loader for a single caller, without a flight; return its result or raise its own exception."""
    try:
        return await ports.run_loader(loader, *args)
    except LoaderEndedError as error:
        raise error.original from None


Work = Callable[[], Coroutine[Any, Any, None]]


class Landed(Protocol):
    """Called when a flight has ended, in whatever way; ``error`` is its work's exception, a defect of fleetcache."""

    def __call__(self, error: BaseException | None = None, /) -> None: ...  # noqa: D102 - see above


class Alarm(Protocol):
    """A scheduled call, which runs unless it is cancelled."""

    def cancel(self) -> None:
        """Cancel the call."""
        ...


class LimitPassed(Protocol):
    """Called when a loader has run for as long as it may."""

    def __call__(self, *, stays: bool) -> None:
        """Note it; ``stays``: whether the starter of the load waits until the loader ends, as a thread must."""
        ...


class FlightPort(Protocol):
    """A flight, as far as the runtime must know it."""

    task: Any


class Runtime(Protocol):
    """Waiting, running loaders, and time."""

    closed: bool

    def clock(self) -> float:
        """Return the time in seconds."""
        ...

    def random(self) -> float:
        """Return a random number in [0, 1)."""
        ...

    def me(self) -> Any:
        """Return the current task; ``None`` in a thread."""
        ...

    def future(self) -> Future:
        """Return a new future that is not done."""
        ...

    def wait(self, future: Future, until: float | None) -> Awaitable[Any]:
        """Return the future's result; at ``until``, resolve it with ``NO_ANSWER``."""
        ...

    async def pause(self) -> None:
        """Let the other tasks of the loop run, or the other threads."""
        ...

    async def run_loader(self, loader: Callable[..., Any], *args: Any) -> Any:
        """Run the user's loader; raise ``LoaderEndedError`` if it ended by an exception for its caller alone."""
        ...

    async def run_limited(
        self, seconds: float, passed: "LimitPassed", ended: Callable[[], None], loader: Callable[..., Any], *args: Any
    ) -> Any:
        """Run the user's loader for ``seconds`` at most, as far as it can be ended; see ``LimitPassed``.

        The loader of a task is cancelled, and the result is ``NO_ANSWER``. The loader of a thread cannot be ended, so
        the thread waits for its result. ``ended`` is called when a loader that ran on after its limit has ended.
        """
        ...

    async def spawn(self, flight: FlightPort, work: Work, landed: Landed) -> None:
        """Run a flight's load, in a separate task (asyncio) or at once in this thread, and call ``landed`` after it."""
        ...

    def spawn_background(self, flight: FlightPort, work: Work, landed: Landed) -> bool:
        """Run a refresh in the background; ``False`` if it cannot run now: then neither function is called."""
        ...

    def call_later(self, delay: float, ring: Callable[[], None]) -> Alarm:
        """Call ``ring`` after ``delay`` seconds."""
        ...

    async def close(self, patience: float) -> None:
        """End the work in the background; wait for it up to ``patience`` seconds."""
        ...


class NearPort(Protocol):
    """The near cache (L1)."""

    @property
    def items(self) -> Mapping[str, Any]: ...  # noqa: D102
    def put(self, key: str, held: Any) -> bool: ...  # noqa: D102 - see the class of the same name
    def forget(self, key: str) -> bool: ...  # noqa: D102
    def lives(self, held: Any) -> bool: ...  # noqa: D102
    def living(self, key: str) -> Any: ...  # noqa: D102


class JournalPort(Protocol):
    """The removals that the server has not acknowledged."""

    @property
    def pending(self) -> Mapping[tuple[str, str], int]: ...
    def has_pending_key(self, key: str) -> bool: ...
    def next(self) -> int: ...


class TurnoverPort(Protocol):
    """Whether the server evicts."""

    @property
    def evicting(self) -> bool: ...


class CoherencePort(Protocol):
    """Tokens, watches, removals."""

    tracking: bool
    keeps: bool

    @property
    def turnover(self) -> TurnoverPort: ...  # noqa: D102
    @property
    def journal(self) -> JournalPort: ...  # noqa: D102
    def open_fill(self, key: str, tags: tuple[str, ...] = ()) -> Any: ...  # noqa: D102
    def close_fill(self, token: Any) -> None: ...  # noqa: D102
    def watch(self, key: str, future: Future) -> Any: ...  # noqa: D102
    def unwatch(self, watch: Any) -> None: ...  # noqa: D102
    def fill(self, token: Any, held: Any) -> bool: ...  # noqa: D102
    def captured(self, tags: tuple[str, ...]) -> Tags | None: ...  # noqa: D102
    def missing(self, tags: tuple[str, ...]) -> list[str]: ...  # noqa: D102
    def defer(self, target: tuple[str, str], number: int) -> None: ...  # noqa: D102
    def begin_removal(self, target: tuple[str, str]) -> int: ...  # noqa: D102
    def writing(self, key: str, tags: tuple[str, ...]) -> int: ...  # noqa: D102
    def wrote(self, key: str, number: int) -> bool: ...  # noqa: D102
    def forget_key(self, key: str) -> None: ...  # noqa: D102


class EntriesPort(Protocol):
    """Turns values into entries, and entries into values."""

    @property
    def signs(self) -> bool: ...  # noqa: D102
    def encode(self, value: Any, declared: Any) -> DecodedValue: ...  # noqa: D102
    def encode_error(self, error: BaseException, errors: Any) -> DecodedValue: ...  # noqa: D102
    def decode_error(self, codec: int, payload: bytes, errors: Any) -> Exception | None: ...  # noqa: D102
    def copy(self, answer: DecodedValue, declared: Any) -> Any: ...  # noqa: D102
    def near_entry(  # noqa: D102
        self,
        answer: DecodedValue,
        tags: tuple[str, ...],
        life: tuple[float, float],
        *,
        born: float,
        unconfirmed: bool = False,
        cost: float = 0.0,
        stamp: bytes = b"",
    ) -> Any: ...
    def stamp(self, mark: bytes = b"V") -> bytes: ...  # noqa: D102
    def pack(  # noqa: D102
        self, key: str, answer: DecodedValue, tags: Tags, options: CallOptions, cost: float = 0.0, token: Any = None
    ) -> NewEntry: ...
    def extended(self, held: Any, value: Any, life: tuple[float, float]) -> Any: ...  # noqa: D102
    def tags_of(self, seen: Lookup) -> Tags: ...  # noqa: D102
    def decode_near(self, held: Any, declared: Any) -> DecodedValue | None: ...  # noqa: D102


class TrustPort(Protocol):
    """How long the near cache may be trusted, and whether the server is late or known to be away."""

    confirmed: float

    @property
    def serves(self) -> bool: ...  # noqa: D102
    @property
    def away(self) -> bool: ...  # noqa: D102
    @property
    def late(self) -> tuple[float, float]: ...  # noqa: D102
    def bound(self, offline_ttl: float) -> float: ...  # noqa: D102


class SharedPort(Protocol):
    """The calls on the server; each returns a future, or ``None`` if nothing may be sent."""

    usable: bool

    @property
    def crowded(self) -> bool: ...  # noqa: D102
    def when_room(self, future: Future) -> None: ...  # noqa: D102
    def judge(self, key: str, seen: Lookup, declared: Any, token: Any) -> Lookup: ...  # noqa: D102
    def look(  # noqa: D102
        self, key: str, declared: Any, token: Any, *, of_many: bool = False, load: Any = None
    ) -> Future | None: ...
    def settle(self, key: str, seen: Lookup, declared: Any, token: Any) -> Future | None: ...  # noqa: D102
    def capture(self, tags: Any, then: Callable[[], Any], future: Future) -> Future | None: ...  # noqa: D102
    def acquire(  # noqa: D102
        self,
        key: str,
        placeholder: bytes,
        lease_ms: int,
        declared: Any,
        token: Any,
        load: Any = None,
        *,
        waited: bool = False,
    ) -> Future | None: ...
    def claim(self, key: str, claim_token: bytes, lease_ms: int, *, waited: bool = False) -> Future | None: ...  # noqa: D102
    def claim_second(self, key: str, claim_token: bytes, ms: int) -> Future | None: ...  # noqa: D102
    def is_claimed(self, key: str, claim: bytes = b"C") -> Future | None: ...  # noqa: D102
    def swap(self, key: str, expected: bytes, entry: NewEntry) -> Future | None: ...  # noqa: D102
    def renew(  # noqa: D102
        self,
        key: str,
        stamp: bytes,
        ms: int,
        *,
        claim: bool = False,
        second: bool = False,
        refused: Callable[[], None] | None = None,
    ) -> None: ...
    def release(self, key: str, placeholder: bytes) -> None: ...  # noqa: D102
    def unclaim(self, key: str, claim_token: bytes, *, second: bool = False) -> None: ...  # noqa: D102
    def fail(  # noqa: D102
        self, key: str, right: bytes, failures: int, took: float, *, claim: bool, timed_out: bool
    ) -> None: ...
    def discard(self, key: str, stamp: bytes) -> None: ...  # noqa: D102
    def put(self, key: str, entry: NewEntry, number: int) -> Future | None: ...  # noqa: D102
    def remove(self, target: tuple[str, str], number: int) -> Future | None: ...  # noqa: D102
    def add(self, key: str, entry: NewEntry, declared: Any, token: Any) -> Future | None: ...  # noqa: D102
    def incr(self, key: str, entry: NewEntry, replacing: bytes, token: Any) -> Future | None: ...  # noqa: D102
    def touch(self, key: str, stamp: bytes, server_ttl_ms: int) -> Future | None: ...  # noqa: D102
