"""The scene: a Valkey, the origin and several instances of the app, all real processes on the loopback interface.

At any end of the scene, its processes and its folder go with it.
"""

import contextlib
import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx

from fleetcache.testing.server import HOST, free_port

from .plan import Plan, SceneError
from .processes import Process, environment
from .valkey import Valkey

__all__ = ["OFFLINE_TTL", "PREFIX", "UNLIMITED", "Instance", "Scene"]

PREFIX = "fleetcache-demo"
UNLIMITED = 1_000_000  # calls a minute: more than the scene makes
# Seconds, instead of 30: the outage is short, and should outlast the time for which near may answer alone.
OFFLINE_TTL = 1.0
_PATIENCE = 1.0  # seconds for an operation, instead of 0.25: all share one machine, which may have other work, too
_PAUSE = 1.0  # seconds after which an instance asks a busy origin again: the story does not last a minute
_ADDRESSES = 3_000  # drawn by the origin at the start; more than the story uses
_ROOT = Path(__file__).parents[2]  # where children find the package ``examples``
_KEEP_ALIVE = 3_600  # seconds, longer than any story: an instance that closes a connection should mean a fault


@dataclass(frozen=True)
class Instance:
    """One running instance of the app."""

    name: str
    url: str
    process: Process


class Scene:
    """All parts of the story; a context manager, started on entry and gone on exit.

    Args:
        instances: The number of instances of the app.
        seed: Seed of the addresses and of the origin's delays.
        **variables: More environment variables for the instances.

    Attributes:
        valkey: The server.
        instances: The instances by name: ``a``, ``b``, ``c``.
        origin_url: The URL of the origin.
        database: Path of the database of settings.

    Raises:
        SceneError: A process does not start; the message has its name and its last words.
        EmbeddedError: There is no server to start.
    """

    def __init__(self, instances: int = Plan.instances, seed: int = Plan.seed, **variables: str) -> None:
        self.instances: dict[str, Instance] = {}
        self._names = [chr(ord("a") + number) for number in range(instances)]
        self._seed = seed
        self._addresses: list[str] = []
        self._variables = variables

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(tempfile.mkdtemp(prefix="fleetcache-demo-"))
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
        """URL of each instance, by name."""
        return {name: instance.url for name, instance in self.instances.items()}

    @property
    def processes(self) -> list[Process]:
        """The origin and the instances."""
        return [self._origin, *(instance.process for instance in self.instances.values())]

    def new_addresses(self, count: int) -> list[str]:
        """Return addresses that no call got before."""
        taken, self._addresses = self._addresses[:count], self._addresses[count:]
        if len(taken) < count:
            raise SceneError(f"the scene has {_ADDRESSES} addresses, and all were taken")
        return taken

    def calls(self) -> Any:
        """Return the origin's counts: ``total``, ``by_address``, ``refused``; and its ``limit``, calls ``left``."""
        return self._ask_origin("GET", "/calls")

    def forget_calls(self) -> None:
        """Let the origin count from zero."""
        self._ask_origin("DELETE", "/calls")

    def limit_origin(self, calls: int = UNLIMITED) -> None:
        """Let the origin answer this many calls a minute, in a minute that begins now."""
        self._ask_origin("PUT", f"/limit/{calls}")

    def _start(self, stack: ExitStack) -> None:
        self.database = self._folder / "geo.sqlite3"
        self.valkey = Valkey(self._folder)
        stack.callback(self.valkey.kill)
        self.valkey.start()
        self._http = stack.enter_context(httpx.Client(timeout=10, trust_env=False))
        self._start_origin(stack)
        for name in self._names:
            instance = self.instances[name] = self._spawn(name)
            stack.callback(instance.process.stop)
        for instance in self.instances.values():
            instance.process.wait_until(partial(self._answers, f"{instance.url}/readyz"))
        self._origin.wait_until(partial(self._answers, f"{self.origin_url}/calls"))
        self._addresses = self._ask_origin("GET", f"/addresses/{_ADDRESSES}/{self._seed}")

    def _start_origin(self, stack: ExitStack) -> None:
        port = free_port()
        self.origin_url = f"http://{HOST}:{port}"
        command = [sys.executable, "-m", "examples.demo.origin", "--port", str(port), "--limit", str(UNLIMITED)]
        command += ["--seed", str(self._seed)]
        self._origin = Process("origin", command, self._folder, environment(_ROOT))
        stack.callback(self._origin.stop)

    def _spawn(self, name: str) -> Instance:
        port = free_port()
        own = {
            "REDIS_URL": self.valkey.url,
            "CACHE_PREFIX": PREFIX,
            "CACHE_OFFLINE_TTL": f"{OFFLINE_TTL:g}s",
            "CACHE_OPERATION_TIMEOUT": f"{_PATIENCE:g}s",
            "GEO_ORIGIN_URL": self.origin_url,
            "GEO_PAUSE": f"{_PAUSE:g}",
            "GEO_DATABASE": str(self.database),
            "GEO_INSTANCE": name,
        }
        command = [sys.executable, "-m", "uvicorn", "examples.geo.app:app", "--host", HOST, "--port", str(port)]
        command += ["--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "1"]
        command += ["--timeout-keep-alive", str(_KEEP_ALIVE)]
        env = environment(_ROOT, **own | self._variables)
        return Instance(name, f"http://{HOST}:{port}", Process(f"instance-{name}", command, self._folder, env))

    def _answers(self, url: str) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self._http.get(url).is_success
        return False

    def _ask_origin(self, method: str, path: str) -> Any:
        try:
            return self._http.request(method, self.origin_url + path).raise_for_status().json()
        except httpx.HTTPError as error:
            raise SceneError(f"the origin does not answer: {error!r}\n{self._origin.last_words()}") from error
