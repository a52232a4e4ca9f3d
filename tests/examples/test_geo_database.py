"""The real database behind the example's origin, in its own process: it is not to be imported beside other code."""

import json
import subprocess
import sys
from typing import Any

import pytest

LOOK = """
import json, sys
from examples.geo.database import GeoIP
geo = GeoIP()
drawn = geo.addresses(40, 1)
print(json.dumps({
    "found": [geo.lookup(ip) for ip in sys.argv[1:]],
    "drawn": drawn,
    "again": geo.addresses(40, 1),
    "known": [geo.lookup(ip)["country_code"] for ip in drawn],
}))
"""


@pytest.fixture(scope="module")
def seen() -> Any:
    asked = ["8.8.8.8", "2a00:1450:4001::8", "10.1.2.3"]
    run = subprocess.run([sys.executable, "-c", LOOK, *asked], check=True, capture_output=True, text=True, timeout=100)  # noqa: S603 - ours
    return json.loads(run.stdout)


def test_public_addresses_have_a_country_and_an_owner(seen: Any) -> None:
    for record in seen["found"][:2]:
        assert record["country_code"] == "US" or record["country"]
        assert "GOOGLE" in record["org"].upper()
        assert "/" in record["network"]


def test_a_private_address_is_nowhere(seen: Any) -> None:
    assert seen["found"][2] == {"ip": "10.1.2.3", "country_code": "", "country": "", "network": "", "org": ""}


def test_drawn_addresses_are_known_different_and_the_same_for_the_same_seed(seen: Any) -> None:
    assert len(set(seen["drawn"])) == 40
    assert seen["drawn"] == seen["again"]
    assert all(seen["known"])
