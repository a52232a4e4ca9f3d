"""Converts bytes on the server to values and back, and judges whether an entry may be used.

No other module judges entries.

No bytes read here are trusted: any bytes give a ``Lookup``, never an exception.
"""

import sys
from collections.abc import Callable
from typing import Any

from msgspec import structs

from ..errors import CodecError
from ..format.codec import INT, JSON, MSGPACK, Codecs
from ..format.entry import (
    HEAD_SIZE,
    STORED_ERROR,
    Header,
    Tags,
    has_head,
    is_placeholder,
    pack,
    parse_failed,
    parse_header,
    parse_tags,
    signed_part,
    tag_section,
)
from ..format.keys import Layout
from ..format.signing import Signer
from ..format.values import ATOMS, immutable
from ..near.coherence import Coherence, FillToken
from ..near.store import ENCODED, NearEntry
from ..near.tag_versions import TagState
from ..policy.lookup import DecodedValue, EntryState, Lookup, NewEntry
from ..policy.options import CallOptions, Remaining, seconds_left
from ..telemetry.stats import Counters
from ..wire.reasons import reply_reason
from ..wire.session import ReplyError

__all__ = ["Entries"]

# Bound to names once: on the hit path, access to an enum member costs more than a dict look-up.
_CURRENT, _FRESH, _STALE = TagState.CURRENT, EntryState.FRESH, EntryState.STALE
_NOTHING = Lookup(EntryState.ABSENT)

# The codecs under which the bytes of a scalar, stored with a type, are the same scalar as plain data. An int may be
# given for a float, and JSON writes bytes as text. Marks and pickle are left out: few scalars are written by them.
_SAME_AS_PLAIN = {
    str: (MSGPACK, JSON),
    int: (INT, MSGPACK, JSON),
    bool: (MSGPACK, JSON),
    type(None): (MSGPACK, JSON),
    bytes: (MSGPACK,),
    float: (MSGPACK,),
}
_FLOAT = b"\xcb"  # begins a float in msgpack

# Loaders that choose their own ttl can produce any number of distinct spans.
_MAX_SPANS = 1000


