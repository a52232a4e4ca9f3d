"""The page of the fault matrix is of the catalogue as it is, and can be written anew."""

from collections import defaultdict

from tests.reliability.catalogue import FAULTS
from tests.reliability.page import PAGE, all_faults, rows_of, tables, written
from tests.reliability.play import Outcome
from tests.reliability.verbs import ANSWERS


def outcome(name: str) -> Outcome:
    answers = defaultdict(set, {verb: {words[-1 if name == "refused" else 0]} for verb, words in ANSWERS.items()})
    return Outcome(name, at_first=answers, answers=answers, first=0.25, later=0.001, back=0.4)


def test_the_page_has_a_row_for_every_fault() -> None:
    listed = rows_of(PAGE.read_text(encoding="utf-8"))
    assert listed == [(name, fault.done) for name, fault in FAULTS.items()], "run `make reliability`"


def test_the_page_shows_no_broken_promise() -> None:
    assert "promises broken in none of" in PAGE.read_text(encoding="utf-8")


def test_what_is_written_is_what_is_read_and_the_words_around_it_stay() -> None:
    page = PAGE.read_text(encoding="utf-8")
    new = written(page, tables({name: [outcome(name)] for name in all_faults()}, ["tcp"]))
    assert rows_of(new) == [(name, fault.done) for name, fault in FAULTS.items()]
    assert (new[:200], new[-200:]) == (page[:200], page[-200:])
    assert "| frozen | SIGSTOP | as usual | ≤ 300 ms | ≤ 5 ms | ≤ 150 ms | ≤ 500 ms | `timeout` |" in new
    assert "as away" in new
