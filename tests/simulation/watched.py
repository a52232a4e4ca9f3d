"""A user's call, awaited step by step, to know the step and the place of its answer."""

from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Seen", "Watched"]


class Seen:
    """The places that a call's answer came from."""

    __slots__ = ("joined", "last_resort", "near", "offline", "partly_near", "steps")

    def __init__(self) -> None:
        self.near = self.partly_near = self.joined = self.last_resort = self.offline = False
        self.steps = 0


class Watched:
    """A coroutine, awaited step by step, to know the step and the place of its answer."""

    def __init__(self, coro: Coroutine[Any, Any, Any], counters: Any, heard: Callable[[], bool], seen: Seen) -> None:
        self._coro, self._counters, self._heard, self._seen = coro, counters, heard, seen

    def __await__(self) -> Any:
        steps, counters, seen = self._coro.__await__(), self._counters, self._seen
        thrown: BaseException | None = None
        sent: Any = None
        last = counters.offline_stale_hits
        while True:
            seen.steps += 1
            near, stale, joins = counters.near_hits, counters.stale_hits, counters.joins
            try:
                asked = steps.send(sent) if thrown is None else steps.throw(thrown)
            except StopIteration as ended:
                return ended.value
            finally:
                seen.joined = seen.joined or counters.joins != joins
                # Without a pause only near can answer. After a pause it answers only if the server did not answer.
                here = counters.near_hits != near or (counters.stale_hits != stale and not self._heard())
                seen.near = here or seen.steps == 1
                seen.partly_near = seen.partly_near or seen.near
                seen.last_resort = counters.offline_stale_hits != last
            thrown = sent = None
            try:
                sent = yield asked
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine, whatever it is
                thrown = error