class Entries:
    """Reads and writes entries.

    Args:
        codecs: Values to bytes.
        signer: Signs every entry; ``None`` = unsigned.
        coherence: Its copies of tag versions decide whether an entry is current; the near cache is filled through it.
        layout: Key layout; signatures cover the key on the server.
        counters: Counts unusable entries by reason.
        max_bytes: Larger entries are not used.
        stamp: 16 new random bytes.
    """

    def __init__(
        self,
        codecs: Codecs,
        signer: Signer | None,
        coherence: Coherence,
        layout: Layout,
        counters: Counters,
        *,
        max_bytes: int,
        stamp: Callable[[], bytes],
    ) -> None:
        self.codecs, self._signer, self._coherence = codecs, signer, coherence
        self._layout, self._counters, self.max_bytes, self._stamp = layout, counters, max_bytes, stamp
        self._spans: dict[float, float] = {}

    @property
    def signs(self) -> bool:
        """True if entries are signed. A script cannot sign, so in that case no script may write an entry."""
        return self._signer is not None

    # -- values --------------------------------------------------------------------------------------------------

    def encode(self, value: Any, declared: Any) -> DecodedValue:
        """Encode a value, and return it with its bytes as every caller will get it.

        Raises:
            CodecError: The value would change in a round trip, or is larger than ``CACHE_MAX_VALUE_BYTES``.
        """
        codec, payload, decoded = self.codecs.encode(value, declared)
        if len(payload) > self.max_bytes:
            raise CodecError(
                f"a value of {len(payload)} bytes is over CACHE_MAX_VALUE_BYTES ({self.max_bytes}): "
                "one large value would delay all callers on the connection"
            )
        return DecodedValue(decoded, payload, codec, declared)

    def encode_error(self, error: BaseException, errors: Any) -> DecodedValue:
        """Encode an error of a declared class.

        Raises:
            CodecError: The error would change in a round trip, or is too large.
        """
        codec, payload = self.codecs.encode_plain(errors.written(error))
        if len(payload) > self.max_bytes:
            raise CodecError(f"an error of {len(payload)} bytes is over CACHE_MAX_VALUE_BYTES ({self.max_bytes})")
        return DecodedValue(None, payload, codec, STORED_ERROR)

    def decode_error(self, codec: int, payload: bytes, errors: Any) -> Exception | None:
        """Return a stored error; ``None`` if its class was not declared."""
        try:
            error: Exception | None = errors.rebuilt(self.codecs.decode(codec, payload, Any))
        except CodecError:
            return None
        return error

    def copy(self, answer: DecodedValue, declared: Any) -> Any:
        """Return the value for one more caller, as the type this caller declared: a copy, or the same immutable object.

        Raises:
            CodecError: The value is not of that type.
        """
        same = declared is answer.declared or declared == answer.declared
        if answer.payload is None or (same and immutable(answer.value)):
            return answer.value
        return self.codecs.decode(answer.codec, answer.payload, declared)

    def decode_near(self, held: NearEntry, declared: Any) -> DecodedValue | None:
        """Return the value of a near entry as the declared type, or ``None`` if the value is not of that type."""
        try:
            if held.encoded:
                value = self.codecs.decode(held.codec, held.value, declared)
                return DecodedValue(value, held.value, held.codec, declared)
            if held.declared is declared or held.also is declared or held.declared == declared:
                # The value is immutable: callers share it, so no bytes are needed for copies.
                return DecodedValue(held.value, b"", held.codec, declared)
            if held.declared is STORED_ERROR:
                return None
            codec, payload, _ = self.codecs.encode(held.value, held.declared)
            return DecodedValue(self.codecs.decode(codec, payload, declared), payload, codec, declared)
        except CodecError:
            return None

    def near_entry(
        self,
        answer: DecodedValue,
        tags: tuple[str, ...],
        life: tuple[float, float],
        *,
        born: float,
        unconfirmed: bool = False,
        cost: float = 0.0,
        stamp: bytes = b"",
    ) -> NearEntry:
        """Return the near entry for a value.

        Args:
            answer: The value.
            tags: All tags of the entry.
            life: The time until which the entry is fresh and the time until which it may be served stale, on the
                process's clock.
            born: When the entry was stored, on the process's clock.
            unconfirmed: Whether the server has not confirmed the value.
            cost: The seconds that the load took.
            stamp: The version stamp on the server.
        """
        payload = answer.payload or b""
        value, declared, also, kind = answer.value, answer.declared, ENCODED, type(answer.value)
        if declared is STORED_ERROR:
            value, size = payload, 0
        elif kind in ATOMS:
            size = sys.getsizeof(value)
            if declared is Any:
                also = kind
            elif answer.codec in _SAME_AS_PLAIN.get(kind, ()) and (kind is not float or payload[:1] == _FLOAT):
                also = Any
        elif immutable(value):
            size = sys.getsizeof(value)
        else:
            value, declared, size = payload, ENCODED, 0
        return NearEntry(
            value,
            codec=answer.codec,
            declared=declared,
            fresh_until=life[0],
            stale_until=life[1],
            tags=tags,
            size=max(len(payload), size),
            unconfirmed=unconfirmed,
            cost=cost,
            stamp=stamp,
            span=self._span(round(life[0] - born, 3)),
            also=also,
        )

    def _span(self, seconds: float) -> float:
        """Return one float object for all entries with this lifetime, so that entries need no objects of their own."""
        if len(self._spans) >= _MAX_SPANS:
            self._spans.clear()
        return self._spans.setdefault(seconds, seconds)

    def extended(self, held: NearEntry, value: Any, life: tuple[float, float]) -> NearEntry:
        """Return the near entry with another value of the same kind, or another lifetime."""
        return structs.replace(held, value=value, fresh_until=life[0], stale_until=life[1], freq=0, main=False)

    def tags_of(self, seen: Lookup) -> Tags:
        """Return the tags of an entry that was usable."""
        return parse_tags(seen.header.section) or ()

    # -- to the server -------------------------------------------------------------------------------------------

    def stamp(self, mark: bytes = b"V") -> bytes:
        """Return a new version stamp: the mark and new random bytes."""
        return mark + self._stamp()

    def pack(
        self,
        key: str,
        answer: DecodedValue,
        tags: Tags,
        options: CallOptions,
        cost: float = 0.0,
        token: FillToken | None = None,
    ) -> NewEntry:
        """Return a new entry with these versions of its tags, to be stored.

        With a ``token``, ``fill`` puts it into the near cache.
        """
        stamp = self.stamp()
        payload = answer.payload or b""
        section = tag_section(tags)
        signed = self._signer is not None
        times, error = (options.ttl, options.stale, cost), answer.declared is STORED_ERROR
        before = pack(stamp, answer.codec, times, section, len(tags), signed=signed, error=error)
        if self._signer is not None:
            before += self._signer.sign(self._layout.entry(key), before + payload)
        return NewEntry(before + payload, options.server_ttl_ms, stamp, answer, options, tags, cost, token)

    def fill(self, entry: NewEntry, sent_at: float) -> None:
        """Put an entry that the server stored into the near cache, unless a tag changed since its version was captured.

        Args:
            entry: The entry.
            sent_at: When it was sent: from then on its ttl counts.
        """
        options, token = entry.options, entry.token
        entry.current = self._coherence.captured(options.tags) == entry.captured
        if not entry.current or token is None or not token.valid:
            return
        most, fresh_until = self._coherence.life(sent_at), sent_at + options.ttl
        life = (min(fresh_until, most), min(fresh_until + options.stale, most))
        held = self.near_entry(entry.answer, options.tags, life, born=sent_at, cost=entry.cost, stamp=entry.stamp)
        self._coherence.fill(token, held)

    # -- from the server -----------------------------------------------------------------------------------------

    def see(  # noqa: PLR0911 - one exit for each possible finding
        self, key: str, blob: Any, pttl: Any, sent_at: float, declared: Any, token: FillToken | None
    ) -> Lookup:
        """Judge the bytes under a key, and fill the near cache with the entry if it is usable."""
        header = parse_header(blob) if type(blob) is bytes else None
        if header is None or type(pttl) is not int or pttl <= 0:
            return _NOTHING if blob is None else self._odd(blob, pttl)
        if len(blob) - header.payload_start > self.max_bytes:
            return self._unusable(EntryState.INVALID, header.stamp, "size", pttl)
        currency, names = self._coherence.judge(header.section)
        if currency is not _CURRENT:
            if currency is TagState.OUTDATED:
                return self._unusable(EntryState.INVALID, header.stamp, "tags", pttl)
            return Lookup(EntryState.TAGS_UNKNOWN, header.stamp, sent_at=sent_at, unknown=names, blob=(blob, pttl))
        fresh_left, stale_left = seconds_left(pttl, header.stale)
        if stale_left <= 0:
            return Lookup(EntryState.EXPIRED, header.stamp, remaining=pttl / 1000)
        if self._signer is not None and not self._is_signed(key, blob, header):
            return self._unusable(EntryState.INVALID, header.stamp, "signature", pttl)
        payload = blob[header.payload_start :]
        try:
            if header.is_error:
                declared, value = STORED_ERROR, None
            else:
                value = self.codecs.decode(header.codec, payload, declared)
        except CodecError:
            return self._unusable(EntryState.INVALID, header.stamp, "value", pttl)
        answer = DecodedValue(value, payload, header.codec, declared)
        fresh_until = sent_at + fresh_left
        if token is not None and token.valid:
            most = self._coherence.life(sent_at)
            life = (min(fresh_until, most), min(sent_at + stale_left, most))
            born = fresh_until - header.ttl
            held = self.near_entry(answer, names, life, born=born, cost=header.cost, stamp=header.stamp)
            self._coherence.fill(token, held)
        if header.is_error:
            return Lookup(EntryState.ERROR, header.stamp, answer, pttl / 1000, "error", fresh_until, sent_at, header)
        look = _FRESH if fresh_left > 0 else _STALE
        return Lookup(look, header.stamp, answer, 0.0, "", fresh_until, sent_at, header)

    def was_alive(self, start: Any, pttl: Any) -> bool:
        """Return True if a fresh entry, current as far as known, began with these bytes and had this life left."""
        if not isinstance(start, bytes) or not isinstance(pttl, int) or len(start) < HEAD_SIZE:
            return False
        header = parse_header(start, cut=True)
        if header is None or header.is_error:
            return False
        currency, _ = self._coherence.judge(header.section)
        return currency is not TagState.OUTDATED and Remaining.of(pttl, header.stale).is_fresh

    def _is_signed(self, key: str, blob: bytes, header: Header) -> bool:
        """Return True if one of the configured keys signed the key on the server and everything in the entry."""
        signer, signature = self._signer, header.signature
        if signer is None or signature is None:
            return False
        return signer.verify(self._layout.entry(key), signed_part(blob, header), signature)

    def too_large(self, start: bytes, pttl: int) -> Lookup:
        """Judge a value larger than the largest reply, by its first bytes."""
        if pttl > 0 and has_head(start):
            return self._unusable(EntryState.INVALID, start, "size", pttl)
        return self._unusable(EntryState.FOREIGN, start, "foreign")

    def _odd(self, blob: Any, pttl: Any) -> Lookup:
        """Judge a reply that is not an entry of a known format."""
        for reply in (blob, pttl):
            if isinstance(reply, ReplyError):
                return Lookup(EntryState.UNAVAILABLE, reason=reply_reason(reply))
        stamp = blob[:HEAD_SIZE] if isinstance(blob, bytes) else b""
        if not stamp or not isinstance(pttl, int) or pttl == -1 or not has_head(blob):
            return self._unusable(EntryState.FOREIGN, stamp, "foreign")
        if pttl <= 0:
            return _NOTHING  # the entry expired between GET and PTTL, so its remaining life is unknown
        if is_placeholder(blob):
            return Lookup(EntryState.LOADING, stamp, remaining=pttl / 1000)
        failed = parse_failed(blob, pttl)
        if failed.failures:
            return Lookup(EntryState.FAILED, stamp, remaining=failed.guarded_ms / 1000, failed=failed)
        return self._unusable(EntryState.INVALID, stamp, "format", pttl)

    def _unusable(self, look: EntryState, stamp: bytes, why: str, pttl: int = 0) -> Lookup:
        self._counters.unusable[why] += 1
        return Lookup(look, stamp=stamp, reason=why, remaining=pttl / 1000)
