"""Names of parametrised tests that are the same in every process: several may run the tests together."""

import re

__all__ = ["same_everywhere"]


def same_everywhere(value: object) -> str:
    """What the value looks like, without the address of an object."""
    return re.sub(r" at 0x[0-9a-f]+", "", ascii(value))[:60]
