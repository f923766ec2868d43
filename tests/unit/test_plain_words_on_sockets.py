"""Those of "what the plain words hide" that only a kernel can show: real sockets on loopback, a real folder, raw requesters."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gsync.core.model import FileMeta
from gsync.core.versions import Version
from gsync.net.breathing import breathe
from gsync.net.tcp import TcpNetwork
from gsync.net.tcp_stream import TcpStream
from gsync.net.transport import Stream
from gsync.peer.trees import Trees
from gsync.peer.uploader import CAREFUL_PIECE, CAREFUL_UP_TO, DRAIN_S, Uploader
from gsync.storage.disk import DiskFolder
from gsync.storage.filesystem import Found

CAREFUL = os.urandom(300_001)
HEADER = b"Content-Length: %d\n" % (2 * CAREFUL_UP_TO)

_CLOSE_WAIT = 8  # the state, first byte of TCP_INFO, of a socket whose other side has ended its sending, and no more
_TCP_INFO_BYTES = 256
_DATA_SEGMENTS_IN = 152
"""Where `struct tcp_info` of linux/tcp.h has `tcpi_data_segs_in`: 8 bytes, 24 words, 4 double words, 4 words."""


class Shop:
    """An uploader that serves a real folder on a real port."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "text").write_bytes(b"text")
        (root / "careful").write_bytes(CAREFUL)
        with (root / "large").open("wb") as large:
            large.truncate(2 * CAREFUL_UP_TO)
        self.folder = DiskFolder(root)
        local = {
            one.path: FileMeta(fingerprint=one.fingerprint, version=Version.from_mtime(5), digest="")
            for one in self.folder.listing()
            if isinstance(one, Found)
        }
        self.uploader = Uploader(folder=self.folder, trees=Trees(local, {}))
        self.listener = TcpNetwork().listen(ip="127.0.0.1", port=0, handler=self.uploader, limit=10)

    def dial(self) -> socket.socket:
        conn = socket.socket()
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # so that a large file is not in the kernel at once
        conn.settimeout(10)
        conn.connect((self.listener.endpoint.ip, self.listener.endpoint.port))
        return conn

    def close(self) -> None:
        self.listener.close()
        self.folder.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.close()


def read_all(conn: socket.socket) -> bytes:
    gathered = bytearray()
    while piece := conn.recv(65536):
        gathered += piece
    return bytes(gathered)


def test_tcp_keepalive_asks_after_ten_seconds_and_then_three_times_each_five() -> None:
    asked: list[tuple[int, ...]] = []

    def look(stream: Stream) -> None:
        sock: Any = stream._socket  # type: ignore[attr-defined]
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        asked.append(tuple(sock.getsockopt(socket.IPPROTO_TCP, option) for option in options))

    network = TcpNetwork()
    listener = network.listen(ip="127.0.0.1", port=0, handler=look, limit=1, alive_probes=True)
    with network.dial(listener.endpoint, alive_probes=True) as stream:
        stream.receive(1)
        look(stream)
    listener.close()
    assert asked == [(10, 5, 3)] * 2


@pytest.mark.parametrize("block", [1024, 2048, 4096, 8192])
def test_a_reader_that_stops_at_the_first_short_read_gets_the_whole_file(shop: Shop, block: int) -> None:
    with shop.dial() as conn:
        conn.sendall(b"careful")
        got = piece = conn.recv(block)
        while len(piece) == block:
            piece = conn.recv(block)
            got += piece
    assert got == CAREFUL


def test_a_careful_piece_is_sent_when_the_kernels_send_queue_is_empty(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued: list[tuple[int, int]] = []
    send = TcpStream.send

    def watched(stream: TcpStream, data: bytes) -> None:
        queued.append((len(data), stream._unacknowledged()))
        send(stream, data)

    monkeypatch.setattr(TcpStream, "send", watched)
    with shop.dial() as conn:
        conn.sendall(b"careful")
        assert read_all(conn) == CAREFUL
    full, last = divmod(len(CAREFUL), CAREFUL_PIECE)
    assert queued == [(CAREFUL_PIECE, 0)] * full + [(last, 0)]


@pytest.mark.slow
def test_edition_2_goes_through_sendfile(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    sendfile = os.sendfile

    def watched(*args: Any) -> int:
        sent.append(sendfile(*args))
        return sent[-1]

    monkeypatch.setattr(os, "sendfile", watched)
    with shop.dial() as conn:
        conn.sendall(b"large\n")
        assert len(read_all(conn)) == 2 * CAREFUL_UP_TO + len(HEADER)
    assert sum(sent) == 2 * CAREFUL_UP_TO - 1  # the last byte waits until the file is known not to have changed


def test_the_header_of_edition_2_goes_in_its_own_segment(shop: Shop) -> None:
    with shop.dial() as conn:
        conn.sendall(b"text\n")
        assert read_all(conn) == b"Content-Length: 4\ntext"
        told = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    assert struct.unpack_from("I", told, _DATA_SEGMENTS_IN) == (2,)


def test_a_late_word_after_the_last_byte_resets_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gsync.peer.uploader.DRAIN_S", 60 * DRAIN_S)  # however slow this machine is
    with shop.dial() as conn:
        conn.sendall(b"text")
        assert read_all(conn) == b"text"
        for _ in range(3):
            breathe()
        conn.sendall(b"\n")  # a socket that was closed and not drained would answer this with a reset, at once
        assert conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSE_WAIT


@pytest.mark.slow
@pytest.mark.parametrize("edition", [1, 2])
def test_broken_off_in_the_middle_edition_1_is_reset_and_edition_2_ends_early(shop: Shop, edition: int) -> None:
    with shop.dial() as conn:
        conn.sendall(b"large" + b"\n" * (edition - 1))
        conn.recv(1)
        with (shop.root / "large").open("r+b") as file:
            file.write(b"another word")
        if edition == 1:
            with pytest.raises(ConnectionResetError):
                read_all(conn)
        else:
            assert 1 + len(read_all(conn)) < len(HEADER) + 2 * CAREFUL_UP_TO


@pytest.mark.parametrize("request_", [b"", b"\n", b'""\n', b"no such file\n"])
def test_an_empty_or_odd_request_is_closed_in_order_without_a_byte_and_survived(shop: Shop, request_: bytes) -> None:
    with shop.dial() as conn:
        conn.sendall(request_)
        conn.shutdown(socket.SHUT_WR)
        assert read_all(conn) == b""
    with shop.dial() as conn:
        conn.sendall(b"text")
        assert read_all(conn) == b"text"


def test_a_connection_that_is_left_open_holds_up_nobody(shop: Shop) -> None:
    with shop.dial(), shop.dial() as conn:
        conn.sendall(b"text\n")
        assert read_all(conn) == b"Content-Length: 4\ntext"
