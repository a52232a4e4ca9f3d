"""Whether the server is still the intended server: a primary, with the same history of its data.

An answer does not prove that: a primary that was demoted in place continues to answer, with old data and without an
error. ``run_id`` does not show this, because a server may be demoted and promoted again. ``master_replid`` does: it is
new after each restart and each promotion.
"""

from typing import Any

from msgspec import Struct

from .session import Command

__all__ = ["ASK_STANDING", "Standing", "info_fields"]

ASK_STANDING: Command = ("INFO", "replication")


class Standing(Struct, frozen=True):
    """The fields of ``INFO replication``. A missing field is unknown, and proves nothing.

    Attributes:
        role: ``master``; another word for a replica.
        replid: Names the history of the server's data.
        former: The history that the server followed as a replica, before its promotion. It is ``None`` for a server
            that never was a replica, and for a server whose history has a new name because its first replica connected.
    """

    role: str | None = None
    replid: str | None = None
    former: str | None = None

    @classmethod
    def of(cls, reply: Any) -> "Standing":
        """Read a reply of any shape; an unusable reply gives a standing that is not known."""
        said = info_fields(reply)
        former = said.get("master_replid2", "").strip("0")
        return cls(said.get("role") or None, said.get("master_replid") or None, former or None)

    @property
    def is_known(self) -> bool:
        """Return True if the role or the history is known."""
        return self.role is not None or self.replid is not None

    @property
    def is_replica(self) -> bool:
        """Return True if the server says that it is not a primary."""
        return self.role is not None and self.role not in {"master", "primary"}


def info_fields(reply: Any) -> dict[str, str]:
    """Return the fields of a section of ``INFO``; an empty dict for any other reply."""
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else reply if isinstance(reply, str) else ""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
