"""The server's tracking table: when it is nearly full, what is asked, and the servers that do not answer."""

import pytest

from fleetcache.wire.session import ReplyError
from fleetcache.wire.tracking_table import LIMIT, TrackingTable, bytes_of
from tests.support.clock import ManualClock


def stats(keys: int, readers: int = 0) -> bytes:
    return b"# Stats\r\ntracking_total_keys:%d\r\ntracking_total_items:%d\r\n" % (keys, readers)


def limit(most: int) -> dict[bytes, bytes]:
    return {LIMIT[2].encode() if isinstance(LIMIT[2], str) else b"": b"%d" % most}


class Watched(TrackingTable):
    """A table on a connection of a server that tracks, and the warnings about it."""

    def __init__(self, *, room: float = float("inf")) -> None:
        self.warnings: list[str] = []
        super().__init__(ManualClock(), self.warnings.append)
        self.room = room
        self.begin(tells=True)


def test_it_is_nearly_full_from_80_percent_on_and_tells_so_once() -> None:
    it = Watched()
    assert it.asks() == (LIMIT,)
    it.heard(stats(799), limit(1000))
    assert (it.keys, it.limit, it.share, it.is_nearly_full, it.warnings) == (799, 1000, 0.799, False, [])
    it.heard(stats(800), limit(1000))
    assert (it.is_nearly_full, it.warnings) == (True, ["800 of 1,000 keys"])
    it.heard(stats(1000), limit(1000))
    assert len(it.warnings) == 1
    it.heard(stats(10), limit(1000))
    assert not it.is_nearly_full
    it.heard(stats(900), limit(1000))
    assert it.warnings == ["800 of 1,000 keys", "900 of 1,000 keys"]


def test_a_raised_limit_ends_it_and_a_reconnect_neither_ends_nor_repeats_it() -> None:
    it = Watched()
    it.heard(stats(900), limit(1000))
    since = it.since
    it.begin(tells=True)
    assert it.is_nearly_full
    it.heard(stats(950), limit(1000))
    assert (it.since, len(it.warnings)) == (since, 1)
    it.heard(stats(950), limit(2000))
    assert not it.is_nearly_full
    it.heard(stats(1900), limit(2000))
    it.begin(tells=False)  # a server that tracks nothing for this connection
    assert (it.is_nearly_full, it.keys, it.asks()) == (False, None, ())
    it.heard(stats(1900), limit(2000))
    assert it.keys is None


@pytest.mark.parametrize("said", [limit(0), ReplyError("NOPERM no"), [], {}, None, 7, [b"x", b"many"]])
def test_without_a_limit_the_table_is_never_full(said: object) -> None:
    it = Watched()
    it.heard(stats(10**9), said)
    assert (it.keys, it.limit, it.share) == (10**9, None, 0.0)


def test_a_server_that_does_not_tell_its_limit_is_not_asked_again_on_this_connection() -> None:
    it = Watched()
    it.heard(stats(5), ReplyError("ERR unknown command 'CONFIG'"))
    assert it.asks() == ()
    it.heard(stats(6))
    assert it.keys == 6
    it.begin(tells=True)
    assert it.asks() == (LIMIT,)


def test_a_limit_of_none_is_asked_for_again() -> None:
    it = Watched()
    it.heard(stats(5), limit(0))
    assert it.asks() == (LIMIT,)


@pytest.mark.parametrize("said", [ReplyError("NOPERM no"), b"", b"tracking_total_keys:many", None, 7, [1]])
def test_a_server_without_numbers_has_an_unknown_table(said: object) -> None:
    it = Watched()
    it.heard(stats(900), limit(1000))
    it.heard(said, limit(1000))
    assert (it.keys, it.is_nearly_full) == (None, False)


def test_a_list_is_read_as_a_map_is() -> None:
    it = Watched()
    it.heard(stats(900), [b"tracking-table-max-keys", b"1000"])
    assert it.is_nearly_full


def test_its_bytes_may_fill_the_room_before_its_keys_do() -> None:
    it = Watched(room=128_000_000)
    assert bytes_of(40_000, 2 * 40_000) == 40_000 * 100 + 40_000 * 2 * 63
    it.heard(stats(40_000, 30 * 40_000), limit(1_000_000))
    assert not it.is_nearly_full
    it.heard(stats(40_000, 64 * 40_000), limit(1_000_000))
    assert it.share > 1
    assert it.warnings == ["about 165,280,000 of 128,000,000 bytes"]
