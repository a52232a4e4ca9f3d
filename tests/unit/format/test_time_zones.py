"""Time zones: a named zone or one fixed offset is stored, a zone with its own rules is refused."""

from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fleetcache.format.time_zones import read_zone, zone_of
from tests.support.ids import same_everywhere


class Fixed(tzinfo):
    def utcoffset(self, _at: datetime | None) -> Any:
        return timedelta(hours=2)

    def dst(self, _at: datetime | None) -> None:
        return None

    def tzname(self, _at: datetime | None) -> None:
        return None


class Seasonal(Fixed):
    def utcoffset(self, at: datetime | None) -> Any:
        return None if at is None else timedelta(hours=2)


@pytest.mark.parametrize(
    ("zone", "stored", "read"),
    [
        (None, None, None),
        (UTC, 0, UTC),
        (ZoneInfo("Europe/Berlin"), "Europe/Berlin", ZoneInfo("Europe/Berlin")),
        (timezone(timedelta(hours=-5, microseconds=1)), -17_999_999_999, timezone(timedelta(hours=-5, microseconds=1))),
        (Fixed(), 7_200_000_000, timezone(timedelta(hours=2))),
    ],
    ids=same_everywhere,
)
def test_a_zone_is_stored_by_its_key_or_its_offset(zone: tzinfo | None, stored: Any, read: tzinfo | None) -> None:
    for moment in (datetime(2026, 1, 1, tzinfo=zone), time(1, tzinfo=zone)):
        assert zone_of(moment) == stored
    assert read_zone(stored) == read


@pytest.mark.parametrize("zone", [Seasonal(), ZoneInfo.no_cache("Europe/Berlin")], ids=["rules", "a key"])
def test_a_zone_with_rules_of_its_own_needs_a_key(zone: tzinfo) -> None:
    moment = datetime(2026, 1, 1, tzinfo=zone)
    if isinstance(zone, ZoneInfo):
        assert zone_of(moment) == "Europe/Berlin"
    else:
        with pytest.raises(ValueError, match="Seasonal"):
            zone_of(moment)


@pytest.mark.parametrize("stored", ["Europe/Nowhere", "../../etc/passwd", "/etc/passwd", [], 10**18])
def test_no_zone_is_made_of_anything_else(stored: Any) -> None:
    with pytest.raises((LookupError, ValueError, TypeError, OverflowError)):
        read_zone(stored)
