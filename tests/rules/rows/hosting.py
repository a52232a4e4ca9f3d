"""The cache in a Django process, and beside an embedded server."""

from typing import Any

from tests.rules.rule import Exchange, Row


def made_at_once() -> list[Exchange]:
    """The cache is made with the backend object."""
    from fleetcache.contrib.django import FleetCache  # noqa: PLC0415 - it needs Django's settings

    init = FleetCache.__init__

    def made(self: FleetCache, location: Any, params: dict[str, Any]) -> None:
        init(self, location, params)
        assert self.fleetcache is not None

    return [(FleetCache, "__init__", made)]


ROWS = [
    Row(
        "a_cache_for_each_alias",
        "contrib.django.1",
        "Each object that Django makes has its own cache.",
        "contrib.django.process:_find",
        ("told == said and", "False and"),
        "tests/frameworks/test_django_process.py::test_every_thread_context_and_loop_has_an_object_of_the_same_cache",
    ),
    Row(
        "a_bad_setting_while_django_starts",
        "contrib.django.3",
        "A bad setting is an error when the backend object is made.",
        "contrib.django.backend:FleetCache.__init__",
        made_at_once,
        "tests/frameworks/test_django_process.py::test_a_wrong_setting_is_told_at_the_first_use",
    ),
    Row(
        "tasks_have_another_near",
        "contrib.django.2",
        "Tasks do not see the entries that threads have put into near.",
        "contrib.django.backend:FleetCache.aget",
        ("return await cache.get(name, default)", "return await cache.lookup(name) or default"),
        "tests/frameworks/test_django_process.py::test_near_is_shared_by_get_and_aget_of_whatever_loop",
    ),
    Row(
        "folders_of_all_users",
        "shared.embedded.folder.1",
        "All users share one folder.",
        "shared.embedded.folder:Folder.choose",
        ('f"fleetcache-{uid}-v{PROTOCOL}"', 'f"fleetcache-v{PROTOCOL}"'),
        "tests/unit/shared/embedded/test_folder.py::test_each_user_has_another_one",
    ),
    Row(
        "open_folders_are_used",
        "shared.embedded.folder.2",
        "A folder that other users can read is used.",
        "shared.embedded.folder:Folder._check",
        ("if found.st_mode & 0o077:", "if False:"),
        "tests/unit/shared/embedded/test_folder.py::test_what_is_not_safely_ours_is_refused_and_left_alone",
    ),
    Row(
        "a_seat_in_a_folder_that_is_gone",
        "shared.embedded.attach.1",
        "A seat in a removed folder counts as a seat at the server.",
        "shared.embedded.attach:_take_seat",
        ("if seat.try_shared() and folder.is_still(seat.descriptor):", "if seat.try_shared():"),
        "tests/unit/shared/embedded/test_attach.py::test_a_seat_in_a_folder_that_was_replaced_meanwhile_is_none",
    ),
    Row(
        "several_start_the_server",
        "shared.embedded.attach.2",
        "Each process starts a server, even if another one is starting it.",
        "shared.embedded.attach:_find_or_start",
        ("if lock.try_exclusive():", "if lock.try_exclusive() or True:"),
        "tests/unit/shared/embedded/test_attach.py::test_a_process_waits_while_another_process_starts_the_server",
    ),
    Row(
        "servers_end_while_in_use",
        "shared.embedded.supervisor.1",
        "The supervisor ends a server that a process still uses.",
        "shared.embedded.supervisor:_wait",
        ("if not _nobody_holds(folder):", "if False:"),
        "tests/unit/shared/embedded/test_supervisor.py::test_it_waits_until_the_last_has_gone_and_lingers",
    ),
    Row(
        "the_table_takes_the_room_of_data",
        "shared.embedded.supervisor.2",
        "The bound of the server's memory does not grow with its tracking table.",
        "shared.embedded.supervisor:Memory.fit",
        ("self._data + min(self._table(), self._data)", "self._data"),
        "tests/unit/shared/embedded/test_supervisor.py::test_the_bound_grows_with_the_tracking_table_and_shrinks_with_it",
    ),
    Row(
        "the_table_takes_all_memory",
        "shared.embedded.supervisor.2",
        "The bound of the server's memory grows without an end.",
        "shared.embedded.supervisor:Memory.fit",
        ("min(self._table(), self._data)", "self._table()"),
        "tests/unit/shared/embedded/test_supervisor.py::test_the_bound_is_at_most_twice_what_data_may_take",
    ),
]
