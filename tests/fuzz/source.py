"""Bytes as a row of decisions, so that any maker of bytes (Hypothesis, atheris, chance) makes whole inputs of them."""

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["Source"]

T = TypeVar("T")
LONG = 60_000  # characters of one repeated part


class Source:
    """Reads decisions from bytes; at their end every decision is the first choice, so each input ends."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        """True if there are bytes left to decide by."""
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """Return the next bytes, at most this many."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.take(len(self._data))

    def byte(self) -> int:
        """Return a number from 0 to 255."""
        return (self.take(1) or b"\0")[0]

    def below(self, end: int) -> int:
        """Return a number from 0 to one less than ``end``."""
        width = max(1, ((end - 1).bit_length() + 7) // 8)
        return int.from_bytes(self.take(width)) % end

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return choices[self.below(len(choices))]

    def chance(self, one_in: int) -> bool:
        """Return True seldom, and never after the last byte."""
        return self.byte() % one_in == one_in - 1

    def blob(self) -> bytes:
        """Return a few bytes, or some more."""
        return self.take(self.below(300) if self.chance(8) else self.below(12))

    def text(self, words: Sequence[str] = ("a",)) -> str:
        """Return words with a meaning in this place, between other words, sometimes repeated very often."""
        parts = []
        for _ in range(self.below(7)):
            part = self.pick(words) if self.byte() % 2 else self.take(self.below(6)).decode(errors="surrogateescape")
            parts.append(
                part * min(self.pick((50, 1_000, 20_000)) if self.chance(16) else 1, 1 + LONG // (len(part) + 1))
            )
        return "".join(parts)

    def cut(self, data: bytes) -> list[bytes]:
        """Return the data in pieces: whole, byte by byte, or cut here and there."""
        way = self.byte() % 4
        if way == 0:
            return [data]
        if way == 1 and len(data) <= 4_000:
            return [data[at : at + 1] for at in range(len(data))]
        places = sorted(self.below(len(data) + 1) for _ in range(self.below(9)))
        return [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]

    def spoilt(self, data: bytes) -> bytes:
        """Return the data, changed in a few places: other bytes, more, less, a part twice."""
        for _ in range(self.below(4)):
            at = self.below(len(data) + 1)
            way = self.byte() % 5
            some = self.take(1 + self.byte() % 4)
            if way == 0:
                data = data[:at] + some + data[at + len(some) :]
            elif way == 1:
                data = data[:at] + some + data[at:]
            elif way == 2:
                data = data[:at] + data[at + 1 + self.byte() :]
            elif way == 3:
                data = data[:at] + data[at : at + 1 + self.byte()] + data[at:]
            else:
                data = data[:at]
        return data
