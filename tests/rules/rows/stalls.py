"""A server that stalls, and the reference cycles of a busy process."""

from tests.rules.rule import Row

GARBAGE = "tests/unit/engine/test_engine_garbage.py::test_a_call_leaves_nothing_to_the_collector"

STALLS = "tests/faults/test_stalls.py::"
COST = "tests/loading/test_cost.py::"

ROWS = [
    Row(
        "handler_that_keeps_its_call",
        "free.cycles",
        "The handler of a call refers to its call, so the call's bytes stay in memory until a full collection.",
        "shared.commands:CommandSender.call",
        ("judged_all(commands, replies), asked", "judged_all(commands, replies), call"),
        GARBAGE,
    ),
    Row(
        "outcome_that_keeps_its_error",
        "free.cycles",
        "A failed load keeps its exception, whose traceback refers to the frames of its callers.",
        "policy.outcome:Outcome.raise_error",
        ("if self.callers <= 0:", "if self.callers < 0:"),
        GARBAGE,
    ),
    Row(
        "loads_while_late",
        "wait.server",
        "While the server is only late, each process loads at once.",
        "policy.waits:Waits.for_server",
        ("if budget.held:", "if True:"),
    ),
    Row(
        "background_loads_while_late",
        "wait.server",
        "While the server is only late, each process refreshes its stale entries at once.",
        "policy.loading:Loading.refresh",
        (
            "if not ctx.shared.usable and not (await self.waits.for_server(run.budget) and ctx.shared.usable):",
            "if not ctx.shared.usable:",
        ),
        STALLS + "test_a_background_refresh_waits_too",
    ),
    Row(
        "batch_loads_while_late",
        "wait.server",
        "While the server is only late, each process loads its batches at once.",
        "policy.batch_load:BatchLoad._lead",
        ("if not silent or", "if True or"),
    ),
    Row(
        "batch_loads_without_asking_again",
        "wait.server",
        "A batch whose rights are not answered, because the server has become late, loads at once.",
        "policy.batch_load:BatchLoad._rights",
        ("if await look_again():", "if False:"),
        STALLS + "test_a_batch_whose_rights_are_not_answered_waits_too",
    ),
    Row(
        "batch_held_back_once_for_two_waits",
        "wait.server",
        "A batch that was held back, and then waited for its place, is not held back at the next stall.",
        "policy.batch_load:BatchLoad._take_place",
        ("self._budget = self._ctx.budget()", "self._budget.renew()"),
        STALLS + "test_a_batch_is_held_back_again_after_it_waited_for_its_place",
    ),
    Row(
        "call_that_is_late_before_the_link",
        "wait.server",
        "A call whose second request is not answered in time loads a moment before the link counts as late.",
        "policy.waits:Waits.for_server",
        ("if ctx.trust.late_since is None and", "if False and"),
        "tests/unit/policy/test_waits.py::test_a_call_that_waited_in_vain_waits_a_moment_until_the_link_counts_as_late",
    ),
    Row(
        "hold_for_a_random_time",
        "wait.server",
        "A load waits for a random part of an operation timeout, and most loads begin before the server is back.",
        "policy.waits:Waits.for_server",
        ("HELD + (1.0 - HELD) * ports.random()", "ports.random()"),
    ),
    Row(
        "first_call_waits_for_ever",
        "promise.4",
        "The first call of a process waits until its connection is there, however long that takes.",
        "engine.engine:Engine.ensure_ready",
        ("self._entered + self.settings.operation_timeout - self.clock()", "60.0"),
        STALLS + "test_the_first_call_waits_for_the_connection_for_one_timeout_at_most",
    ),
    Row(
        "held_again_and_again",
        "promise.4",
        "A load is held back at each stall of a server that stalls again and again.",
        "policy.context:Budget.hold",
        ("self.held, self.whole, self.left = True,", "self.held, self.whole, self.left = False,"),
        "tests/unit/policy/test_waits.py::test_a_call_is_held_back_once",
    ),
    Row(
        "link_thread_that_looks_while_a_caller_reads",
        "threads.idle",
        "While a caller waits long for a reply, the link thread wakes up a thousand times a second.",
        "engine.threads.connection:ThreadConnection._sleep",
        ("and not (led and now - self.socket.led_since > LONG_READ)", ""),
        "tests/unit/engine/threads/test_connection.py::test_the_link_thread_sleeps_while_a_caller_reads_for_long",
    ),
    Row(
        "leader_that_wakes_no_one",
        "threads.idle",
        "After a caller has read for long, no thread reads the next push.",
        "engine.threads.leader_follower:LeaderFollowerSocket._lead",
        ("if self.last_leader_read - self.led_since > LONG_READ:", "if False:"),
        "tests/unit/engine/threads/test_connection.py::test_the_link_thread_reads_after_a_caller_that_read_for_long",
    ),
    Row(
        "reply_missed_by_a_late_thread",
        "threads.handed",
        "A thread that had no processor until its time was up misses the reply that came meanwhile.",
        "engine.threads.leader_follower:LeaderFollowerSocket.wait",
        ("if not future.opened and self.has_bytes():", "if False:"),
        "tests/unit/engine/threads/test_leader_follower.py::test_a_thread_that_is_late_itself_reads_its_reply",
    ),
    Row(
        "read_again_before_waiting",
        "wait.cheap",
        "A load that reads that another process loads the key reads it again before it waits.",
        "shared.reading:Reads.follow",
        ("seen.state is EntryState.LOADING and", "False and"),
        COST + "test_an_instance_that_comes_during_a_load_reads_twice",
    ),
    Row(
        "woken_by_the_lease",
        "wait.cheap",
        "A waiting load is woken by the push of the lease that it waits for.",
        "shared.reading:Reads.follow",
        ("(watch is None or watch.future.done())", "watch is None"),
        COST + "test_instances_that_come_together_send_five_commands_each_in_three_writes",
    ),
]
