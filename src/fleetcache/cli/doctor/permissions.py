"""The permissions that a cache needs: the one table, the ACL line made of it, and the test of each on a real server.

Each permission is tried and not read out of ``ACL GETUSER``, which is itself a permission that such a user should not
have. The attempts touch only test keys under the prefix, and delete these keys again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...format.keys import Layout
from ...shared.scripts import SCRIPTS
from ...wire.reasons import reply_reason
from ...wire.session import Command, ReplyError
from .findings import Code, Finding, Severity
from .visit import Visit

__all__ = ["PERMISSIONS", "Checked", "Permission", "acl_line", "check", "findings_on"]

Try = Callable[[bytes], Command]


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule of the ACL.

    Attributes:
        rule: The rule as ``ACL SETUSER`` takes it.
        attempt: The command that shows whether the rule is granted; ``None``: the server refuses it to no user.
        without: The effect on a cache without the rule.
        optional: Whether a cache is healthy without the rule.
    """

    rule: str
    attempt: Try | None
    without: str
    optional: bool = False


# A client id that no server has reached, so the attempt kills no client.
_NOBODY = 2**63 - 1

# In the order of docs/server.md, whose ACL line comes from this table.
PERMISSIONS: tuple[Permission, ...] = (
    Permission("+hello", lambda _: ("HELLO", 3), "no RESP3: changes are not pushed, near copies live a second"),
    Permission("+auth", None, "no log-in where HELLO is refused"),
    Permission("+get", lambda key: ("GET", key), "nothing can be read: offline"),
    Permission(
        "+getrange", lambda key: ("GETRANGE", key, 0, 16), "loaded values are not stored, and no lease is released"
    ),
    Permission("+set", lambda key: ("SET", key, "1", "PX", 10_000), "nothing can be stored"),
    Permission("+del", lambda key: ("DEL", key), "removals are refused: they are kept and repeated endlessly"),
    Permission("+exists", lambda key: ("EXISTS", key), "set() does not store"),
    Permission("+pttl", lambda key: ("PTTL", key), "no entry can be used: its age is unknown"),
    Permission("+pexpire", lambda key: ("PEXPIRE", key, 10_000), "a load longer than its lease runs twice; no touch()"),
    Permission(
        "+eval", lambda key: ("EVAL", "return 1", 1, key), "nothing can be stored once the server forgets scripts"
    ),
    Permission("+evalsha", lambda key: ("EVALSHA", "0" * 40, 1, key), "no load can be shared or stored"),
    Permission(
        "+script|exists",
        lambda _: ("SCRIPT", "EXISTS", SCRIPTS["release"].sha),
        "each connection sends the text of every script",
        optional=True,
    ),
    Permission(
        "+script|load", lambda _: ("SCRIPT", "LOAD", SCRIPTS["release"].text), "each first use of a script fails once"
    ),
    Permission(
        "+client|tracking", lambda _: ("CLIENT", "TRACKING", "ON"), "changes are not pushed, near copies live a second"
    ),
    Permission(
        "+client|kill",
        lambda _: ("CLIENT", "KILL", "ID", _NOBODY),
        "the server ends this cache's lost connections only after its own timeout",
        optional=True,
    ),
    Permission(
        "+info",
        lambda _: ("INFO", "server"),
        "a restart looks like a lost connection: every reconnect empties the cache",
        optional=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Checked:
    """One permission of this user.

    Attributes:
        rule: The rule as ``ACL SETUSER`` takes it.
        granted: Whether the user has the rule.
        optional: Whether a cache is healthy without the rule.
        without: The effect on a cache without the rule.
        grant: The line that grants the rule.
        said: The text of the server's refusal.
    """

    rule: str
    granted: bool
    optional: bool
    without: str
    grant: str
    said: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as a dict, for JSON."""
        return {name: getattr(self, name) for name in ("rule", "granted", "optional", "without", "grant", "said")}


def acl_line(prefix: str, user: str = "app") -> str:
    """Return the ACL line for the user with the fewest rights with which a cache is healthy.

    Example:
        >>> acl_line("shop").split()[2:8]
        ['app', 'on', '>PASSWORD', '~shop:*', 'resetchannels', '-@all']
    """
    rules = " ".join(permission.rule for permission in PERMISSIONS)
    return f"ACL SETUSER {user} on >PASSWORD {_pattern(prefix)} resetchannels -@all {rules}"


def _pattern(prefix: str) -> str:
    """Return the pattern for the keys of a prefix, with the special characters of patterns escaped."""
    return "~" + "".join(f"\\{char}" if char in "*?[]\\" else char for char in prefix) + ":*"


async def check(visit: Visit, layout: Layout, user: str, name: str) -> list[Checked]:
    """Try every command that a cache sends, and each kind of key.

    Args:
        visit: A connection that is logged in.
        layout: The layout of the cache's keys on the server.
        user: The user of that connection, for the lines that grant.
        name: The name of the keys to try, which no other program uses.
    """
    tried = [permission for permission in PERMISSIONS if permission.attempt is not None]
    probe = layout.probe(name)
    replies = await visit.ask(*(permission.attempt(probe) for permission in tried if permission.attempt is not None))
    await visit.ask(("DEL", probe))
    said = {permission.rule: _refused(reply) for permission, reply in zip(tried, replies, strict=True)}
    checked = [
        Checked(
            p.rule, not said.get(p.rule), p.optional, p.without, f"ACL SETUSER {user} {p.rule}", said.get(p.rule, "")
        )
        for p in PERMISSIONS
    ]
    return [*checked, await _keys(visit, layout, user, name)]


def _refused(reply: Any) -> str:
    """Return the server's words if it refused the command itself.

    Keys are another permission, and a fault is not a refusal.
    """
    if not isinstance(reply, ReplyError):
        return ""
    said = str(reply)
    lacks = reply_reason(reply) == "noperm" and not _is_about_keys(said)
    return said if lacks or "unknown" in said.lower() else ""


def _is_about_keys(said: str) -> bool:
    """Versions word a refusal differently: "... to access one of the keys ...", "No permissions to access a key"."""
    return "access" in said and "key" in said


async def _keys(visit: Visit, layout: Layout, user: str, name: str) -> Checked:
    """Try to read and write each kind of key: a pattern may leave some kinds out, or only let the user read them."""
    kinds = {"e": layout.entry(name), "c": layout.claim(name), "t": layout.tag(name), "p": layout.probe(name)}
    lacking: dict[str, list[str]] = {}
    for kind, key in kinds.items():
        replies = await visit.ask(("GET", key), ("SET", key, "1", "PX", 10_000), ("DEL", key))
        for verb, reply in zip(("read", "write"), replies[:2], strict=True):
            if isinstance(reply, ReplyError) and reply_reason(reply) == "noperm" and _is_about_keys(str(reply)):
                lacking.setdefault(verb, []).append(f"{layout.prefix}:{kind}:*")
    said = "; ".join(f"may not {verb} {', '.join(keys)}" for verb, keys in lacking.items())
    rule = _pattern(layout.prefix)
    return Checked(rule, not said, False, "these keys are the cache's", f"ACL SETUSER {user} {rule}", said)


def findings_on(checked: list[Checked]) -> list[Finding]:
    """Return a finding for each missing permission; if none of them is a problem, an OK finding comes first."""
    found = [_finding(each) for each in checked if not each.granted]
    if not any(finding.severity is Severity.PROBLEM for finding in found):
        message = "all commands and keys that a cache needs are permitted; it needs no channels"
        found.insert(0, Finding(Code.PERMISSION, Severity.OK, message))
    return found


def _finding(missing: Checked) -> Finding:
    if missing.rule.startswith("~"):
        return Finding(Code.KEYS, Severity.PROBLEM, f"the user {missing.said}", missing.grant, about=missing.rule)
    severity = Severity.NOTE if missing.optional else Severity.PROBLEM
    message = f"{missing.rule} is not granted ({missing.said}): {missing.without}"
    action = f"optional: {missing.grant}" if missing.optional else missing.grant
    return Finding(Code.PERMISSION, severity, message, action, about=missing.rule)
