"""How an instance calls the origin, and what it says when the origin does not answer."""

import math
import time
from dataclasses import dataclass

import httpx

_TIMEOUT = 5.0  # seconds: thirty times what a call takes
_RETRY_AFTER = 5  # seconds, when the origin is not there and so does not say itself


@dataclass(frozen=True)
class Location:
    """Where an address is. The texts are empty where nobody knows, which is worth remembering too."""

    ip: str
    country_code: str
    country: str
    network: str
    org: str


class OriginError(Exception):
    """The origin gave no answer.

    Args:
        code: ``origin_busy`` (429) or ``origin_down``.
        retry_after: Whole seconds until it makes sense to ask again.
    """

    def __init__(self, code: str, retry_after: int) -> None:
        super().__init__(f"{code}: try again in {retry_after} s")
        self.code = code
        self.retry_after = retry_after


class OriginClient:
    """Calls the origin, and leaves it alone for as long as it asked to be: services ban clients that go on.

    Args:
        url: Where it is.
        longest_pause: Seconds after which to try again, whatever it asked for.
    """

    def __init__(self, url: str, longest_pause: float) -> None:
        self._longest_pause = longest_pause
        self._http = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT)
        self._busy_until = self._try_again = 0.0

    async def locate(self, ip: str) -> Location:
        """Ask where an address is.

        Raises:
            OriginError: It has no calls left for us, or is not there.
        """
        now = time.monotonic()
        if now < self._try_again:
            raise OriginError("origin_busy", math.ceil(self._busy_until - now))
        try:
            response = await self._http.get(f"/json/{ip}")
        except httpx.HTTPError as error:
            raise OriginError("origin_down", _RETRY_AFTER) from error
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            retry_after = int(response.headers["Retry-After"])
            self._busy_until = time.monotonic() + retry_after
            self._try_again = time.monotonic() + min(retry_after, self._longest_pause)
            raise OriginError("origin_busy", retry_after)
        if response.is_error:
            raise OriginError("origin_down", _RETRY_AFTER)
        return Location(**response.json())

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()
