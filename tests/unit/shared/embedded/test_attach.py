"""A process with a seat knows that its folder is the one that other processes find."""

import os
import shutil
from typing import Any

import pytest

from fleetcache.shared.embedded import attach as seat
from fleetcache.shared.embedded.errors import EmbeddedError
from fleetcache.shared.embedded.locks import FileLock
from tests.embedded.home import Home


def test_a_seat_in_a_folder_that_was_replaced_meanwhile_is_none(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening the folder and locking it, the end of the last server has removed it."""
    replaced: list[bool] = []
    shared = FileLock.try_shared

    def late(self: FileLock) -> bool:
        if not replaced:
            replaced.append(True)
            shutil.rmtree(home.folder.path)
            home.folder.path.mkdir(0o700)
        return shared(self)

    monkeypatch.setattr(FileLock, "try_shared", late)
    wait: Any = seat._Wait(10.0, None)
    taken = seat._take_seat(home.folder, wait)
    try:
        assert replaced
        assert home.folder.is_still(taken.descriptor)
    finally:
        taken.close()


def test_a_process_waits_while_another_process_starts_the_server(home: Home) -> None:
    home.folder.path.mkdir(0o700)
    lock = FileLock(os.open(home.folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o600))
    with lock:
        assert lock.try_exclusive(), "as the process that starts the server"
        with pytest.raises(EmbeddedError, match=r"does not listen after 0\.2 s"):
            seat.attach(home.folder, 16_000_000, timeout=0.2)
    assert not home.folder.socket.exists()
