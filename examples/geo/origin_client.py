"""An instance's calls to the origin, and its error if the origin does not answer."""

import math
import time
from dataclasses import dataclass

import httpx

_TIMEOUT = 5.0  # seconds: thirty times the time of a call
_RETRY_AFTER = 5  # seconds, if the origin is not there and so does not say itself


@dataclass(frozen=True)
class Location:
    """The place of an address. The texts are empty for an unknown address, which is worth caching, too."""

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
    """Calls the origin, and leaves it alone for the pause it asked for: services ban clients that go on.

    Args:
        url: The URL of the origin.
        longest_pause: Seconds after which to try again, even if the origin asked for more.
    """

    def __init__(self, url: str, longest_pause: float) -> None:
        self._longest_pause = longest_pause
        self._http = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT)
        self._busy_until = self._try_again = 0.0

    async def locate(self, ip: str) -> Location:
        """Ask where an address is.

        Raises:
            OriginError: The origin has no calls left for this client, or is not there.
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
