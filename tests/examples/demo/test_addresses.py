"""The addresses that the demo asks for: equal for equal seeds, or those of a file, line by line."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from examples.demo.addresses import from_file, zipf
from examples.demo.plan import SceneError

ADDRESSES = ["8.8.8.8", "2001:db8::1", "9.9.9.9"]


def test_requests_are_the_same_for_the_same_seed() -> None:
    addresses = [f"192.0.2.{number}" for number in range(20)]
    assert zipf(addresses, 50, seed=1) == zipf(addresses, 50, seed=1) != zipf(addresses, 50, seed=2)


def test_the_first_address_is_asked_for_most_and_the_second_about_half_as_often() -> None:
    count = Counter(zipf([f"192.0.2.{number}" for number in range(100)], 20_000, seed=1))
    assert 1.7 < count["192.0.2.0"] / count["192.0.2.1"] < 2.3


@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_plain_or_gzip_is_sent_in_its_order_and_begun_again(zipped: bool, tmp_path: Path) -> None:
    content = "\r\n".join([*ADDRESSES, ""]).encode()
    file = tmp_path / "trace"
    file.write_bytes(gzip.compress(content) if zipped else content)
    assert from_file(file, 7) == [*ADDRESSES, *ADDRESSES, ADDRESSES[0]]
    assert from_file(file, 2) == ADDRESSES[:2]


def test_two_spellings_of_an_address_are_one(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text("2001:DB8:0::1\n 2001:db8::1 \n")
    assert set(from_file(file, 2)) == {"2001:db8::1"}


def test_a_file_is_read_no_further_than_it_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text("8.8.8.8\n" * 10 + "localhost\n")
    assert len(from_file(file, 10)) == 10
    with pytest.raises(SceneError, match=r"trace, line 11: 'localhost' is not an IP address"):
        from_file(file, 11)


@pytest.mark.parametrize("content", [b"x" * 5_000_000, b"\0\xff" * 1_000, b"8.8.8.8 - - [17/May/2015]"])
def test_a_line_that_is_no_address_is_shown_in_short(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_bytes(b"8.8.8.8\n" + content)
    with pytest.raises(SceneError, match=r"line 2: .{1,600} is not an IP address; expected one a line") as refusal:
        from_file(file, 100)
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize("cut", [15, 40, -1])
def test_a_gzip_file_that_is_cut_short_cannot_be_read(cut: int, tmp_path: Path) -> None:
    file = tmp_path / "trace.gz"
    file.write_bytes(gzip.compress("\n".join(f"192.0.2.{number}" for number in range(200)).encode())[:cut])
    with pytest.raises(SceneError, match=r"cannot read addresses from .*trace\.gz"):
        from_file(file, 1_000)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"cannot read addresses from .*missing\.log"):
        from_file(tmp_path / "missing.log", 1)
