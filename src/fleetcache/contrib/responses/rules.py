"""The rules of HTTP for cached responses: which may be stored, for how long, and with which headers they are sent.

This module uses neither a framework's routes nor the cache; ``serving`` applies the rules. By RFC 9110 (semantics),
RFC 9111 (caching) and RFC 9211 (``Cache-Status``):

1. A response is stored only if every client with the same request may get it: an expected status, no cookie, and no
   ``no-store``, ``private`` or ``no-cache`` of the endpoint's own (9111 §3, §5.2.2). ``Vary`` may name only fields
   that the key holds (9111 §4.1).
2. The endpoint's own ``s-maxage``, ``max-age`` or ``Expires``, in this order, shorten the life (9111 §4.2.1);
   ``must-revalidate`` and ``proxy-revalidate`` forbid stale answers (9111 §4.2.4).
3. Connection-specific fields are not stored (9111 §3.1, 9110 §7.6.1).
4. A 304 carries the fields by which a client updates its copy, and no other fields of the response (9110 §15.4.5).
5. Only GET and HEAD ask by ``If-None-Match`` whether a copy is still good. With other methods the field has another
   meaning (9110 §13.1.2), and a cache leaves it to the endpoint.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from msgspec import Struct
from starlette.datastructures import Headers
from starlette.responses import Response

__all__ = [
    "UNSTORED",
    "RawHeaders",
    "StoredResponse",
    "age_of",
    "answer",
    "directives",
    "for_one",
    "is_cookie",
    "lifetime",
    "may_be_stale",
    "noted",
    "refusal",
    "stored_response",
    "varies_by",
]

RawHeaders = Iterable[tuple[bytes, bytes]]

# Version of stored responses. A release that changes ``StoredResponse`` takes the next number: responses that other
# releases stored are then unusable for it, and it loads them again.
SCHEMA: Final = 2
_CONNECTION = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
# Set again for each answer.
_OURS = {"age", "cache-status"}
_STATUS = (b"cache-status", b"fleetcache")
_IN_304 = frozenset({b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary"})
_DIRECTIVE = re.compile(r'([^\s,="]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,]+))?')
# Digits read of a number of seconds: more digits mean forever, and a text of millions of digits is never parsed.
_DIGITS = 12
_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')


class StoredResponse(Struct, frozen=True):
    """A response as it is stored.

    Attributes:
        schema: ``SCHEMA`` of the releases that can read the entry.
        status: HTTP status; 0 in ``UNSTORED`` only.
        headers: The endpoint's headers, with an ``ETag``.
        body: The whole body.
        age: Age of the response in seconds when it was stored, by the ``Age`` field that the endpoint passed on
            (RFC 9111 §4.2.3). The cache counts the time since then, so clocks of two hosts are never compared.
        direct: Whether the endpoint itself returned a ``Response``, to which FastAPI adds no headers of dependencies.
        rendering: How the framework made the response of a value, so that a route with other settings does not use it.
    """

    schema: Literal[2]
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    age: int
    direct: bool
    rendering: str


UNSTORED = StoredResponse(SCHEMA, 0, (), b"", 0, direct=False, rendering="")
"""The result of joined and waiting callers whose load made a response that may not be stored."""


def directives(values: Iterable[str]) -> dict[str, str]:
    """Return the directives of ``Cache-Control`` fields, in lower case; the first of a name counts (RFC 9111 §4.2.1).

    Example:
        >>> directives(['Max-Age="10", no-cache'])
        {'max-age': '10', 'no-cache': ''}
    """
    found: dict[str, str] = {}
    for name, value in _DIRECTIVE.findall(",".join(values)):
        found.setdefault(name.lower(), value.strip('"'))
    return found


def refusal(
    headers: Headers, *, status: int, size: int, statuses: Collection[int], max_bytes: int, known: Collection[str]
) -> str | None:
    """Return why a response may not be stored, in one word; ``None`` if it may.

    Args:
        headers: Headers of the response.
        status: Status of the response.
        size: Bytes of its body.
        statuses: Statuses that may be stored.
        max_bytes: The largest body that may be stored.
        known: Request fields, in lower case, whose values are in the key.
    """
    if status not in statuses:
        return "status"
    if (word := for_one(headers)) is not None:
        return word
    if varies_by(headers).difference(known):
        return "vary"
    return "size" if size > max_bytes else None


def for_one(headers: Headers) -> str | None:
    """Return the word that makes these headers valid for one client only; ``None`` if they are for every client."""
    if "set-cookie" in headers:
        return "set-cookie"
    said = directives(headers.getlist("cache-control"))
    return next((word for word in ("no-store", "private", "no-cache") if word in said), None)


def varies_by(headers: Headers) -> set[str]:
    """Return the request fields, in lower case, that the ``Vary`` of a response names; ``*`` may be among them."""
    return {name.strip().lower() for value in headers.getlist("vary") for name in value.split(",")} - {""}


def is_cookie(header: tuple[bytes, bytes]) -> bool:
    """Return True if a header sets a cookie."""
    return header[0].lower() == b"set-cookie"


def lifetime(headers: Headers, now: float) -> float | None:
    """Return the seconds from now for which the response's own headers call it fresh; ``None`` if none does.

    Args:
        headers: Headers of the response.
        now: Seconds of the wall clock, for an ``Expires`` without a ``Date`` (RFC 9111 §4.2.1).
    """
    said, age = directives(headers.getlist("cache-control")), age_of(headers)
    for word in ("s-maxage", "max-age"):
        if word in said:
            return max(0.0, (_digits(said[word]) or 0) - age)
    if "expires" in headers:
        begins, ends = _time(headers.get("date", "")), _time(headers["expires"])
        # An ``Expires`` that is not a time, such as "0", means already expired.
        return 0.0 if ends is None else max(0.0, ends - (now if begins is None else begins) - age)
    return None


def age_of(headers: Headers) -> int:
    """Return the ``Age`` of a response in seconds: the endpoint may pass on a response of another server."""
    return _digits(headers.get("age", "")) or 0


def _digits(text: str) -> int | None:
    return int(text[:_DIGITS]) if text.isascii() and text.isdigit() else None


def _time(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def may_be_stale(headers: Headers) -> bool:
    """Return True if the response may be answered past its life."""
    return not {"must-revalidate", "proxy-revalidate"} & directives(headers.getlist("cache-control")).keys()


def stored_response(response: Response, *, direct: bool, rendering: str) -> StoredResponse:
    """Return the response in the form in which it is stored, without cookies."""
    raw = [(name.lower(), value) for name, value in response.raw_headers if not is_cookie((name, value))]
    headers, body = Headers(raw=raw), bytes(response.body)
    named = {name.strip().lower() for value in headers.getlist("connection") for name in value.split(",")}
    dropped = {name.encode("latin-1") for name in _CONNECTION | _OURS | named}
    kept = [header for header in raw if header[0] not in dropped]
    if "etag" not in headers:
        kept.append((b"etag", _etag(headers.get("content-type", ""), body)))
    return StoredResponse(SCHEMA, response.status_code, tuple(kept), body, age_of(headers), direct, rendering)


def _etag(content_type: str, body: bytes) -> bytes:
    # Weak, because an outer middleware may still compress a response with this tag (RFC 9110 §8.8.1).
    digest = hashlib.blake2b(content_type.encode() + b"\0" + body, digest_size=16).hexdigest()
    return f'W/"{digest}"'.encode()


def _has(tag: str, if_none_match: list[str]) -> bool:
    """Return True if a client's copy has this tag, by weak comparison (RFC 9110 §8.8.3.2, §13.1.2)."""
    wanted = ",".join(if_none_match).strip()
    opaque = _ENTITY_TAG.fullmatch(tag)
    return wanted == "*" or (opaque is not None and opaque[1] in _ENTITY_TAG.findall(wanted))


