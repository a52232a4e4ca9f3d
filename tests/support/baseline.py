"""Resets a server that several tests share, so that no test sees another one's traces."""

from dataclasses import dataclass
from typing import Self

from tests.support.client import Client

__all__ = ["Baseline"]


@dataclass(frozen=True)
class Baseline:
    """Settings and users of a server, as read before the first test."""

    config: dict[bytes, bytes]
    users: dict[bytes, bytes]

    @classmethod
    def read(cls, client: Client) -> Self:
        """Read the settings and users of a server."""
        return cls(_config(client), _users(client))

    def restore(self, client: Client) -> None:
        """Drop all connections, data and scripts, and set settings and users back."""
        client.pipeline(
            ("CLIENT", "KILL", "TYPE", "normal"),
            ("CLIENT", "KILL", "TYPE", "pubsub"),
            (
                "CLIENT",
                "UNPAUSE",
            ),
        )
        self._restore_config(client)
        self._restore_users(client)
        for command in (("FLUSHALL",), ("SCRIPT", "FLUSH"), ("CONFIG", "RESETSTAT")):
            client(*command)

    def _restore_config(self, client: Client) -> None:
        now = _config(client)
        if now[b"replicaof"] != self.config[b"replicaof"]:
            client("REPLICAOF", "NO", "ONE")
        for name, value in self.config.items():
            if now[name] != value and name != b"replicaof":
                client("CONFIG", "SET", name, value)

    def _restore_users(self, client: Client) -> None:
        for name, rules in _users(client).items():
            if name not in self.users:
                client("ACL", "DELUSER", name)
            elif rules != self.users[name]:
                client("ACL", "SETUSER", name, "reset", *self.users[name].split())


def _config(client: Client) -> dict[bytes, bytes]:
    config: dict[bytes, bytes] = client("CONFIG", "GET", "*")
    return config


def _users(client: Client) -> dict[bytes, bytes]:
    """Rules by user name, of lines like ``user default on nopass ~* &* +@all``."""
    lines: list[bytes] = client("ACL", "LIST")
    return {name: rules for _, name, rules in (line.split(b" ", 2) for line in lines)}
