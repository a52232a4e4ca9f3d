"""Converts durations, as people write them, to float seconds and back, for the whole package.

Also builds the error for a wrong setting (``config_error``), because every other conversion refuses in the same words.
"""

import math
import re
from datetime import timedelta

from ..errors import ConfigError

__all__ = ["MAX_TTL", "Duration", "config_error", "format_duration", "parse_duration", "shorten"]

Duration = int | float | str | timedelta

# Every entry has a finite life: the effects of a failed removal end with it, and a server without an eviction policy
# gets its memory back. Thirty days is longer than any cached value should be trusted without a new load.
MAX_TTL = 30 * 86_400.0

ACCEPTED = 'seconds as int or float, timedelta, or text such as "250ms", "30s", "5m", "1h30m", "7d"'

# Largest first: text is read and written in this order, each unit at most once.
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
# Patterns stay text until first use, here and in the other modules of config: compiling them would take most of the
# import time.
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PARTS = "".join(f"(?:(?P<{unit}>{_NUMBER}){unit})?" for unit in (*_UNITS, "ms"))

_WHOLE = 2.0**53  # from here on floats are whole numbers, and 1000 times such a number may overflow
_MAX_SHOWN = 80  # characters of a wrong value in a message: enough to recognise it, one line of a log
_WIDEST_SHOWN = 256  # bits of a wrong integer; the interpreter itself refuses to print very long ones


def parse_duration(
    value: Duration, *, name: str, zero: bool = False, minimum: float | None = None, maximum: float | None = None
) -> float:
    """Convert a duration to seconds.

    Args:
        value: Seconds as a number, a ``timedelta``, or text of the units ``d h m s ms``, largest first. Text without
            a unit counts seconds.
        name: Name of the setting, for the error.
        zero: Allow 0.
        minimum: Smallest length allowed, in seconds.
        maximum: Largest length allowed, in seconds.

    Returns:
        The length in seconds, finite and not negative.

    Raises:
        ConfigError: The value is not a duration, not finite, negative, zero without ``zero``, or out of bounds.

    Example:
        >>> parse_duration("1h30m", name="ttl")
        5400.0
    """
    result = _number(value)
    if result is None:
        raise config_error(name, value, "is not a duration", ACCEPTED)
    if not math.isfinite(result):
        raise config_error(name, value, "is not finite", ACCEPTED)
    if result < 0 or (result == 0 and not zero):
        raise config_error(name, value, "must not be negative" if zero else "must be more than zero", ACCEPTED)
    if minimum is not None and result < minimum:
        raise config_error(name, value, f"is under {format_duration(minimum)}", ACCEPTED)
    if maximum is not None and result > maximum:
        raise config_error(name, value, f"is over {format_duration(maximum)}", ACCEPTED)
    return result


def format_duration(length: float) -> str:
    """Write seconds the short way people do.

    Args:
        length: Seconds. Rounded to a microsecond below one second, to a millisecond above.

    Returns:
        Text that ``parse_duration`` reads back.

    Example:
        >>> format_duration(5400), format_duration(0.25), format_duration(90.5)
        ('1h30m', '250ms', '1m30.5s')
    """
    if not math.isfinite(length):
        return str(length)
    if length < 0:
        return f"-{format_duration(-length)}"
    if length < 1:
        thousandths = round(length * 1000, 3)
    else:
        thousandths = round(length * 1000) if length < _WHOLE else int(length) * 1000
    if thousandths == 0:
        return "0s"
    if thousandths < 1000:  # noqa: PLR2004 - a second has as many milliseconds
        return f"{thousandths:.3f}".rstrip("0").rstrip(".") + "ms"
    whole, rest = divmod(int(thousandths), 1000)
    written = ""
    for unit, factor in _UNITS.items():
        count, whole = divmod(whole, factor)
        amount = f"{count}.{rest:03}".rstrip("0") if unit == "s" and rest else str(count)
        written += f"{amount}{unit}" if amount != "0" else ""
    return written


def config_error(name: str, value: object, problem: str, accepted: str) -> ConfigError:
    """Build the error for a wrong setting: its name, its value, the problem, and the accepted values.

    Args:
        name: The variable or argument.
        value: Its value; shown only as far as it cannot be a secret.
        problem: The problem, as the rest of a sentence: "is over 30d".
        accepted: The accepted values.

    Returns:
        The error, to be raised by the caller.
    """
    return ConfigError(f"{name} = {shorten(value)} {problem}; accepted: {accepted}")


def shorten(value: object) -> str:
    """Show a wrong value in one short line, without raising and without the password of a URL set in the wrong place.

    Args:
        value: Anything a user may have passed.

    Returns:
        The value's ``repr`` if it is short and harmless, else a description of the value's kind.
    """
    if isinstance(value, str):
        if "://" in value or "@" in value:
            return "text that looks like a URL (not shown, it may hold a password)"
        return repr(value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "...")
    if isinstance(value, int) and value.bit_length() > _WIDEST_SHOWN:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, int | float | timedelta):
        return repr(value)
    return f"a value of type {type(value).__name__}"


def _number(value: object) -> float | None:
    """Return the seconds, or None if the value is not a duration."""
    if isinstance(value, bool):
        return None
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        return _read(value.strip())
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return None


def _read(written: str) -> float | None:
    if re.fullmatch(_NUMBER, written):
        return float(written)
    found = re.fullmatch(_PARTS, written)
    if found is None or not written:
        return None
    # Division by 1000, unlike multiplication by 0.001, makes "9ms" exactly 0.009.
    return sum(float(found[unit] or 0) * factor for unit, factor in _UNITS.items()) + float(found["ms"] or 0) / 1000
