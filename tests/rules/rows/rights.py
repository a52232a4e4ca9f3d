"""Leases, claims and waits: the right to load, and the callers that wait for it."""

from fleetcache.policy.loading import Loading
from tests.rules.rule import Exchange, Row

SWAP = "future = ctx.shared.swap(run.key, right.stamp, entry)"
GIVE_BACK = (
    "        if right.claim_token is not None:  # in the same write: a waiting caller wakes to the value\n"
    "            ctx.shared.unclaim(run.key, right.claim_token, second=right.second)\n"
)
KEPT_FROM_ANOTHER = "tests/unit/policy/test_claims.py::test_those_of_one_process_do_not_keep_it_from_another"


def lease_is_never_asked() -> list[Exchange]:
    """A caller does not ask whether another process loads."""

    async def lease(self: Loading, run: object) -> object:
        return await self._load(run, None)  # type: ignore[arg-type]  # as it is called

    return [(Loading, "_lease", lease)]


ROWS = [
    Row(
        "no_lease",
        "right.lease",
        "A caller that finds nothing loads without a lease.",
        "policy.loading:Loading._lease",
        lease_is_never_asked,
    ),
    Row(
        "claim_kept_for_an_ending_entry",
        "right.ending",
        "A claim granted for an entry that ends at once is not released.",
        "policy.rights:Rights.ask_claim",
        ("ctx.shared.unclaim(run.key, claim_token)", "seen.is_ending or ctx.shared.unclaim(run.key, claim_token)"),
        "plan claim_kept_for_an_ending_entry",
    ),
    Row(
        "base_not_renewed",
        "right.renewed",
        "A refresh renews its claim, but not the entry under it, which ends first.",
        "policy.rights:_Held._renew_base",
        ("self._ctx.shared.renew(self.run.key, self.right.stamp, min(self._ms, round(GRACE * 1000)))", "return"),
        "plan base_not_renewed",
    ),
    Row(
        "grant_that_nobody_awaits_kept",
        "right.returned",
        "A lease granted after its caller left is not released.",
        "shared.store:Shared.acquire",
        ("self.release(key, placeholder)", "pass"),
        "tests/faults/test_waiting.py::test_a_grant_after_its_callers_deadline_is_given_back",
    ),
    Row(
        "rights_of_a_cut_connection_kept",
        "right.returned",
        "A right taken on a cut connection is not released on the next.",
        "shared.stray_rights:Rights.pending",
        ("list(self._lost)", "[]"),
    ),
    Row(
        "rights_kept_at_close",
        "right.returned",
        "close() leaves the leases of loads that still run.",
        "policy.rights:Rights.release_all",
        ("self.release(held.run, held.right)", "pass"),
        "tests/unit/policy/test_loading.py::test_close_gives_back_the_right_of_a_load_that_does_not_end",
    ),
    Row(
        "leases_of_one_length",
        "right.length",
        "The lease for a slow loader is no longer than for a fast one.",
        "policy.context:LoadTimes.lease",
        ("self.FIRST if usual is None else min(self.MAX, max(self.MIN, 2 * usual))", "self.MIN"),
        "tests/unit/policy/test_context.py::test_a_right_is_asked_for_twice_as_long_as_such_a_load_takes",
    ),
    Row(
        "claim_by_hand_renewed_after_release",
        "right.by_hand",
        "A released manual claim is still renewed.",
        "policy.claims:Claims._unclaim",
        ("turn.alarm.cancel()", "pass"),
        "tests/unit/policy/test_claims.py::test_what_was_handed_on_is_renewed_no_oftener",
    ),
    Row(
        "claim_by_hand_kept_for_ever",
        "right.by_hand_passed",
        "While a caller of a process waits for a manual claim, no other process gets it.",
        "policy.claims:Claims._pass_on",
        ("or self._ctx.ports.clock() - turn.since >= turn.ttl:", ":"),
        KEPT_FROM_ANOTHER,
    ),
    Row(
        "claim_by_hand_taken_back_at_once",
        "right.by_hand_passed",
        "A process takes a released claim again before other processes have learnt of it.",
        "policy.claims:Claims._is_granted",
        ("if turn.yields:", "if False:"),
        KEPT_FROM_ANOTHER,
    ),
    Row(
        "claim_by_hand_without_turns",
        "right.by_hand",
        "Two callers of one process hold the same manual claim.",
        "policy.claims:Claims._has_turn",
        ("if turn is None:", "if True:"),
        "tests/unit/policy/test_claims.py::test_there_is_one_at_a_time",
    ),
    Row(
        "lost_claim_handed_on",
        "right.by_hand_passed",
        "A manual claim that the server lost passes to the next caller here, while another process has it.",
        "policy.claims:_ClaimQueue.doubt",
        ("self.in_doubt = True", "pass"),
        "plan lost_claim_handed_on",
    ),
    Row(
        "claim_by_hand_kept",
        "right.by_hand",
        "A released manual claim stays on the server.",
        "policy.claims:Claims._unclaim",
        ("self._ctx.shared.unclaim(turn.key, turn.claim_token)", "pass"),
        "tests/unit/policy/test_claims.py::test_in_the_fleet_too",
    ),
    Row(
        "swap_whatever_is_there",
        "right.swap",
        "A refresh stores over an entry that has replaced its own.",
        "policy.loading:Loading.send",
        (
            "ctx.shared.swap(run.key, right.stamp, entry)",
            (
                "ctx.shared.swap(run.key, right.stamp, entry) if right.claim_token is None "
                "else ctx.shared.put(run.key, entry, ctx.coherence.journal.next())"
            ),
        ),
    ),
    Row(
        "watch_after_the_read",
        "wait.watch",
        "A waiter registers after its read, and misses a change in between.",
        "near.coherence:Coherence.watch",
        ("self._watches.setdefault(key, []).append(watch)", "self._watches.setdefault(key, [])"),
        "tests/unit/near/test_coherence.py::test_who_waits_is_woken_by_any_news_of_the_key",
    ),
    Row(
        "waits_for_ever",
        "wait.capped",
        "A caller waits for another load without a bound.",
        "policy.waits:Waits.for_change",
        ("if now >= give_up:", "if False:"),
        "tests/unit/policy/test_reading.py::test_after_twice_the_longest_wait_a_caller_loads_and_stores_nothing",
    ),
    Row(
        "joins_for_ever",
        "wait.capped",
        "A joined caller waits for the load without a bound.",
        "policy.waits:Waits._hear",
        ("if joined and flight.is_overdue(ports.clock(), ctx.load_wait):", "if False:"),
        "tests/unit/policy/test_waits.py::test_a_wait_for_others_is_capped",
    ),
    Row(
        "load_timeout_ignored",
        "wait.load_timeout",
        "A caller waits for its load beyond its load_timeout.",
        "policy.waits:Waits._hear",
        ("looks = [] if until is None else [until]", "looks = []"),
        "tests/unit/policy/test_waits.py::test_the_first_caller_may_be_the_impatient_one",
    ),
    Row(
        "load_timeout_ends_the_load",
        "wait.load_timeout",
        "The load ends with the first caller whose load_timeout has passed.",
        "policy.single_flight:Flight.leave",
        ("if self.waiters <= 0 and self.outcome", "if self.outcome"),
        "tests/unit/policy/test_waits.py::test_a_callers_patience_bounds_its_wait_and_not_the_load",
    ),
    Row(
        "refresh_by_put",
        "refresh.replaces",
        "refresh answers with the existing value instead of loading.",
        "policy.loading:Loading._step",
        ("case EntryState.FRESH | EntryState.STALE if not anew:", "case EntryState.FRESH | EntryState.STALE:"),
        "tests/unit/policy/test_loading.py::test_refresh_loads_and_replaces_what_is_there",
    ),
    Row(
        "refresh_without_pause",
        "refresh.pause",
        "Each hit on a stale entry asks an origin that has just failed.",
        "policy.reading:Policy._pause",
        ("+ PAUSE *", "+ 0 *"),
        "tests/loading/test_background.py::test_a_failed_refresh_leaves_the_stale_value_and_pauses",
    ),
    Row(
        "never_early",
        "refresh.early",
        "A hot entry goes stale under load: no hit refreshes it before its end.",
        "policy.reading:Policy.near_hit",
        ("if options.refreshes and should_refresh_early(", "if False and should_refresh_early("),
        "tests/unit/policy/test_loading.py::test_a_hit_close_to_the_end_starts_the_refresh",
    ),
    Row(
        "batch_waits_with_rights",
        "batch.rights",
        "A batch waits for other loads while it holds the rights that they wait for.",
        "policy.batch_load:BatchLoad._lead",
        (
            "            if granted:\n                await self._load(granted)\n",
            (
                "            for key, left in waiting.items():\n"
                "                future = self._ctx.coherence.watch(key, self._ctx.ports.future()).future\n"
                "                await self._loading.waits.for_change(future, left, self._give_up)\n"
                "            if granted:\n                await self._load(granted)\n"
            ),
        ),
        "plan batch_waits_with_rights",
    ),
    Row(
        "cycle_is_a_deadlock",
        "flight.cycle",
        "A loader that asks for its own key waits for itself.",
        "policy.single_flight:Wait.check",
        ("not flight.reaches(me)", "True"),
        "tests/unit/policy/test_single_flight.py::test_a_loader_that_asks_for_its_own_key_is_an_error",
    ),
    Row(
        "loads_beside_each_other",
        "flight.joined",
        "No caller joins a load of its process.",
        "policy.single_flight:Flights.get",
        ("self._table.get(key)", "None"),
        "tests/unit/policy/test_loading.py::test_all_who_ask_at_once_share_one_load",
    ),
    Row(
        "first_to_leave_ends_the_load",
        "flight.last",
        "A cancelled caller ends the load for all waiting callers.",
        "policy.single_flight:Flight.leave",
        ("self.waiters <= 0", "True"),
        "tests/unit/policy/test_loading.py::test_a_cancelled_caller_leaves_the_load_to_the_others_and_the_last_one_ends_it",
    ),
    Row(
        "cancelled_batch_keeps_what_it_was_granted",
        "right.returned",
        "A cancelled batch releases its requested rights, and keeps the granted ones.",
        "policy.batch_load:BatchLoad._rights",
        ("for one in found:", "for one in ():"),
        "tests/unit/policy/test_streaming.py::test_what_a_batch_was_granted_before_it_was_cancelled_is_free_at_once",
    ),
    Row(
        "refreshed_again",
        "refresh.once",
        "A key that another instance has just refreshed is loaded again.",
        "policy.rights:Rights.ask_claim",
        (" and (only is None or seen.stamp == only)", ""),
        "tests/loading/test_background.py::test_what_another_instance_has_refreshed_is_not_loaded_again",
    ),
    Row(
        "refresh_joined_past_its_tag",
        "flight.detached",
        "Offline, callers that came after a tag's removal join a background refresh begun before it.",
        "policy.single_flight:Flights.detach_tag",
        ("in (self._table, self._behind, self._second):", "in (self._table, self._second):"),
        "tests/loading/test_background.py::test_offline_nobody_joins_a_refresh_that_began_before_a_removal",
    ),
    Row(
        "claim_given_back_before_the_swap",
        "right.swap_first",
        "A waiter for a claim is woken before the value is stored, and loads again.",
        "policy.loading:Loading.send",
        (f"        {SWAP}\n{GIVE_BACK}", f"{GIVE_BACK}        {SWAP}\n"),
        "tests/loading/test_background.py::test_the_claim_of_a_refresh_is_given_back_behind_its_store",
    ),
]
