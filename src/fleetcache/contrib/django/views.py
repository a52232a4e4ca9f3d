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
    """The health of one alias as JSON: 200, or 503 when it is unhealthy, which only ``required`` makes it.

    ``path("healthz", health)``; the other arguments as the URL pattern's own: ``{"detail": "full"}``.

    Args:
        alias: Of ``CACHES``.
        detail: ``brief`` is fit for strangers, ``full`` shows everything that is known, and never a secret.

    Raises:
        ConfigError: An unknown ``detail``, or the alias is of another backend.
    """
    if detail not in ("brief", "full"):
        raise ConfigError(f"health: detail = {detail!r} is unknown; accepted: brief, full")
    report = cache_of(alias).health()
    body = report.as_dict() if detail == "full" else report.brief()
    return JsonResponse(body, status=report.status.http_status, headers={"Cache-Control": "no-store"})
