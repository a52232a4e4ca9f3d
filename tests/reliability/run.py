"""Plays every fault with every verb on every engine by every transport: ``make reliability``.

    python -m tests.reliability.run                     # all of it; some minutes
    python -m tests.reliability.run --write             # and put the tables into docs/reliability.md
    python -m tests.reliability.run --only frozen       # one fault; may be given several times
    python -m tests.reliability.run --transport tcp     # one transport; may be given several times

Ends with 1 when a promise was broken.
"""

import argparse
import asyncio
import logging
import sys

from fleetcache import Cache
from tests.reliability.limits import Limits
from tests.reliability.page import PAGE, all_faults, tables, written
from tests.reliability.play import Outcome, Way, play_all
from tests.support.certs import certificates
from tests.support.engines import engines
from tests.support.run import run
from tests.support.servers import TRANSPORTS, Transport

# Scenes that are busy at the same time. More would be quicker, and would disturb each other's times.
TURNS = 3


async def played(names: list[str], engine: str, transport: Transport) -> list[Outcome]:
    """Play these faults on this engine, with the real cache and its default settings."""
    way = Way(Cache, {}, most_rounds=100, turns=asyncio.Semaphore(TURNS))
    return await play_all(names, all_faults(), (engine, transport), way, Limits.now)


def main(arguments: list[str] | None = None) -> int:
    """Run the faults that the command line names."""
    faults = all_faults()
    parser = argparse.ArgumentParser(description="The fault matrix against real servers.")
    parser.add_argument("--only", action="append", choices=faults, metavar="FAULT", help=f"one of {', '.join(faults)}")
    parser.add_argument("--transport", action="append", choices=TRANSPORTS, help="by default all of them")
    parser.add_argument("--write", action="store_true", help="also put the tables into docs/reliability.md")
    options = parser.parse_args(arguments)
    if options.write and (options.only or options.transport):
        parser.error("--write is for a whole run: without --only and --transport")
    logs = logging.getLogger("fleetcache")
    logs.propagate = False
    logs.addHandler(defects := _Defects(logging.ERROR))  # outages are announced as warnings, and expected here
    certificates(), certificates("other_ca")  # made once, before threads want them
    results: dict[str, list[Outcome]] = {name: [] for name in options.only or faults}
    for engine in engines():
        for transport in options.transport or TRANSPORTS:
            for outcome in run(played(list(results), engine, transport)):
                results[outcome.fault].append(outcome)
                for told in outcome.broken:
                    _say(f"{engine}, {transport}, {told}")
            _say(f"{engine}, {transport}: done")
    if not options.only:
        shown = tables(results, options.transport or TRANSPORTS)
        if options.write:
            PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), shown), encoding="utf-8")
        else:
            _say(shown)
    return int(defects.met or any(outcome.broken for outcomes in results.values() for outcome in outcomes))


class _Defects(logging.Handler):
    """Prints the cache's own error logs, because none is expected."""

    met = False

    def emit(self, record: logging.LogRecord) -> None:
        self.met = True
        _say(self.format(record))


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
