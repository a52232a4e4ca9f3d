"""Tags in doubt: a push does not show whether the tag changed, and near must not be trusted for long meanwhile."""

from tests.rules.rule import Row

_COHERENCE = "tests/unit/near/test_coherence_doubts.py"
_FLEETS = "tests/simulation/test_doubts.py::test_an_entry_in_doubt_answers_no_longer_than_promised"

ROWS = [
    Row(
        "copy_kept_in_doubt",
        "near.tag_versions.1",
        "A push for a tag leaves its version known, and an entry from before the change counts as current.",
        "near.coherence:Coherence._doubt_tag",
        ("        self._forget_version(tag)\n", "        self._void_tag(tag)\n        self._flights.detach_tag(tag)\n"),
        f"{_FLEETS}[reads_around_the_push]",
    ),
    Row(
        "no_cap",
        "near.tag_versions.2",
        "Answers that came after a push for a tag vouch for the entries in doubt.",
        "near.tag_versions:Doubts._hold",
        ("if self._open else", "if False else"),
        f"{_FLEETS}[push_held_back]",
    ),
    Row(
        "doubt_of_the_newest_push",
        "near.tag_versions.2",
        "The newest doubt holds the horizon, not the oldest.",
        "near.tag_versions:Doubts._hold",
        ("next(iter(self._open.values()))", "list(self._open.values())[-1]"),
        f"{_COHERENCE}::test_the_horizon_is_held_by_the_oldest_doubt",
    ),
    Row(
        "any_version_settles",
        "near.tag_versions.3",
        "A tag that changed keeps its entries, because a version of it arrived.",
        "near.tag_versions:Doubts.differs",
        ("doubt[0] != version", "False"),
    ),
    Row(
        "no_answer_settles",
        "near.tag_versions.3",
        "A question that the server refuses leaves the tag in doubt.",
        "near.coherence:Coherence.end_doubt",
        ("if tag in self.doubts:", "if False:"),
        "tests/unit/shared/test_reading.py::test_a_question_that_is_refused_empties_near",
    ),
    Row(
        "doubts_outlive_the_link",
        "near.tag_versions.3",
        "A link that is no longer online leaves its tags in doubt, although no answer can come.",
        "near.coherence:Coherence.on_state",
        ("for tag in self.doubts:", "for tag in ():"),
        f"{_COHERENCE}::test_anything_else_drops_the_entries_of_the_tag",
    ),
    Row(
        "horizon_moves_on_first",
        "near.tag_versions.3",
        "The horizon moves on before the entries of a tag that changed are dropped.",
        "near.coherence:Coherence.forget_tag",
        ("        self._forget_version(tag)\n", "        self.doubts.end(tag)\n        self._forget_version(tag)\n"),
        f"{_COHERENCE}::test_anything_else_drops_the_entries_of_the_tag",
    ),
    Row(
        "doubts_without_a_question",
        "near.tag_versions.4",
        "A tag is in doubt although no question was sent.",
        "near.tag_versions:Doubts.open",
        ("or not self.ask(tag)", "or (self.ask(tag) and False)"),
        f"{_COHERENCE}::test_a_question_that_cannot_be_sent_forgets_at_once",
    ),
]
