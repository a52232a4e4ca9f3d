"""A script: a cache writes, the network goes silent, the connection is dropped, the network heals.

Root runs it under ``unshare --net``. The script makes a second network namespace for the server, because it tests the
kernel's own retransmissions. ``python -m tests.faults.blackhole <server binary> <linger: 1|0> <folder>`` prints the
cache's answer for the key after the kernel had its time.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

from fleetcache import Cache
from fleetcache.engine.aio import connection as aio
from tests.faults.test_old_bytes import NoLinger
from tests.support.client import Client
from tests.support.waiting import eventually, wait_until

SERVER, CLIENT, PORT = "10.9.0.1", "10.9.0.2", 7350
NOWHERE = "02:00:00:00:00:99"
# The kernel doubles its pauses between retransmissions, from 0.2 s on: it tries after about 3.2 s, again after 6.5 s.
# The network heals in between, early enough for the replay to end before the second try.
SILENCE, PATIENCE = 3.6, 4.0


def ip(*arguments: str) -> str:
    """Run ``ip``."""
    return subprocess.run(("ip", *arguments), check=True, capture_output=True, text=True).stdout  # noqa: S603, S607 - root's own


@contextlib.contextmanager
def running(*command: str) -> Iterator[int]:
    """Run a process for as long as the block."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def server_elsewhere(binary: str, folder: str) -> Iterator[str]:
    """Start a server in its own namespace and yield its hardware address."""
    ip("link", "set", "lo", "up")
    with running("unshare", "--net", "sleep", "60") as elsewhere:
        inside = ("nsenter", "--target", str(elsewhere), "--net")
        wait_until(lambda: _is_elsewhere(elsewhere))
        ip("link", "add", "vc", "type", "veth", "peer", "name", "vs", "netns", str(elsewhere))
        ip("address", "add", f"{CLIENT}/24", "dev", "vc")
        ip("link", "set", "vc", "up")
        for line in (f"address add {SERVER}/24 dev vs", "link set vs up", "link set lo up"):
            subprocess.run((*inside, "ip", *line.split()), check=True)  # noqa: S603 - root's own
        shown = subprocess.run((*inside, "ip", "-o", "link", "show", "vs"), check=True, capture_output=True, text=True)  # noqa: S603 - root's own
        hardware = shown.stdout.split("link/ether ")[1].split()[0]
        options = ("--port", str(PORT), "--bind", SERVER, "--protected-mode", "no", "--save", "", "--dir", folder)
        with running(*inside, binary, *options):
            wait_until(_answers)
            yield hardware


def _is_elsewhere(pid: int) -> bool:
    ours = subprocess.run(("readlink", "/proc/self/ns/net", f"/proc/{pid}/ns/net"), capture_output=True, check=False)  # noqa: S603, S607 - root's own
    return len(set(ours.stdout.split())) == 2


def _answers() -> bool:
    try:
        Client.tcp(SERVER, PORT).close()
    except OSError:
        return False
    return True


def lead_to(hardware: str) -> None:
    """Send the server's packets to this hardware address; at an unknown address they are lost without an error."""
    ip("neigh", "replace", SERVER, "lladdr", hardware, "dev", "vc", "nud", "permanent")


async def write_into_a_black_hole(hardware: str) -> str:
    """Play the whole story and return the cache's last answer."""
    # This user may not end connections, so the bytes find the server's end of the old connection open.
    with Client.tcp(SERVER, PORT) as admin:
        admin("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", "-client|kill")
    url = f"redis://limited:secret@{SERVER}:{PORT}/0"
    async with Cache(url, prefix="hole", operation_timeout=0.1, max_staleness=0.4, connect_timeout=0.5) as cache:
        await cache.set("k", "first")
        lead_to(NOWHERE)
        began = time.monotonic()
        await cache.set("k", "OLD")
        await eventually(lambda: cache.stats().link == "offline")
        await asyncio.sleep(SILENCE - (time.monotonic() - began))
        lead_to(hardware)
        await eventually(lambda: cache.stats().link == "online")
        healed = time.monotonic()
        found = "gone"
        while found == "gone" and time.monotonic() - healed < PATIENCE:
            await asyncio.sleep(0.05)
            found = await cache.get("k", "gone")
        return found


def main() -> None:
    """Run the story with the arguments of the command line."""
    binary, linger, folder = sys.argv[1:]
    if linger == "0":
        vars(aio)["struct"] = NoLinger  # the naive twin
    with server_elsewhere(binary, folder) as hardware:
        lead_to(hardware)
        print(asyncio.run(write_into_a_black_hole(hardware)))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
