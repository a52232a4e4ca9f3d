"""The journal: pending removals, the replies that clear them, and its overflow."""

import pytest

from fleetcache.format.keys import ALL, Target
from fleetcache.near.journal import Journal

KEY: Target = ("e", "k")
TAG: Target = ("t", "geo")


def test_nothing_is_owed_at_first() -> None:
    journal = Journal()
    assert (len(journal), journal.in_order(), journal.covers_all) == (0, [], False)
    assert not journal.has_pending_key("k")
    assert not journal.has_pending_tag("geo")


def test_numbers_only_grow() -> None:
    journal = Journal()
    assert [journal.next() for _ in range(3)] == [1, 2, 3]


def test_a_key_and_a_tag_of_one_name_are_two() -> None:
    journal = Journal()
    journal.defer(("e", "geo"), journal.next())
    assert journal.has_pending_key("geo")
    assert not journal.has_pending_tag("geo")


@pytest.mark.parametrize(("answered", "owed"), [(1, True), (2, False), (3, False)])
def test_only_a_success_of_that_intent_or_a_newer_one_clears_it(answered: int, owed: bool) -> None:
    journal = Journal()
    journal.defer(KEY, 2)
    journal.acknowledged(KEY, answered)
    assert journal.has_pending_key("k") is owed


def test_a_late_success_of_an_older_intent_leaves_the_newer_one_owed() -> None:
    journal = Journal()
    first, second = journal.next(), journal.next()
    journal.defer(KEY, first)
    journal.defer(KEY, second)
    journal.acknowledged(KEY, first)
    assert journal.in_order() == [(KEY, second)]
    journal.acknowledged(KEY, second)
    assert journal.in_order() == []


def test_an_older_intent_that_fails_late_does_not_hide_the_newer_one() -> None:
    journal = Journal()
    journal.defer(KEY, 5)
    journal.defer(KEY, 3)
    assert journal.in_order() == [(KEY, 5)]


def test_what_is_not_owed_may_be_acknowledged() -> None:
    journal = Journal()
    journal.acknowledged(KEY, 1)
    assert len(journal) == 0


def test_a_success_clears_its_own_target_only() -> None:
    journal = Journal()
    journal.defer(KEY, 1)
    journal.defer(TAG, 2)
    journal.acknowledged(TAG, 9)
    assert journal.in_order() == [(KEY, 1)]


def test_the_oldest_is_repeated_first() -> None:
    journal = Journal()
    for name in "cab":
        journal.defer(("e", name), journal.next())
    assert [target for target, _ in journal.in_order()] == [("e", "c"), ("e", "a"), ("e", "b")]


# -- overflow --------------------------------------------------------------------------------------------------------


def test_too_much_becomes_everything() -> None:
    journal = Journal(most=3)
    for number in range(1, 5):
        assert not journal.covers_all
        journal.defer(("e", str(number)), journal.next())
    assert journal.covers_all
    assert journal.in_order() == [(ALL, 4)]
    assert journal.has_pending_key("never heard of")
    assert journal.has_pending_tag("nor of this")


def test_beyond_everything_there_is_nothing_more_to_owe() -> None:
    journal = Journal(most=0)
    journal.defer(KEY, journal.next())
    journal.defer(TAG, journal.next())
    assert journal.in_order() == [(ALL, 2)]
    assert len(journal) == 1


def test_everything_is_cleared_only_by_a_success_of_everything() -> None:
    journal = Journal(most=0)
    journal.defer(KEY, journal.next())
    journal.acknowledged(KEY, 1)
    assert journal.covers_all
    journal.acknowledged(ALL, 1)
    assert not journal.covers_all
    assert not journal.has_pending_key("k")


def test_a_removal_sent_after_the_overflow_is_not_lost_with_it() -> None:
    """Everything was pending at 1; a removal that failed at 2 must not be cleared by a success of 1."""
    journal = Journal(most=0)
    journal.defer(KEY, journal.next())
    journal.defer(TAG, journal.next())
    journal.acknowledged(ALL, 1)
    assert journal.has_pending_tag("geo")
    journal.acknowledged(ALL, 2)
    assert not journal.has_pending_tag("geo")


# -- writes under way ------------------------------------------------------------------------------------------------


def test_a_write_is_the_newest_until_its_key_or_a_tag_of_it_is_removed_or_written_again() -> None:
    journal = Journal()
    assert journal.wrote("k", journal.writing("k", ("*", "geo")))
    for target in (KEY, TAG, ALL):
        number = journal.writing("k", ("*", "geo"))
        journal.begin_removal(target)
        assert not journal.wrote("k", number)
    number = journal.writing("k", ("*", "geo"))
    journal.writing("k", ("*",))
    assert not journal.wrote("k", number)
    number = journal.writing("k", ("*",))
    journal.begin_removal(("e", "other"))
    journal.begin_removal(("t", "other"))
    journal.begin_removal(TAG)
    assert journal.wrote("k", number)


def test_a_write_that_has_ended_is_forgotten() -> None:
    journal = Journal()
    number = journal.writing("k", ("*",))
    assert journal.wrote("k", number)
    assert not journal.wrote("k", number)


def test_what_was_removed_before_the_write_does_not_matter_whatever_stands_for_it_in_the_journal() -> None:
    journal = Journal(most=1)
    for target in (TAG, ALL, ("e", "other")):
        journal.defer(target, journal.begin_removal(target))
    numbers = [journal.writing(key, ("*", "geo")) for key in "abc"]
    for key, number in zip("abc", numbers, strict=True):
        journal.defer(("e", key), number)
    assert journal.in_order() == [(ALL, numbers[-1])]
    assert all(journal.wrote(key, number) for key, number in zip("abc", numbers, strict=True))


def test_an_overflow_is_told_once() -> None:
    told: list[None] = []
    journal = Journal(lambda: told.append(None), most=3)
    for number in range(50):
        journal.defer(("e", str(number)), journal.next())
    assert len(told) == 1
