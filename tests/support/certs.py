"""Certificates for tests: a CA of our own and server certificates that are good, expired, or for another host.

They live in one temporary folder that goes away with the process.
"""

import atexit
import datetime as dt
import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import trustme

__all__ = ["Certificates", "certificates"]

Kind = Literal["good", "other_ca", "expired", "other_host"]


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files: the server's (``cert``, ``key``), and the CA that a client must trust (``ca``)."""

    ca: Path
    cert: Path
    key: Path


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fleetcache-tls-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def certificates(kind: Kind = "good") -> Certificates:
    """Return the files of one kind, made once a process. Each kind has a CA that the others do not trust."""
    folder = _folder() / kind
    folder.mkdir()
    files = Certificates(ca=folder / "ca.pem", cert=folder / "server.pem", key=folder / "server.key")
    authority = trustme.CA()
    names = ["elsewhere.invalid"] if kind == "other_host" else ["127.0.0.1", "localhost"]
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    leaf = authority.issue_cert(*names, not_after=yesterday if kind == "expired" else None)
    authority.cert_pem.write_to_path(str(files.ca))
    leaf.private_key_pem.write_to_path(str(files.key))
    for number, pem in enumerate(leaf.cert_chain_pems):
        pem.write_to_path(str(files.cert), append=number > 0)
    return files
