"""The harness itself: the other tests prove nothing if a server or a proxy here does not do as documented."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import hiredis
import psutil
import pytest

from tests.conftest import StartServer
from tests.support.certs import certificates
from tests.support.client import Client
from tests.support.clock import ManualClock
from tests.support.engines import engines
from tests.support.loops import use_loop
from tests.support.run import run
from tests.support.servers import TRANSPORTS, Server, Transport
from tests.support.waiting import eventually, wait_until

ROOT = Path(__file__).parents[2]
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


class TestServer:
    def test_answers_by_its_transport(self, any_server: Server) -> None:
        with any_server.client(direct=False) as client:
            assert client("PING") == b"PONG"

    def test_is_the_process_it_says(self, any_server: Server) -> None:
        with any_server.client(direct=False) as client:
            assert f"process_id:{any_server.pid}".encode() in client("INFO", "server").split()

    def test_url_names_the_transport(self, any_server: Server) -> None:
        scheme = {"tcp": "redis://", "tls": "rediss://", "unix": "unix://"}[any_server.transport]
        assert any_server.url.startswith(scheme)
        assert ("ssl_ca_certs=" in any_server.url) == (any_server.transport == "tls")

    @every_transport
    def test_killed_is_refused_and_restarted_is_back_at_the_same_address(
        self, fresh_server: StartServer, transport: Transport
    ) -> None:
        server = fresh_server(transport)
        url, pid = server.url, server.pid
        server.kill()
        assert not server.alive
        with pytest.raises(OSError, match=r"refused|No such file"):
            server.client(direct=False)
        server.restart()
        assert (server.url, server.alive) == (url, True)
        assert server.pid != pid
        with server.client(direct=False) as client:
            assert client("PING") == b"PONG"

    @every_transport
    def test_frozen_keeps_silent_and_thawed_answers(self, fresh_server: StartServer, transport: Transport) -> None:
        server = fresh_server(transport)
        with server.client(direct=False) as client:
            server.freeze()
            client.send(("PING",))
            with pytest.raises(TimeoutError):
                client.frame(timeout=0.05)
            server.thaw()
            assert client.frame() == b"PONG"

    def test_stopped_leaves_nothing(self, fresh_server: StartServer) -> None:
        server = fresh_server("tls")
        server.freeze()
        server.stop()
        server.stop()
        assert not psutil.pid_exists(server.pid)
        assert not server.folder.exists()

    def test_snapshot_survives_a_clean_restart_only_if_asked_for(self, fresh_server: StartServer) -> None:
        found = []
        for save in ("3600 1", ""):
            server = fresh_server(save=save)
            with server.client() as client:
                client("SET", "key", "value")
            server.restart()
            with server.client() as client:
                found.append(client("GET", "key"))
        assert found == [b"value", None]

    def test_killed_comes_back_with_its_last_snapshot(self, fresh_server: StartServer) -> None:
        server = fresh_server(save="3600 1")
        with server.client() as client:
            client("SET", "key", "old")
            client("SAVE")
            client("SET", "key", "new")
        server.kill()
        server.restart()
        with server.client() as client:
            assert client("GET", "key") == b"old"

    def test_more_configuration(self, fresh_server: StartServer) -> None:
        with fresh_server("tcp", "--maxmemory", "5mb").client() as client:
            assert client("CONFIG", "GET", "maxmemory") == {b"maxmemory": b"5242880"}

    @pytest.mark.parametrize(("user", "password"), [(None, "p@ss/word"), ("app", "p@ss/word")])
    def test_password(self, fresh_server: StartServer, user: str | None, password: str) -> None:
        server = fresh_server(user=user, password=password)
        assert f"redis://{user or ''}:p%40ss%2Fword@127.0.0.1:" in server.url
        with server.client() as client:
            assert client("ACL", "WHOAMI").decode() == user or "default"
        with pytest.raises(hiredis.ReplyError, match="WRONGPASS"):
            server.client(user=user, password=password[1:])

    def test_bad_configuration_says_what_the_server_said(self, fresh_server: StartServer) -> None:
        with pytest.raises(RuntimeError, match="no-such-setting"):
            fresh_server("tcp", "--no-such-setting", "1")

    def test_shared_one_forgets_the_test_before(self, server: Server) -> None:
        with server.client() as left_open:
            left_open("SET", "key", "value")
            left_open("CONFIG", "SET", "maxmemory", "5mb")
            left_open("ACL", "SETUSER", "guest", "on", ">secret", "+get")
            left_open("ACL", "SETUSER", "default", "-debug")
            script = left_open("SCRIPT", "LOAD", "return 1")
            server.reset()
            with pytest.raises(ConnectionError):
                left_open("PING")
        with server.client() as client:
            assert client("DBSIZE") == 0
            assert client("CONFIG", "GET", "maxmemory") == {b"maxmemory": b"0"}
            assert client("ACL", "USERS") == [b"default"]
            assert client("DEBUG", "SLEEP", "0") == b"OK"
            assert client("SCRIPT", "EXISTS", script) == [0]

    def test_ends_with_a_test_run_that_is_killed(self) -> None:
        program = (
            "import os, signal; from tests.support.servers import Server; "
            "s = Server('valkey', 'tls'); print(s.pid, s.folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
        )
        with tempfile.TemporaryDirectory(prefix="fc-") as folder:
            environment = os.environ | {"TMPDIR": folder}
            done = subprocess.run(  # noqa: S603 - our own program
                [sys.executable, "-c", program], capture_output=True, check=False, timeout=20, env=environment
            )
            assert done.returncode == -signal.SIGKILL, done.stderr
            pid, server_folder = done.stdout.split()
            wait_until(lambda: not psutil.pid_exists(int(pid)) and not Path(server_folder.decode()).exists())

    # Python 3.12 and newer warn of a fork with threads; this child only exits.
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_survives_a_fork_of_the_test_run(self, fresh_server: StartServer) -> None:
        server = fresh_server()
        child = os.fork()
        if child == 0:
            server.stop()
            os._exit(0)
        os.waitpid(child, 0)
        assert server.alive
        assert server.folder.exists()


class TestTls:
    @pytest.mark.parametrize("engine", engines())
    @pytest.mark.parametrize("kind", ["expired", "other_host"])
    def test_a_bad_certificate_is_refused_by_a_client(self, engine: str, kind: str) -> None:
        with Server(engine, "tls", certs=certificates(kind)) as server, pytest.raises(ssl.SSLCertVerificationError):
            server.client(direct=False)

    def test_an_unknown_ca_is_refused_by_a_client(self, fresh_server: StartServer) -> None:
        server = fresh_server("tls")
        context = ssl.create_default_context(cafile=certificates("other_ca").ca)
        with pytest.raises(ssl.SSLCertVerificationError):
            Client.tcp(server.address.host, server.address.port, tls=context)

    def test_many_bytes_arrive_whole(self, fresh_server: StartServer) -> None:
        value = os.urandom(2_000_000)
        with fresh_server("tls").client(direct=False) as client:
            client("SET", "key", value)
            assert client("GET", "key") == value


class TestClient:
    def test_keeps_the_order_of_replies_and_pushes(self, server: Server) -> None:
        with server.client() as client, server.client() as other:
            client("CLIENT", "TRACKING", "ON")
            client("GET", "key")
            other("SET", "key", "value")
            assert client("GET", "key") == b"value"
            assert client.pushes == [[b"invalidate", [b"key"]]]
            assert client.drain(0.02) == [[b"invalidate", [b"key"]]]
            assert client.drain(0.02) == []

    def test_an_error_reply_raises_alone_and_is_a_value_in_a_pipeline(self, server: Server) -> None:
        with server.client() as client:
            with pytest.raises(hiredis.ReplyError, match="unknown command"):
                client("NONSENSE")
            bad, good = client.pipeline(("NONSENSE",), ("PING",))
            assert isinstance(bad, hiredis.ReplyError)
            assert good == b"PONG"


class TestWaiting:
    def test_returns_what_it_waited_for(self) -> None:
        clock = ManualClock()

        async def later() -> float:
            clock.advance(1)
            return clock() - 1000 if clock() > 1002 else 0

        assert run(eventually(later)) == 3
        assert run(eventually(lambda: "now")) == "now"

    def test_says_what_never_came(self) -> None:
        with pytest.raises(AssertionError, match="last result: 0"):
            run(eventually(lambda: 0, timeout=0.01))
        with pytest.raises(AssertionError, match="last result: None"):
            wait_until(lambda: None, timeout=0.01)


class TestRun:
    def test_gives_the_result_and_the_error(self) -> None:
        async def divide(by: int) -> float:
            return 6 / by

        assert run(divide(2)) == 3
        with pytest.raises(ZeroDivisionError):
            run(divide(0))

    def test_finds_a_task_left_pending(self) -> None:
        async def leave() -> None:
            self.task = asyncio.ensure_future(asyncio.Event().wait())

        with pytest.raises(AssertionError, match="left pending"):
            run(leave())

    def test_lets_a_cancelled_task_end(self) -> None:
        async def cancel() -> None:
            task = asyncio.ensure_future(asyncio.Event().wait())
            await asyncio.sleep(0)
            task.cancel()

        run(cancel())

    def test_finds_an_error_nobody_fetched(self) -> None:
        async def fail() -> None:
            raise OSError("lost")

        async def forget() -> None:
            task = asyncio.ensure_future(fail())
            await eventually(task.done)

        with pytest.raises(AssertionError, match="never retrieved"):
            run(forget())


def test_event_loops_are_of_the_kind_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import asyncio
from tests.support.loops import use_loop
use_loop()
async def main(): print(type(asyncio.get_running_loop()).__module__.partition(".")[0])
asyncio.run(main())"""
    kinds = {"": "asyncio", "asyncio": "asyncio"} | ({"uvloop": "uvloop"} if find_spec("uvloop") else {})
    for kind, module in kinds.items():
        monkeypatch.setenv("FLEETCACHE_EVENT_LOOP", kind)
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603 - our own code
        assert done.stdout.strip() == module
    monkeypatch.setenv("FLEETCACHE_EVENT_LOOP", "trio")
    with pytest.raises(ValueError, match="FLEETCACHE_EVENT_LOOP = 'trio'"):
        use_loop()
