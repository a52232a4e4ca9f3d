"""A view of a cache's health, for probes and for operators."""

from typing import Literal

from django.core.cache import DEFAULT_CACHE_ALIAS
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from fleetcache import ConfigError

from .backend import cache_of

__all__ = ["health"]


@require_safe
def health(
    _request: HttpRequest, alias: str = DEFAULT_CACHE_ALIAS, detail: Literal["brief", "full"] = "brief"
) -> JsonResponse:
    """Return the health of one alias as JSON, with status 200, or 503 when unhealthy, which needs ``required``.

    Use it as ``path("healthz", health)``; pass the other arguments in the URL pattern: ``{"detail": "full"}``.

    Args:
        alias: An alias of ``CACHES``.
        detail: ``brief`` is fit for strangers, ``full`` shows all fields of the report; neither shows a secret.

    Raises:
        ConfigError: An unknown ``detail``, or the alias has another backend.
    """
    if detail not in ("brief", "full"):
        raise ConfigError(f"health: detail = {detail!r} is unknown; accepted: brief, full")
    report = cache_of(alias).health()
    body = report.as_dict() if detail == "full" else report.brief()
    return JsonResponse(body, status=report.status.http_status, headers={"Cache-Control": "no-store"})
