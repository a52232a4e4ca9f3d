"""The session and the path of pushes into near: any bytes from the server, in any pieces.

A well-formed frame reaches the right call unchanged. A malformed one ends in ``ProtocolError`` and in nothing else. The
cuts between pieces never change the frames before them.
"""

from collections.abc import Callable
from typing import Any

from fleetcache.format.keys import Layout
from fleetcache.near.coherence import Coherence
from fleetcache.near.store import Near
from fleetcache.policy.single_flight import Flights
from fleetcache.telemetry.stats import Counters
from fleetcache.wire.session import Call, ProtocolError, ReplyError, Session
from tests.fuzz.resp import HOSTILE, frame, push
from tests.fuzz.source import Source

__all__ = ["SEEDS", "one_input"]

SEEDS = [bytes([way, 3, *range(0, 250, 7)]) + bytes(range(100)) for way in range(8)]
LIMIT = 100_000


class Watched:
    """A session with calls to answer; it records its events."""

    def __init__(self, calls: list[int], own: bytes | None) -> None:
        self.events: list[Any] = []
        self.coherence = Coherence(Near(100, 10_000), Layout("p"), Flights(), Counters(), lambda: 0.0)
        self.session = Session(self._pushed, LIMIT)
        self.session.on_own = lambda key: self.events.append(("own", key))
        for number, commands in enumerate(calls):
            self.session.add(Call([("PING",)] * commands, self._handler(number)), float(number))
        self.session.expect_self_invalidation = own

    def _pushed(self, keys: list[bytes] | None) -> None:
        self.events.append(("push", keys))
        self.coherence.on_invalidation(keys)

    def _handler(self, number: int) -> Callable[[list[Any]], Any]:
        return lambda replies: self.events.append((number, plain(replies)))

    def feed(self, pieces: list[bytes]) -> bool:
        """Return True if the session found its peer to be broken."""
        try:
            for piece in pieces:
                self.session.feed(piece)
        except ProtocolError:
            return True
        return False


def plain(value: Any) -> Any:
    """Return the value in a comparable form: errors as their text, NaN as a word."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {plain(key): plain(part) for key, part in value.items()}
    return str(value) if isinstance(value, ReplyError) or value != value else value  # noqa: PLR0124 - NaN


def well_formed(source: Source, calls: list[int]) -> tuple[bytes, list[Any]]:
    """Return bytes of the requested replies with pushes between them, and the events that must follow."""
    events: list[Any] = []
    raw = b""
    for number, commands in enumerate(calls):
        replies = []
        for _ in range(commands):
            while source.chance(3):
                written, pushed = push(source)
                raw += written
                if pushed != []:
                    events.append(("push", pushed))
            written, reply = frame(source)
            raw += written
            replies.append(reply)
        events.append((number, replies))
    return raw, events


def one_input(data: bytes) -> None:
    """Play one connection twice: in one piece and in many."""
    source = Source(data)
    calls = [1 + source.below(3) for _ in range(source.below(8))]
    own = source.pick((None, b"p:e:k"))
    raw, expected = well_formed(source, calls)
    spoilt = source.byte() % 2 == 1
    if spoilt:
        raw = source.spoilt(raw)
        for _ in range(source.below(3)):
            at = source.below(len(raw) + 1)
            raw = raw[:at] + source.pick(HOSTILE) + raw[at:]
    pieces = source.cut(raw)
    whole, cut = Watched(calls, own), Watched(calls, own)
    broken, cut_broken = whole.feed([raw]), cut.feed(pieces)
    assert cut.events == whole.events
    assert cut_broken == broken
    if not spoilt:
        assert not broken
        assert [event for event in whole.events if event[0] != "own"] == expected
        assert whole.session.oldest is None
    whole.session.end()
    assert whole.session.weight == 0
