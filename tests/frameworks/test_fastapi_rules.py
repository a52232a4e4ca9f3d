"""The rules of HTTP for cached responses, one by one."""

import pytest
from starlette.datastructures import Headers
from starlette.responses import Response

from fleetcache.contrib.responses.rules import (
    StoredResponse,
    answer,
    directives,
    lifetime,
    may_be_stale,
    noted,
    refusal,
    stored_response,
)

KNOWN = ("authorization", "cookie", "accept-language")


def refused(status: int = 200, size: int = 10, /, **headers: str) -> str | None:
    given = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return refusal(given, status=status, size=size, statuses={200}, max_bytes=100, known=KNOWN)


@pytest.mark.parametrize(
    ("why", "headers"),
    [
        ("no-store", {"cache_control": "max-age=10, No-Store"}),
        ("private", {"cache_control": 'private="x-name"'}),
        ("no-cache", {"cache_control": "no-cache"}),
        ("set-cookie", {"set_cookie": "a=b"}),
        ("vary", {"vary": "*"}),
        ("vary", {"vary": "Accept-Language, User-Agent"}),
        (None, {"vary": "accept-language, Cookie"}),
        (None, {"cache_control": 'public, extension="no-store, private"'}),
        (None, {}),
    ],
)
def test_what_is_for_one_client_or_varies_by_what_is_not_in_the_key_is_not_kept(
    why: str | None, headers: dict[str, str]
) -> None:
    assert refused(**headers) == why


def test_only_expected_statuses_and_sizes_are_kept() -> None:
    assert [refused(status) for status in (200, 201, 204, 206, 301, 304, 404, 500)] == [None, *["status"] * 7]
    assert [refused(200, size) for size in (0, 100, 101)] == [None, None, "size"]


