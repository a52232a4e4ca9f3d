"""Reason codes: one stable word for each error of a server and each failed attempt to connect."""

import errno
import socket
import ssl

import pytest
from hiredis import ReplyError

from fleetcache.wire.reasons import ScriptError, connect_reason, connect_words, reply_reason, spoken


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "oom"),
        ("MOVED 3999 127.0.0.1:6381", "cluster_mode"),
        ("NOAUTH Authentication required.", "auth"),
        ("ERR invalid password", "auth"),
        ("ERR max number of clients reached", "maxclients"),
        ("NOPERM this user has no permissions to run the 'get' command", "noperm"),
        ("ERR The user executing the script can't run this command", "noperm"),
        ("ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed", "oom"),
        ("ERR Error running script: @user_script: 1: READONLY You can't write", "readonly"),
        ("OOMPH is no code", "error"),
        ("ERR something new", "error"),
        ("", "error"),
    ],
)
def test_each_error_reply_has_a_word(said: str, reason: str) -> None:
    assert reply_reason(ReplyError(said)) == reason


def test_a_server_without_scripts_is_told_only_by_a_script() -> None:
    said = "ERR unknown command 'EVALSHA', with args beginning with: 'abc' 'secret'"
    assert reply_reason(ScriptError(said)) == "no_scripts"
    assert reply_reason(ReplyError(said)) == "error"


def test_the_arguments_of_a_refused_command_are_not_shown() -> None:
    said = "ERR unknown command 'EVALSHA', with args beginning with: 'abc' 'secret'"
    assert spoken(ReplyError(said)) == "ERR unknown command 'EVALSHA'"
    assert spoken(ScriptError(said)) == "EVALSHA: ERR unknown command 'EVALSHA'"


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "refused", "Connection refused"),
        (FileNotFoundError(errno.ENOENT, "x"), "refused", "No such file or directory"),
        (PermissionError(errno.EACCES, "x"), "noperm", "Permission denied"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "reset", "Connection reset by peer"),
        (TimeoutError(), "timeout", "no answer in time"),
        (ssl.SSLError(1, "bad"), "tls", "bad"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "unreachable", "Name or service not known"),
        (OSError(errno.ENETUNREACH, "x"), "unreachable", "Network is unreachable"),
        (UnicodeError("label too long"), "error", "label too long"),
        (ValueError(), "error", "ValueError"),
    ],
    ids=repr,
)
def test_each_failed_attempt_to_connect_has_a_word(error: Exception, reason: str, words: str) -> None:
    assert (connect_reason(error), connect_words(error)) == (reason, words)
