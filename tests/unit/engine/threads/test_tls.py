"""TLS without a socket: a real server's bytes are decrypted, and its farewell and a broken record are reported."""

import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from fleetcache.engine.threads.tls import Tls
from tests.support.certs import certificates

LONG = 20.0
SIZE = 300_000  # several records


class Peer:
    """A server that echoes each message until it reads ``end``."""

    def __init__(self) -> None:
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(LONG)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = certificates()
        context.load_cert_chain(files.cert, files.key)
        self._thread = threading.Thread(target=self._serve, args=(context, theirs))
        self._thread.start()

    def _serve(self, context: ssl.SSLContext, theirs: socket.socket) -> None:
        theirs.settimeout(LONG)
        try:
            with context.wrap_socket(theirs, server_side=True) as sock:
                while (data := sock.recv(65536)) not in {b"end", b""}:
                    sock.sendall(data)
                sock.unwrap()
        except OSError:
            theirs.close()

    def end(self) -> None:
        """Close both ends."""
        self.ours.close()
        self._thread.join(LONG)


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.end()


def shaken(peer: Peer, host: str = "localhost", *, trusts: bool = True) -> Tls:
    context = ssl.create_default_context(cafile=str(certificates().ca) if trusts else None)
    tls = Tls(context, host)
    tls.shake(peer.ours)
    return tls


def read(peer: Peer) -> memoryview:
    return memoryview(peer.ours.recv(65536))


def read_on(tls: Tls, peer: Peer) -> None:
    while True:
        tls.decrypt(read(peer))


def test_what_was_sent_comes_back(peer: Peer) -> None:
    tls, sent = shaken(peer), b"x" * SIZE
    writer = threading.Thread(target=peer.ours.sendall, args=(tls.encrypt(sent),))
    writer.start()
    came = b""
    while len(came) < SIZE:
        came += tls.decrypt(read(peer))
    writer.join(LONG)
    assert came == sent


def test_half_a_record_says_nothing_yet(peer: Peer) -> None:
    tls = shaken(peer)
    peer.ours.sendall(tls.encrypt(b"hello"))
    came, bytes_read = b"", 0
    while not came:
        byte = memoryview(peer.ours.recv(1))
        bytes_read += 1
        came = tls.decrypt(byte)
    assert came == b"hello"
    assert bytes_read > len(came)


def test_the_farewell_of_the_server_is_told(peer: Peer) -> None:
    tls = shaken(peer)
    peer.ours.sendall(tls.encrypt(b"end"))
    with pytest.raises(EOFError):
        read_on(tls, peer)


def test_bytes_that_are_no_tls_are_refused(peer: Peer) -> None:
    with pytest.raises(ssl.SSLError):
        shaken(peer).decrypt(memoryview(b"+PONG\r\n" * 10))


def test_a_server_that_nobody_vouches_for_is_refused(peer: Peer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(peer, trusts=False)


def test_a_server_of_another_name_is_refused(peer: Peer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(peer, "elsewhere.invalid")


def test_a_server_that_closes_amid_the_handshake_is_told() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError, match="TLS handshake"):
            Tls(ssl.create_default_context(), "localhost").shake(ours)
