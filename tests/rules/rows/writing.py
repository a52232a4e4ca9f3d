"""Writing, adding and counting."""

from tests.rules.rule import Row

__all__ = ["ROWS"]

OWN = "tests/faults/test_own_writes.py::"
LARGE = "tests/unit/policy/test_streaming.py::"
BATCHES = "tests/unit/policy/test_batches.py::"
COUNTERS = "tests/unit/policy/test_counters.py::"

ROWS = (
    Row(
        "own_write_unknown",
        "journal.own",
        "A write is the newest only with its own removal pending: not after a clear, nor beyond the journal.",
        "policy.writing:Writing._end",
        ("ctx.coherence.wrote(key, put.number)", 'ctx.coherence.journal.pending.get(("e", key)) == put.number'),
        f"{OWN}test_what_was_set_is_seen_beyond_the_journal",
    ),
    Row(
        "own_write_outlives_its_tag",
        "journal.own",
        "A tag's removal during a write with that tag does not remove the written value.",
        "near.journal:Journal.begin_removal",
        ("if name in tags", "if not tags"),
        f"{OWN}test_what_was_sent_and_not_answered_is_seen_though_everything_is_owed",
    ),
    Row(
        "added_while_late",
        "add.away",
        "A server that is only late counts as away: two processes win.",
        "wire.link_state:Link.away",
        ("(LinkState.OFFLINE, ", "(LinkState.SUSPECT, LinkState.OFFLINE, "),
        f"{OWN}test_a_server_that_is_only_late_leaves_no_two_winners",
    ),
    Row(
        "added_and_not_owed",
        "add.away",
        "The server's entry stays in addition to a value added while it was away.",
        "policy.writing:Writing._add_here",
        (
            'ctx.coherence.defer(("e", key), ctx.coherence.begin_removal(("e", key)))',
            'ctx.coherence.begin_removal(("e", key))',
        ),
        f"{OWN}test_what_was_added_in_an_outage_is_nowhere_when_it_is_over",
    ),
    Row(
        "script_counts_what_it_may_not",
        "policy.counters.1",
        "The script counts in cases that only the caller can decide, and creates counters that must not exist.",
        "policy.counters:CounterRules.incr",
        ("if create and not ctx.entries.signs:", "if not ctx.entries.signs:"),
        f"{COUNTERS}test_a_counter_that_is_not_there_may_be_left_so",
    ),
    Row(
        "each_sums_alone",
        "policy.counters.2",
        "Each call reads and swaps for itself.",
        "policy.counters:CounterRules._together",
        ("if queue is None:", "if True:"),
        f"{COUNTERS}test_many_at_once_on_one_signed_counter_all_succeed_with_few_commands",
    ),
    Row(
        "swap_tried_once",
        "policy.counters.3",
        "A caller that loses a swap to another process gives up.",
        "policy.counters:CounterRules._lead",
        ("if written is not False:", "if True:"),
        f"{COUNTERS}test_many_instances_at_once_all_succeed",
    ),
    Row(
        "count_guessed",
        "policy.counters.4",
        "An unknown count is returned.",
        "policy.counters:CounterRules._together",
        ("raise _unknown(key)", "return 0"),
        f"{COUNTERS}test_who_gave_up_before_it_was_summed_is_not_counted",
    ),
    Row(
        "batch_sent_at_once",
        "policy.streaming.1",
        "A batch sends a hundred times as many calls as should be under way.",
        "policy.streaming:stream",
        ("len(under_way) * share >= MAX_CALLS", "len(under_way) >= 100 * MAX_CALLS"),
        f"{LARGE}test_a_batch_has_few_calls_under_way",
    ),
    Row(
        "batches_take_no_share",
        "policy.streaming.1",
        "Each of many batches has as many calls under way as one may have.",
        "policy.streaming:stream",
        ("len(under_way) * share >= MAX_CALLS", "len(under_way) >= MAX_CALLS"),
        f"{LARGE}test_batches_at_once_share_the_connection",
    ),
    Row(
        "batch_of_one_timeout",
        "policy.streaming.3",
        "A batch that does not fit has one operation timeout for all its calls.",
        "policy.streaming:stream",
        ("budget.renew()", "pass"),
        f"{LARGE}test_the_timeout_of_a_batch_counts_from_its_last_reply",
    ),
    Row(
        "batch_of_many_timeouts",
        "policy.streaming.2",
        "Each step of a batch has its own operation timeout.",
        "policy.streaming:stream",
        ("if not fits and", "if"),
        f"{LARGE}test_a_batch_that_fits_costs_one_timeout_in_all",
    ),
    Row(
        "batch_holds_the_loop",
        "policy.streaming.5",
        "A batch works on while other tasks of the loop wait.",
        "policy.streaming:Slices.over",
        ("self._ports.clock() >= self._until", "False"),
        LARGE + "test_nor_does_one_without_a_server",
    ),
    Row(
        "parts_without_a_pause",
        "policy.streaming.5",
        "A batch without a server loads the next thousand keys in the turn in which it stored the last.",
        "policy.batches:Batches.get_or_set_many",
        ("await slices.rest()", "pass"),
        f"{BATCHES}test_without_a_server_other_tasks_have_their_turn_between_the_parts_of_a_batch",
    ),
    Row(
        "store_without_a_pause",
        "policy.streaming.5",
        "A batch stores the values of a loader in the turn in which it encoded them.",
        "policy.batch_load:BatchLoad._store",
        ("self._budget, slices)", "self._budget)"),
        f"{BATCHES}test_without_a_server_other_tasks_have_their_turn_between_the_parts_of_a_batch",
    ),
    Row(
        "batch_waits_for_a_broken_tag",
        "promise.4",
        "A batch asks without end for a tag that cannot be read.",
        "policy.batch_reads:BatchReads._look_with_tags",
        ("judged(answer[i])", "answer[i]"),
        "tests/unit/policy/test_batch_load.py::test_a_batch_loads_what_carries_a_tag_that_cannot_be_read",
    ),
    Row(
        "no_wait_for_room",
        "policy.streaming.4",
        "A full connection counts as lost.",
        "policy.streaming:_room",
        ("while ctx.shared.crowded and", "while not ctx and"),
        f"{LARGE}test_writes_beyond_what_a_connection_takes_wait_for_room",
    ),
)
