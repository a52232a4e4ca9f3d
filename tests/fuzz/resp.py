"""Frames as a server writes them, each with its meaning: an oracle for the parser, and the material to be spoilt."""

from typing import Any

from tests.fuzz.source import Source

__all__ = ["HOSTILE", "frame", "push"]

# Bytes that no server sends: huge counts and lengths, broken numbers, unknown kinds, other protocols.
HOSTILE = (
    b"*2147483647\r\n", b"~4294967295\r\n", b"%2147483647\r\n", b">2147483647\r\n", b"*9999\r\n", b"*10000\r\n",
    b"$2147483647\r\n", b"$9223372036854775807\r\n", b"$-2\r\n", b"*-2\r\n", b"$01\r\n", b"*99999999999999999999\r\n",
    b"|1\r\n+a\r\n+b\r\n", b"#f\r\n", b"#x\r\n", b",nan\r\n", b",-inf\r\n", b",1e9999\r\n", b",x\r\n",
    b"(1234567890123456789012\r\n",
    b"(x\r\n", b"=3\r\ntxt\r\n", b"=7\r\ntxt:abc\r\n", b"!5\r\nERR x\r\n", b"_x\r\n",
    b":9223372036854775808\r\n", b":\r\n", b"-\r\n",
    b"-\xff\xfe\r\n", b"%1\r\n*0\r\n+v\r\n", b"%1\r\n%0\r\n+v\r\n", b"~1\r\n*0\r\n", b">0\r\n", b">-1\r\n",
    b"*-1\r\n", b"HTTP/1.1 400 Bad Request\r\n",
    b"*1\r\n" * 60, b"*9999\r\n" * 1100, b"$5\r\nab", b"\r\n", b"\n", b"\r", b"*", b"+" + b"x" * 5000,
    b"*" + b"9" * 500,
)  # fmt: skip


def frame(source: Source, depth: int = 4) -> tuple[bytes, Any]:  # noqa: PLR0911 - one exit for each kind of frame
    """Return a reply and the session's value of it. For an error reply, the value is its text."""
    kind = source.byte() % (10 if depth else 7)
    if kind == 0:
        blob = source.pick(HOSTILE) if source.chance(3) else source.blob()
        return b"$%d\r\n%b\r\n" % (len(blob), blob), blob
    if kind == 1:
        number = int.from_bytes(source.take(8), signed=True)
        return b":%d\r\n" % number, number
    if kind == 2:
        line = source.blob().replace(b"\r", b"").replace(b"\n", b"")
        return b"+%b\r\n" % line, line
    if kind == 3:
        return source.pick(((b"_\r\n", None), (b"$-1\r\n", None), (b"*-1\r\n", None)))
    if kind == 4:
        return source.pick(((b"#t\r\n", True), (b"#f\r\n", False)))
    if kind == 5:
        word = source.pick(("OOM full", "ERR", "WRONGTYPE no", ""))
        return b"-%b\r\n" % word.encode(), word
    if kind == 6:
        number = source.below(1000)
        return b",%d.5\r\n" % number, number + 0.5
    if kind == 7:
        keys = [b"k%d" % number for number in range(source.below(4))]
        parts = [frame(source, depth - 1) for _ in keys]
        raw = b"".join(b"+%b\r\n%b" % (key, part) for key, (part, _) in zip(keys, parts, strict=True))
        return b"%%%d\r\n%b" % (len(keys), raw), {key: value for key, (_, value) in zip(keys, parts, strict=True)}
    parts = [frame(source, depth - 1) for _ in range(source.below(5))]
    return b"*%d\r\n%b" % (len(parts), b"".join(raw for raw, _ in parts)), [value for _, value in parts]


def push(source: Source) -> tuple[bytes, list[bytes] | None]:
    """Return a push and the keys that it invalidates; ``None`` stands for all keys."""
    if source.chance(4):
        raw, value = frame(source)
        readable = isinstance(value, list) and all(type(key) is bytes for key in value)
        return b">2\r\n$10\r\ninvalidate\r\n" + raw, value if readable else None
    if source.chance(4):
        return b">2\r\n$10\r\ninvalidate\r\n_\r\n", None
    if source.chance(4):
        raw, _ = frame(source)
        return b">2\r\n$7\r\nmessage\r\n" + raw, []
    keys = [
        source.pick((b"p:e:", b"p:t:", b"p:c:", b"p:p:", b"q:e:", b"")) + source.blob() for _ in range(source.below(4))
    ]
    raw = b"".join(b"$%d\r\n%b\r\n" % (len(key), key) for key in keys)
    return b">2\r\n$10\r\ninvalidate\r\n*%d\r\n%b" % (len(keys), raw), keys
