"""The database of settings: which countries an organisation serves. A small sqlite file that all instances share.

The source of truth for a cached setting; the cache never writes here.
"""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

_PATIENCE = 5.0  # seconds to wait while another instance writes
_TABLE = "CREATE TABLE IF NOT EXISTS countries (org TEXT PRIMARY KEY, codes TEXT NOT NULL)"


class Countries:
    """Settings by organisation.

    Args:
        path: The sqlite file; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._connect()) as database, database:
            database.execute(_TABLE)

    async def read(self, org: str) -> list[str] | None:
        """Return an organisation's countries, None if it has no setting."""
        return await asyncio.to_thread(self._read, org)

    async def write(self, org: str, codes: list[str]) -> None:
        """Set an organisation's countries. On disk when this returns."""
        await asyncio.to_thread(self._write, org, codes)

    def _read(self, org: str) -> list[str] | None:
        with closing(self._connect()) as database:
            row = database.execute("SELECT codes FROM countries WHERE org = ?", (org,)).fetchone()
        return None if row is None else [str(code) for code in json.loads(row[0])]

    def _write(self, org: str, codes: list[str]) -> None:
        with closing(self._connect()) as database, database:
            database.execute("INSERT OR REPLACE INTO countries VALUES (?, ?)", (org, json.dumps(codes)))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_PATIENCE)
