"""Names of parametrised tests that are the same in every process: several may run the tests together."""

import re

__all__ = ["same_everywhere"]


def same_everywhere(value: object) -> str:
    """Return what the value looks like, without the address of an object or the order of a set."""
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    return re.sub(r" at 0x[0-9a-f]+", "", ascii(value))[:60]
