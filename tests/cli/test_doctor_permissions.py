"""``fleetcache doctor`` on permissions: it names each missing one, with the line that grants it, and no other."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fleetcache import Cache
from fleetcache.cli.doctor.findings import Code, Severity
from fleetcache.cli.doctor.permissions import PERMISSIONS, Checked, acl_line, check, findings_on
from fleetcache.cli.doctor.visit import Visit
from fleetcache.clock import monotonic
from fleetcache.config.settings import Settings
from fleetcache.format.keys import Layout
from fleetcache.shared.scripts import SCRIPTS
from fleetcache.wire.closings import Closings
from fleetcache.wire.handshake import HandshakeError
from tests.cli.examining import examined, found
from tests.conftest import StartServer
from tests.support.run import run
from tests.support.servers import Server

PAGE = Path(__file__).parents[2] / "docs" / "server.md"
# Servers never refuse HELLO and AUTH, under any ACL.
REFUSABLE = [permission.rule for permission in PERMISSIONS if permission.rule not in ("+hello", "+auth")]


def user_without(server: Server, prefix: str, *missing: str, keys: str | None = None) -> str:
    """Return the URL of the smallest user, without the missing rules."""
    name, _, password, pattern, *rules = acl_line(prefix).split()[2:]
    granted = [rule for rule in rules if rule not in missing]
    with server.client() as client:
        client("ACL", "SETUSER", name, "reset", "on", password, *(keys or pattern).split(), *granted)
    place = urlsplit(server.url)
    return f"redis://{name}:{password[1:]}@{place.hostname}:{place.port}"


async def check_once(url: str, prefix: str) -> list[Checked]:
    """Return the permissions, as checked on one connection."""
    address = Settings(url=url).address
    assert address is not None
    async with await Visit.to(address, 10.0, Closings(monotonic)) as visit:
        try:
            await visit.shake_hands(address, Layout(prefix).probe("test"))
        except HandshakeError as error:
            assert error.reason == "noperm"  # noqa: PT017 - whether it is refused depends on what is missing
        return await check(visit, Layout(prefix), "app", "test")


def checked(url: str, prefix: str) -> list[Checked]:
    return run(check_once(url, prefix))


def test_the_page_on_the_server_has_the_line_that_is_made_of_the_table() -> None:
    assert acl_line("fleetcache") in PAGE.read_text(encoding="utf-8").splitlines()


def test_with_the_smallest_user_everything_is_granted(server: Server, prefix: str) -> None:
    granted = checked(user_without(server, prefix), prefix)
    assert [each.rule for each in granted] == [*(permission.rule for permission in PERMISSIONS), f"~{prefix}:*"]
    assert [each.rule for each in granted if not each.granted] == []
    assert [finding.severity for finding in findings_on(granted)] == [Severity.OK]


@pytest.mark.parametrize("missing", REFUSABLE)
def test_exactly_what_is_missing_is_named_with_the_line_that_grants_it(
    server: Server, prefix: str, missing: str
) -> None:
    async def main() -> None:
        url = user_without(server, prefix, missing)
        with server.client() as client:
            for script in SCRIPTS.values():  # as after an app's first calls: a script fails for its commands, too
                client("SCRIPT", "LOAD", script.text)
            refused = [each for each in await check_once(url, prefix) if not each.granted]
            assert [(each.rule, each.grant) for each in refused] == [(missing, f"ACL SETUSER app {missing}")]
            client(*refused[0].grant.split())
        assert all(each.granted for each in await check_once(url, prefix))

    run(main())


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            "~other:*",
            "may not read {0}:e:*, {0}:c:*, {0}:t:*, {0}:p:*; may not write {0}:e:*, {0}:c:*, {0}:t:*, {0}:p:*",
        ),
        ("~{0}:[ctp]:*", "may not read {0}:e:*; may not write {0}:e:*"),
        ("%R~{0}:*", "may not write {0}:e:*, {0}:c:*, {0}:t:*, {0}:p:*"),
        ("~{0}:[ectp]:*", ""),
    ],
)
def test_keys_that_may_not_be_touched_are_named(server: Server, prefix: str, keys: str, said: str) -> None:
    refused = [
        each for each in checked(user_without(server, prefix, keys=keys.format(prefix)), prefix) if not each.granted
    ]
    assert [(each.rule, each.said) for each in refused] == ([(f"~{prefix}:*", said.format(prefix))] if said else [])


def test_nothing_of_the_attempts_is_left(fresh_server: StartServer, prefix: str) -> None:
    with fresh_server("tcp") as server, server.client() as client:
        checked(user_without(server, prefix), prefix)
        assert client("DBSIZE") == 0


def test_a_prefix_that_means_something_in_a_pattern_is_escaped(server: Server) -> None:
    async def main() -> None:
        for prefix in ("a*b", "x[1]", "why?", "back\\slash"):
            url = user_without(server, prefix)
            assert all(each.granted for each in await check_once(url, prefix))
            refused = [each.rule for each in await check_once(url, "axb") if not each.granted]
            assert refused == ["~axb:*"]

    run(main())


def test_a_command_that_the_server_does_not_have_is_named(fresh_server: StartServer, prefix: str) -> None:
    with fresh_server("tcp", "--rename-command", "GETRANGE", "") as server:
        refused = [each for each in checked(server.url, prefix) if not each.granted]
        assert [each.rule for each in refused] == ["+getrange"]
        assert "unknown command" in refused[0].said


@pytest.mark.parametrize(
    ("missing", "status"), [(("+get",), 1), (("+eval", "+set"), 1), (("+info", "+client|kill"), 0)]
)
def test_the_whole_examination_tells_what_an_app_would_lack(
    server: Server, prefix: str, missing: tuple[str, ...], status: int
) -> None:
    url = user_without(server, prefix, *missing)
    with server.client() as client:
        client("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    report = examined({"REDIS_URL": url, "CACHE_PREFIX": prefix})
    lacking = [finding for finding in found(report, Code.PERMISSION) if finding.about]
    assert {finding.about for finding in lacking} == set(missing)
    assert {finding.severity for finding in lacking} == {Severity.PROBLEM if status else Severity.NOTE}
    assert all(f"ACL SETUSER app {finding.about}" in finding.action for finding in lacking)
    assert report.exit_status == status
    assert (report.health or {})["status"] == ("degraded" if status else "healthy")


def test_with_the_line_granted_an_app_is_healthy(server: Server, prefix: str) -> None:
    report = examined({"REDIS_URL": user_without(server, prefix, "+set"), "CACHE_PREFIX": prefix})
    assert report.acl_line == acl_line(prefix)
    with server.client() as client:
        client(*report.acl_line.replace("PASSWORD", "another").split())

    async def main() -> None:
        url = user_without(server, prefix)
        async with Cache(url, prefix=prefix, operation_timeout="5s") as cache:
            assert (await cache.health()).status == "healthy"

    run(main())
