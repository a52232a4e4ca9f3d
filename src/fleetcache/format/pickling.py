"""Pickle, with a fixed protocol and a repair for IPv6 zones."""

import io
import pickle
from ipaddress import IPv6Address
from typing import Any, Final

__all__ = ["dumps", "loads"]

# Fixed, so that two Python versions in one fleet read each other's entries; protocol 5 exists since Python 3.8.
_PROTOCOL: Final = 5


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """Write an IPv6 address as text: Python 3.11.2 (Debian 12) would lose the zone of fe80::1%eth0."""
        return (IPv6Address, (str(obj),)) if type(obj) is IPv6Address else NotImplemented


def dumps(value: Any) -> bytes:
    """Return the pickle of a value."""
    file = io.BytesIO()
    _Pickler(file, _PROTOCOL).dump(value)
    return file.getvalue()


def loads(payload: bytes | memoryview) -> Any:
    """Return the value of a pickle. This executes code that the bytes name: verify their signature first."""
    return pickle.loads(payload)  # noqa: S301 - chosen by name, and signed: see Codecs.decode
