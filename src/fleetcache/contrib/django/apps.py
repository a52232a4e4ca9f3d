"""The app, for ``INSTALLED_APPS``: with it ``manage.py check`` looks at the caches."""

from django.apps import AppConfig

__all__ = ["FleetcacheConfig"]


class FleetcacheConfig(AppConfig):
    """``"fleetcache.contrib.django"`` in ``INSTALLED_APPS``."""

    name = "fleetcache.contrib.django"
    label = "fleetcache"  # "django" would be too much of a claim

    def ready(self) -> None:
        """Register the checks."""
        from . import checks  # noqa: F401, PLC0415 - importing them registers them, which apps that are not installed must not
