"""The end of many near entries at once: generations, the graveyard, burials."""

from tests.rules.rule import Row

GENERATIONS = "tests/unit/near/test_generations.py::"
GRAVEYARD = "tests/unit/near/test_graveyard.py::"
HITS = "tests/unit/api/test_fast_path.py::"
INDEX = "tests/unit/near/test_tag_index.py::"

ROWS = [
    Row(
        "dead_entries_hit",
        "near.generations.1",
        "A hit does not ask the entry's generation.",
        "api.fast_path:FastPath.peek",
        ("held.fresh_until > now and held.generation.until > now", "held.fresh_until > now"),
        HITS + "test_a_removal_of_many_ends_their_hits_at_once_and_no_others",
    ),
    Row(
        "the_horizon_reaches_no_generation",
        "near.generations.2",
        "The link's horizon is not written to the generations: near answers for as long as its entries live.",
        "near.generations:Generations.vouch",
        ("        confirmed.until = tagged.until = horizon\n", ""),
        GENERATIONS + "test_the_horizon_bounds_confirmed_entries_and_no_unconfirmed_ones",
    ),
    Row(
        "closed_generations_answer_on",
        "near.generations.3",
        "A removal leaves the time of its generations as it was: removed entries are hits until they are buried.",
        "near.generations:Generations._close",
        ("            present[kind].until = CLOSED\n", ""),
    ),
    Row(
        "removed_tags_are_not_looked_up",
        "near.generations.4",
        "An entry of a closed generation moves on although its tag was removed.",
        "near.generations:Generations.lives",
        ("if removed.get(tag, -1) >= number:", "if False:"),
    ),
    Row(
        "removals_before_the_present_generation",
        "near.generations.5",
        "A reader without a lock moves an entry past a removal that came between its two looks.",
        "near.generations:Generations.lives",
        ("held.generation = present\n", "held.generation = self._present[_kind(held)]\n"),
        GENERATIONS + "test_a_removal_between_the_two_looks_of_a_reader_still_ends_the_entry",
    ),
    Row(
        "buried_entries_do_not_expire",
        "near.generations.6",
        "A reader that took an entry before its burial finds it alive after that: the removed tag is forgotten.",
        "near.store:Near._count_out",
        ("        held.fresh_until = held.stale_until = CLOSED\n", ""),
        "tests/unit/near/test_store_threads.py::test_a_reader_that_still_has_a_buried_entry_finds_it_expired",
    ),
    Row(
        "dead_entries_replaced_in_place",
        "near.store.6",
        "An entry put over a dead one takes its lines in the index, which went with the removal: no tag reaches it.",
        "near.store:Near.put",
        ("if self.living(key) is None:", "if False:"),
        GRAVEYARD + "test_a_key_put_over_a_dead_entry_is_held_and_dies_with_its_own_removal",
    ),
    Row(
        "the_dead_weigh_nothing",
        "near.graveyard.1",
        "The memory of dead entries is not charged: near takes twice its bytes after a clear.",
        "near.store:Near.clear",
        ("            graveyard.weight += queue.weight\n", ""),
        GRAVEYARD + "test_the_dead_weigh_until_they_are_buried_and_do_not_count",
    ),
    Row(
        "the_living_leave_first",
        "near.graveyard.2",
        "Near evicts living entries while dead ones take its memory.",
        "near.store:Near._evict",
        ("if self._graveyard and (patience > 0 or not self._queue.count):", "if not self._queue.count:"),
        GRAVEYARD + "test_the_dead_leave_before_the_living_when_room_is_needed",
    ),
    Row(
        "buried_in_one_go",
        "near.graveyard.3",
        "The alarm buries all the dead in one slice.",
        "near.graveyard:Burial._ring",
        ("while left and self._clock() < until and", "while left and"),
        GRAVEYARD + "test_alarms_bury_in_slices_until_nothing_is_left",
    ),
    Row(
        "container_freed_within_a_slice",
        "near.graveyard.3",
        "A slice buries for as long as it may, and then frees a container of megabytes as well.",
        "near.store:Near.bury",
        ("if step and graveyard.frees_much:", "if False:"),
        GRAVEYARD + "test_a_large_container_is_freed_in_a_slice_of_its_own",
    ),
    Row(
        "the_dead_wait_for_puts",
        "near.graveyard.3",
        "No alarm follows the first: the dead of an idle process stay.",
        "near.graveyard:Burial._ring",
        ("        if left:\n            self.begin()\n", ""),
        GRAVEYARD + "test_alarms_bury_in_slices_until_nothing_is_left",
    ),
    Row(
        "empty_lines_stay",
        "near.tag_index.1",
        "Each tag that was ever used keeps its line in the index.",
        "near.tag_index:TagIndex.leave",
        ("if not keys:", "if False:"),
        INDEX + "test_a_line_goes_with_its_last_key",
    ),
    Row(
        "unconfirmed_entries_have_no_line",
        "near.tag_index.2",
        "Entries that the server did not confirm stay when the link is back.",
        "near.store:Near._lines",
        ("if held.unconfirmed and not self._alone", "if False"),
    ),
]
