"""What was promised, what was seen of it, and whether it held."""

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """One line of the table at the end."""

    promised: str
    seen: str
    held: bool
