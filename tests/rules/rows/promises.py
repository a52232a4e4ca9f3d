"""The promises themselves, each broken in the plainest way."""

from fleetcache.shared.scripts import Script
from fleetcache.wire.session import Command
from tests.rules.rule import Exchange, Row


def writes_before_it_reads() -> list[Exchange]:
    """``GETEX`` in place of the first read."""

    def call(self: Script, key: bytes, *args: bytes | int, whole: bool = False) -> Command:  # noqa: ARG001 - as Script's
        text = self.text
        for read in ("GET", "GETRANGE", "EXISTS"):
            text = text.replace(
                f"redis.call('{read}', KEYS[1]",
                f"redis.call('GETEX', KEYS[1], 'PERSIST') or redis.call('{read}', KEYS[1]",
                1,
            )
        return ("EVAL", text, 1, key, *args)

    return [(Script, "call", call)]


ROWS = [
    Row(
        "waiters_load",
        "promise.1",
        "A caller that finds another load does not wait, and loads too.",
        "policy.loading:Loading._step",
        (
            "            case EntryState.LOADING:\n                return seen\n",
            "            case EntryState.LOADING:\n                return await self._load(run, None)\n",
        ),
    ),
    Row(
        "removed_here_and_still_there",
        "promise.2",
        "An instance answers with its own removed entry until the server's push.",
        "near.coherence:Coherence.begin_removal",
        ("        self._forget_target(target, None)\n", ""),
        "tests/unit/near/test_coherence.py::test_what_voids_a_token_also_forgets_the_entry_and_detaches_its_flight",
    ),
    Row(
        "near_beyond_the_horizon",
        "promise.3",
        "Near answers although the server has been silent for long.",
        "policy.context:PolicyContext.near_answer",
        ("elif now >= self.trust.bound(options.offline_ttl):", "elif False:"),
    ),
    Row(
        "health_is_always_good",
        "promise.6",
        "The report says healthy while the server is away.",
        "telemetry.reporter:Reporter._judge",
        ("if link.state is not LinkState.ONLINE:", "if False:"),
        "tests/promises/test_honest_health.py::test_health_says_what_is_wrong",
    ),
    Row(
        "near_hands_out_its_own",
        "promise.7",
        "Near keeps the object that a caller gave, and hands it to others.",
        "shared.entries:Entries.near_entry",
        ("elif immutable(value):", "elif True:"),
        "tests/unit/api/test_reads.py::test_nobody_changes_anybody_elses_value",
    ),
    Row(
        "a_url_is_not_enough",
        "promise.8",
        "With a URL alone the cache stays in memory.",
        "config.settings:Settings.resolved_driver",
        ('"redis" if self.url else "memory"', '"memory"'),
        "tests/unit/config/test_settings.py::test_the_driver_is_resolved",
    ),
    Row(
        "an_int_is_a_float_as_plain_data",
        "promise.7",
        "An int that a typed caller read as a float is a float to a caller without a type, until near drops it.",
        "shared.entries:Entries.near_entry",
        (" and (kind is not float or payload[:1] == _FLOAT)", ""),
        "tests/unit/shared/test_entries_types.py::test_an_int_that_is_read_as_a_float_is_an_int_as_plain_data",
    ),
    Row(
        "threads_are_told_nothing",
        "promise.9",
        "A strict call of a thread does not raise where a task's call would.",
        "api.sync_writes:SyncWrites.delete",
        ("strict=strict", "strict=False"),
        "tests/threads/test_link_thread.py::test_a_thread_that_asks_for_it_is_told_what_was_not_acknowledged",
    ),
    Row(
        "script_writes_first",
        "script.full",
        "A script that begins with a write exceeds the server's memory limit.",
        "shared.scripts:Script.call",
        writes_before_it_reads,
        "tests/faults/test_full_server.py::test_a_storing_script_is_refused_like_any_write",
    ),
    Row(
        "refusals_begin_anew",
        "promise.6",
        "A continuing refusal is reported as if it began with its last occurrence.",
        "shared.commands:CommandSender.record_refusal",
        (
            "self.refusals.setdefault(kind, (reason, self._clock(), said))",
            "self.refusals[kind] = (reason, self._clock(), said)",
        ),
        "tests/promises/test_honest_health.py::test_a_refusal_that_goes_on_has_gone_on_since_its_first",
    ),
]
