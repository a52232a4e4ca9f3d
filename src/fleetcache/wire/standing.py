"""Whether a server is still the one we mean: a primary, with the history that its data had.

A server that answers is not for that the right one: a primary that was demoted in place goes on answering, with old
data and without an error. ``run_id`` does not tell, since a server may be demoted and promoted again. ``master_replid``
does: it is new after each restart and each promotion.
"""

from typing import Any

from msgspec import Struct

from .session import Command

__all__ = ["ASK_STANDING", "Standing", "info_fields"]

ASK_STANDING: Command = ("INFO", "replication")


class Standing(Struct, frozen=True):
    """What ``INFO replication`` says. A field that is not there is not known, and proves nothing.

    Attributes:
        role: ``master``, or another for a replica.
        replid: Names the history of its data.
        former: The history it followed as a replica, before it was promoted; a server that never was one has none, nor
            one whose history has a new name because its first replica came.
    """

    role: str | None = None
    replid: str | None = None
    former: str | None = None

    @classmethod
    def of(cls, reply: Any) -> "Standing":
        """Read the reply, whatever it is."""
        said = info_fields(reply)
        former = said.get("master_replid2", "").strip("0")
        return cls(said.get("role") or None, said.get("master_replid") or None, former or None)

    @property
    def is_known(self) -> bool:
        """Whether it says anything."""
        return self.role is not None or self.replid is not None

    @property
    def is_replica(self) -> bool:
        """Whether it says that the server is no primary."""
        return self.role is not None and self.role not in {"master", "primary"}


def info_fields(reply: Any) -> dict[str, str]:
    """The fields of a section of ``INFO``; none, if it is none."""
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else reply if isinstance(reply, str) else ""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
