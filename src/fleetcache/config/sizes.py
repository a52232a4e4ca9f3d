"""Whole numbers, as people write them: sizes ("32MB" is 32 million bytes, "32MiB" is 32 times 2^20) and plain counts.

One conversion each for the whole package, refusing in the same words as the one for durations.
"""

import re

from .durations import refusal

__all__ = ["MAX_SIZE", "count", "size"]

# What a 64-bit server and Python's own containers can count; more is a slip of the hand.
MAX_SIZE = 2**63 - 1

ACCEPTED = 'whole bytes as int, or text such as "512kB", "32MB", "32MiB", "1GB", "1GiB"'

# Exact spelling: the servers' own files read "mb" as 2^20, so that a small letter could mean either.
_UNITS = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "KiB": 2**10,
    "MB": 10**6,
    "MiB": 2**20,
    "GB": 10**9,
    "GiB": 2**30,
}
_SIZE = r"([0-9]{1,19})([A-Za-z]*)"


def size(value: int | str, *, name: str, minimum: int = 0, maximum: int = MAX_SIZE) -> int:
    """Convert a size to bytes.

    Args:
        value: Bytes as an int, or text with one of the units ``B kB KB KiB MB MiB GB GiB``.
        name: What is being set, for the error.
        minimum: Smallest size allowed, in bytes.
        maximum: Largest size allowed, in bytes.

    Returns:
        The size in bytes.

    Raises:
        ConfigError: Not a size, negative, or out of bounds.

    Example:
        >>> size("32MB", name="near_max_bytes")
        32000000
    """
    result = _number(value)
    if result is None:
        raise refusal(name, value, "is not a size", ACCEPTED)
    if result < 0:
        raise refusal(name, value, "must not be negative", ACCEPTED)
    if result < minimum:
        raise refusal(name, value, f"is under {minimum} bytes", ACCEPTED)
    if result > maximum:
        raise refusal(name, value, f"is over {maximum} bytes", ACCEPTED)
    return result


def count(value: int | str, *, name: str) -> int:
    """Convert a number of things.

    Args:
        value: An int, or text of digits.
        name: What is being set, for the error.

    Returns:
        The number, 1 or more.

    Raises:
        ConfigError: Not a whole number, or less than 1.

    Example:
        >>> count("10000", name="near_max_items")
        10000
    """
    plain = isinstance(value, str) and value.strip().isdigit()
    result = _number(value) if plain or isinstance(value, int) else None
    if result is None or not 1 <= result <= MAX_SIZE:
        raise refusal(name, value, "is not a count", "a whole number, 1 or more")
    return result


def _number(value: object) -> int | None:
    """Bytes, or None for what is no size at all."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = re.fullmatch(_SIZE, value.strip()) if isinstance(value, str) else None
    if found is None or found[2] not in _UNITS:
        return None
    return int(found[1]) * _UNITS[found[2]]
