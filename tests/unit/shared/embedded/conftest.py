"""The home of embedded servers, as in ``tests/embedded``."""

from tests.embedded.conftest import home

__all__ = ["home"]
