"""TLS without a socket: bytes in, bytes out, so that the thread shell works the same way with and without it."""

import socket
import ssl

__all__ = ["Tls"]

# One TLS record holds 16 KiB; one read brings several records.
READ_SIZE = 256 * 1024


class Tls:
    """The client's end of one TLS connection."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def shake(self, sock: socket.socket) -> None:
        """Shake hands on a socket that blocks, within the socket's timeout.

        Raises:
            OSError: The same errors as for connecting; ``ssl.SSLError`` is an ``OSError``, too.
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
        """Return True if TLS has bytes of its own to send."""
        return bool(self._outgoing.pending)

    def encrypt(self, data: bytes) -> bytes:
        """Return the encrypted bytes to send, with those of TLS itself."""
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]
        return self._outgoing.read()

    def decrypt(self, data: memoryview) -> bytes:
        """Return the decrypted bytes, as far as they have arrived.

        Raises:
            ssl.SSLError: The bytes are not TLS, or were tampered with.
            EOFError: The server ended the TLS session.
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
