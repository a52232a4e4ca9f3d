"""Calls from a signal handler or a finalizer, in the middle of another call of their thread."""

from tests.rules.rule import Row

_TESTS = "tests/unit/engine/threads/test_reentrant.py"

ROWS = [
    Row(
        "inside_old_values_answer",
        "engine.threads.reentrant.1",
        "A value that a call from inside removed still answers until the rule is left.",
        "near.store:Near.strike",
        ("for held in struck:", "for held in []:"),
        f"{_TESTS}::test_what_it_removes_is_gone_at_once_and_everywhere_after",
    ),
    Row(
        "inside_removals_lost",
        "engine.threads.reentrant.2",
        "A removal from inside is not noted.",
        "engine.threads.reentrant:Inside._note",
        ("self._engine.monitor.note(note)", "note.keys"),
        f"{_TESTS}::test_what_it_removes_is_gone_at_once_and_everywhere_after",
    ),
    Row(
        "inside_add_wins",
        "engine.threads.reentrant.3",
        "add from inside reports that it stored the value.",
        "engine.threads.reentrant:Inside.add",
        ("return False", "return True"),
        f"{_TESTS}::test_what_only_the_server_knows_is_refused",
    ),
    Row(
        "inside_close_lost",
        "engine.threads.reentrant.4",
        "A close from inside is never done.",
        "engine.threads.reentrant:Inside.close",
        ("engine.monitor.ends.append", "bool"),
        f"{_TESTS}::test_it_closes_the_cache_when_the_call_is_over",
    ),
    Row(
        "inside_runs_rules",
        "engine.threads.monitor.1",
        "A call from inside runs the rules while their state is half changed.",
        "engine.threads.monitor:Monitor.run",
        ("if me in self.amid:", "if False:"),
        f"{_TESTS}::test_it_loads_for_itself_and_stores_nothing",
    ),
    Row(
        "notes_not_done",
        "engine.threads.monitor.2",
        "No thread applies the noted changes.",
        "engine.threads.monitor:Monitor._tidy",
        ("while self.notes:", "while False:"),
        f"{_TESTS}::test_what_it_sets_is_there_after_in_the_order_it_asked",
    ),
    Row(
        "threads_waited_for",
        "engine.threads.monitor.3",
        "A thread that starts another waits until it runs.",
        "engine.threads.monitor:begin",
        ("start_new_thread(_begin, (thread,))", "thread.start()"),
        f"{_TESTS}::test_to_start_a_thread_is_not_to_wait_for_it",
    ),
]
