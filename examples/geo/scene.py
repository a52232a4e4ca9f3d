"""The scene: a Valkey, the origin and several instances of the app, all real processes on the loopback interface.

Whatever ends the scene, its processes and its folder go with it.
"""

import contextlib
import importlib.util
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from examples.geo.ports import HOST, free_port
from examples.geo.processes import Process, SceneError, environment
from examples.geo.valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "geo-demo"
SEED = 20150517  # any number would do; the same one gives the same addresses
UNLIMITED = 1_000_000  # calls a minute: more than the scene ever makes
_NEEDED = ("starlette", "uvicorn", "httpx", "geoip2fast", "prometheus_client")
_ADDRESSES = 3_000  # that the origin draws at the start; more than the story uses


@dataclass(frozen=True)
class Instance:
    """One running instance of the app."""

    name: str
    url: str
    process: Process


class Scene:
    """Everything that the story needs; a context manager, started on entry and gone on exit.

    Args:
        instances: How many of the app.
        seed: Of the addresses and of the origin's delays.
        **variables: More environment variables for the instances.

    Attributes:
        valkey: The server.
        instances: The instances by name: ``a``, ``b``, ``c``.
        database: Path of the database of settings.

    Raises:
        SceneError: Something is missing or does not start; says what, and what to do.
    """

    def __init__(self, instances: int = 3, seed: int = SEED, **variables: str) -> None:
        self.instances: dict[str, Instance] = {}
        self._names = [chr(ord("a") + number) for number in range(instances)]
        self._seed = seed
        self._addresses: list[str] = []
        self._variables = variables

    def __enter__(self) -> Self:
        _check_packages()
        with ExitStack() as stack:
            self._folder = Path(tempfile.mkdtemp(prefix="geo-"))
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for instance in self.instances.values():  # all at once, so that it does not take three times as long
            instance.process.ask_to_stop()
        self._stack.close()

    @property
    def urls(self) -> dict[str, str]:
        """URL of each instance by name."""
        return {name: instance.url for name, instance in self.instances.items()}

    @property
    def processes(self) -> list[Process]:
        """The origin and the instances."""
        return [self._origin, *(instance.process for instance in self.instances.values())]

    def new_addresses(self, count: int) -> list[str]:
        """Return addresses that nobody got before."""
        taken, self._addresses = self._addresses[:count], self._addresses[count:]
        if len(taken) < count:
            raise SceneError(f"the scene has {_ADDRESSES} addresses, and all were taken")
        return taken

    def calls(self) -> Any:
        """What the origin counted: ``total``, ``by_address``, ``refused``."""
        return self._ask_origin("GET", "/calls")

    def forget_calls(self) -> None:
        """Let the origin count from zero, in a minute that begins now."""
        self._ask_origin("DELETE", "/calls")

    @contextmanager
    def limited_origin(self, calls: int) -> Iterator[None]:
        """Let the origin answer that many calls a minute while the block runs."""
        self.forget_calls()
        self._ask_origin("PUT", f"/limit/{calls}")
        try:
            yield
        finally:
            self._ask_origin("PUT", f"/limit/{UNLIMITED}")

    @contextmanager
    def one_more(self, name: str, **variables: str) -> Iterator[Instance]:
        """Run one more instance, set up otherwise; it is not among ``instances``."""
        instance = self._spawn(name, variables)
        try:
            self._wait_until_ready(instance)
            yield instance
        finally:
            instance.process.stop()

    def _start(self, stack: ExitStack) -> None:
        self.database = self._folder / "geo.sqlite3"
        self.valkey = Valkey(self._folder)
        stack.callback(self.valkey.kill)
        self.valkey.start()
        self._http = stack.enter_context(httpx.Client(timeout=10, trust_env=False))
        self._start_origin(stack)
        for name in self._names:
            instance = self.instances[name] = self._spawn(name, {})
            stack.callback(instance.process.stop)
        for instance in self.instances.values():
            self._wait_until_ready(instance)
        self._origin.wait_until(lambda: self._answers(f"{self._origin_url}/calls"))
        self._addresses = self._ask_origin("GET", f"/addresses/{_ADDRESSES}/{self._seed}")

    def _start_origin(self, stack: ExitStack) -> None:
        port = free_port()
        self._origin_url = f"http://{HOST}:{port}"
        command = [sys.executable, "-m", "examples.geo.origin", "--port", str(port)]
        command += ["--limit", str(UNLIMITED), "--seed", str(self._seed)]
        self._origin = Process("origin", command, self._folder, environment(), ROOT)
        stack.callback(self._origin.stop)

    def _spawn(self, name: str, variables: dict[str, str]) -> Instance:
        port = free_port()
        own = {
            "REDIS_URL": self.valkey.url,
            "CACHE_PREFIX": PREFIX,
            "GEO_ORIGIN_URL": self._origin_url,
            "GEO_DATABASE": str(self.database),
            "GEO_INSTANCE": name,
        }
        command = [sys.executable, "-m", "uvicorn", "examples.geo.app:app", "--host", HOST, "--port", str(port)]
        command += ["--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "1"]
        command += ["--timeout-keep-alive", "300"]  # longer than the story: a closed connection should mean a fault
        env = environment(**own | self._variables | variables)
        return Instance(name, f"http://{HOST}:{port}", Process(f"instance-{name}", command, self._folder, env, ROOT))

    def _wait_until_ready(self, instance: Instance) -> None:
        instance.process.wait_until(lambda: self._answers(f"{instance.url}/readyz"))

    def _answers(self, url: str) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self._http.get(url).is_success
        return False

    def _ask_origin(self, method: str, path: str) -> Any:
        return self._http.request(method, self._origin_url + path).raise_for_status().json()


def _check_packages() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        advice = "`make demo` installs what it needs; so does pip install -r requirements-dev.txt"
        raise SceneError(f"not installed: {', '.join(missing)}. {advice}")


def end_politely_on_sigterm() -> None:
    """Let SIGTERM end this process as an exception does, so that the scene is cleared away."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
