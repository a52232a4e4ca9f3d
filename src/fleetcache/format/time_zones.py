"""Time zones as they are stored: a fixed offset, or the name of a zone.

A ``ZoneInfo`` is its key. Any other zone that knows its offset without a date is a fixed offset, whatever its class,
and comes back as ``datetime.timezone``. Zones of other kinds have rules that no name stands for: they are refused.
"""

import sys
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any, Final

__all__ = ["Zone", "read_zone", "zone_of"]

Zone = str | int | None
"""The key of a ``ZoneInfo``, an offset in microseconds, or nothing: naive."""

_MICROSECOND: Final = timedelta(microseconds=1)


def zone_of(value: datetime | time) -> Zone:
    """The zone of a moment.

    Raises:
        ValueError: It is of a kind that has neither a key nor one offset.
    """
    zone: Any = value.tzinfo
    if zone is None:
        return None
    if zone is UTC:
        return 0
    named = sys.modules.get("zoneinfo")  # if it was not imported, no zone is of its kind
    if named is not None and type(zone) is named.ZoneInfo and isinstance(zone.key, str):
        return str(zone.key)
    offset = zone.utcoffset(None)
    if not isinstance(offset, timedelta):
        raise ValueError(f"the zone {type(zone).__name__} has neither a key nor one offset")  # noqa: TRY004 - no type of ours is wrong
    return offset // _MICROSECOND


def read_zone(zone: Any) -> Any:
    """The ``tzinfo`` of what ``zone_of`` gave.

    Raises:
        Exception: It is none, or a name that this host does not know.
    """
    if zone is None or zone == 0:
        return UTC if zone == 0 else None
    if isinstance(zone, str):
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - for those who have such values

        return ZoneInfo(zone)
    return timezone(timedelta(microseconds=zone))
