"""The private folder of an embedded server: its path, and the check that it safely belongs to the process's user.

1. Processes of one user with the same environment find the same folder, and processes of other users do not.
2. The folder is only used if it is a real folder, belongs to the process's user, and no other user can read it. A
   folder that fails the check is refused, never repaired: another user may have made it.
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ...config.environment import MAX_EMBEDDED_DIR
from .errors import EmbeddedError

__all__ = ["PROTOCOL", "Folder"]

PROTOCOL = 1
"""Increased when releases can no longer share a folder: other locks, or other names of files."""

# The folder for temporary files when TMPDIR is not set, or is not fit for a socket.
TMP = Path("/tmp")  # noqa: S108 - only a private folder is made there, checked as above


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder for one user.

    Attributes:
        path: Path of the folder, whether it exists or not.
        uid: The user that must own the folder.
        makes_base: True if the parent folders are made as well: the user named the parent in ``CACHE_EMBEDDED_DIR``.

    Example:
        >>> str(Folder.choose("/var/lib/shop", uid=1000).socket)
        '/var/lib/shop/fleetcache-1000-v1/s'
    """

    path: Path
    uid: int
    makes_base: bool = False

    @classmethod
    def choose(cls, base: str | None, *, environ: Mapping[str, str] = os.environ, uid: int | None = None) -> Self:
        """Return the folder for a user, without making it on disk.

        Args:
            base: The parent folder (``CACHE_EMBEDDED_DIR``), made if it does not exist. By default ``XDG_RUNTIME_DIR``
                if it belongs to ``uid``, else ``TMPDIR``, else ``/tmp``; a path too long for a socket is skipped.
            environ: The environment that holds the two variables.
            uid: The user; the process's user by default.
        """
        uid = os.geteuid() if uid is None else uid
        return cls(Path(base or _usual_base(environ, uid)) / f"fleetcache-{uid}-v{PROTOCOL}", uid, bool(base))

    @property
    def socket(self) -> Path:
        """Path of the server's socket."""
        return self.path / "s"

    def open(self) -> int:
        """Make the folder if it does not exist, and open it.

        Returns:
            The folder's descriptor. The opened folder itself has been checked, even if its path changes later.

        Raises:
            EmbeddedError: The folder cannot be made or opened (``embedded_folder``), or does not safely belong to the
                user (``embedded_unsafe``).
            FileNotFoundError: Another process removed the folder meanwhile: try again.
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
            self._check(os.fstat(descriptor))  # checks the opened folder: the path may lead to another one by now
        except EmbeddedError:
            os.close(descriptor)
            raise
        return descriptor

    def _make(self) -> None:
        if self.makes_base:
            for folder in reversed(self.path.parents):
                with suppress(FileExistsError):  # another process may make it at the same moment
                    if not folder.exists():
                        folder.mkdir(0o700)
        self.path.mkdir(0o700)

    def is_still(self, descriptor: int) -> bool:
        """Return True if the path still leads to the opened folder."""
        try:
            return os.path.samestat(self.path.lstat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def unusable(self, error: OSError) -> EmbeddedError:
        """Convert an error of the operating system to ``EmbeddedError``."""
        words = f"{self.path} cannot be used: {error.strerror}; CACHE_EMBEDDED_DIR names another place"
        return EmbeddedError("embedded_folder", words)

    def _check(self, found: os.stat_result) -> None:
        if stat.S_ISLNK(found.st_mode):
            raise self._unsafe("is a symbolic link")
        if not stat.S_ISDIR(found.st_mode):
            raise self._unsafe("is not a folder")
        if found.st_uid != self.uid:
            raise self._unsafe(f"belongs to user {found.st_uid}, not to {self.uid}")
        if found.st_mode & 0o077:
            raise self._unsafe(f"is open to other users (mode {stat.S_IMODE(found.st_mode):04o})")

    def _unsafe(self, problem: str) -> EmbeddedError:
        words = f"{self.path} {problem}; remove it, or set CACHE_EMBEDDED_DIR to a place of your own"
        return EmbeddedError("embedded_unsafe", words)


def _usual_base(environ: Mapping[str, str], uid: int) -> Path:
    runtime, temporary = Path(environ.get("XDG_RUNTIME_DIR", "")), Path(environ.get("TMPDIR", ""))
    if _fits(runtime) and _belongs_to(runtime, uid):  # after su the variable still names the other user's folder
        return runtime
    return temporary if _fits(temporary) else TMP


def _fits(path: Path) -> bool:
    return path.is_absolute() and len(bytes(path)) <= MAX_EMBEDDED_DIR


def _belongs_to(path: Path, uid: int) -> bool:
    try:
        return path.stat().st_uid == uid
    except OSError:
        return False
