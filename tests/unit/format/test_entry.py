"""The bytes of an entry: a packed entry is parsed, and no other bytes are taken for one."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetcache.format.entry import (
    FORMAT_WRITTEN,
    FORMATS_READ,
    HEAD_SIZE,
    NOT_FAILED,
    failed_mark,
    has_head,
    is_placeholder,
    pack,
    parse_failed,
    parse_header,
    parse_tags,
    signed_part,
    tag_section,
)

HEAD = b"V" + bytes(range(16))
VERSION = b"v" * 16
TAGS = (("*", VERSION), ("geo", b"w" * 16))
SECTION = tag_section(TAGS)
ENTRY = pack(HEAD, 1, (60.0, 5.0, 0.25), SECTION, 2, signed=False)
SIGNATURE = b"s" * 32

tags = st.lists(st.tuples(st.text(max_size=60), st.binary(min_size=16, max_size=16)), max_size=8).map(tuple)
times = st.floats(0, 2_592_000).map(lambda seconds: round(seconds, 3))


def test_the_layout_is_what_the_module_says() -> None:
    """The wire format is shared with future releases: it changes only with its number."""
    fixed = bytes((2, 1, 0, 2)) + (60_000).to_bytes(4) + (5_000).to_bytes(4) + (250).to_bytes(4)
    start = (35 + 18 + 20).to_bytes(2)
    written = HEAD + fixed + start + b"\x01*" + VERSION + b"\x03geo" + b"w" * 16
    assert written == ENTRY


@given(st.integers(0, 255), st.tuples(times, times, times), tags, st.binary(max_size=50), st.booleans())
def test_what_was_packed_is_parsed(
    codec: int,
    lifetimes: tuple[float, float, float],
    tags: tuple[tuple[str, bytes], ...],
    payload: bytes,
    signed: bool,
) -> None:
    section = tag_section(tags)
    before = pack(HEAD, codec, lifetimes, section, len(tags), signed=signed)
    blob = before + (SIGNATURE if signed else b"") + payload
    header = parse_header(blob)
    assert header is not None
    assert (header.stamp, header.codec, header.section) == (HEAD, codec, section)
    assert (header.stale, header.cost) == pytest.approx(lifetimes[1:], abs=0.0006)
    assert parse_tags(header.section) == tags
    assert header.signature == (SIGNATURE if signed else None)
    assert blob[header.payload_start :] == payload
    if signed:
        assert signed_part(blob, header) == before + payload


@given(st.binary(max_size=80))
@example(ENTRY)
@example(b"L" + ENTRY[1:])
def test_any_bytes_are_an_entry_or_not_but_never_an_exception(blob: bytes) -> None:
    parse_header(blob)
    parse_header(blob, cut=True)
    parse_tags(blob)
    is_placeholder(blob)
    has_head(blob)
    parse_failed(blob, 5)
    parse_failed(b"F" + blob, -2)


@given(st.integers(0, len(ENTRY) - 1), st.integers(0, 255))
def test_no_changed_byte_makes_the_parser_fail(place: int, value: int) -> None:
    header = parse_header(ENTRY[:place] + bytes((value,)) + ENTRY[place + 1 :] + b"payload")
    if header is not None:
        parse_tags(header.section)
        assert header.payload_start <= len(ENTRY) + 7


def changed(place: int, value: int) -> bytes:
    return ENTRY[:place] + bytes((value,)) + ENTRY[place + 1 :]


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"V",
        ENTRY[:34],
        ENTRY[:-1],  # ends before its payload starts
        changed(0, ord("L")),
        changed(HEAD_SIZE, FORMAT_WRITTEN + 1),
        changed(HEAD_SIZE, FORMAT_WRITTEN - 1),
        changed(HEAD_SIZE, 0),
        *(changed(HEAD_SIZE + 2, flag) for flag in (2, 4, 0x10, 0x20, 0x40, 0x80)),  # flags of later releases
        pack(HEAD, 1, (1.0, 0.0, 0.0), b"", 0, signed=False)[:-2] + (20).to_bytes(2) + b"payload",
    ],
)
def test_what_this_release_cannot_read_is_no_entry(blob: bytes) -> None:
    assert parse_header(blob) is None


def test_this_release_reads_what_it_writes() -> None:
    assert FORMAT_WRITTEN in FORMATS_READ


def test_the_beginning_of_an_entry_is_enough_for_its_header() -> None:
    signed = pack(HEAD, 1, (1.0, 0.0, 0.0), SECTION, 2, signed=True)
    assert parse_header(signed) is None
    header = parse_header(signed, cut=True)
    assert header is not None
    assert header.section == SECTION


def test_lifetimes_beyond_the_field_are_its_most() -> None:
    header = parse_header(pack(HEAD, 1, (0.0, 1e12, 0.0), b"", 0, signed=False))
    assert header is not None
    assert header.stale == 0xFFFFFFFF / 1000


def test_a_placeholder_is_a_head_and_nothing_more() -> None:
    placeholder = b"L" + bytes(16)
    assert is_placeholder(placeholder)
    assert not is_placeholder(placeholder + b"x")
    assert not is_placeholder(placeholder[:-1])
    assert not is_placeholder(HEAD)


@pytest.mark.parametrize(
    ("blob", "ours"),
    [
        (HEAD, True),
        (ENTRY, True),
        (b"L" + bytes(16), True),
        (b"F" + bytes(16) + b"2 3000", True),
        (HEAD[:-1], False),
        (b"x" * 40, False),
        (b"", False),
    ],
)
def test_a_script_can_compare_what_begins_like_ours(blob: bytes, ours: bool) -> None:
    assert has_head(blob) is ours


@pytest.mark.parametrize("section", [SECTION[:-1], b"\x05a", b"\x01", b"\x01\xff" + VERSION])
def test_broken_tags_are_none(section: bytes) -> None:
    assert parse_tags(section) is None


def test_the_bytes_of_a_failed_mark_are_what_the_module_says() -> None:
    placeholder = b"L" + HEAD[1:]
    assert failed_mark(placeholder, 2, 1.5) == (b"F" + HEAD[1:] + b"2 4000", 4000)
    assert failed_mark(placeholder, 1, 0.0, timed_out=True) == (b"F" + HEAD[1:] + b"1 1000 t", 1000)
    assert failed_mark(b"C" + HEAD[1:], 10**6, 10**6) == (b"F" + HEAD[1:] + b"9999 30000", 30_000)
    assert has_head(failed_mark(placeholder, 1, 0.0)[0])


@given(st.integers(1, 9999), st.floats(0, 100), st.booleans(), st.integers(0, 40_000))
def test_a_failed_mark_says_what_it_was_made_of(count: int, took: float, timed_out: bool, age: int) -> None:
    blob, life = failed_mark(b"L" + HEAD[1:], count, took, timed_out=timed_out)
    mark = parse_failed(blob, life - age)
    assert (mark.stamp, mark.failures, mark.timed_out) == (blob[:HEAD_SIZE], count, timed_out)
    assert mark.ends_waits is (timed_out or count > 1)
    assert mark.guarded_ms == (max(0, 100 - age) if mark.ends_waits else 0)


def test_a_renewed_mark_is_not_young_again() -> None:
    blob, life = failed_mark(b"L" + HEAD[1:], 2, 0.0)
    assert parse_failed(blob, life + 1).guarded_ms == 0


@pytest.mark.parametrize("text", [b"", b"2", b"0 5", b"-1 5", b"2 ", b" 2 5", b"22222 5", b"2 555555", b"2 5t", b"x 5"])
def test_bytes_of_another_form_are_no_failed_mark(text: bytes) -> None:
    assert parse_failed(b"F" + HEAD[1:] + text, 5) is NOT_FAILED


@pytest.mark.parametrize("more", [b" u", b" timeout", b" t later", b" "])
def test_a_failed_mark_with_words_of_a_later_release_is_one(more: bytes) -> None:
    mark = parse_failed(b"F" + HEAD[1:] + b"3 1000" + more, 500)
    assert (mark.failures, mark.timed_out) == (3, more.startswith(b" t "))


@pytest.mark.parametrize("first", [b"V", b"L", b"C", b"f"])
def test_only_its_letter_begins_a_failed_mark(first: bytes) -> None:
    assert parse_failed(first + HEAD[1:] + b"2 1000", 500) is NOT_FAILED