@pytest.mark.parametrize(
    ("seconds", "headers"),
    [
        (None, {}),
        (None, {"cache-control": "public"}),
        (10, {"cache-control": "max-age=10"}),
        (3, {"cache-control": "max-age=10, s-maxage=3"}),
        (7, {"cache-control": "max-age=7, max-age=10"}),
        (5, {"cache-control": "max-age=5", "expires": "Thu, 01 Jan 1970 00:00:09 GMT"}),
        (9, {"expires": "Thu, 01 Jan 1970 00:16:49 GMT"}),
        (0, {"expires": "Thu, 01 Jan 1970 00:00:00 GMT"}),
        (0, {"expires": "0"}),
        (20, {"cache-control": "max-age=60", "age": "40"}),
        (0, {"cache-control": "max-age=60", "age": "60"}),
        (60, {"cache-control": "max-age=60", "age": "new"}),
        (30, {"expires": "Thu, 01 Jan 1970 00:00:39 GMT", "date": "Thu, 01 Jan 1970 00:00:09 GMT"}),
        (10, {"expires": "Thu, 01 Jan 1970 00:00:39 GMT", "date": "Thu, 01 Jan 1970 00:00:09 GMT", "age": "20"}),
        (0, {"expires": "Thu, 01 Jan 1970 00:00:39 GMT", "date": "Thu, 01 Jan 1970 01:00:00 GMT"}),
        (9, {"expires": "Thu, 01 Jan 1970 00:16:49 GMT", "date": "0"}),
        (0, {"cache-control": "max-age=-1"}),
        (0, {"cache-control": "max-age"}),
        (0, {"cache-control": "max-age=٣"}),
    ],
)
def test_a_response_says_for_itself_how_long_it_is_fresh(seconds: float | None, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    assert lifetime(Headers(raw=raw), now=1000) == seconds


def test_who_must_be_asked_again_is_never_answered_stale() -> None:
    assert may_be_stale(Headers({"cache-control": "max-age=1"}))
    assert not may_be_stale(Headers({"cache-control": "max-age=1, must-revalidate"}))
    assert not may_be_stale(Headers({"cache-control": "proxy-revalidate"}))


def test_directives_are_read_with_their_quotes() -> None:
    assert directives(['A = "1, 2" , b', "c=d"]) == {"a": "1, 2", "b": "", "c": "d"}
    assert directives(["", ",,"]) == {}


def stored(body: bytes = b"body", status: int = 200, /, **headers: str) -> StoredResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return stored_response(Response(body, status, named), direct=True, rendering="")


def test_fields_of_one_connection_and_cookies_are_not_kept() -> None:
    kept = stored(
        connection="close, x-hop", x_hop="1", keep_alive="5", transfer_encoding="chunked", set_cookie="a=b", x_mine="1"
    )
    assert {name for name, _ in kept.headers} == {b"x-mine", b"content-length", b"etag"}


def test_what_was_old_when_it_was_made_is_older() -> None:
    assert stored(age="40").age == 40
    assert stored(age="-4").age == 0


def replied(to: StoredResponse, *, age: int | None = None, method: str = "GET", **request: str) -> Response:
    asked = Headers({name.replace("_", "-"): value for name, value in request.items()})
    extra = [(b"x-request", b"7")]
    return answer(
        to, asked, method=method, age=age, cache_control="no-cache", vary=["Cookie"], note="note", extra=extra
    )


@pytest.mark.parametrize(
    ("etag", "if_none_match", "status"),
    [
        ('"a"', '"a"', 304),
        ('"a"', 'W/"a"', 304),
        ('W/"a"', '"a"', 304),
        ('W/"a"', '"b", W/"a"', 304),
        ('"a,b"', '"x", "a,b"', 304),
        ('"a"', "*", 304),
        ('"a"', '"b"', 200),
        ('"a"', "a", 200),
        ('"a"', '"a', 200),
        ('"a"', '"*"', 200),
        ('"a"', 'w/"A"', 200),
        ('"a"', "", 200),
        ("made-up", "made-up", 200),
    ],
)
def test_a_client_that_has_it_gets_a_304(etag: str, if_none_match: str, status: int) -> None:
    assert replied(stored(etag=etag), if_none_match=if_none_match).status_code == status


def test_a_304_tells_how_to_go_on_and_nothing_of_the_body() -> None:
    kept = stored(etag='"a"', content_language="de", content_location="/a", vary="Accept-Language", x_mine="1")
    told = replied(kept, age=3, if_none_match='"a"')
    assert dict(told.headers) == {
        "etag": '"a"',
        "content-location": "/a",
        "vary": "Accept-Language, Cookie",
        "cache-control": "no-cache",
        "age": "3",
        "cache-status": "fleetcache; note",
        "x-request": "7",
    }
    assert told.body == b""


def test_only_get_and_head_ask_whether_their_copy_is_still_good() -> None:
    kept = stored(etag='"a"')
    asked = {method: replied(kept, method=method, if_none_match='"a"') for method in ("GET", "HEAD", "POST", "PUT")}
    assert {method: answered.status_code for method, answered in asked.items()} == {
        "GET": 304,
        "HEAD": 304,
        "POST": 200,
        "PUT": 200,
    }
    assert asked["POST"].body == b"body"
    assert replied(kept, method="POST", if_none_match="*").status_code == 200


def test_no_304_is_made_of_anything_but_a_200() -> None:
    assert replied(stored(b"", 404, etag='"a"'), if_none_match='"a"').status_code == 404


def test_head_has_the_headers_of_get_and_no_body() -> None:
    kept = stored()
    whole, headless = replied(kept), replied(kept, method="HEAD")
    assert headless.body == b""
    assert whole.body == b"body"
    assert headless.headers == whole.headers
    assert headless.headers["content-length"] == "4"


def test_equal_bodies_of_one_type_have_one_tag_and_others_do_not() -> None:
    tags = {dict(stored(body, content_type=kind).headers)[b"etag"] for body in (b"a", b"b") for kind in ("x/y", "x/z")}
    assert len(tags) == 4
    assert all(tag.startswith(b'W/"') for tag in tags)
    assert stored().headers == stored().headers


def test_what_the_endpoint_says_itself_stays() -> None:
    kept = stored(etag='"mine"', cache_control="public, max-age=9")
    told = replied(kept).headers
    assert (told["etag"], told["cache-control"]) == ('"mine"', "public, max-age=9")


def test_what_the_cache_did_is_said_once_and_behind_what_others_did() -> None:
    headers = [(b"Cache-Status", b"fleetcache; fwd=miss"), (b"cache-status", b"upstream; hit"), (b"a", b"b")]
    told = noted(noted(headers, "hit"), "hit; ttl=1")
    assert told == [(b"cache-status", b"upstream; hit"), (b"a", b"b"), (b"cache-status", b"fleetcache; hit; ttl=1")]
