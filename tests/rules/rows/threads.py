"""Threads on one connection: the reading thread, the sending threads, and the end of a dropped connection."""

from functools import partial
from typing import Any

from fleetcache.engine.threads.runtime import ThreadRuntime, call_plain
from tests.rules.rule import Exchange, Row

SHELL = "tests/unit/engine/threads/test_connection.py::"
ALARMS = "tests/unit/engine/threads/test_alarms.py::"
LEADER = "tests/unit/engine/threads/test_leader_follower.py::"


def loaders_inside_the_rules() -> list[Exchange]:
    """A loader runs while its thread holds the monitor."""

    async def run_loader(_self: ThreadRuntime, loader: Any, *args: Any) -> Any:
        return partial(call_plain, loader, *args)()

    return [(ThreadRuntime, "run_loader", run_loader)]


ROWS = [
    Row(
        "reading_is_not_handed_on",
        "threads.handed",
        "A thread that has its reply leaves the other threads' replies unread.",
        "engine.threads.leader_follower:LeaderFollowerSocket._lead",
        ("self.promote_follower()", "pass"),
        LEADER + "test_who_has_its_reply_hands_the_reading_on",
    ),
    Row(
        "frames_of_a_given_up_connection_parsed",
        "threads.over",
        "A thread parses bytes that it read from a connection dropped in the meantime.",
        "engine.threads.leader_follower:LeaderFollowerSocket._read_as_leader",
        ("if size is not None and self._connection.over is None:", "if size is not None:"),
        SHELL + "test_what_is_read_of_a_connection_that_was_given_up_is_not_parsed",
    ),
    Row(
        "frames_of_a_given_up_connection_parsed_by_the_link_thread",
        "threads.over",
        "The link thread parses bytes that it read from a connection dropped in the meantime.",
        "engine.threads.connection:ThreadConnection._turn",
        (
            "                if self.over is None:\n                    self.socket.take(size)",
            "                self.socket.take(size)",
        ),
        SHELL + "test_nor_by_the_link_thread",
    ),
    Row(
        "threads_close_without_reset",
        "threads.reset",
        "A connection that threads drop is closed, and its kernel continues to send.",
        "engine.threads.leader_follower:LeaderFollowerSocket.close",
        ('struct.pack("ii", 1, 0)', 'struct.pack("ii", 0, 0)'),
        SHELL + "test_a_connection_that_is_given_up_is_reset",
    ),
    Row(
        "waits_inside_the_rules",
        "threads.monitor",
        "A waiting thread keeps other threads out of the rules.",
        "engine.threads.monitor:ThreadFuture.wait",
        ("with monitor.released():", "if True:"),
        LEADER + "test_one_thread_reads_for_all",
    ),
    Row(
        "loaders_inside_the_rules",
        "threads.loader",
        "A loader that takes long holds up every other thread.",
        "engine.threads.runtime:ThreadRuntime.run_loader",
        loaders_inside_the_rules,
        "tests/threads/test_link_thread.py::test_a_loader_holds_up_nobody",
    ),
    Row(
        "alarms_do_not_wake",
        "threads.alarm",
        "The link thread keeps sleeping when something is due sooner: a lease ends before it is renewed.",
        "engine.threads.connection:ThreadConnection.alarm",
        ("self._be_up_by(alarm.when)", "pass"),
        SHELL + "test_an_alarm_wakes_the_link_thread_in_time",
    ),
    Row(
        "thread_for_each_alarm",
        "engine.threads.alarms.1",
        "Each alarm begins a thread: a removal of many entries begins a thread for each slice of their burial.",
        "engine.threads.alarms:Alarms.add",
        ("if self._bell is None:", "if True:"),
        ALARMS + "test_a_burial_of_many_entries_begins_one_thread",
    ),
    Row(
        "alarm_thread_does_not_sleep",
        "engine.threads.alarms.1",
        "The thread asks the clock again and again until an alarm is due.",
        "engine.threads.alarms:Alarms._main",
        ("min(self._wakes_at - now, TIMEOUT_MAX)", "0"),
        ALARMS + "test_the_thread_sleeps_until_an_alarm_is_due",
    ),
    Row(
        "new_alarms_do_not_wake",
        "engine.threads.alarms.1",
        "The thread sleeps on when an alarm is added that is due sooner.",
        "engine.threads.alarms:Alarms.add",
        ("self._look_by(alarm.when)", "pass"),
        ALARMS + "test_alarms_ring_in_the_order_of_their_times_in_one_thread",
    ),
    Row(
        "alarm_thread_stays",
        "engine.threads.alarms.2",
        "The thread sleeps on until the time of the last alarm, although that is cancelled.",
        "engine.threads.alarms:Alarms.cancel",
        ("self._look_by(monotonic() + IDLE)", "pass"),
        ALARMS + "test_a_cancelled_alarm_does_not_ring_and_the_last_one_ends_the_thread",
    ),
    Row(
        "alarm_thread_for_each_load",
        "engine.threads.alarms.2",
        "Each load with a limit begins a thread.",
        "engine.threads.alarms:Alarms._main",
        ("(self._set or not idle)", "self._set"),
        ALARMS + "test_loads_with_a_limit_share_a_thread_which_ends_after_the_last",
    ),
    Row(
        "failing_alarm_ends_the_thread",
        "engine.threads.alarms.3",
        "An alarm that fails ends the thread, and no alarm rings any more.",
        "engine.threads.alarms:Alarms._ring",
        ("except Exception as error:", "except LookupError as error:"),
        ALARMS + "test_an_alarm_that_fails_is_told_and_the_next_one_rings",
    ),
    Row(
        "refresh_lost_with_its_thread",
        "threads.refresh",
        "A refresh that is handed to a thread about to end is lost, and its key is never refreshed again.",
        "engine.threads.pool:RefreshPool._next",
        ("continue  # another thread has just taken the worker: a job is coming", "pass"),
        "tests/unit/engine/threads/test_pool.py::test_a_refresh_that_comes_as_a_thread_is_about_to_end_runs_all_the_same",
    ),
    Row(
        "interrupted_waits_tear_rules",
        "threads.interrupted",
        "An exception that a signal raises in a wait empties near and ends the connection.",
        "engine.threads.monitor:_Left.__exit__",
        ("monitor._outside = error", "monitor._outside = None"),
        "tests/unit/engine/threads/test_reentrant.py::test_what_a_signal_throws_into_a_wait_leaves_nothing_half_done",
    ),
    Row(
        "overdue_until_the_link_thread_looks",
        "threads.overdue",
        "A thread that had no answer in time leaves the link online: the next one waits as long.",
        "engine.threads.runtime:ThreadRuntime.wait",
        ("self.timer.look_at_clock()", "pass"),
        LEADER + "test_who_has_waited_long_enough_judges_the_connection",
    ),
]
