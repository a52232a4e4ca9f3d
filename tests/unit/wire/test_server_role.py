"""``INFO replication``: a server's role and the names of its history; an absent field proves nothing."""

import pytest
from hiredis import ReplyError

from fleetcache.wire.server_role import Standing, info_fields

PRIMARY = b"# Replication\r\nrole:master\r\nmaster_replid:abc\r\nmaster_replid2:0000000000\r\n"


def test_a_primary_has_one_history() -> None:
    standing = Standing.of(PRIMARY)
    assert (standing.role, standing.replid, standing.former) == ("master", "abc", None)
    assert (standing.is_known, standing.is_replica) == (True, False)


def test_a_promoted_replica_names_its_former_history() -> None:
    assert Standing.of(PRIMARY.replace(b"0000000000", b"def")).former == "def"


@pytest.mark.parametrize(("role", "is_replica"), [("slave", True), ("replica", True), ("primary", False)])
def test_a_replica_is_told_by_its_role(role: str, is_replica: bool) -> None:
    assert Standing.of(f"role:{role}").is_replica is is_replica


@pytest.mark.parametrize("reply", [None, b"", 7, [b"role:slave"], ReplyError("NOPERM"), b"\xff\xfe", "role:"])
def test_a_reply_of_another_kind_proves_nothing(reply: object) -> None:
    standing = Standing.of(reply)
    assert (standing.is_known, standing.is_replica) == (False, False)


def test_a_value_may_hold_a_colon() -> None:
    assert info_fields("master_host:::1\r\nrole:slave") == {"master_host": "::1", "role": "slave"}
