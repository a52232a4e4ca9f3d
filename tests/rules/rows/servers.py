"""Servers and proxies of every kind, URLs, and the reports about them."""

from tests.rules.rule import Row

CLOSINGS = "tests/unit/wire/test_closings.py"
SECOND_LOOP = "tests/unit/engine/aio/test_other_loops.py"
ASKED_AT_HOME = """except ElsewhereError as error:
            return await sent_to(error, lambda: engine.policy.get_or_set(asked), lambda: None)
        except KeyError:"""

ROWS = [
    Row(
        "one_close_condemns",
        "wire.closings.1",
        "A single close at HELLO makes an instance give up RESP3.",
        "wire.closings:Closings.closed_at",
        ("self.spoke and self._before == word:", "self.spoke:"),
        f"{CLOSINGS}::test_a_server_that_is_going_away_closes_at_anything",
    ),
    Row(
        "refused_commands_are_sent",
        "wire.closings.2",
        "A command that closes the connection is sent again at each attempt.",
        "wire.closings:Closings.refusal",
        ("if word in self._until else None", "if not self._until else None"),
        f"{CLOSINGS}::test_a_command_counts_when_it_closes_twice_in_a_row_the_second_time_behind_an_answer",
    ),
    Row(
        "closings_are_never_forgotten",
        "wire.closings.3",
        "HELLO is not tried again although another server is there.",
        "wire.closings:Closings.connected",
        ("if now < until}", "}"),
        f"{CLOSINGS}::test_it_is_tried_again_after_a_while",
    ),
    Row(
        "every_command_is_dispensable",
        "wire.closings.4",
        "A command that the cache cannot do without is no longer sent.",
        "wire.closings:Closings.closed_at",
        ("word in _DISPENSABLE and self.spoke", "self.spoke"),
        f"{CLOSINGS}::test_what_the_cache_needs_is_always_asked",
    ),
    Row(
        "blamed_without_a_second_look",
        "wire.closings.5",
        "After a close many commands are in one write again, and the cause is not found.",
        "wire.reconnect:Reconnector._exchange",
        ("[[each] for each in waiting] if self.closings.careful else [waiting]", "[waiting]"),
        "tests/faults/test_lesser_servers.py::test_a_proxy_that_hangs_up_before_it_answers_is_asked_one_by_one",
    ),
    Row(
        "moved_while_in_use",
        "engine.aio.other_loops.1",
        "A second event loop takes the cache from a loop that still runs.",
        "engine.aio.engine:AioEngine.check_here",
        ("self._is_here() or not loop.is_running()", "True"),
        f"{SECOND_LOOP}::test_a_cache_is_opened_on_one_loop",
    ),
    Row(
        "removal_cancelled_with_its_caller",
        "engine.aio.other_loops.2",
        "A removal from a second loop ends with its caller.",
        "engine.aio.other_loops:sent_to",
        (
            "await asyncio.wait((over,), timeout=patience)",
            (
                "try:\n            await asyncio.wait((over,), timeout=patience)\n"
                "        except asyncio.CancelledError:\n            taken_back = True\n            raise"
            ),
        ),
        f"{SECOND_LOOP}::test_a_cancelled_caller_has_its_removal_done",
    ),
    Row(
        "loaded_on_the_caches_loop",
        "engine.aio.other_loops.3",
        "A loader runs on another loop than its caller's.",
        "api.loads:Loads._obtain",
        ("except ElsewhereError:", ASKED_AT_HOME),
        f"{SECOND_LOOP}::test_a_cached_function_answers_on_both_loops",
    ),
    Row(
        "dropped_claims_live_on",
        "right.by_hand",
        "A claim that its taker has dropped is renewed as long as the process lives.",
        "policy.claims:_ClaimQueue.hand_to",
        ("ref(holder)", "(lambda: holder)"),
        "tests/unit/policy/test_claims.py::test_one_that_was_dropped_is_free_here_at_once",
    ),
    Row(
        "tags_weigh_nothing",
        "near.store.3",
        "A tag costs near the same, at any length.",
        "near.store:_weigh",
        ("MEMBER_BYTES + sys.getsizeof(tag)", "MEMBER_BYTES"),
        "tests/unit/near/test_store.py::test_what_near_is_charged_is_no_less_than_what_it_takes",
    ),
    Row(
        "versions_of_tags_weigh_nothing",
        "near.store.3",
        "Versions of tags, kept outside near, take unbounded memory.",
        "near.store:Near.make_room",
        ("self.beside = beside", "self.beside = 0"),
        "tests/unit/near/test_coherence_state.py::test_tags_take_no_more_than_near_may",
    ),
    Row(
        "unnamed_servers_believed",
        "past.lost",
        "A server without an identity is trusted.",
        "shared.recovery:Recovery._distrust",
        ("(not run and self._coherence.last_all is None)", "not run"),
        "tests/faults/test_lost_past.py::test_nor_does_one_that_does_not_say_who_it_is",
    ),
    Row(
        "unnamed_servers_believed_with_an_older_tag",
        "past.lost",
        "On a server without an identity, only the newest version of the tag on every entry is distrusted.",
        "shared.recovery:Recovery._distrust",
        ("if not isinstance(version, bytes) or", "if (not run and version != self._coherence.last_all) or"),
        "tests/faults/test_lost_past.py::test_nor_does_one_that_does_not_say_who_it_is",
    ),
]
