"""Pickle, made to keep what it is given."""

import io
import pickle
from ipaddress import IPv6Address
from typing import Any, Final

__all__ = ["dumps", "loads"]

# Fixed, so that two Python versions of one fleet read each other; 5 exists since Python 3.8.
_PROTOCOL: Final = 5


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """Keep the zone of fe80::1%eth0, which Python 3.11.2, Debian 12's, would lose: an address goes as its text."""
        return (IPv6Address, (str(obj),)) if type(obj) is IPv6Address else NotImplemented


def dumps(value: Any) -> bytes:
    """The bytes of a value."""
    file = io.BytesIO()
    _Pickler(file, _PROTOCOL).dump(value)
    return file.getvalue()


def loads(payload: bytes | memoryview) -> Any:
    """The value that the bytes hold. This executes what they say: they must have been verified."""
    return pickle.loads(payload)  # noqa: S301 - chosen by name, and signed: see Codecs.decode