def noted(headers: RawHeaders, note: str) -> list[tuple[bytes, bytes]]:
    """Return the headers with ``Cache-Status`` (RFC 9211): first the fields of other caches, then that of fleetcache.

    An earlier field of fleetcache is replaced, because an endpoint may return the same response object each time.
    """
    others = [each for each in headers if each[0].lower() != _STATUS[0] or not each[1].startswith(_STATUS[1])]
    return [*others, (_STATUS[0], b"%b; %b" % (_STATUS[1], note.encode()))]


def answer(
    stored: StoredResponse,
    request: Headers,
    *,
    method: str,
    age: int | None,
    cache_control: str,
    vary: Collection[str],
    note: str,
    extra: Sequence[tuple[bytes, bytes]] = (),
) -> Response:
    """Return the response to send: whole, without its body for HEAD, or a 304 for a client with a valid copy.

    Args:
        stored: The stored response.
        request: The request's headers.
        method: The request's method.
        age: Seconds since the response was made; ``None`` where it was made for this request (RFC 9111 §5.1).
        cache_control: ``Cache-Control`` for clients and proxies, where the endpoint sets none.
        vary: Request fields that select the response.
        note: The cache's part in the answer, as parameters of ``Cache-Status``.
        extra: Headers for this request only.
    """
    own = Headers(raw=list(stored.headers))
    asks = method in {"GET", "HEAD"} and stored.status == 200  # noqa: PLR2004 - OK
    unchanged = asks and _has(own["etag"], request.getlist("if-none-match"))
    headers = [
        (name, value) for name, value in stored.headers if name != b"vary" and (not unchanged or name in _IN_304)
    ]
    headers.extend(extra)
    if "cache-control" not in Headers(raw=[*stored.headers, *extra]):
        headers.append((b"cache-control", cache_control.encode()))
    if names := _joined([*own.getlist("vary"), *vary]):
        headers.append((b"vary", names.encode("latin-1")))
    if age is not None:
        headers.append((b"age", b"%d" % age))
    response = Response(status_code=304 if unchanged else stored.status)
    response.body = b"" if unchanged or method == "HEAD" else stored.body
    response.raw_headers = noted(headers, note)
    return response


def _joined(values: Iterable[str]) -> str:
    names = {name.strip().lower(): name.strip() for value in values for name in value.split(",") if name.strip()}
    return ", ".join(names.values())
