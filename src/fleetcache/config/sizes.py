"""Numbers, as people write them: sizes ("32MB" is 32 million bytes, "32MiB" is 32 times 2^20), counts and shares.

The whole package uses these conversions. They refuse a value in the same words as the conversion of durations.
"""

import re

from .durations import config_error

__all__ = ["MAX_SIZE", "parse_count", "parse_share", "parse_size"]

# The largest number that a 64-bit server and Python's own containers can count; a larger number is a typing error.
MAX_SIZE = 2**63 - 1

ACCEPTED = 'whole bytes as int, or text such as "512kB", "32MB", "32MiB", "1GB", "1GiB"'

# Exact spelling: the servers' own configuration files read "mb" as 2^20, so a small letter would be ambiguous.
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
_SHARE = r"([0-9]{1,19}(?:\.[0-9]{1,19})?)(%?)"


def parse_size(value: int | str, *, name: str, minimum: int = 0, maximum: int = MAX_SIZE) -> int:
    """Convert a size to bytes.

    Args:
        value: Bytes as an int, or text with one of the units ``B kB KB KiB MB MiB GB GiB``.
        name: Name of the setting, for the error.
        minimum: Smallest size allowed, in bytes.
        maximum: Largest size allowed, in bytes.

    Returns:
        The size in bytes.

    Raises:
        ConfigError: The value is not a size, is negative, or is out of bounds.

    Example:
        >>> parse_size("32MB", name="near_max_bytes")
        32000000
    """
    result = _number(value)
    if result is None:
        raise config_error(name, value, "is not a size", ACCEPTED)
    if result < 0:
        raise config_error(name, value, "must not be negative", ACCEPTED)
    if result < minimum:
        raise config_error(name, value, f"is under {minimum} bytes", ACCEPTED)
    if result > maximum:
        raise config_error(name, value, f"is over {maximum} bytes", ACCEPTED)
    return result


def parse_count(value: int | str, *, name: str, minimum: int = 1) -> int:
    """Convert a count.

    Args:
        value: An int, or text of digits.
        name: Name of the setting, for the error.
        minimum: The least number.

    Returns:
        The number, ``minimum`` or more.

    Raises:
        ConfigError: The value is not a whole number, or is less than ``minimum``.

    Example:
        >>> parse_count("10000", name="near_max_items")
        10000
    """
    plain = isinstance(value, str) and value.strip().isdigit()
    result = _number(value) if plain or isinstance(value, int) else None
    if result is None or not minimum <= result <= MAX_SIZE:
        raise config_error(name, value, "is not a count", f"a whole number, {minimum} or more")
    return result


def parse_share(value: float | str, *, name: str, maximum: float = 1.0) -> float:
    """Convert a share of a whole.

    Args:
        value: A number from 0 to 1, or text such as ``"5%"`` or ``"0.05"``.
        name: Name of the setting, for the error.
        maximum: Largest share allowed.

    Returns:
        The share as a number.

    Raises:
        ConfigError: The value is not a share, or is out of bounds.

    Example:
        >>> parse_share("5%", name="ttl_jitter")
        0.05
    """
    accepted = f'a number from 0 to {maximum:g}, or text such as "5%"'
    found = re.fullmatch(_SHARE, value.strip()) if isinstance(value, str) else None
    if found is not None:
        result = float(found[1]) / (100 if found[2] else 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        result = float(value)
    else:
        raise config_error(name, value, "is not a share", accepted)
    if not 0 <= result <= maximum:
        raise config_error(name, value, f"is not from 0 to {maximum:.0%}", accepted)
    return result


def _number(value: object) -> int | None:
    """Return the bytes, or None if the value is not a size."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = re.fullmatch(_SIZE, value.strip()) if isinstance(value, str) else None
    if found is None or found[2] not in _UNITS:
        return None
    return int(found[1]) * _UNITS[found[2]]
