"""Random sequences of commands, from a seed: every simulated command, each with its possible outcomes.

No outcome depends on the machine's speed: a life is a millisecond, and over by the next step, or one of many that
differ by five seconds or more, each used once in a sequence.
"""

from collections.abc import Iterator
from random import Random

from fleetcache.format.entry import pack, tag_section
from fleetcache.shared.scripts import SCRIPTS

from .frames import Command, IdOf
from .steps import Connect, Expire, Send, Step

__all__ = ["CLIENTS", "entry", "sequence"]

CLIENTS = 3
KEYS = (b"a", b"b", b"c")
STEPS = 30

PLACEHOLDERS = (b"L" + b"1" * 16, b"L" + b"2" * 16)
VERSIONS = (b"1" * 16, b"2" * 16)
HEADS = (b"V" + b"1" * 16, b"V" + b"2" * 16)
TAGS = tuple(tag_section((("*", version),)) for version in VERSIONS)


def entry(
    payload: bytes, *, head: bytes = HEADS[0], codec: int = 0, stale: float = 0.0, tags: bytes = TAGS[0]
) -> bytes:
    """Return an entry as the cache writes it."""
    return pack(head, codec, (60.0, stale, 0.0), tags, 1, signed=False) + payload


WRONG: tuple[Command, ...] = (
    ("GET",),
    ("SET", "a"),
    ("SET", "a", "v", "PX", "0"),
    ("SET", "a", "v", "PX", "x"),
    ("SET", "a", "v", "PX"),
    ("SET", "a", "v", "NX", "XX"),
    ("SET", "a", "v", "Q"),
    ("PEXPIRE", "a", "1.5"),
    ("PEXPIRE", "a", str(2**63 - 1)),
    ("GETRANGE", "a", "0", "x"),
    ("CLIENT", "ID", "x"),
    ("PING", "a", "b"),
    ("AUTH", "any"),
    ("AUTH", "nobody", "any"),
    ("HELLO", "3", "WHAT"),
    ("HELLO", "three"),
    ("SELECT", "one"),
    ("FLUSHALL", "NOW"),
    ("EVALSHA", "none", 1, "a"),
    ("EVAL", "return 1", 2, "a"),
    ("EVAL", "return (", 0),
    ("EVAL", "return #nil", 0),
    ("EVAL", "return redis.call('GET')", 0),
    ("EVAL", "return redis.call('PING', {})", 0),
    ("EVAL", "return redis.call('CLIENT', 'ID')", 0),
    ("SCRIPT", "LOAD", "return ("),
)


