"""Every fault that this machine can produce, each with its beginning and its end.

To add a fault, add a row to ``FAULTS``; the page and the tests take it from there.
"""

from dataclasses import dataclass

from tests.reliability.acts import (
    Act,
    cut_within,
    disk_mended,
    known,
    load_on,
    load_slowly,
    lose_the_primary,
    newly,
    nothing,
    over_our_keys,
    restart,
    rights,
    run_a_script_for_ever,
    show_another_certificate,
    show_the_good_one,
    tell,
)
from tests.support.servers import TRANSPORTS, Transport

__all__ = ["FAULTS", "NONE", "Fault"]

ROUNDS = 4
CUTS = 60  # rounds of a connection that is cut, elsewhere each time
PASSWORD = "first"  # noqa: S105 - of a server that lives for seconds


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        done: The act, in the page's words.
        begin: Begins the fault. A strike begins again before, or during, each round of calls.
        end: Ends it.
        reasons: The reasons that health may give during it; none if it is soon over or health sees nothing.
        silent: True if the server is known to be out of reach after the first round: later calls cost nothing.
        given_up: True if it lasts until the cache drops the silent connection.
        network: True if the network is at fault, not the server.
        strike: True if it is over at once, and is repeated for each round.
        during: True for a strike during the calls.
        snapshot: True if the server wrote a snapshot before the last removals that it acknowledged.
        rounds: The most rounds of calls.
        slow: True if its calls are slow by nature; they are made at the same time, not one after the other.
        password: The password that the server requires from the start.
        transports: The transports that can have it.
    """

    done: str
    begin: Act
    end: Act = nothing
    reasons: tuple[str, ...] = ()
    silent: bool = False
    given_up: bool = False
    network: bool = False
    strike: bool = False
    during: bool = False
    snapshot: bool = False
    slow: bool = False
    rounds: int = ROUNDS
    password: str | None = None
    transports: tuple[Transport, ...] = TRANSPORTS


NONE = Fault("nothing", nothing)

FAULTS: dict[str, Fault] = {
    # away: the server ends its connections and refuses new ones
    "killed, back empty": Fault(
        "SIGKILL; later started again without data", lambda s: s.kill(), restart, ("refused",), silent=True
    ),
    "killed, back with an old snapshot": Fault(
        "SIGKILL; later started again from a snapshot older than acknowledged removals",
        lambda s: s.kill(),
        restart,
        ("refused",),
        silent=True,
        snapshot=True,
    ),
    "refused": Fault(
        "connections reset, new ones refused; its data stays",
        lambda s: s.wire.away(),
        lambda s: s.wire.heal(),
        silent=True,
        network=True,
        reasons=("refused",),
    ),
    "restarted": Fault("ended and started again at once, empty", restart, strike=True),
    # silent: connections stay, no bytes come
    "frozen": Fault("SIGSTOP", lambda s: s.server.freeze(), lambda s: s.server.thaw(), ("timeout",), silent=True),
    "frozen for long": Fault(
        "SIGSTOP, until the connection is given up",
        lambda s: s.server.freeze(),
        lambda s: s.server.thaw(),
        ("timeout",),
        silent=True,
        given_up=True,
    ),
    "black hole": Fault(
        "the network silently drops every byte, both ways",
        lambda s: s.wire.stall(),
        lambda s: s.wire._lose(),
        ("timeout",),
        silent=True,
        network=True,
    ),
    "black hole for long": Fault(
        "the same, until the connection is given up",
        lambda s: s.wire.stall(),
        lambda s: s.wire._lose(),
        ("timeout",),
        silent=True,
        given_up=True,
        network=True,
    ),
    "half open: answers lost": Fault(
        "commands arrive, answers do not",
        lambda s: s.wire.stall("down"),
        lambda s: s.wire._lose(),
        ("timeout",),
        silent=True,
        network=True,
    ),
    "half open: commands lost": Fault(
        "commands do not arrive; replies still can",
        lambda s: s.wire.stall("up"),
        lambda s: s.wire._lose(),
        ("timeout",),
        silent=True,
        network=True,
    ),
    "writes paused": Fault(
        "`CLIENT PAUSE ... WRITE`: scripts and writes hang, and all that was asked after them",
        tell("CLIENT", "PAUSE", 60_000, "WRITE"),
        tell("CLIENT", "UNPAUSE"),
        ("timeout",),
        silent=True,
    ),
    # slow
    "slow by 100 ms": Fault(
        "every answer 100 ms later", lambda s: s.wire.slow("100ms"), lambda s: s.wire.heal(), network=True, slow=True
    ),
    "slow by 1 s": Fault(
        "every answer 1 s later, four timeouts",
        lambda s: s.wire.slow("1s"),
        lambda s: s.wire.heal(),
        network=True,
        slow=True,
    ),
    # broken connections
    "reset": Fault(
        "RST to both sides while calls are under way", lambda s: s.wire.reset(), network=True, strike=True, during=True
    ),
    "closed": Fault(
        "FIN to both sides while calls are under way", lambda s: s.wire.cut(), network=True, strike=True, during=True
    ),
    "cut in an answer": Fault(
        "cut after n bytes from the server, n different each time",
        cut_within("down"),
        network=True,
        strike=True,
        rounds=CUTS,
    ),
    "cut in a command": Fault(
        "cut after n bytes to the server, n different each time",
        cut_within("up"),
        network=True,
        strike=True,
        rounds=CUTS,
    ),
    "garbage": Fault(
        "bytes that are not RESP (with TLS: not TLS) among the answers",
        lambda s: s.wire.say(b"!!!what\r\n" * 4),
        network=True,
        strike=True,
        during=True,
    ),
    "thrown out": Fault("`CLIENT KILL`", lambda s: s.throw_out(), strike=True, during=True),
    # the server forgets
    "emptied": Fault("`FLUSHALL`", tell("FLUSHALL"), strike=True, during=True),
    "scripts forgotten": Fault("`SCRIPT FLUSH`", tell("SCRIPT", "FLUSH"), strike=True),
    "tracking table full": Fault(
        "`tracking-table-max-keys 1`: it forgets who has read what, and says so",
        tell("CONFIG", "SET", "tracking-table-max-keys", 1),
        # Clients that came during the fault do not trust it.
        newly(tell("CONFIG", "SET", "tracking-table-max-keys", 1_000_000)),
    ),
    # the server refuses
    "READONLY": Fault("made a replica", known("replica"), tell("REPLICAOF", "NO", "ONE"), ("readonly",)),
    "MASTERDOWN": Fault(
        "made a replica that has lost its primary and says so",
        lose_the_primary,
        tell("REPLICAOF", "NO", "ONE"),
        ("readonly",),  # the first write says so, and HELLO calls it a replica
    ),
    "NOREPLICAS": Fault(
        "`min-replicas-to-write 1`, and there are none",
        known("without replicas"),
        tell("CONFIG", "SET", "min-replicas-to-write", 0),
        ("noreplicas",),
    ),
    "OOM": Fault("`maxmemory 1`, no eviction", known("full"), tell("CONFIG", "SET", "maxmemory", 0), ("oom",)),
    "MISCONF": Fault("snapshots cannot be written", known("disk failed"), disk_mended, ("misconf",)),
    "LOADING": Fault("reads a snapshot, slowly", load_slowly, load_on, ("loading",)),
    "BUSY": Fault("a script that does not end", run_a_script_for_ever, tell("SCRIPT", "KILL"), ("busy",)),
    "NOPERM: no writing": Fault("the user loses the right to write", rights("-@write"), rights("+@all"), ("noperm",)),
    "NOPERM: no scripts": Fault(
        "the user loses the right to run scripts", rights("-@scripting"), rights("+@all"), ("noperm",)
    ),
    "NOPERM: other keys": Fault(
        "the user may touch other keys only", rights("resetkeys", "~other:*"), rights("~*"), ("noperm",)
    ),
    "NOPERM: nothing": Fault(
        "the user loses all rights except PING", known("rights taken"), rights("+@all"), ("noperm",)
    ),
    "WRONGPASS": Fault(
        "the password changed, connections ended",
        newly(rights("resetpass", ">second")),
        rights(f">{PASSWORD}"),
        ("auth",),
        silent=True,
        password=PASSWORD,
    ),
    "NOAUTH": Fault(
        "a password asked for where none was, connections ended",
        newly(rights("resetpass", ">second")),
        rights("nopass"),
        ("auth",),
        silent=True,
    ),
    "maxclients": Fault(
        "no more connections accepted, those there are ended",
        newly(tell("CONFIG", "SET", "maxclients", 1)),
        tell("CONFIG", "SET", "maxclients", 10_000),
        ("maxclients", "reset"),  # Redis closes TLS connections without a word
        silent=True,
    ),
    "no tracking": Fault(
        "`CLIENT TRACKING` forbidden, connections ended",
        newly(rights("-client|tracking")),
        newly(rights("+@all")),
        ("no_tracking",),
    ),
    "no RESP3": Fault(
        "back with `HELLO` renamed: it speaks RESP2 only",
        lambda s: s.restart("--rename-command", "HELLO", ""),
        restart,
        ("resp2",),
    ),
    "cluster": Fault(
        "back as an empty node of a cluster (`CLUSTERDOWN`)",
        lambda s: s.restart("--cluster-enabled", "yes"),
        restart,
        ("cluster_mode",),
        silent=True,
    ),
    "certificate": Fault(
        "back with a certificate that is not trusted",
        show_another_certificate,
        show_the_good_one,
        ("tls",),
        silent=True,
        transports=("tls",),
    ),
    # foreign values under the cache's keys
    "WRONGTYPE": Fault("lists under the cache's keys", over_our_keys("RPUSH", "x"), tell("FLUSHALL"), ("wrongtype",)),
    "foreign values": Fault("other values under the cache's keys", over_our_keys("SET", "x"), tell("FLUSHALL")),
}
