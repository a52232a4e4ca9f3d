"""The scripts: their texts, which never change, and the effect of each on each possible value of a key."""

import hashlib
import struct
from pathlib import Path
from typing import Any

import hiredis
import pytest

import fleetcache.shared
from fleetcache.format.entry import pack, tag_section
from fleetcache.shared.scripts import SCRIPTS, TAG_KEPT_MS, mint_command
from tests.support.client import Client
from tests.support.servers import Server
from tests.support.world import LAYOUT

LUA = Path(fleetcache.shared.__file__).parent / "lua"
# The texts are part of the format: with another SHA-1, two releases of one fleet do not share their scripts.
SHAS = {
    "acquire": "54cdb3adc47935060ecab679297ffba174326e2e",
    "add": "028d8e46988e053dd15ca1e2f7284b11ea465a27",
    "incr": "ace254ad0b9113efe5b3893ca27feb7811ea6d98",
    "mint": "bc7b7bffc5e70c3c0f76c9c99262de4b294e984f",
    "put": "3bf5498effb72180fea17dfc680db47a3fe44fe8",
    "release": "55029bcc3112647947509be61911266ab526ecdf",
    "renew": "71e900712364dc8d7a9eb3d1a7b0291f1b20a58b",
    "swap": "bd7c93cd3a566d30982cb5d9bc1d8fa6a01f9268",
    "touch": "27c67758ce7b6e6631f1eaac4ba631d738f68953",
}
KEY = b"fc:e:k"
GRACE = 10_000
TAGS = tag_section((("*", b"v" * 16),))
OTHER_TAGS = tag_section((("*", b"w" * 16),))
PLACEHOLDER = b"L" + b"p" * 16
CLAIM = b"C" + b"p" * 16


def mark(failures: int, life: int = 3000, kind: bytes = b"") -> bytes:
    return b"F" + b"p" * 16 + b"%d %d" % (failures, life) + kind


def head(stamp: bytes = b"1") -> bytes:
    return b"V" + stamp * 16


def entry(payload: bytes, *, stamp: bytes = b"1", codec: int = 0, stale: float = 0.0, tags: bytes = TAGS) -> bytes:
    return pack(head(stamp), codec, (60.0, stale, 0.0), tags, 1, signed=False) + payload


def payload_of(blob: bytes) -> bytes:
    (start,) = struct.unpack(">H", blob[33:35])
    return blob[start:]


def run(client: Client, script: str, *args: bytes | int) -> Any:
    return client(*SCRIPTS[script].call(KEY, *args, whole=True))


@pytest.fixture
def client(server: Server) -> Any:
    with server.client() as client:
        yield client


def test_no_text_has_changed_by_a_byte() -> None:
    assert {name: script.sha for name, script in SCRIPTS.items()} == SHAS


