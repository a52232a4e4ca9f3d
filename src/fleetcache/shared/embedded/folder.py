"""The private folder that an embedded server lives in: where it is, and whether it is safely ours.

1. Processes of one user with the same environment find the same folder, and no other user's do.
2. It is only used when it is a real folder, belongs to us, and nobody else may look into it. It is never mended: what
   is not as we would have made it was made by somebody else.
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ...config.settings import MAX_EMBEDDED_DIR
from .errors import EmbeddedError

__all__ = ["PROTOCOL", "Folder"]

PROTOCOL = 1
"""Raised when releases can no longer share a folder: how locks are held, what files are called."""

# Where temporary files are when TMPDIR says nothing, or something that is no place for a socket.
TMP = Path("/tmp")  # noqa: S108 - what is made there is a private folder, checked as above


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder for one user.

    Attributes:
        path: Where it is, or will be.
        uid: Whose it has to be.
        makes_base: Whether the folder it is in is made as well: one that was asked for by name.

    Example:
        >>> str(Folder.choose("/var/lib/shop", uid=1000).socket)
        '/var/lib/shop/fleetcache-1000-v1/s'
    """

    path: Path
    uid: int
    makes_base: bool = False

    @classmethod
    def choose(cls, base: str | None, *, environ: Mapping[str, str] = os.environ, uid: int | None = None) -> Self:
        """Say where it is, without making it.

        Args:
            base: The folder to make it in (``CACHE_EMBEDDED_DIR``), which is made if need be. By default
                ``XDG_RUNTIME_DIR`` if that is ours, else ``TMPDIR``, else ``/tmp``; one whose path is too long for a
                socket is passed over.
            environ: Where those two are looked up.
            uid: The user; the process's by default.
        """
        uid = os.geteuid() if uid is None else uid
        return cls(Path(base or _usual_base(environ, uid)) / f"fleetcache-{uid}-v{PROTOCOL}", uid, bool(base))

    @property
    def socket(self) -> Path:
        """Path of the server's socket."""
        return self.path / "s"

    def open(self) -> int:
        """Make it if it is not there, and open it.

        Returns:
            Its descriptor: what it is the descriptor of has been checked, whatever becomes of the path.

        Raises:
            EmbeddedError: It cannot be made or opened (``embedded_folder``), or is not safely ours
                (``embedded_unsafe``).
            FileNotFoundError: Another process removed it meanwhile: try again.
        """
        try:
            self._make()
        except FileExistsError:
            self._check(self.path.lstat())
        except OSError as error:
            raise self.unusable(error) from None
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self.unusable(error) from None
        try:
            self._check(os.fstat(descriptor))  # the folder itself: the path may have become another since
        except EmbeddedError:
            os.close(descriptor)
            raise
        return descriptor

    def _make(self) -> None:
        if self.makes_base:
            for folder in reversed(self.path.parents):
                with suppress(FileExistsError):  # also another process's, this very moment
                    if not folder.exists():
                        folder.mkdir(0o700)
        self.path.mkdir(0o700)

    def is_still(self, descriptor: int) -> bool:
        """Whether the path leads to the folder that was opened."""
        try:
            return os.path.samestat(self.path.lstat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def unusable(self, error: OSError) -> EmbeddedError:
        """What the system refused, as our error."""
        words = f"{self.path} cannot be used: {error.strerror}; CACHE_EMBEDDED_DIR names another place"
        return EmbeddedError("embedded_folder", words)

    def _check(self, found: os.stat_result) -> None:
        if stat.S_ISLNK(found.st_mode):
            raise self._unsafe("is a symbolic link")
        if not stat.S_ISDIR(found.st_mode):
            raise self._unsafe("is no folder")
        if found.st_uid != self.uid:
            raise self._unsafe(f"belongs to user {found.st_uid}, not to {self.uid}")
        if found.st_mode & 0o077:
            raise self._unsafe(f"is open to other users (mode {stat.S_IMODE(found.st_mode):04o})")

    def _unsafe(self, problem: str) -> EmbeddedError:
        words = f"{self.path} {problem}; remove it, or set CACHE_EMBEDDED_DIR to a place of your own"
        return EmbeddedError("embedded_unsafe", words)


def _usual_base(environ: Mapping[str, str], uid: int) -> Path:
    runtime, temporary = Path(environ.get("XDG_RUNTIME_DIR", "")), Path(environ.get("TMPDIR", ""))
    if _fits(runtime) and _belongs_to(runtime, uid):  # after su it is still the other user's
        return runtime
    return temporary if _fits(temporary) else TMP


def _fits(path: Path) -> bool:
    return path.is_absolute() and len(bytes(path)) <= MAX_EMBEDDED_DIR


def _belongs_to(path: Path, uid: int) -> bool:
    try:
        return path.stat().st_uid == uid
    except OSError:
        return False
