"""The lines to paste into one's own app, as the demo shows them at its end and a test runs them."""

__all__ = ["LINES"]

LINES = """\
from fleetcache import Cache
from fleetcache.ops import OpsApp

cache = Cache.from_env()  # REDIS_URL=redis://...; without it, this process's memory


@cache.cached(ttl="10m", stale="1h", key="geo:{ip}")
async def locate(ip: str) -> dict[str, str]:
    return await ask_your_origin(ip)  # once in the whole fleet


# await locate.invalidate(ip) when it changed: every instance forgets it
app.mount("/ops", OpsApp(cache))  # /ops/healthz /ops/readyz /ops/livez /ops/metrics
"""
