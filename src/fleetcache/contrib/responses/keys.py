"""Which requests may be answered from the cache, and what decides the answer: the key.

1. By default a request with ``Authorization``, an API key that the endpoint's security schemes read, a ``Cookie`` or a
   session is answered by the endpoint alone (RFC 9111 §3.5 lets a shared cache do no more, for the first). Where
   cookies are named, these are in the key, and others are nothing.
2. The endpoint's own path, query and body parameters are in the key as the framework has parsed them: two spellings of
   a value are one, and ``invalidate()`` finds it again.
3. What its dependencies declare, and all headers and cookies that are declared anywhere, are in the key as they were
   sent. The order of query parameters is not.
4. What nobody declares is in the key only where somebody may see it: an endpoint, or a dependency of it, that takes the
   ``Request`` itself. Then the whole URL decides, host and query included, and the header fields that ``vary=`` names.
5. A response that something else was read for is its caller's alone, unless ``ignore=`` says that it is nothing: the
   request is recorded, see ``recording``. Who takes the request before the recorder is there may have read everything.
6. What is secret is in the key as part of a digest.
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

# Longer ones are cut and end in a digest, so that keys stay readable and fit into a tag.
_MAX_LENGTH = 200
_DIGEST_BYTES = 16


class ResponseKeys:
    """The keys of one endpoint's responses.

    Args:
        family: What all of them begin with.
        located: Whether the name alone may stand for several functions, so that the path is needed as well.
        reads: What the endpoint reads of a request.
        options: What matters beside that.

    Attributes:
        varies: What decides the answer beside the endpoint's own parameters, in words; ``None``: nothing does.
        vary: The request fields that decide which answer is given, for ``Vary`` (RFC 9110 §12.5.5).
        known: The same in lower case: what a response may vary by and still be stored.
        tag: That of all responses, where they are clearable.
    """

    def __init__(self, family: str, *, located: bool, reads: Reads, options: Options) -> None:
        self.family, self._located, self._reads, self._options = family, located, reads, options
        by_key = {"authorization": options.authorization, "cookies": options.cookies}
        self._in_key = [name for name, mode in by_key.items() if mode == "key"]
        self._named = None if isinstance(options.cookies, str) else options.cookies
        self._cookies = sorted(reads.cookies | (self._named or frozenset()))
        self._names = sorted({*reads.headers, *(name.lower() for name in options.vary)})
        self._parameters = frozenset(reads.parameters) | frozenset(options.query or ())
        self._whole_query = reads.whole_query or (reads.everything and options.query is None)
        reasons = {
            "it takes the Request": reads.everything,
            "of what its dependencies read": reads.parameters or reads.whole_query or reads.body,
            "of headers": self._names,
            "of cookies": self._cookies,
            "of the option query": options.query,
            "of the option authorization or cookies": self._in_key,
            "of methods other than GET": options.methods != {"GET"},
            "it is defined inside a function or bound to an object (name= would tell it from others)": located,
        }
        self.varies = next((reason for reason, there in reasons.items() if there), None)
        self.known = self._vary()
        self.vary = [name.title() for name in self.known]
        keys = [(where, name.lower() if where == "header" else name) for where, name in reads.api_keys]
        # What the options speak of: how they have it, not whether it may be read.
        self._readable = {*self._names, "authorization", *(name for where, name in keys if where == "header")}
        if reads.everything:
            self._readable.add("host")  # the URL decides
        self._readable_cookies = {*self._cookies, *(name for where, name in keys if where == "cookie")}
        self.tag = family if len(family.encode()) <= _MAX_LENGTH else _digest(family.encode())

    def _vary(self) -> list[str]:
        reads, options, names = self._reads, self._options, list(self._names)
        if options.authorization != "ignore":
            names += ["authorization", *(name.lower() for where, name in reads.api_keys if where == "header")]
        if options.cookies in {"bypass", "key"} or self._cookies:
            names.append("cookie")
        return sorted(set(names))

    # -- may it be answered ------------------------------------------------------------------------------------------

    def bypass(self, request: Request) -> str | None:
        """Why a request is the endpoint's alone, as parameters of ``Cache-Status``; ``None``: it is not."""
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
        """Whether the request says who asks, so that the answer is for no shared cache after us."""
        if self._credentials(request):
            return True
        if self._named is None:
            return "cookie" in request.headers
        return not request.cookies.keys().isdisjoint(self._cookies)

    def _credentials(self, request: Request) -> list[tuple[str, str]]:
        """Each with where it stands: the same text in another place is somebody else's."""
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
        """Those among what was read (see ``Recorder``) that are neither in the key nor to be ignored."""
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
        """The part of the key that the endpoint's own parameters decide; also the tag of all that share it.

        They are joined by those of the path, where the endpoint may look at them in the request.

        Raises:
            ValueError: One of them cannot be written.
        """
        own = {name: kwargs[name] for name in self._reads.own if name in kwargs}
        return self._call({**request.path_params, **own} if self._reads.everything else own)

    def call_by_hand(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The same from parameters that a user names.

        Raises:
            TypeError: They are not the endpoint's.
            ValueError: One of them cannot be written.
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
        """The whole key.

        Raises:
            ValueError: It cannot be written.
        """
        call = self.call_of(request, kwargs)
        if not self.varies:
            return call
        reads, headers = self._reads, request.headers
        items = [
            item for item in request.query_params.multi_items() if self._whole_query or item[0] in self._parameters
        ]
        parts: list[Any] = [sorted(items, key=lambda item: item[0])]  # those of one name stay in their order
        path = sorted(request.path_params.items())
        parts.append([(name, str(value)) for name, value in path if name in reads.parameters])
        parts.append([(name, headers.getlist(name)) for name in self._names])
        parts.append([(name, request.cookies.get(name)) for name in self._cookies])
        if reads.everything:
            parts.append(["url", str(request.url.replace(query="", fragment=""))])
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
        """Whether the body of the request is part of the key."""
        return request.method not in {"GET", "HEAD"} or self._reads.body


_NO_TEXT: Any = object.__str__  # the method of types that have none of their own


def _text(value: Any) -> str:
    """One argument, the same in every process."""
    try:
        return msgspec.json.encode(value, enc_hook=_plain, order="deterministic").decode()
    except (UnicodeEncodeError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise ValueError(f"an argument of type {type(value).__name__} cannot be part of a key") from error


def _plain(value: Any) -> Any:
    """What msgspec does not know: models of pydantic by their method; URLs, addresses, paths by their text."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    if type(value).__str__ is _NO_TEXT:
        raise TypeError(f"{type(value).__name__} has no text of its own")
    return str(value)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
