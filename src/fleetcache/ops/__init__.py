"""Liveness, readiness, health and cache metrics of a running app, over HTTP.

Needs the extra ``ops``. Nothing else in the package imports Starlette or prometheus-client.
"""

try:
    import prometheus_client  # noqa: F401 - looked for here, so that the error says what to install
    import starlette  # noqa: F401 - as above
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"fleetcache.ops needs {missing.name}, which is not installed: pip install fleetcache[ops]", name=missing.name
    ) from missing

from .app import OpsApp
from .checks import Check
from .metrics import collector
from .watched import Watched

__all__ = ["Check", "OpsApp", "Watched", "collector"]
