"""One connection: frames in order, states, timeouts, and its end."""

from typing import Any

from fleetcache.wire.session import Session
from tests.rules.rule import Exchange, Row

SESSION = "tests/unit/wire/test_session.py::"
LINK = "tests/unit/wire/test_link_state.py::"
ADDRESS = "tests/unit/config/test_url.py::"
RECONNECT = "tests/unit/wire/test_reconnect.py::"
RECOVERY = "tests/unit/shared/test_recovery.py::"


def pushes_after_all_replies() -> list[Exchange]:
    """Pushes wait until everything that arrived was parsed."""
    feed = Session.feed

    def fed(self: Session, data: Any) -> float | None:
        late: list[list[bytes] | None] = []
        on_push, self._on_push = self._on_push, late.append
        try:
            return feed(self, data)
        finally:
            self._on_push = on_push
            for keys in late:
                on_push(keys)

    return [(Session, "feed", fed)]


QUOTED = "tests/faults/test_lesser_servers.py::test_a_server_that_repeats_the_password_is_not_quoted"
IDLE_PROXY = "tests/faults/test_idle_proxy.py"

ROWS = [
    Row(
        "slot_taken_out",
        "wire.session.1",
        "A caller that leaves takes its slot with it, and every later reply goes to the wrong call.",
        "wire.connection:Connection._judge",
        ("            call.give_up()\n", "            call.give_up()\n            self.session.calls.remove(call)\n"),
        "tests/faults/test_suspect.py::test_the_journal_is_replayed_on_the_connection_that_was_stuck",
    ),
    Row(
        "replies_to_the_newest",
        "wire.session.1",
        "A reply is given to the call that was sent last.",
        "wire.session:Session._take",
        ("            call = calls[0]\n", "            call = calls[-1]\n"),
        SESSION + "test_replies_belong_to_the_oldest_call",
    ),
    Row(
        "pushes_after_all_replies",
        "wire.session.2",
        "Pushes are handled when all frames that arrived together were parsed, after replies that came later.",
        "wire.session:Session.feed",
        pushes_after_all_replies,
        SESSION + "test_pushes_come_where_the_server_sent_them_even_between_replies_of_one_call",
    ),
    Row(
        "error_replies_raise",
        "wire.session.3",
        "An error reply ends the connection.",
        "wire.session:Session._take",
        (
            "            if not calls:\n",
            "            if not calls or isinstance(frame, ReplyError):\n",
        ),
        SESSION + "test_error_replies_are_values",
    ),
    Row(
        "expects_its_own_for_ever",
        "wire.session.4",
        "After another frame, the link still expects its own push.",
        "wire.session:Session._take",
        ("            self.expect_self_invalidation = None\n", ""),
        SESSION + "test_any_other_frame_ends_the_expectation_of_our_own_push",
    ),
    Row(
        "unreadable_invalidation_is_ignored",
        "wire.session.6",
        "Near keeps an entry after an invalidation that does not say which keys changed.",
        "wire.session:invalidated",
        ("is not bytes:\n            return None", "is not bytes:\n            return []"),
        "tests/faults/test_misshapen.py::test_no_shape_of_a_push_costs_the_link_or_a_traceback",
    ),
    Row(
        "sent_while_suspect",
        "wire.link_state.1",
        "Calls are sent although the server does not answer.",
        "engine.link_events:WireListener._on_state",
        (
            "engine.shared.usable = new is LinkState.ONLINE",
            "engine.shared.usable = new is not LinkState.CONNECTING",
        ),
    ),
    Row(
        "silence_is_never_offline",
        "wire.link_state.3",
        "A silent server stays suspect for ever.",
        "wire.link_state:Link.check",
        ("now - self.confirmed >= self._max_staleness", "False"),
        LINK + "test_silence_is_suspect_then_offline_then_the_end",
    ),
    Row(
        "silent_connection_kept",
        "wire.link_state.3",
        "A silent connection is never dropped.",
        "wire.link_state:Link.check",
        ("return Verdict.ABORT if now - oldest >= 3 * self._max_staleness else Verdict.KEEP", "return Verdict.KEEP"),
        LINK + "test_silence_is_suspect_then_offline_then_the_end",
    ),
    Row(
        "no_offline_bound",
        "wire.link_state.5",
        "Offline, near answers until the bound that holds online.",
        "wire.link_state:Link._settle_trust",
        ("until = self.confirmed + self._offline_ttl", "until = self.vouched_until"),
        LINK + "test_suspect_does_not_prolong_the_trust_and_offline_has_a_bound_of_its_own",
    ),
    Row(
        "password_in_the_repr",
        "config.url.1",
        "The repr of an address shows its password.",
        "config.url:Address.__repr__",
        ('f"Address({self.safe!r})"', 'f"Address({self.safe!r}, {self.password!r})"'),
        ADDRESS + "test_what_is_printed_never_shows_the_password",
    ),
    Row(
        "ambiguous_urls_are_read",
        "config.url.2",
        "An ambiguous URL is accepted in one of its two readings.",
        "config.url:_Reader.read",
        ('found is None or not self._url.isprintable() or " " in self._url', "found is None"),
        ADDRESS + "test_refuses",
    ),
    Row(
        "aio_closes_without_reset",
        "wire.reset",
        "A dropped connection is closed, and its kernel continues to send.",
        "engine.aio.connection:_linger_not",
        ('struct.pack("ii", 1, 0)', 'struct.pack("ii", 0, 0)'),
        "tests/faults/test_old_bytes.py::test_a_reset_connection_leaves_nothing_behind",
    ),
    Row(
        "previous_connection_kept",
        "shake.previous",
        "The handshake does not end the previous connection.",
        "wire.handshake:_end_previous",
        (
            'return (Heard(("CLIENT", "KILL", "ID", previous.client_id), killed),)',
            "return ()",
        ),
        "tests/unit/wire/test_handshake.py::test_our_last_connection_is_ended_before_the_cache_recovers",
    ),
    Row(
        "one_deadline_for_all_steps",
        "shake.step",
        "A fleet of thousands that comes back gives up handshakes that the server is about to end.",
        "wire.reconnect:Reconnector._asking",
        (
            "                deadline.extend(self._limits.connect_timeout)\n                replies",
            "                replies",
        ),
        RECONNECT + "test_each_step_of_the_handshake_has_its_own_deadline",
    ),
    Row(
        "impatient_with_a_loading_server",
        "shake.waiting",
        "Each instance asks a server that loads its data twenty times a second.",
        "wire.reconnect:Reconnector._asking",
        ("self._random() * Link.pause_after(attempts)", "Link.BACKOFF_FIRST"),
        RECONNECT + "test_a_server_that_says_not_yet_is_asked_again_less_and_less_often",
    ),
    Row(
        "overtaken_tag_kept",
        "shake.known",
        "A push for the tag on every entry, while the handshake reads it, is forgotten: removed entries answer.",
        "shared.recovery:Recovery.recover",
        ("self._star.valid and isinstance", "isinstance"),
        RECOVERY + "test_a_tag_that_a_push_has_overtaken_is_read_again",
    ),
    Row(
        "tag_known_before_the_removals",
        "shake.known",
        "The version of the tag on every entry is read before pending removals, and not after them.",
        "shared.recovery:Recovery.recover",
        (" and not owed", ""),
        RECOVERY + "test_pending_removals_and_rights_are_sent_before_the_tag_is_read",
    ),
    Row(
        "scripts_sent_each_time",
        "shake.scripts",
        "Each handshake sends the text of each script.",
        "shared.recovery:_unknown_scripts",
        ("if is_there != 1", ""),
        RECOVERY + "test_a_handshake_sends_about_a_kilobyte",
    ),
    Row(
        "no_heartbeat",
        "wire.beat",
        "An idle link asks nothing.",
        "wire.connection:Connection._beat",
        ("self.submit(self._hooks.heartbeat())", "pass"),
        "tests/faults/test_lost_past.py::test_the_heartbeat_keeps_the_tag_of_all_entries_from_looking_idle",
    ),
    Row(
        "judged_without_a_look",
        "wire.poll",
        "A call counts as overdue although its reply waits in the socket.",
        "wire.connection:Connection._tick",
        ("self._postponed < MAX_POSTPONE and self._has_bytes()", "False"),
        "tests/faults/test_suspect.py::test_our_own_stall_loses_no_reply_and_suspects_nobody",
    ),
    Row(
        "overdue_callers_wait_on",
        "wire.overdue",
        "A caller waits for a reply beyond its operation timeout.",
        "wire.connection:Connection._judge",
        ("            call.give_up()\n", ""),
    ),
    Row(
        "error_replies_close",
        "wire.errors",
        "Any error reply ends the connection.",
        "shared.commands:CommandSender.record_refusal",
        ("if wrong_node and fatal and", "if fatal and"),
        "tests/faults/test_full_server.py::test_a_cache_on_a_full_server_reads_and_removes_says_oom_and_recovers",
    ),
    Row(
        "handshake_quotes_the_password",
        "wire.secrets",
        "Health and the log show the password that a server repeats as it refuses it.",
        "wire.reconnect:Reconnector._connect_and_serve",
        ("connection.without_secrets(str(error))", "str(error)"),
        QUOTED,
    ),
    Row(
        "no_tracking_quotes_the_password",
        "wire.secrets",
        "Health and the log show the password that a server repeats as it refuses RESP3.",
        "wire.reconnect:Reconnector._connect_and_serve",
        ("connection.without_secrets(greeting.no_tracking_because)", "greeting.no_tracking_because"),
        QUOTED,
    ),
    Row(
        "refusals_quote_the_password",
        "wire.secrets",
        "Health shows the password that a server repeats as it refuses to store.",
        "shared.commands:CommandSender.record_refusal",
        ("self.wire.without_secrets(spoken(error))", "spoken(error)"),
        "tests/faults/test_lesser_servers.py::test_nor_one_that_does_so_later",
    ),
    Row(
        "idle_proxies_are_not_named",
        "wire.idle",
        "A proxy that closes idle connections looks like a failing server.",
        "wire.reconnect:Reconnector._look_for_idling",
        ("if self._idled >= IDLE_TIMES:", "if False:"),
        f"{IDLE_PROXY}::test_it_is_named",
    ),
    Row(
        "each_close_names_a_proxy",
        "wire.idle",
        "A restarted server counts as a proxy.",
        "wire.reconnect:Reconnector._look_for_idling",
        ("if self._idled >= IDLE_TIMES:", "if True:"),
        f"{IDLE_PROXY}::test_a_server_that_is_restarted_is_no_such_proxy",
    ),
]
