"""The app, for ``INSTALLED_APPS``: it makes ``manage.py check`` check the caches."""

from django.apps import AppConfig

__all__ = ["FleetcacheConfig"]


class FleetcacheConfig(AppConfig):
    """``"fleetcache.contrib.django"`` in ``INSTALLED_APPS``."""

    name = "fleetcache.contrib.django"
    label = "fleetcache"  # the default label would be "django"

    def ready(self) -> None:
        """Register the checks."""
        from . import checks  # noqa: F401, PLC0415 - importing them registers them, which only an installed app may