def test_each_script_is_a_file_and_each_file_a_script() -> None:
    assert {path.stem for path in LUA.glob("*.lua")} == set(SCRIPTS)
    for name, script in SCRIPTS.items():
        text = (LUA / f"{name}.lua").read_bytes()
        assert (script.text.encode(), script.sha) == (text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


def test_a_call_names_one_key_and_sends_the_text_only_when_told() -> None:
    script = SCRIPTS["touch"]
    assert script.call(b"k", b"stamp", 5) == ("EVALSHA", script.sha, 1, b"k", b"stamp", 5)
    assert script.call(b"k", whole=True) == ("EVAL", script.text, 1, b"k")


def test_the_tag_of_every_entry_lives_for_ever_and_others_for_twice_an_entry() -> None:
    assert mint_command(LAYOUT, "*", b"version")[-1] == 0
    assert mint_command(LAYOUT, "geo", b"version")[-1] == TAG_KEPT_MS


def test_every_script_touches_one_key_and_is_loaded_by_its_sha(client: Client) -> None:
    for script in SCRIPTS.values():
        assert client("SCRIPT", "LOAD", script.text).decode() == script.sha
        assert "KEYS[2]" not in script.text


# -- acquire ---------------------------------------------------------------------------------------------------------


def acquire(client: Client, guard: int, taken: bytes = PLACEHOLDER) -> Any:
    return run(client, "acquire", taken, 5000, guard)


@pytest.mark.parametrize("taken", [PLACEHOLDER, CLAIM])
def test_a_right_is_granted_where_nothing_is_and_kept_from_others(client: Client, taken: bytes) -> None:
    assert acquire(client, 100, taken) == 0
    assert client("GET", KEY) == taken
    found, left = acquire(client, 100, taken[:1] + b"o" * 16)
    assert (found, 0 < left <= 5000) == (taken, True)


@pytest.mark.parametrize("guard", [100, -1])
def test_one_failure_keeps_nobody_from_the_right(client: Client, guard: int) -> None:
    client("SET", KEY, mark(1), "PX", 3000)
    assert acquire(client, guard) == -1
    assert client("GET", KEY) == PLACEHOLDER


@pytest.mark.parametrize("there", [mark(2), mark(1, kind=b" t"), mark(7, kind=b" t")])
def test_a_mark_that_ends_waits_is_left_to_those_who_waited_for_a_while(client: Client, there: bytes) -> None:
    client("SET", KEY, there, "PX", 2990)  # 10 ms old
    found, left = acquire(client, 100)
    assert (found, 0 < left <= 2990) == (there, True)
    client("SET", KEY, there, "PX", 2900)
    assert acquire(client, 100) == -int(there[17:18])


@pytest.mark.parametrize("there", [mark(2), mark(1, kind=b" t"), mark(2, life=10)])
def test_those_who_waited_never_step_over_a_mark_that_ends_waits(client: Client, there: bytes) -> None:
    client("SET", KEY, there, "PX", 1000)  # old, or renewed
    assert acquire(client, -1)[0] == there


def test_a_renewed_mark_is_not_young_again(client: Client) -> None:
    client("SET", KEY, mark(2, life=1000), "PX", 9000)
    assert acquire(client, 100) == -2


@pytest.mark.parametrize("text", [b"", b"2", b"x 5", b" 2 5", b"-1 5"])
def test_bytes_of_another_form_are_no_mark(client: Client, text: bytes) -> None:
    client("SET", KEY, b"F" + b"p" * 16 + text, "PX", 3000)
    assert acquire(client, 100)[0] == b"F" + b"p" * 16 + text


def test_a_mark_of_a_later_kind_is_stepped_over(client: Client) -> None:
    client("SET", KEY, mark(3, kind=b" later words"), "PX", 2000)
    assert acquire(client, 100) == -3


# -- add -------------------------------------------------------------------------------------------------------------


def test_add_stores_where_nothing_is(client: Client) -> None:
    assert run(client, "add", entry(b"new"), 5000) == 0
    assert client("GET", KEY) == entry(b"new")
    assert 0 < client("PTTL", KEY) <= 5000


@pytest.mark.parametrize("there", [PLACEHOLDER, mark(2)])
def test_add_takes_a_placeholder_or_failed_mark_for_nothing_and_its_load_ends_refused(
    client: Client, there: bytes
) -> None:
    client("SET", KEY, there, "PX", 1000)
    assert run(client, "add", entry(b"new"), 5000) == 0
    assert run(client, "swap", there[:17], entry(b"loaded"), 5000) == 0
    assert client("GET", KEY) == entry(b"new")


@pytest.mark.parametrize("there", [entry(b"old"), b"foreign", b""])
def test_add_shows_what_is_there_and_leaves_it(client: Client, there: bytes) -> None:
    client("SET", KEY, there, "PX", 5000)
    found, left = run(client, "add", entry(b"new"), 60_000)
    assert found == there
    assert 0 < left <= 5000
    assert client("GET", KEY) == there


# -- touch -----------------------------------------------------------------------------------------------------------


def test_touch_gives_the_entry_with_that_head_a_new_life(client: Client) -> None:
    client("SET", KEY, entry(b"value"), "PX", 5000)
    assert run(client, "touch", head(), 60_000) == 1
    assert client("PTTL", KEY) > 50_000
    assert run(client, "touch", head(), 1000) == 1
    assert 0 < client("PTTL", KEY) <= 1000
    assert client("GET", KEY) == entry(b"value")


@pytest.mark.parametrize("there", [None, entry(b"value", stamp=b"2"), PLACEHOLDER, b"foreign"])
def test_touch_leaves_everything_else(client: Client, there: bytes | None) -> None:
    if there is not None:
        client("SET", KEY, there, "PX", 5000)
    assert run(client, "touch", head(), 60_000) == 0
    assert client("PTTL", KEY) <= 5000


# -- incr ------------------------------------------------------------------------------------------------------------


def incr(client: Client, delta: int, *, replacing: bytes = b"", stamp: bytes = b"9") -> Any:
    start = entry(str(delta).encode(), stamp=b"s")
    return run(client, "incr", start, 60_000 + GRACE, head(stamp), replacing)


def test_incr_begins_with_the_step(client: Client) -> None:
    assert incr(client, 5) == [1, b"5"]
    assert client("GET", KEY) == entry(b"5", stamp=b"s")
    assert 60_000 < client("PTTL", KEY) <= 60_000 + GRACE


def test_incr_adds_and_keeps_the_life_under_a_new_head(client: Client) -> None:
    client("SET", KEY, entry(b"40"), "PX", 5000 + GRACE)
    assert incr(client, 2) == [1, b"42"]
    assert client("GET", KEY) == entry(b"42", stamp=b"9")
    assert GRACE < client("PTTL", KEY) <= 5000 + GRACE
    assert incr(client, -50) == [1, b"-8"]


@pytest.mark.parametrize("there", [PLACEHOLDER, mark(2)])
def test_incr_takes_a_placeholder_or_failed_mark_for_nothing(client: Client, there: bytes) -> None:
    client("SET", KEY, there, "PX", 1000)
    assert incr(client, 3) == [1, b"3"]


@pytest.mark.parametrize(
    "there",
    [
        entry(b"40", codec=1),  # not a plain integer
        entry(b"40", tags=OTHER_TAGS),  # perhaps invalidated: the caller must decide
        entry(b"text"),
        entry(b""),
        entry(str(2**53).encode()),  # beyond Lua's exact integers
        b"foreign",
    ],
)
def test_incr_shows_what_it_cannot_count_and_leaves_it(client: Client, there: bytes) -> None:
    client("SET", KEY, there, "PX", 5000 + GRACE)
    code, found, left = incr(client, 1)
    assert (code, found) == (0, there)
    assert 0 < left <= 5000 + GRACE
    assert client("GET", KEY) == there


def test_incr_does_not_count_on_what_is_no_longer_fresh(client: Client) -> None:
    there = entry(b"40", stale=5.0)
    client("SET", KEY, there, "PX", 4900 + GRACE)
    code, found, _ = incr(client, 1)
    assert (code, found) == (0, there)
    assert incr(client, 1, replacing=head()) == [1, b"1"]


def test_incr_replaces_only_what_it_was_told(client: Client) -> None:
    client("SET", KEY, b"V" + b"x" * 40, "PX", 5000)
    assert incr(client, 1, replacing=head(b"2"))[0] == 0
    assert incr(client, 1, replacing=head(b"x")) == [1, b"1"]


@pytest.mark.parametrize(("held", "delta"), [(2**53 - 1, 1), (-(2**53) + 1, -1), (1, 2**53 - 1)])
def test_incr_stops_where_it_can_no_longer_count(client: Client, held: int, delta: int) -> None:
    client("SET", KEY, entry(str(held).encode()), "PX", 60_000)
    assert incr(client, delta)[:2] == [0, entry(str(held).encode())]
    assert payload_of(client("GET", KEY)) == str(held).encode()
    assert incr(client, -delta) == [1, str(held - delta).encode()]
    assert payload_of(client("GET", KEY)) == str(held - delta).encode()


# -- pushes to the connection, and a full server -----------------------------------------------------------------------


def tracked(server: Server) -> Client:
    client = server.client()
    client("CLIENT", "TRACKING", "ON")
    return client


PREPARED: dict[str, tuple[bytes | None, tuple[bytes | int, ...]]] = {
    "add": (None, (entry(b"new"), 60_000)),
    "incr": (entry(b"1"), (entry(b"1", stamp=b"s"), 60_000, head(b"9"), b"")),
    "touch": (entry(b"1"), (head(), 60_000)),
}


@pytest.mark.parametrize("script", PREPARED)
def test_who_holds_a_copy_hears_of_it_once(server: Server, script: str) -> None:
    there, args = PREPARED[script]
    with tracked(server) as other, server.client() as writer:
        if there is not None:
            writer("SET", KEY, there, "PX", 60_000)
        other("GET", KEY)
        run(writer, script, *args)
        assert other.drain() == [[b"invalidate", [KEY]]]


@pytest.mark.parametrize("script", PREPARED)
def test_the_writer_hears_its_own_push_as_the_very_next_frame_and_no_second(server: Server, script: str) -> None:
    there, args = PREPARED[script]
    with tracked(server) as writer, server.client() as plain:
        if there is not None:
            plain("SET", KEY, there, "PX", 60_000)
        writer("GET", KEY)
        run(writer, script, *args)
        assert writer.drain() == [[b"invalidate", [KEY]]]


def test_after_add_the_writer_hears_of_foreign_changes(server: Server) -> None:
    """It fills near with its stored value: another client's removal must reach it."""
    with tracked(server) as writer, server.client() as other:
        run(writer, "add", entry(b"new"), 60_000)
        writer.drain()
        other("DEL", KEY)
        assert writer.drain() == [[b"invalidate", [KEY]]]


def test_a_full_server_refuses_to_store_and_goes_on_reading_and_removing(client: Client) -> None:
    client("SET", KEY, entry(b"1"), "PX", 60_000)
    client("CONFIG", "SET", "maxmemory-policy", "noeviction")
    client("CONFIG", "SET", "maxmemory", "1")
    for script in ("add", "incr"):
        there, args = PREPARED[script]
        if there is None:
            client("DEL", KEY)
        with pytest.raises(hiredis.ReplyError, match="OOM"):
            run(client, script, *args)
        client("CONFIG", "SET", "maxmemory", "0")
        client("SET", KEY, entry(b"1"), "PX", 60_000)
        client("CONFIG", "SET", "maxmemory", "1")
    assert client("GET", KEY) == entry(b"1")
    assert client("DEL", KEY) == 1
