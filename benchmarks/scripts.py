"""The server's cost of each script of the wire format, beside a GET: `python -m benchmarks.scripts [valkey] [redis]`.

Server time only, from `INFO commandstats`: the network and this client do not count.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fleetcache.format.codec import INT
from fleetcache.format.entry import pack, tag_section
from fleetcache.shared.scripts import SCRIPTS
from tests.support.client import Client
from tests.support.servers import Server

CALLS = 3000
KEPT = 600_000
SECTION = tag_section((("*", b"v" * 16),))


def entry(payload: bytes, number: int = 0, codec: int = 1) -> bytes:
    """Return an entry of one tag, with its own stamp."""
    head = b"V" + number.to_bytes(16, "big")
    return pack(head, codec, (300.0, 0.0, 0.0), SECTION, 1, signed=False) + payload


def cases() -> Iterator[tuple[str, str, list[tuple[bytes | str | int, ...]], tuple[bytes | str | int, ...]]]:
    """Yield row, script, the writes before it, and its arguments; each call has its own key."""
    value, counter, lease = entry(b"x" * 100), entry(b"1", codec=INT), b"L" + b"t" * 16
    yield "acquire, granted", "acquire", [], (lease, 5000)
    yield "acquire, there", "acquire", [("SET", value)], (lease, 5000)
    yield "swap, stored", "swap", [("SET", lease)], (lease, value, KEPT)
    yield "swap, refused", "swap", [("SET", value)], (lease, value, KEPT)
    yield "put", "put", [], (value, KEPT)
    yield "release", "release", [("SET", lease)], (lease,)
    yield "renew", "renew", [("SET", lease, "PX", 1000)], (lease, 5000)
    yield "mint, new", "mint", [], (b"v" * 16, 0)
    yield "mint, known", "mint", [("SET", b"v" * 16)], (b"w" * 16, 0)
    yield "add, stored", "add", [], (value, KEPT)
    yield "add, there", "add", [("SET", value, "PX", KEPT)], (value, KEPT)
    yield "incr, new", "incr", [], (counter, KEPT, counter[:17], "")
    yield "incr, there", "incr", [("SET", counter, "PX", KEPT)], (counter, KEPT, counter[:17], "")
    yield "touch", "touch", [("SET", value, "PX", KEPT)], (value[:17], KEPT)


def microseconds(client: Client, command: str) -> float:
    """Return the server's time of one call, on average, since the statistics began."""
    said = client("INFO", "commandstats").decode()
    line = next(line for line in said.splitlines() if line.startswith(f"cmdstat_{command}:"))
    return float(dict(part.split("=") for part in line.split(":")[1].split(","))["usec_per_call"])


def measure(client: Client) -> Iterator[tuple[str, float]]:
    """Yield the rows of the table."""
    client("FLUSHALL")
    client("SET", "hit", entry(b"x" * 100))
    client("CONFIG", "RESETSTAT")
    for _ in range(CALLS):
        client("GET", "hit")
    yield "GET, hit", microseconds(client, "get")
    for row, name, before, arguments in cases():
        client("FLUSHALL")
        sha = client("SCRIPT", "LOAD", SCRIPTS[name].text)
        for number in range(CALLS):
            for command, *rest in before:
                client(command, f"k{number}", *rest)
        client("CONFIG", "RESETSTAT")
        for number in range(CALLS):
            client("EVALSHA", sha, 1, f"k{number}", *arguments)
        yield row, microseconds(client, "evalsha")


@contextmanager
def servers(engines: list[str]) -> Iterator[list[Server]]:
    """Yield one fresh server of each engine."""
    running = [Server(engine) for engine in engines]
    try:
        yield running
    finally:
        for server in running:
            server.stop()


def main(engines: list[str]) -> None:
    """Print the table."""
    with servers(engines) as running:
        columns = [dict(measure(server.client())) for server in running]
    print(f"| call | {' | '.join(f'{engine}, µs' for engine in engines)} |")
    print(f"| --- |{' --- |' * len(engines)}")
    for row in columns[0]:
        print(f"| {row} | {' | '.join(f'{column[row]:.2f}' for column in columns)} |")


if __name__ == "__main__":
    main(sys.argv[1:] or ["valkey"])
