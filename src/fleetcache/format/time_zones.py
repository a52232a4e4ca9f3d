"""Stored forms of time zones: a fixed offset, or the name of a zone.

A ``ZoneInfo`` is stored as its key. A zone of any other class that knows its offset without a date is stored as a fixed
offset, and comes back as ``datetime.timezone``. All other zones have rules without a name, and are refused.
"""

import sys
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any, Final

__all__ = ["Zone", "read_zone", "zone_of"]

Zone = str | int | None
"""The key of a ``ZoneInfo``, an offset in microseconds, or ``None`` for a naive moment."""

_MICROSECOND: Final = timedelta(microseconds=1)


def zone_of(value: datetime | time) -> Zone:
    """Return the stored form of a moment's zone.

    Raises:
        ValueError: The zone has neither a key nor one offset.
    """
    zone: Any = value.tzinfo
    if zone is None:
        return None
    if zone is UTC:
        return 0
    named = sys.modules.get("zoneinfo")  # without the import no zone is a ZoneInfo
    if named is not None and type(zone) is named.ZoneInfo and isinstance(zone.key, str):
        return str(zone.key)
    offset = zone.utcoffset(None)
    if not isinstance(offset, timedelta):
        raise ValueError(f"the zone {type(zone).__name__} has neither a key nor one offset")  # noqa: TRY004 - no argument has a wrong type
    return offset // _MICROSECOND


def read_zone(zone: Any) -> Any:
    """Return the ``tzinfo`` of a zone's stored form, as ``zone_of`` gives it.

    Raises:
        Exception: The data is not a stored zone, or names a zone that this host does not know.
    """
    if zone is None or zone == 0:
        return UTC if zone == 0 else None
    if isinstance(zone, str):
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - few apps store such values

        return ZoneInfo(zone)
    return timezone(timedelta(microseconds=zone))
