"""The serving port, as a dialogue: what a requester says, and what he gets, when, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from gsync.core.admission import UNPROVEN_PER_ADDRESS
from gsync.core.names import Endpoint, RelPath
from gsync.errors import ConnectionBroken, StorageError
from gsync.net.memory import MemoryHost
from gsync.net.memory_stream import PIPE_BYTES, MemoryStream
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Stream
from gsync.peer.peer import ACCEPTING
from gsync.peer.trees import Trees
from gsync.peer.uploader import (
    CAREFUL_PIECE,
    CAREFUL_UP_TO,
    CONNECTIONS,
    DRAIN_S,
    ONE_WRITE_BELOW,
    UPLOADS,
    WINDOW_S,
    Uploader,
)
from gsync.storage.filesystem import OpenFile
from gsync.storage.memory import MemoryFolder
from gsync.wire.requests import REQUEST_LIMIT_BYTES, REQUEST_WAIT_S, SETTLE_S
from tests.unit.peer.world import OURS_IP, Lan, RecordingStream, ending, folder_with, read_all, trees_of

DOOR = Endpoint(OURS_IP, 2000)


def content(size: int) -> bytes:
    return bytes(number % 251 for number in range(min(size, 251))) * (size // 251 + 1)


class WatchedFolder(MemoryFolder):
    """A folder in memory whose open files tell the test before each read."""

    on_read: Callable[[int], None] = staticmethod(lambda offset: None)

    def open(self, path: RelPath) -> OpenFile:
        return WatchedFile(super().open(path), self)


class WatchedFile:
    def __init__(self, file: OpenFile, folder: WatchedFolder) -> None:
        self._file = file
        self._folder = folder

    def read_at(self, offset: int, count: int) -> bytes:
        self._folder.on_read(offset)
        return self._file.read_at(offset, count)

    def __enter__(self) -> WatchedFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Shop:
    """An uploader at its door, and the streets that lead there."""

    def __init__(self, world: World, files: dict[str, bytes]) -> None:
        self.world = world
        self.lan = Lan(world)
        self.folder = WatchedFolder(wall_clock=lambda: 1_700_000_000.0)
        for name, body in files.items():
            self.folder.put(name, body)
        self.trees: Trees = trees_of(self.folder)
        self.streams: list[RecordingStream] = []
        self._uploader = Uploader(folder=self.folder, trees=self.trees)
        self.listener = self.lan.here.listen(ip="0.0.0.0", port=DOOR.port, handler=self._serve, limit=ACCEPTING)

    def _serve(self, stream: Stream) -> None:
        assert isinstance(stream, MemoryStream)
        self.streams.append(RecordingStream(stream))
        self._uploader(self.streams[-1])  # type: ignore[arg-type]  # it passes everything on

    def dial(self, host: MemoryHost | None = None) -> MemoryStream:
        return (host or self.lan.there).dial(DOOR)

    def ask(self, request: bytes) -> tuple[bytes, str]:
        """What comes to one request, and how it ends."""
        with self.dial() as stream:
            stream.send(request)
            return ending(stream)

    @property
    def writes(self) -> list[int]:
        """The writes of the last connection."""
        return self.streams[-1].writes


FILES = {
    "a": b"the letter a",
    "ab": b"two letters",
    "b.txt": b"text",
    "empty": b"",
    "Grüße": b"unicode",
    "one write": content(ONE_WRITE_BELOW - 1)[: ONE_WRITE_BELOW - 1],
    "careful": content(ONE_WRITE_BELOW)[:ONE_WRITE_BELOW],
    "careful too": bytes(CAREFUL_UP_TO),
    "full speed": bytes(CAREFUL_UP_TO + 1),
}


@pytest.fixture
def shop() -> Iterator[Shop]:
    with simulated() as world:
        shop = Shop(world, FILES)
        yield shop
        shop.listener.close()


@pytest.mark.parametrize("name", ["b.txt", "Grüße", "empty", "one write", "careful"])
def test_a_bare_name_is_answered_with_the_content_and_the_end(shop: Shop, name: str) -> None:
    assert shop.ask(name.encode()) == (FILES[name], "end")


@pytest.mark.parametrize("name", ["b.txt", "Grüße", "empty", "one write", "careful", "full speed"])
def test_a_name_and_a_newline_are_answered_with_the_length_first(shop: Shop, name: str) -> None:
    header = b"Content-Length: %d\n" % len(FILES[name])
    got, end = shop.ask(name.encode() + b"\n")
    assert end == "end"
    assert got == header + FILES[name]
    assert shop.writes[0] == len(header)


def test_a_name_in_json_quotes_is_understood(shop: Shop) -> None:
    assert shop.ask(b'"b.txt"\n') == (b"Content-Length: 4\ntext", "end")


def test_a_request_may_come_byte_by_byte(shop: Shop) -> None:
    with shop.dial() as stream:
        for byte in "Grüße".encode():
            stream.send(bytes([byte]))
            gevent.sleep(0.1)
        assert ending(stream) == (b"unicode", "end")


def test_a_newline_that_follows_its_name_at_once_makes_it_edition_2(shop: Shop) -> None:
    with shop.dial() as stream:
        for byte in "Grüß".encode():
            stream.send(bytes([byte]))
            gevent.sleep(0.1)
        stream.send(b"e\n")
        assert ending(stream) == (b"Content-Length: 7\nunicode", "end")


def test_where_a_longer_name_begins_so_a_moment_decides(shop: Shop) -> None:
    with shop.dial() as stream:
        stream.send(b"a")
        assert read_all(stream) == FILES["a"]
    with shop.dial() as stream:
        stream.send(b"a")
        gevent.sleep(SETTLE_S / 2)
        stream.send(b"b")
        assert read_all(stream) == FILES["ab"]


def test_a_requester_that_ends_its_sending_is_answered_at_once(shop: Shop) -> None:
    with shop.dial() as stream:
        stream.send(b"a")
        stream.end_sending()
        assert ending(stream) == (FILES["a"], "end")
        assert shop.world.now_s < SETTLE_S


def test_edition_1_gets_anything_below_100_000_bytes_in_one_write(shop: Shop) -> None:
    shop.ask(b"one write")
    assert shop.writes == [ONE_WRITE_BELOW - 1]


@pytest.mark.parametrize("name", ["b.txt", "one write"])
def test_edition_2_gets_anything_below_100_000_bytes_in_one_write_after_the_header(shop: Shop, name: str) -> None:
    shop.ask(name.encode() + b"\n")
    assert shop.writes[1:] == [len(FILES[name])]


@pytest.mark.parametrize(
    "name",
    ["careful", pytest.param("careful too", marks=pytest.mark.slow)],
)
def test_edition_1_gets_up_to_8_mib_in_careful_pieces(shop: Shop, name: str) -> None:
    got, end = shop.ask(name.encode())
    assert (got == FILES[name], end) == (True, "end")
    assert set(shop.writes[:-1]) == {CAREFUL_PIECE}
    assert sum(shop.writes) == len(FILES[name])


def test_a_careful_piece_leaves_when_the_last_has_arrived_so_that_no_read_is_short(shop: Shop) -> None:
    shop.lan.network.latency_s = (0.01, 0.02)
    reads = []
    with shop.dial() as stream:
        stream.send(b"careful")
        while piece := stream.receive(CAREFUL_PIECE):
            reads.append(len(piece))
    assert set(reads[:-1]) == {CAREFUL_PIECE}
    assert sum(reads) == ONE_WRITE_BELOW


def test_edition_1_gets_larger_files_at_full_speed_but_for_the_last_byte(shop: Shop) -> None:
    got, end = shop.ask(b"full speed")
    assert (len(got), end) == (CAREFUL_UP_TO + 1, "end")
    assert shop.writes == [1]


@pytest.mark.parametrize(
    "request_",
    [b"nope\n", b"../secret\n", b".gsync/index.sqlite\n", b"\n", b"\r\n", b'"nope"\n', b"b.txt.\n", b"\0native"],
)
def test_what_is_not_ours_is_closed_in_order_without_a_byte(shop: Shop, request_: bytes) -> None:
    assert shop.ask(request_) == (b"", "end")
    assert shop.world.now_s < 1


def test_a_file_that_is_in_the_folder_but_not_in_the_index_is_not_served(shop: Shop) -> None:
    shop.folder.put("new", b"not announced yet")
    assert shop.ask(b"new\n") == (b"", "end")


def test_a_name_of_ours_where_nothing_or_something_else_stands_is_closed_without_a_byte(shop: Shop) -> None:
    shop.folder.remove("a")
    shop.folder.obstruct("b.txt", "a link")
    assert shop.ask(b"a\n") == (b"", "end")
    assert shop.ask(b"b.txt\n") == (b"", "end")


def test_a_file_of_ours_that_cannot_be_opened_is_no_empty_file_in_edition_1(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: RelPath) -> OpenFile:
        raise StorageError(f"{path}: too many open files")

    with monkeypatch.context() as failures:
        failures.setattr(shop.folder, "open", fail)
        assert shop.ask(b"b.txt") == (b"", "broken")
        assert shop.ask(b"b.txt\n") == (b"", "end")
    shop.folder.remove("b.txt")
    assert shop.ask(b"b.txt") == (b"", "broken")


@pytest.mark.parametrize("length", [REQUEST_LIMIT_BYTES - 1, REQUEST_LIMIT_BYTES, REQUEST_LIMIT_BYTES + 1])
def test_a_request_of_any_length_that_names_nothing_is_closed_at_once(shop: Shop, length: int) -> None:
    assert shop.ask(b"x" * (length - 1) + b"\n") == (b"", "end")
    assert shop.world.now_s < 0.1


def test_a_request_without_an_end_is_closed_once_it_is_too_long(shop: Shop) -> None:
    with shop.dial() as stream:
        stream.send(b"x" * REQUEST_LIMIT_BYTES)
        gevent.sleep(1)
        assert not stream.is_readable()
        stream.send(b"x")
        assert ending(stream) == (b"", "end")
        assert shop.world.now_s == pytest.approx(1)


def test_one_who_asks_nothing_is_closed_after_five_seconds(shop: Shop) -> None:
    with shop.dial() as stream:
        assert ending(stream) == (b"", "end")
        assert shop.world.now_s == pytest.approx(REQUEST_WAIT_S)


def test_one_who_asks_too_slowly_is_closed_after_five_seconds(shop: Shop) -> None:
    def drawl(stream: MemoryStream) -> None:
        for byte in b"something that takes long to say":
            stream.send(bytes([byte]))
            gevent.sleep(0.9)

    with shop.dial() as stream, pytest.raises(ConnectionBroken):
        drawl(stream)
    assert REQUEST_WAIT_S < shop.world.now_s < REQUEST_WAIT_S + 2


def test_an_unknown_name_without_its_end_is_closed_after_five_seconds(shop: Shop) -> None:
    assert shop.ask(b"nop") == (b"", "end")
    assert shop.world.now_s == pytest.approx(REQUEST_WAIT_S)


def test_after_the_last_byte_a_late_word_of_the_requester_does_no_harm(shop: Shop) -> None:
    with shop.dial() as stream:
        stream.send(b"b.txt")
        gevent.sleep(DRAIN_S / 2)
        stream.send(b"\n")
        assert ending(stream) == (b"text", "end")


def test_a_requester_that_stays_is_left_soon_after_the_last_byte(shop: Shop) -> None:
    with shop.dial() as stream:
        stream.send(b"b.txt")
        read_all(stream)
        gevent.sleep(DRAIN_S + 0.1)
        assert shop.streams[-1].closed


def edit_at(shop: Shop, name: str, offset: int, body: bytes) -> None:
    """Have a person save `body` under `name`, in place, when the uploader reads at `offset`."""

    def edit(at: int) -> None:
        if at == offset:
            shop.folder.edit(name, body)

    shop.folder.on_read = edit


CHANGES = [
    pytest.param("b.txt", 0, b"TEXT", id="small, same length"),
    pytest.param("b.txt", 0, b"longer text", id="small, longer"),
    pytest.param("b.txt", 0, b"", id="small, emptied"),
    pytest.param("careful", 5 * CAREFUL_PIECE, bytes(ONE_WRITE_BELOW), id="careful, same length"),
    pytest.param("careful", 12 * CAREFUL_PIECE, bytes(ONE_WRITE_BELOW), id="careful, before the last piece"),
    pytest.param("careful", 5 * CAREFUL_PIECE, bytes(7), id="careful, cut"),
    pytest.param("full speed", 128 * 1024, bytes(CAREFUL_UP_TO + 1), id="large, same length"),
    pytest.param("full speed", CAREFUL_UP_TO, bytes(CAREFUL_UP_TO + 1), id="large, before the last byte"),
    pytest.param("full speed", 128 * 1024, bytes(7), id="large, cut"),
]


@pytest.mark.parametrize(("name", "offset", "body"), CHANGES)
def test_edition_1_is_reset_when_the_file_changes_while_it_is_sent(
    shop: Shop, name: str, offset: int, body: bytes
) -> None:
    edit_at(shop, name, offset, body)
    got, end = shop.ask(name.encode())
    assert end == "broken"
    assert len(got) < len(FILES[name])


@pytest.mark.parametrize(("name", "offset", "body"), [case for case in CHANGES if "careful" not in str(case.values[0])])
def test_edition_2_ends_short_when_the_file_changes_while_it_is_sent(
    shop: Shop, name: str, offset: int, body: bytes
) -> None:
    edit_at(shop, name, offset, body)
    got, end = shop.ask(name.encode() + b"\n")
    header = b"Content-Length: %d\n" % len(FILES[name])
    assert end == "end"
    assert got.startswith(header)
    assert len(got) < len(header) + len(FILES[name])


@pytest.mark.parametrize("name", ["b.txt", "careful", "full speed"])
@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_a_disk_that_fails_in_the_middle_ends_this_connection_and_nothing_else(
    shop: Shop, name: str, newline: bytes
) -> None:
    def fail(offset: int) -> None:
        raise StorageError("input/output error")

    shop.folder.on_read = fail
    got, end = shop.ask(name.encode() + newline)
    assert end == "broken" if not newline else got == b"Content-Length: %d\n" % len(FILES[name])
    shop.folder.on_read = lambda offset: None
    assert shop.ask(b"a\n") == (b"Content-Length: 12\n" + FILES["a"], "end")


@pytest.mark.parametrize("newline", [b"", b"\n"])
@pytest.mark.parametrize("name", ["full speed", "careful"])
def test_one_who_reads_nothing_is_dropped(shop: Shop, name: str, newline: bytes) -> None:
    with shop.dial() as stream:
        stream.send(name.encode() + newline)
        gevent.sleep(WINDOW_S + 1)
        assert shop.streams[-1].closed
        got, end = ending(stream)
        assert len(got) <= PIPE_BYTES
        assert end == ("end" if newline else "broken")


@pytest.mark.parametrize("newline", [b"", b"\n"])
@pytest.mark.parametrize("name", ["full speed", "careful too"])
def test_one_who_reads_too_slowly_is_dropped(shop: Shop, name: str, newline: bytes) -> None:
    with shop.dial() as stream:
        stream.send(name.encode() + newline)
        for _ in range(6):
            gevent.sleep(25.0)
            stream.receive(CAREFUL_PIECE)
        assert shop.streams[-1].closed


def test_one_who_reads_at_a_walk_is_served_to_the_end(shop: Shop) -> None:
    with shop.dial() as stream:
        stream.send(b"careful too")
        received = 0
        while piece := stream.receive(CAREFUL_PIECE):
            received += len(piece)
            gevent.sleep(1.0)
        assert received == CAREFUL_UP_TO


def test_64_files_are_sent_at_a_time_and_the_next_waits_in_line(shop: Shop) -> None:
    readers = []
    for _ in range(UPLOADS):
        readers.append(shop.dial())
        readers[-1].send(b"full speed\n")
        gevent.sleep(0.01)
    with shop.dial() as late:
        late.send(b"a\n")
        with pytest.raises(gevent.Timeout), gevent.Timeout(20):
            late.receive(1)
        readers[0].reset()
        gevent.sleep(0.1)
        assert ending(late) == (b"Content-Length: 12\n" + FILES["a"], "end")
    for reader in readers:
        reader.reset()


def test_one_address_keeps_only_so_many_that_ask_nothing(shop: Shop) -> None:
    idle = [shop.dial() for _ in range(UNPROVEN_PER_ADDRESS)]
    gevent.sleep(0)
    assert not any(stream.is_readable() for stream in idle)
    idle.append(shop.dial())
    gevent.sleep(0)
    assert [number for number, stream in enumerate(idle) if stream.is_readable()] == [0]
    assert ending(idle[0]) == (b"", "broken")
    idle[-1].send(b"b.txt\n")
    assert read_all(idle[-1]) == b"Content-Length: 4\ntext"
    for stream in idle:
        stream.close()


def test_a_full_house_drops_the_oldest_idle_one_and_serves_the_newcomer(shop: Shop) -> None:
    hosts = [shop.lan.network.host(f"198.51.100.{number}") for number in range(CONNECTIONS // 16)]
    idle = [shop.dial(host) for _ in range(16) for host in hosts]
    gevent.sleep(0)
    assert not any(stream.is_readable() for stream in idle)
    assert shop.ask(b"b.txt\n") == (b"Content-Length: 4\ntext", "end")
    assert [number for number, stream in enumerate(idle) if stream.is_readable()] == [0]
    for stream in idle:
        stream.close()


def test_twenty_at_once_are_all_served(shop: Shop) -> None:
    got: list[tuple[bytes, str]] = []
    with TaskGroup() as tasks:
        for _ in range(20):
            tasks.spawn(lambda: got.append(shop.ask(b"careful")))
    assert got == [(FILES["careful"], "end")] * 20


def test_one_who_leaves_in_the_middle_is_forgotten(shop: Shop) -> None:
    with shop.dial() as stream:
        stream.send(b"full speed\n")
        stream.receive(10)
        stream.reset()
    gevent.sleep(0.1)
    assert shop.streams[-1].closed
    assert shop.ask(b"b.txt\n") == (b"Content-Length: 4\ntext", "end")


def test_a_peer_that_ends_resets_what_it_was_sending(shop: Shop) -> None:
    with shop.dial() as stream:
        stream.send(b"full speed")
        stream.receive(10)
        shop.listener.close()
        assert ending(stream)[1] == "broken"


def test_a_folder_without_files_serves_nothing() -> None:
    with simulated() as world:
        shop = Shop(world, {})
        assert trees_of(folder_with({})).announced() == {}
        assert shop.ask(b"a\n") == (b"", "end")
        shop.listener.close()
