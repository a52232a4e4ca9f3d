"""TLS without a socket: bytes in, bytes out, so that the thread shell sends and reads alike with and without it."""

import socket
import ssl

__all__ = ["Tls"]

# One record holds 16 KiB; several come in one read.
READ_SIZE = 256 * 1024


class Tls:
    """One end of one connection."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def shake(self, sock: socket.socket) -> None:
        """Shake hands on a socket that blocks, within its timeout.

        Raises:
            OSError: As connecting does; ``ssl.SSLError`` is one.
        """
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                sock.sendall(self._outgoing.read())
                data = sock.recv(READ_SIZE)
                if not data:
                    raise ConnectionResetError("the server closed the connection during the TLS handshake") from None
                self._incoming.write(data)
            else:
                break
        sock.sendall(self._outgoing.read())

    @property
    def pending(self) -> bool:
        """Whether TLS has something of its own to say."""
        return bool(self._outgoing.pending)

    def encrypt(self, data: bytes) -> bytes:
        """What is to be sent for it, and for TLS itself."""
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]
        return self._outgoing.read()

    def decrypt(self, data: memoryview) -> bytes:
        """What was said, as far as it has come.

        Raises:
            ssl.SSLError: It is no TLS, or somebody tampered with it.
            EOFError: The other side said farewell.
        """
        self._incoming.write(data)
        said = bytearray()
        while True:
            try:
                part = self._object.read(READ_SIZE)
            except ssl.SSLWantReadError:
                return bytes(said)
            except ssl.SSLZeroReturnError:
                part = b""
            if not part:
                raise EOFError("the server closed the connection")
            said += part
