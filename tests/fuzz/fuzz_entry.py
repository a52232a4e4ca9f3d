"""The entry format: any bytes are an entry or not. A packed entry is found again, with any content."""

from fleetcache.format import entry
from tests.fuzz.source import Source

__all__ = ["SEEDS", "one_input"]

SEEDS = [bytes([way, *range(0, 220, 5)]) for way in range(8)]


def tags(source: Source) -> entry.Tags:
    """Return tags as they are written: with names of at most 255 bytes."""
    names = [source.take(source.pick((3, 20, 255))).decode(errors="ignore") for _ in range(source.below(6))]
    return tuple((name, source.take(16).ljust(16, b"\0")) for name in names)


def look(blob: bytes) -> None:
    """Run each reader of an entry's bytes; none raises, and none finds more than there is."""
    for cut in (False, True):
        header = entry.parse_header(blob, cut=cut)
        if header is None:
            continue
        assert header.stamp == blob[: entry.HEAD_SIZE]
        assert entry.has_head(blob)
        assert not entry.is_placeholder(blob)
        assert 0 <= header.stale <= 2**32 / 1000
        entry.parse_tags(header.section)
        if not cut:
            assert header.payload_start <= len(blob)
            signed = entry.SIGNATURE_SIZE if header.signature is not None else 0
            if signed:
                assert len(entry.signed_part(blob, header)) == len(blob) - signed
    found = entry.parse_tags(blob)
    assert found is None or entry.tag_section(found) == blob
    entry.is_placeholder(blob)
    entry.has_head(blob)


def one_input(data: bytes) -> None:
    """Read one entry as it was packed, spoilt, and bytes of any kind."""
    source = Source(data)
    signed, carried = source.byte() % 2 == 1, tags(source)
    lifetimes = (source.below(10**7) / 3, source.below(10**7) / 7, float(source.pick((0, 1, 10**12))))
    section = entry.tag_section(carried)
    before = entry.pack(
        b"V" + source.take(16).ljust(16, b"\0"), source.byte(), lifetimes, section, len(carried), signed=signed
    )
    blob = before + (source.take(32).ljust(32, b"s") if signed else b"") + source.blob()
    header = entry.parse_header(blob)
    assert header is not None
    assert header.section == section
    assert entry.parse_tags(section) == carried
    assert (header.signature is not None) == signed
    look(blob)
    look(source.spoilt(blob))
    look(b"V" + source.rest())
