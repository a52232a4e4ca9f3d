"""All processes of a user on a host share one server, which any of them starts; it ends after the last of them."""

import os
import signal
import threading
import time

from fleetcache import Cache, Settings
from fleetcache.shared.embedded.attach import attach
from fleetcache.shared.embedded.locks import FileLock
from tests.embedded.home import LINGER, SOON, Home, descriptors, ended
from tests.support.run import run
from tests.support.waiting import eventually, wait_until

MAX_BYTES = 16_000_000


def test_two_processes_share_values_and_changes(home: Home) -> None:
    one, other = home.user(), home.user()
    assert one.ask("put", key="k", value="first")
    assert other.ask("get", key="k") == "first"
    assert one.ask("put", key="k", value="second")
    wait_until(lambda: other.ask("get", key="k") == "second")  # a push removed its near copy
    for user in (one, other):
        report = user.ask("health")
        assert (report["driver"], report["active"], report["reason"]) == ("embedded", "embedded", None)
        assert (report["status"], report["coherence"]) == ("healthy", "tracking")
        assert report["server"] == f"unix://{home.folder.socket}?db=0"
    assert len(home.supervisors) == 1


def test_what_was_set_for_another_server_does_not_matter(home: Home) -> None:
    class Provider:
        def get_credentials(self) -> tuple[str]:
            raise AssertionError("the embedded server asks for no password")

    async def scene() -> None:
        settings = Settings(
            driver="embedded",
            url="redis://elsewhere.example",
            embedded_dir=str(home.base),
            credential_provider=Provider(),
            required=True,
        )
        async with Cache(settings=settings) as cache:
            await eventually(lambda: cache.status_now().shared)
            report = await cache.health()
            assert (report.active, report.reason) == ("embedded", None)

    run(scene())


def test_users_of_another_folder_share_nothing(home: Home) -> None:
    with Home() as elsewhere:
        assert home.user().ask("put", key="k", value="here")
        assert elsewhere.user().ask("get", key="k") is None


def test_the_server_outlives_who_happened_to_start_it(home: Home) -> None:
    starter, other = home.user(), home.user()
    server, supervisor = home.server, home.supervisor
    assert supervisor.ppid() != starter.pid
    # The supervisor gets neither Ctrl-C nor the hangup of a closed terminal.
    assert os.getsid(supervisor.pid) != os.getsid(starter.pid)
    assert starter.ask("put", key="k", value="kept")
    starter.kill()
    assert other.ask("get", key="k") == "kept"
    third = home.user()
    assert third.ask("get", key="k") == "kept"
    assert third.ask("health")["reason"] is None
    assert home.server == server


def test_it_ends_when_all_were_killed_and_leaves_nothing(home: Home) -> None:
    users = [home.user(), home.user()]
    family = [home.supervisor, *home.supervisor.children()]
    assert len(family) == 3
    for user in users:
        user.kill()
    wait_until(home.is_left, SOON)
    wait_until(lambda: all(ended(process) for process in family))
    assert list(home.base.iterdir()) == []


def test_it_ends_when_all_have_closed_their_caches(home: Home) -> None:
    users = [home.user(), home.user()]
    assert users[0].ask("leave")
    assert users[1].ask("put", key="k", value="v")  # the server stays for the last process
    assert users[1].ask("leave")
    wait_until(home.is_left, SOON)
    assert all(user.process.poll() is None for user in users)


def test_it_stays_while_it_is_used_however_long(home: Home) -> None:
    with attach(home.folder, MAX_BYTES):
        server = home.server
        for _ in range(3):  # processes that come and go
            attach(home.folder, MAX_BYTES).close()
            time.sleep(LINGER)  # time for a server to end by mistake
        assert home.server == server
    wait_until(home.is_left, SOON)


def test_a_killed_server_is_replaced(home: Home) -> None:
    user = home.user()
    server = home.server
    server.send_signal(signal.SIGKILL)
    wait_until(lambda: user.ask("health")["epoch"] == 2, SOON)
    assert user.ask("put", key="k", value="anew")
    assert home.server != server
    assert home.user().ask("get", key="k") == "anew"


def test_with_a_killed_supervisor_the_server_goes_too_and_both_are_replaced(home: Home) -> None:
    user = home.user()
    server = home.server
    home.supervisor.send_signal(signal.SIGKILL)
    wait_until(lambda: user.ask("health")["epoch"] == 2, SOON)
    wait_until(lambda: ended(server))
    assert user.ask("put", key="k", value="anew")
    user.kill()
    wait_until(home.is_left, SOON)


def test_a_host_that_shuts_down_may_end_it_at_once(home: Home) -> None:
    with attach(home.folder, MAX_BYTES):
        server = home.server
        home.supervisor.send_signal(signal.SIGTERM)
        wait_until(lambda: not home.supervisors, SOON)
        wait_until(lambda: ended(server))


def test_many_at_once_start_one(home: Home) -> None:
    before = descriptors()
    seats: list[FileLock] = []
    threads = [threading.Thread(target=lambda: seats.append(attach(home.folder, MAX_BYTES))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seats) == 8
    assert len(home.supervisors) == 1
    for seat in seats:
        seat.close()
    assert descriptors() == before
    wait_until(home.is_left, SOON)


def test_who_comes_while_it_ends_gets_a_new_one(home: Home) -> None:
    failures: list[BaseException] = []

    def come_and_go(number: int) -> None:
        try:
            for turn in range(6):
                with attach(home.folder, MAX_BYTES), home.raw() as raw:
                    assert raw("PING") in {b"PONG", "PONG"}
                time.sleep(LINGER + 0.05 * ((number + turn) % 5))  # about the time at which the server ends
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    wait_until(home.is_left, SOON)
