"""Keep a connection alive, for every shell: connect, shake hands, serve, and reconnect with backoff when it is lost.

Written once, as ``async def`` that awaits only the connection's own methods: that of asyncio suspends there, that of
threads blocks.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..clock import Clock
from ..config.url import CredentialProvider
from ..errors import ConfigError
from ..futures import Future
from .closings import Closings
from .connection import Connection, Deadline, WireHooks, WireLimits
from .error_hints import PLAIN_TO_TLS, hinted, idle_hint, tls_hint
from .handshake import Ask, HandshakeError, Heard, ServerInfo, handshake
from .link_state import Link, LinkState
from .reasons import TRANSIENT, connect_reason, connect_words, reply_reason
from .session import Call, Command, ReplyError

__all__ = ["Reconnector"]

# ``IDLE_TIMES`` connections in a row, each closed at least ``MIN_IDLE`` seconds after the last answer, are no accident:
# a server that ends or is restarted closes one. A connection that held longer than ``HELD_LONG`` seconds, for many
# heartbeats, was not closed for being idle.
IDLE_TIMES, MIN_IDLE, HELD_LONG = 3, 0.05, 60.0


class Reconnector:
    """Keeps one connection alive.

    Args:
        connection: The connection. It waits for the reconnector, too, in the way of its shell.
        provider: Gives user and password for each new connection; ``None``: those of the address.
        limits: Durations and the frame limit.
        hooks: The cache's side.
        clock: Seconds.
        random: Returns a number in [0, 1).
        name: The client name that ``CLIENT LIST`` shows on the server.

    Attributes:
        tried: Whether the first attempt to connect has succeeded or failed.
        closings: The commands at which the other end closes.
    """

    def __init__(
        self,
        connection: Connection,
        provider: CredentialProvider | None,
        limits: WireLimits,
        hooks: WireHooks,
        *,
        clock: Clock,
        random: Callable[[], float],
        name: str,
    ) -> None:
        self._connection, self._link, self._address = connection, connection.link, connection.address
        self._limits, self._hooks, self._clock = limits, hooks, clock
        self._provider, self._random, self._name = provider, random, name
        self.tried = False
        self._attempt_waiters: list[Future] = []
        self.closings = Closings(clock)
        self._began = -float("inf")  # when the current connection was ready
        self._idled = 0  # connections in a row that the other end closed while no call was under way

    def start(self) -> None:
        """Begin to connect, in the background, for as long as the cache lives."""
        try:
            self._connection.start(self._run)
        except RuntimeError:  # no thread can be started: the cache continues without a server
            self._link.lost("unreachable", self._clock())
            self._tell_tried()

    # -- the connection's life ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Connect, serve, connect again, for as long as the link is not closed."""
        connection, link = self._connection, self._link
        try:
            while link.state is not LinkState.CLOSED:
                reason = await self._connect_and_serve()
                connection.end(reason)
                self._hooks.on_failed()
                self._tell_tried()
                await connection.pause(link.backoff(self._random))
        finally:
            # Also when the loop ends without a close(): no socket may stay open, and no caller may keep waiting.
            connection.end()
            self._tell_tried()

    def on_first_attempt(self, future: Future) -> None:
        """Resolve the future when the first attempt to connect has succeeded or failed."""
        if self.tried:
            future.set_result(None)
        else:
            self._attempt_waiters.append(future)

    def _tell_tried(self) -> None:
        self.tried = True
        curious, self._attempt_waiters = self._attempt_waiters, []
        for future in curious:
            if not future.done():
                future.set_result(None)

    async def _connect_and_serve(self) -> str:
        """Run one connection from its first byte to its last; return why it ended."""
        connection = self._connection
        connection.renew()
        try:
            greeting = await self._open()
        except HandshakeError as error:
            connection.last_error = connection.without_secrets(str(error))
            return error.reason
        except ConfigError as error:  # a certificate file that cannot be read
            connection.last_error = str(error)
            return "tls"
        except (OSError, UnicodeError) as error:  # UnicodeError: an impossible host name
            self._explain(error)
            return connection.over or connect_reason(error)
        except Exception as error:  # noqa: BLE001 - a defect of the cache; it is in the log
            text = "defect: the handshake failed (%s); it is tried again"
            self._hooks.tell(logging.ERROR, "defect", text, type(error).__name__, error=error)
            connection.last_error = type(error).__name__
            return "error"
        if greeting.no_tracking_because is not None:
            greeting.no_tracking_because = connection.without_secrets(greeting.no_tracking_because)
        self._began = self._clock()
        connection.serve(greeting)
        self._tell_tried()
        await connection.until_over()
        self._look_for_idling()
        return connection.over or "error"

    async def _open(self) -> ServerInfo:
        """Connect and shake hands."""
        connection = self._connection
        if self._hooks.prepare is not None:
            await self._hooks.prepare()
        async with connection.within(self._limits.connect_timeout) as deadline:
            await connection.connect()
            self._check_over()
            self.closings.connected()
            self._link.opened(self._clock())
            deadline.extend(self._limits.connect_timeout)
            credentials = connection.secrets = await self._credentials()
            greeting = await handshake(
                self._asking(deadline),
                self._address,
                credentials,
                name=self._name,
                probe=connection.probe,
                probe_pushes=lambda: connection.probe_pushes,
                previous=connection.greeting,
                questions=self._hooks.questions,
                recover=self._hooks.recover,
                careful=self.closings.careful,
            )
            self._check_over()
        return greeting

    def _explain(self, error: OSError | UnicodeError) -> None:
        """Put an error of the system into words."""
        connection = self._connection
        hint = tls_hint(error, shaking=connection.shaking and connection.greeting is None)
        words = connect_words(error)
        connection.last_error = hinted(f"{type(error).__name__}: {str(error) or words}", hint)
        connection.detail = hinted(words, hint)

    def _look_for_idling(self) -> None:
        """Add a hint to ``last_error`` when the other end closes one idle connection after the other."""
        connection, now, beat = self._connection, self._clock(), self._limits.max_staleness / 3
        idle = now - self._link.confirmed
        # A busy connection, or one that held for a while, is not closed for being idle.
        if connection.over != "reset" or connection.session.calls or idle < MIN_IDLE or now - self._began > HELD_LONG:
            self._idled = 0
            return
        self._idled += 1
        if self._idled >= IDLE_TIMES:
            connection.last_error = hinted(connection.last_error or "", idle_hint(self._idled, idle, beat))

    def _check_over(self) -> None:
        connection = self._connection
        if connection.over is not None:
            raise HandshakeError(connection.over, connection.last_error or "no answer")

    async def _credentials(self) -> tuple[str, ...]:
        provider = self._provider
        if provider is None:
            password = self._address.password
            if password is None:
                return ()
            return (self._address.username, password) if self._address.username else (password,)
        try:
            return await self._connection.provided(provider)
        except Exception as error:  # noqa: BLE001 - the text of a user's exception may hold a secret
            # The provider may have put the password into the text.
            raise HandshakeError("auth", f"the credential provider raised {type(error).__name__}") from None

    def _asking(self, deadline: Deadline) -> Ask:
        async def ask(*commands: Command | Heard, patient: bool = True) -> list[Any]:
            attempts = 0
            while True:
                # For this step alone: a server that answers thousands of handshakes at once answers each of them late.
                deadline.extend(self._limits.connect_timeout)
                replies = await self._exchange(commands)
                reasons = [reply_reason(reply) for reply in replies if isinstance(reply, ReplyError)]
                reason = next((each for each in reasons if each in TRANSIENT), None)
                if not patient or reason is None:
                    return replies
                # The server is there and says "not yet": keep waiting on this connection, as long as it repeats that.
                self._link.reason = reason
                self._tell_tried()
                attempts += 1
                pause = self._random() * Link.pause_after(attempts)
                deadline.extend(pause + self._limits.connect_timeout)
                await self._connection.pause(pause)

        return ask

    async def _exchange(self, commands: Sequence[Command | Heard]) -> list[Any]:
        """Send commands in one write and return their replies, each handled when it is parsed.

        One write each if the other end may close the connection at a command: the last one sent is then the culprit.
        """
        answered: dict[int, Any] = {}
        waiting: list[tuple[int, Heard]] = []
        for place, asked in enumerate(map(Heard.of, commands)):
            refusal = self.closings.refusal(asked.command)
            if refusal is None:
                waiting.append((place, asked))
            else:
                answered[place] = refusal
                asked.then(refusal)
        for write in [[each] for each in waiting] if self.closings.careful else [waiting]:
            await self._write(write, answered)
        return [answered[place] for place in range(len(commands))]

    async def _write(self, write: Sequence[tuple[int, Heard]], answered: dict[int, Any]) -> None:
        closings, connection = self.closings, self._connection
        future = connection.future()
        for place, asked in write:

            def handle(replies: list[Any], place: int = place, asked: Heard = asked) -> None:
                answered[place] = replies[0]
                asked.then(replies[0])

            connection.submit(Call((asked.command,), handle, future if place == write[-1][0] else None))
        if write:
            await connection.reply(future)
        missing = [asked.command for place, asked in write if place not in answered]
        if len(missing) < len(write):
            closings.answered()
        if missing:
            said = connection.last_error or "no answer"
            if connection.over == "reset":
                closings.closed_at(missing[0])
                if self._address.kind == "tcp" and connection.greeting is None and not closings.spoke:
                    said = hinted(said, PLAIN_TO_TLS)
            raise HandshakeError(connection.over or "timeout", said)
