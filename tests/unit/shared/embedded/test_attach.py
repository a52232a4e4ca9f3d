"""A process with a seat knows that its folder is the one that other processes find."""

import shutil
from typing import Any

import pytest

from fleetcache.shared.embedded import attach as seat
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