class _Dice:
    """The random choices of one sequence."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        # Half of a mint's life is compared with other lives: 12.5 s modulo 20, and the whole 5 s modulo 20.
        self._lives = iter(self.random.sample([5_000, *range(20_000, 20_000_000, 20_000)], 999))
        self._keeps = iter(self.random.sample(range(25_000, 40_000_000, 40_000), 999))

    def life(self) -> int:
        return int(next(self._lives))

    def keep(self) -> int:
        return int(next(self._keeps))

    def key(self) -> bytes:
        return self.random.choice(KEYS)

    def client(self) -> int:
        return self.random.randrange(CLIENTS)

    def head(self) -> bytes:
        return self.random.choice((*PLACEHOLDERS, *HEADS))

    def entry(self) -> bytes:
        pick = self.random.choice
        payload = pick((b"1", b"-7", b"41", b"text", b"", b"9007199254740991"))
        return entry(payload, head=pick(HEADS), codec=pick((0, 0, 0, 1)), stale=pick((0.0, 0.0, 5.0)), tags=pick(TAGS))

    def value(self) -> bytes:
        return self.random.choice((self.entry, self.entry, self.head, lambda: b"foreign", lambda: b""))()


def sequence(seed: int) -> list[Step]:
    """Return the steps of a seed."""
    dice = _Dice(seed)
    steps: list[Step] = []
    for client in range(CLIENTS):
        steps.append(Connect(client))
        if dice.random.random() < 0.85:
            steps.append(Send(client, (("CLIENT", "TRACKING", "ON"),)))
    if dice.random.random() < 0.9:
        steps.append(Send(0, tuple(("SCRIPT", "LOAD", script.text) for script in SCRIPTS.values())))
    for _ in range(STEPS):
        steps += _steps(dice)
    return [*steps, *(Send(client, ()) for client in range(CLIENTS))]


def _steps(dice: _Dice) -> list[Step]:
    kind, client = dice.random.random(), dice.client()
    if kind < 0.03:
        return [Connect(client)]
    if kind < 0.07:
        dying = SCRIPTS["put"].call(dice.key(), dice.entry(), 1, whole=True)  # registers the key before it is due
        return [Send(client, (dying,), passing=True), Send(dice.client(), (("GET", dice.key()),)), Expire(CLIENTS)]
    if kind < 0.25:
        return [Send(client, dice.random.choice(list(_together(dice))))]
    commands = tuple(_command(dice) for _ in range(dice.random.choice((1, 1, 1, 2, 3))))
    if kind < 0.4:  # a key that becomes due must come last: the rest of the write would race with the clock
        return [Send(client, (*commands, _short_lived(dice)), passing=True)]
    return [Send(client, commands)]


def _together(dice: _Dice) -> Iterator[tuple[Command, ...]]:
    """Yield the commands of one write: as the cache sends them, and two commands that affect each other."""
    key, other = dice.key(), dice.key()
    look = (("GET", key), ("PTTL", key))
    yield look
    yield (("SET", other, dice.head(), "NX", "PX", dice.life()), ("PTTL", other), *look)
    yield (("GETRANGE", key, 0, 511), ("PTTL", key), ("DEL", key))
    yield (*look, *(call for call in _storing(dice, dice.life())[:1]))
    yield (("SET", key, dice.value()), ("CLIENT", "KILL", "ID", IdOf(dice.client())))
    yield (*look, ("CLIENT", "TRACKING", "OFF"), ("SET", other, b""), ("CLIENT", "TRACKING", "ON"))
    yield (*look, ("HELLO", 2), ("DEL", other), ("HELLO", 3))


def _command(dice: _Dice) -> Command:
    (make,) = dice.random.choices((_read, _write, _script, _rare), (8, 6, 8, 2))
    return dice.random.choice(list(make(dice)))


def _read(dice: _Dice) -> Iterator[Command]:
    key, numbers = dice.key(), [dice.random.choice((0, 16, -1, -5, 511)) for _ in range(2)]
    yield ("GET", key)
    yield ("GET", key)
    yield ("PTTL", key)
    yield ("GETRANGE", key, *numbers)
    yield ("EXISTS", key, dice.key())


def _write(dice: _Dice) -> Iterator[Command]:
    key = dice.key()
    yield ("DEL", key)
    yield ("DEL", key, dice.key())
    yield ("UNLINK", key)
    yield ("SET", key, dice.value())
    yield ("SET", key, dice.value(), "PX", dice.life())
    yield ("SET", key, dice.value(), "NX", "PX", dice.life())
    yield ("SET", key, dice.value(), "XX", "KEEPTTL")
    yield ("SET", key, dice.value(), "NX", "GET")
    yield ("SET", key, dice.value(), "EX", dice.life() // 1000, "GET")
    yield ("PEXPIRE", key, dice.life())
    yield ("PEXPIRE", key, dice.random.choice((0, -1)))
    yield ("SADD", key, "member")


def _short_lived(dice: _Dice) -> Command:
    return dice.random.choice(
        (("SET", dice.key(), dice.value(), "PX", 1), ("PEXPIRE", dice.key(), 1), *_storing(dice, 1))
    )


def _storing(dice: _Dice, ms: int) -> list[Command]:
    pick = dice.random.choice
    key, delta = dice.key(), entry(pick((b"1", b"-3", b"9007199254740991")))
    calls: dict[str, tuple[bytes | int, ...]] = {
        "acquire": (pick(PLACEHOLDERS), ms, pick((-1, 100))),
        "swap": (dice.head(), dice.entry(), ms),
        "put": (dice.entry(), ms),
        "add": (dice.entry(), ms),
        "incr": (delta, ms, pick(HEADS), pick((b"", dice.head()))),
        "renew": (dice.head(), ms),
        "touch": (dice.head(), ms),
    }
    return [SCRIPTS[name].call(key, *args, whole=dice.random.random() < 0.1) for name, args in calls.items()]


def _script(dice: _Dice) -> Iterator[Command]:
    yield from _storing(dice, dice.life())
    yield SCRIPTS["release"].call(dice.key(), dice.head())
    yield SCRIPTS["mint"].call(dice.key(), dice.random.choice(VERSIONS), dice.random.choice((0, dice.keep())))


def _rare(dice: _Dice) -> Iterator[Command]:
    pick = dice.random.choice
    yield ("CLIENT", "TRACKING", "ON")
    yield ("CLIENT", "TRACKING", pick(("ON", "OFF")))
    yield ("CLIENT", "TRACKING", "ON", "NOLOOP")
    yield ("CLIENT", "KILL", "ID", IdOf(dice.client()))
    yield ("CLIENT", "SETNAME", pick(("name", "no name")))
    yield ("CLIENT", "GETNAME")
    yield ("HELLO", pick((2, 3, 3, 4)), "SETNAME", "me")
    yield ("HELLO", 3, "AUTH", "default", "any")
    yield ("SELECT", pick((0, 0, 1, 16)))
    yield ("INFO", pick(("server", "replication")))
    yield ("FLUSHDB",)
    yield ("FLUSHALL", "ASYNC")
    yield ("SCRIPT", "LOAD", SCRIPTS[pick(list(SCRIPTS))].text)
    yield ("SCRIPT", "EXISTS", SCRIPTS["put"].sha, "none")
    yield ("SCRIPT", "FLUSH")
    yield pick(WRONG)
