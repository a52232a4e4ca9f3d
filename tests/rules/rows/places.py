"""Places: how many loaders run at once in a process."""

from tests.rules.rule import Row

PLACES = "tests/unit/policy/test_places.py"
WAITS = "tests/unit/policy/test_places_waits.py"

ROWS = [
    Row(
        "place_after_the_right",
        "policy.places.1",
        "A load takes its place when it has the lease, so other processes wait for its queue.",
        "policy.context:PolicyContext.needs_right",
        ("return seen.state is not EntryState.LOADING and not seen.is_ending", "return False"),
        f"{PLACES}::test_loads_of_many_keys_run_a_few_at_once",
    ),
    Row(
        "queued_load_keeps_waiting",
        "policy.places.1",
        "A load in the queue does not see that another process has brought the value.",
        "policy.places:Places.take_watching",
        ("self.take(run, run.watch.future, give_up)", "self.take(run, self._ctx.ports.future(), give_up)"),
        f"{PLACES}::test_a_queued_load_starts_no_load_of_its_own_if_another_process_loads_the_key",
    ),
    Row(
        "batch_without_a_place",
        "policy.places.1",
        "The load of a batch takes no place.",
        "policy.batch_load:BatchLoad._take_place",
        ("if not runs:", "if True:"),
        f"{PLACES}::test_a_batch_takes_one_place",
    ),
    Row(
        "place_kept_after_the_load",
        "policy.places.1",
        "A load that has ended keeps its place.",
        "policy.places:_Queue.leave",
        ("self.held.discard(place)", "pass"),
        f"{PLACES}::test_a_failed_load_gives_its_place_back",
    ),
    Row(
        "holder_waits_for_the_queue",
        "policy.places.2",
        "A loader that joins a load in the queue does not start it.",
        "policy.single_flight:Wait.begin",
        ("if self.me.urgent:", "if False:"),
        f"{PLACES}::test_holders_that_join_a_queued_load_start_it",
    ),
    Row(
        "inner_load_takes_a_place",
        "policy.places.2",
        "A load inside a loader waits for a place.",
        "policy.places:Places.take",
        ("run.flight.urgent or run.place", "run.place"),
        f"{PLACES}::test_a_load_that_a_holder_waits_for_does_not_queue_later",
    ),
    Row(
        "place_waited_for_without_a_bound",
        "policy.places.3",
        "A load waits for a place for as long as it takes.",
        "policy.places:Places.take",
        ("self._ctx.ports.wait(future, until)", "self._ctx.ports.wait(future, until + 3600)"),
        f"{PLACES}::test_a_place_that_does_not_come_is_not_needed_after_load_wait",
    ),
    Row(
        "place_waited_for_again_and_again",
        "policy.places.3",
        "A load waits for a place for load_wait each time that it needs one.",
        "policy.places:Places.take",
        ("began + self._ctx.load_wait - run.queued", "began + self._ctx.load_wait"),
        f"{WAITS}::test_all_waits_of_a_load_for_its_place_take_load_wait_together",
    ),
    Row(
        "queued_load_that_looks_again_for_ever",
        "policy.places.3",
        "A load whose key changes all the time looks again and again, and never loads.",
        "policy.places:Places.take",
        (" or now >= until", ""),
        f"{WAITS}::test_a_load_that_is_woken_at_its_time_looks_at_nothing_again",
    ),
    Row(
        "refresh_beyond_the_places",
        "policy.places.4",
        "A background refresh starts although no place is free.",
        "policy.reading:Policy._refresh_behind",
        ("if not self.loading.places.is_free(asked.options, asked.group):", "if False:"),
        f"{PLACES}::test_without_a_free_place_there_is_no_background_refresh",
    ),
    Row(
        "places_of_a_server_only",
        "policy.places.5",
        "Without a server any number of loaders runs at once.",
        "policy.context:PolicyContext.needs_right",
        ("seen.state is not EntryState.LOADING", "seen.state not in {EntryState.LOADING, EntryState.UNAVAILABLE}"),
        f"{PLACES}::test_loads_of_many_keys_run_a_few_at_once",
    ),
    Row(
        "ill_function_takes_all_places",
        "policy.places.6",
        "A function with places of its own takes those of the other functions.",
        "policy.places:Places._queue",
        ("if options.max_loads is None:", "if True:"),
        f"{PLACES}::test_hung_loads_of_one_function_leave_those_of_others_alone",
    ),
]
