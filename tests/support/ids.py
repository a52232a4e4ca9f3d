"""Names of parametrised tests that are the same in every process, because several processes may share the tests."""

import re

__all__ = ["same_everywhere"]


def same_everywhere(value: object) -> str:
    """Return the value as text, without the address of an object or the order of a set."""
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    return re.sub(r" at 0x[0-9a-f]+", "", ascii(value))[:60]
