"""A lock that one thread holds, by a token: no signal can come between its acquisition and the ``try``."""

import threading

from fleetcache.engine.threads.try_lock import TryLock
from tests.support.waiting import wait_until


def test_one_token_has_it_until_it_gives_it_back() -> None:
    lock, one, other = TryLock(), object(), object()
    assert lock.try_acquire(one)
    assert lock.try_acquire(one)  # the same token, as after a signal
    assert not lock.try_acquire(other)
    assert not lock.release(other)
    assert lock.taken
    assert lock.release(one)
    assert not lock.taken
    assert lock.try_acquire(other)


def test_a_thread_that_must_have_it_waits_for_it() -> None:
    lock, mine, got = TryLock(), object(), threading.Event()

    def insists() -> None:
        lock.acquire(token := object())
        got.set()
        lock.release(token)

    assert lock.try_acquire(mine)
    thread = threading.Thread(target=insists)
    thread.start()
    assert not got.wait(0.05)
    lock.release(mine)
    assert got.wait(10)
    thread.join(10)
    wait_until(lambda: not lock.taken)


def test_among_many_threads_one_at_a_time_has_it() -> None:
    lock, inside, most = TryLock(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            token = object()
            try:
                lock.acquire(token)
                inside += 1
                most = max(most, inside)
                inside -= 1
            finally:
                lock.release(token)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (most, inside, lock.taken) == (1, 0, False)
