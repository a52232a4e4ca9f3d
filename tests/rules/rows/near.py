"""The in-process store: its lock, its bounds, and its evictions."""

from tests.rules.rule import Row

NEAR = "tests/unit/near/test_store.py::"
EVICTION = "tests/unit/near/test_s3fifo.py::"

ROWS = [
    Row(
        "hits_leave_no_mark",
        "near.store.1",
        "Near does not record which entries were asked for.",
        "near.store:Near.touch",
        ("held.freq += 1", "pass"),
        NEAR + "test_touch_keeps_an_entry_where_a_scan_takes_the_untouched",
    ),
    Row(
        "near_has_another_dict_after_a_clear",
        "near.store.2",
        "near.items.get, kept by the faces, looks into a dict that near no longer has.",
        "near.s3fifo:S3Fifo.clear",
        ("self.items.clear()", "self.items = {}"),
        NEAR + "test_items_is_the_same_dict_for_ever",
    ),
    Row(
        "near_over_its_bytes",
        "near.store.3",
        "Near holds more bytes than it may.",
        "near.store:Near._evict",
        ("self.bytes > self.max_bytes", "self.bytes > 2 * self.max_bytes"),
        NEAR + "test_both_bounds_hold_and_the_rest_stays",
    ),
    Row(
        "replaced_by_nothing",
        "near.store.4",
        "A value too large for near leaves the older value there.",
        "near.store:Near.put",
        ("            self._drop(key)\n            return False", "            return False"),
        NEAR + "test_a_value_over_an_eighth_is_refused_and_the_entry_it_was_to_replace_is_gone",
    ),
    Row(
        "star_is_a_tag_like_any",
        "near.store.5",
        "Forgetting everything looks the tag up in the index, where it is not.",
        "near.store:Near.forget_tag",
        ("if tag == EVERYTHING:", "if False:"),
        NEAR + "test_star_is_everything_and_costs_no_index",
    ),
    Row(
        "two_places_of_a_key",
        "near.s3fifo.1",
        "A key that is put again gets a second place in a queue.",
        "near.s3fifo:S3Fifo.put",
        ("elif (main := self._vacant.pop(key)) is not None:", "elif (main := False):"),
        EVICTION + "test_a_forgotten_key_keeps_its_place_but_is_not_there",
    ),
    Row(
        "main_gives_way",
        "near.s3fifo.2",
        "A scan evicts often used entries from the main queue.",
        "near.s3fifo:S3Fifo._queue_to_cut",
        ("return self._small if over and self._small_count > 1 else self._main", "return self._main or self._small"),
        EVICTION + "test_a_scan_of_one_time_keys_leaves_the_hot_set_alone",
    ),
    Row(
        "nobody_is_spared",
        "near.s3fifo.3",
        "A popular entry is evicted in its turn like any other.",
        "near.s3fifo:S3Fifo.evict",
        ("spared < PATIENCE and", "False and"),
        EVICTION + "test_a_scan_of_one_time_keys_leaves_the_hot_set_alone",
    ),
    Row(
        "evicted_keys_are_not_remembered",
        "near.s3fifo.4",
        "A key that comes back soon after its eviction starts over.",
        "near.s3fifo:S3Fifo.evict",
        ("if not entry.main:", "if False:"),
        EVICTION + "test_a_key_that_comes_back_soon_after_its_eviction_is_kept_longer",
    ),
    Row(
        "forgotten_keys_lose_their_place",
        "near.s3fifo.5",
        "A hot key that is invalidated starts over.",
        "near.s3fifo:S3Fifo.put",
        ("= main, self._promote", "= False, 0"),
        EVICTION + "test_a_forgotten_key_keeps_its_place_but_is_not_there",
    ),
    Row(
        "vacant_places_stay",
        "near.s3fifo.6",
        "A walk takes no vacant place out: a queue of forgotten keys grows for ever.",
        "near.s3fifo:S3Fifo.walk",
        ("vacant.pop(key) is None", "True"),
        EVICTION + "test_forgetting_and_loading_for_ever_does_not_grow_the_queue",
    ),
    Row(
        "a_walk_of_all_places",
        "near.s3fifo.6",
        "One forgotten key walks past all places of a large store.",
        "near.s3fifo:S3Fifo.remove",
        ("self.walk(_WALK)", "self.walk(len(self._small) + len(self._main))"),
        EVICTION + "test_to_forget_one_key_takes_as_long_in_a_large_queue_as_in_a_small_one",
    ),
]
