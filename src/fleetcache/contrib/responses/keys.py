"""Keys of responses: which requests the cache may answer, and which parts of a request are in the key.

1. By default a request with ``Authorization``, an API key that the endpoint's security schemes read, a ``Cookie`` or a
   session is answered by the endpoint alone (for ``Authorization``, RFC 9111 §3.5 lets a shared cache do no more).
   Where the option ``cookies`` names cookies, these are in the key, and all other cookies are ignored.
2. The endpoint's own path, query and body parameters are in the key as the framework has parsed them: two spellings of
   a value give one key, and ``invalidate()`` finds the response again.
3. Parameters that dependencies declare, and all declared headers and cookies, are in the key as they were sent, unless
   ``ignore=`` names them. The order of query parameters is not. Dependencies of the app, of its routers and of the
   route count as the endpoint's own do.
4. Undeclared parts of a request are in the key only where an endpoint, or a dependency of it, takes the ``Request``
   itself. Then the key holds the whole URL, host and query included, the path at which a proxy serves the app, and the
   header fields that ``vary=`` names.
5. If a response was made with a part of the request that its key does not hold, only its own caller gets the response,
   unless ``ignore=`` names that part. The request is recorded for this, see ``recording``. A dependency that takes the
   request before the recorder is in place counts as having read everything.
6. Secrets are in the key only as part of a digest.
7. ``invalidate()`` removes all variants of a response. An endpoint without variants has one key. Dependencies of a
   route may add variants, and the process of the caller may not know that route: such variants have a tag.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from .options import Options
from .reads import REQUIRED, Reads
from .recording import BODY
from .views import ALL_COOKIES, ALL_HEADERS, ALL_STATE

__all__ = ["ResponseKeys"]

# A longer key is cut and ends in a digest, so that keys stay readable and fit into a tag.
_MAX_LENGTH = 200
_DIGEST_BYTES = 16


class ResponseKeys:
    """The keys of one endpoint's responses.

    Args:
        family: The prefix of all keys.
        located: Whether several functions may have the same name, so that the key needs the path as well.
        reads: The parts of a request that the endpoint reads.
        options: The options of ``cached_response``.

    Attributes:
        varies: Why the key holds more than the endpoint's own parameters, in words; ``None`` if it does not.
        vary: The request fields that select the response, for ``Vary`` (RFC 9110 §12.5.5).
        known: The same in lower case: a response may vary by these fields and still be stored.
        tag: The tag of all responses, where they are clearable.
        behind: The dependencies of app, router and route. They are in no key: where one function is on two routes,
            ``invalidate()`` finds the responses of both. A response is only used behind those that it was made behind.
    """

    def __init__(self, family: str, *, located: bool, reads: Reads, options: Options) -> None:
        self.family, self._located, self._reads, self._options = family, located, reads, options
        by_key = {"authorization": options.authorization, "cookies": options.cookies}
        self._in_key = [name for name, mode in by_key.items() if mode == "key"]
        self._named = None if isinstance(options.cookies, str) else options.cookies
        self._cookies = sorted(self._counting("cookie", reads.cookies) | (self._named or frozenset()))
        headers = self._counting("header", reads.headers) - options.ignore
        self._names = sorted({*headers, *(name.lower() for name in options.vary)})
        self._parameters = self._counting("query", reads.parameters) | frozenset(options.query or ())
        self._whole_query = reads.whole_query or (reads.everything and options.query is None)
        reasons = {
            "it takes the Request": reads.everything,
            "of what its dependencies read": reads.parameters or reads.whole_query or reads.body,
            "of headers": self._names,
            "of cookies": self._cookies,
            "of the option query": options.query,
            "of the option authorization or cookies": self._in_key,
            "of methods other than GET": options.methods != {"GET"},
            "it is defined inside a function or bound to an object (name= would make it distinct)": located,
        }
        self.varies = next((reason for reason, there in reasons.items() if there), None)
        self.known = self._vary()
        self.vary = [name.title() for name in self.known]
        keys = [(where, name.lower() if where == "header" else name) for where, name in reads.api_keys]
        # The options decide how these fields are in the key, so reading them is never undeclared.
        self._readable = {*self._names, "authorization", *(name for where, name in keys if where == "header")}
        if reads.everything:
            self._readable.add("host")  # the URL decides
        self._readable_cookies = {*self._cookies, *(name for where, name in keys if where == "cookie")}
        self.behind = reads.behind
        self.tag = family if len(family.encode()) <= _MAX_LENGTH else _digest(family.encode())

    def _counting(self, kind: str, names: frozenset[str]) -> frozenset[str]:
        """Return the names without those that the option ``ignore`` lists as parts of this kind."""
        return frozenset(name for name in names if f"{kind} {name.lower()}" not in self._options.ignore)

    def _vary(self) -> list[str]:
        reads, options, names = self._reads, self._options, list(self._names)
        if options.authorization != "ignore":
            names += ["authorization", *(name.lower() for where, name in reads.api_keys if where == "header")]
        if options.cookies in {"bypass", "key"} or self._cookies:
            names.append("cookie")
        return sorted(set(names))

    # -- may it be answered ------------------------------------------------------------------------------------------

    def bypass(self, request: Request) -> str | None:
        """Return why a request must bypass the cache, as parameters of ``Cache-Status``; ``None`` if it need not."""
        options = self._options
        if request.method not in options.methods and (request.method != "HEAD" or "GET" not in options.methods):
            return "fwd=method"
        if options.authorization == "bypass" and self._credentials(request):
            return "fwd=bypass; detail=authorization"
        if options.cookies == "bypass" and "cookie" in request.headers:
            return "fwd=bypass; detail=cookie"
        if options.cookies != "ignore" and request.scope.get("session"):
            return "fwd=bypass; detail=session"
        return None

    def personal(self, request: Request) -> bool:
        """Return True if the request identifies its client, so that no shared cache downstream may store the answer."""
        if self._credentials(request):
            return True
        if self._named is None:
            return "cookie" in request.headers
        return not request.cookies.keys().isdisjoint(self._cookies)

    def _credentials(self, request: Request) -> list[tuple[str, str]]:
        """Return each credential with its place: the same text in another place is another credential."""
        found = [("authorization", value) for value in request.headers.getlist("authorization")]
        if self._reads.api_keys:
            places: dict[str, Mapping[str, str]] = {
                "header": request.headers,
                "query": request.query_params,
                "cookie": request.cookies,
            }
            keys = ((where, name, places[where].get(name)) for where, name in self._reads.api_keys)
            found += [(f"{where} {name}", value) for where, name, value in keys if value is not None]
        return found

    # -- was it made of more than the key ------------------------------------------------------------------------------

    def undeclared(self, names: Iterable[str], request: Request) -> list[str]:
        """Return the names of the parts that were read (see ``Recorder``) and are neither in the key nor ignored."""
        found = {name for name in {*names, *self._reads.whole} if not self._is_declared(name, request)}
        for whole, part in ((ALL_HEADERS, "header "), (ALL_COOKIES, "cookie "), (ALL_STATE, f"{ALL_STATE}.")):
            if whole in found:
                found = {name for name in found if not name.startswith(part)}
        return sorted(found)

    def _is_declared(self, name: str, request: Request) -> bool:
        kind, _, rest = name.partition(" ")
        ignored = self._options.ignore
        if name.lower() in ignored:
            return True
        if name == BODY:
            return self.takes_body(request)
        if kind in {"cookie", ALL_COOKIES} or rest == "cookie":
            return self._named is None or (kind == "cookie" and rest in self._readable_cookies)
        if kind == "header":
            body = rest in {"content-type", "content-length"} and self.takes_body(request)
            return body or rest in self._readable or rest in ignored or ALL_HEADERS in ignored
        return name.startswith(f"{ALL_STATE}.") and ALL_STATE in ignored

    # -- the key -----------------------------------------------------------------------------------------------------

    def call_of(self, request: Request, kwargs: Mapping[str, Any]) -> str:
        """Return the part of the key made of the endpoint's own parameters; also the tag of all keys that share it.

        The path parameters are added where the endpoint takes the request and may read them there.

        Raises:
            ValueError: A parameter cannot be written as text.
        """
        own = {name: kwargs[name] for name in self._reads.own if name in kwargs}
        return self._call({**request.path_params, **own} if self._reads.everything else own)

    def call_by_hand(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the same part of the key, from parameters that a caller of ``key`` or ``invalidate`` names.

        Raises:
            TypeError: The parameters are not the endpoint's.
            ValueError: A parameter cannot be written as text.
        """
        own, names = self._reads.own, list(self._reads.own)
        if len(args) > len(names):
            raise TypeError(f"{self.family}: {len(args)} arguments by position; its own parameters are {names}")
        given = {**own, **dict(zip(names, args, strict=False))}
        for name, value in kwargs.items():
            if name in names[: len(args)] or (name not in own and not self._reads.everything):
                raise TypeError(f"{self.family}: {name!r} is unknown or given twice; its own parameters are {names}")
            given[name] = value
        if missing := [name for name, value in given.items() if value is REQUIRED]:
            raise TypeError(f"{self.family}: missing {', '.join(missing)}")
        return self._call(given)

    def _call(self, arguments: Mapping[str, Any]) -> str:
        written = ",".join(f"{name}={_text(arguments[name])}" for name in sorted(arguments))
        whole = f"{self.family}({written})"
        if len(whole.encode()) <= _MAX_LENGTH:
            return whole
        return f"{self.tag[: _MAX_LENGTH // 2]}({_digest(whole.encode())})"

    async def key(self, request: Request, kwargs: Mapping[str, Any]) -> str:
        """Return the whole key.

        Raises:
            ValueError: A parameter cannot be written as text.
        """
        call = self.call_of(request, kwargs)
        if not self.varies:
            return call
        reads, headers = self._reads, request.headers
        items = [
            item for item in request.query_params.multi_items() if self._whole_query or item[0] in self._parameters
        ]
        parts: list[Any] = [sorted(items, key=lambda item: item[0])]  # parameters of one name stay in their order
        path = sorted(request.path_params.items())
        parts.append([(name, str(value)) for name, value in path if name in reads.parameters])
        parts.append([(name, headers.getlist(name)) for name in self._names])
        parts.append([(name, request.cookies.get(name)) for name in self._cookies])
        if reads.everything:
            # A proxy may serve the app below several paths; ``url_for`` writes them into answers.
            url, below = str(request.url.replace(query="", fragment="")), request.scope.get("root_path", "")
            parts.append(["url", url, below])
        elif self._located:
            parts.append(["path", request.scope["path"]])
        if "authorization" in self._in_key:
            parts.append(["authorization", self._credentials(request)])
        if "cookies" in self._in_key:
            parts.append(["cookie", headers.getlist("cookie")])
        if self.takes_body(request):
            method = "GET" if request.method == "HEAD" else request.method
            parts.append([method, headers.get("content-type"), await request.body()])
        return f"{call}#{_digest(msgspec.json.encode(parts))}"

    def takes_body(self, request: Request) -> bool:
        """Return True if the body of the request is part of the key."""
        return request.method not in {"GET", "HEAD"} or self._reads.body


_NO_TEXT: Any = object.__str__  # the method of types that define none of their own


def _text(value: Any) -> str:
    """Return one argument as text, the same in every process."""
    try:
        return msgspec.json.encode(value, enc_hook=_plain, order="deterministic").decode()
    except (UnicodeEncodeError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise ValueError(f"an argument of type {type(value).__name__} cannot be part of a key") from error


def _plain(value: Any) -> Any:
    """Convert a type that msgspec does not know: pydantic models by their method; URLs, addresses, paths by ``str``."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    if type(value).__str__ is _NO_TEXT:
        raise TypeError(f"{type(value).__name__} has no text of its own")
    return str(value)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
