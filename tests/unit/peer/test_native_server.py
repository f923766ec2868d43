"""A native peer link as a dialogue: what a peer asks, and what it is given, in which order, and when it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest

from gsync.core.admission import UNPROVEN_PER_ADDRESS
from gsync.core.blocks import BLOCK_BYTES, ContentHasher, digest_of_bytes
from gsync.core.model import FileMeta
from gsync.core.names import Endpoint, RelPath
from gsync.core.versions import Version
from gsync.errors import ConnectionBroken
from gsync.net.memory_stream import PIPE_BYTES
from gsync.net.simulation import World, simulated
from gsync.net.transport import Stream
from gsync.peer.native_server import (
    BUSY_AFTER_S,
    LINK_IDLE_S,
    LINKS_PER_ADDRESS,
    READ_BODY_MAX,
    TOGETHER_BYTES,
)
from gsync.peer.sending import WINDOW_S
from gsync.peer.uploader import UPLOADS, Uploader
from gsync.storage.memory import MemoryFolder
from gsync.wire.frames import NATIVE_START, frame
from gsync.wire.native import (
    WANTS_MAX,
    Block,
    BlockList,
    Busy,
    Get,
    GetBlocks,
    Keep,
    Kept,
    Ping,
    Pong,
    Want,
    header,
)
from tests.unit.peer.native_world import Heard, Shop, Talker, pattern
from tests.unit.peer.world import THERE, Lan, RecordingStream, ending

BACK_DOOR = Endpoint(THERE.ip, 3000)

FILES = {
    "a.txt": b"the letter a",
    "b.txt": b"text",
    "empty": b"",
    "read": pattern(READ_BODY_MAX),
    "sent": pattern(READ_BODY_MAX + 1),
    "large": pattern(3 * BLOCK_BYTES + 5),
}


class Town:
    def __init__(self, world: World) -> None:
        self.world = world
        self.lan = Lan(world)
        self.shop = Shop(world, self.lan, FILES)
        self.links: list[Stream] = []

    def link(self, *, from_ip: str | None = None) -> Talker:
        stream = (self.lan.network.host(from_ip) if from_ip else self.lan.here).dial(THERE)
        self.links.append(stream)
        return Talker(stream, begins=True)

    def want(self, name: str, offset: int = 0, count: int = 0) -> Want:
        return Want(p=name, d=digest_of_bytes(FILES[name]), offset=offset, count=count)


@pytest.fixture
def town() -> Iterator[Town]:
    with simulated() as world:
        town = Town(world)
        yield town
        for stream in town.links:
            stream.close()
        town.shop.close()


# What is promised


def promised(town: Town, name: str, *, version: dict[str, int] | None = None, digest: str | None = None) -> bool:
    meta = town.shop.trees.local.get(RelPath(name))
    known = meta.version.vector() if meta is not None else {"mtime": 5}
    talker = town.link()
    talker.say(Keep(id=1, p=name, v=version or known, d=digest_of_bytes(b"the letter a") if digest is None else digest))
    said = talker.hear().message
    assert isinstance(said, Kept)
    return said.ok


def test_what_stands_here_at_that_version_is_kept_if_somebody_is_about_to_let_it_go(town: Town) -> None:
    assert promised(town, "a.txt")
    assert not promised(town, "a.txt", version={"x": 1, "mtime": 5})
    assert not promised(town, "a.txt", digest=digest_of_bytes(b"text"))
    assert not promised(town, "a.txt", digest="")
    assert not promised(town, "nothing")
    assert not promised(town, "../out")


def test_what_was_changed_on_the_disk_is_not_promised(town: Town) -> None:
    town.shop.folder.edit("a.txt", b"the letter b")
    assert not promised(town, "a.txt")
    town.shop.folder.remove("a.txt")
    assert not promised(town, "a.txt")


def test_a_directory_is_promised_while_it_stands(town: Town) -> None:
    town.shop.folder.mkdir("d")
    seen = town.shop.folder.fingerprint(RelPath("d"))
    assert seen is not None
    town.shop.trees.note_local({RelPath("d"): FileMeta(fingerprint=seen, version=Version.from_mtime(0))})
    town.shop.folder.put("d/x", b"x")
    assert promised(town, "d", digest="")


# What is given


@pytest.mark.parametrize("name", FILES)
def test_a_content_is_given_whole(town: Town, name: str) -> None:
    link = town.link()
    link.say(Get(id=7, wants=[town.want(name)]))
    assert link.hear() == Heard(Block(id=7, want=0, body=len(FILES[name])), FILES[name])


def test_many_contents_come_back_to_back_in_the_order_of_asking(town: Town) -> None:
    link = town.link()
    names = ["sent", "a.txt", "empty", "large", "b.txt", "a.txt"]
    link.say(Get(id=1, wants=[town.want(name) for name in names]), Get(id=2, wants=[town.want("read")]), Ping(id=3))
    for number, name in enumerate(names):
        assert link.hear() == Heard(Block(id=1, want=number, body=len(FILES[name])), FILES[name])
    assert link.hear().body == FILES["read"]
    assert link.hear() == Heard(Pong(id=3))


@pytest.mark.parametrize(
    ("offset", "count"),
    [(0, 1), (5, 100), (BLOCK_BYTES, BLOCK_BYTES), (3 * BLOCK_BYTES, 5), (0, 3 * BLOCK_BYTES + 5), (9, 70_000)],
)
def test_a_part_is_given(town: Town, offset: int, count: int) -> None:
    link = town.link()
    link.say(Get(id=1, wants=[town.want("large", offset, count)]))
    assert link.hear().body == FILES["large"][offset : offset + count]


@pytest.mark.parametrize(("offset", "count"), [(0, 13), (12, 1), (13, 0), (2**61, 2**61)])
def test_a_part_that_is_not_there_is_gone(town: Town, offset: int, count: int) -> None:
    link = town.link()
    link.say(Get(id=1, wants=[town.want("a.txt", offset, count), town.want("a.txt")]))
    assert link.hear() == Heard(Block(id=1, want=0, gone=True))
    assert link.hear().body == FILES["a.txt"]


def test_the_digests_of_the_blocks_are_given(town: Town) -> None:
    hasher = ContentHasher()
    hasher.update(FILES["large"])
    link = town.link()
    for id_ in (1, 2):  # the second time from memory
        link.say(GetBlocks(id=id_, p="large", d=digest_of_bytes(FILES["large"])))
        body = b"".join(hasher.blocks())
        assert link.hear() == Heard(BlockList(id=id_, body=len(body)), body)


def test_a_content_is_found_by_its_digest_where_another_path_has_it(town: Town) -> None:
    digest = digest_of_bytes(FILES["a.txt"])
    link = town.link()
    link.say(Get(id=1, wants=[Want(p="moved/since", d=digest)]))
    assert link.hear().body == FILES["a.txt"]


def test_small_contents_leave_in_few_large_writes(town: Town) -> None:
    streams: list[RecordingStream] = []

    def serve(stream: Stream) -> None:
        streams.append(RecordingStream(stream))  # type: ignore[arg-type]  # a MemoryStream
        town.shop.uploader(streams[-1])  # type: ignore[arg-type]  # it passes everything on

    listener = town.lan.there.listen(ip="0.0.0.0", port=BACK_DOOR.port, handler=serve, limit=1)
    with town.lan.here.dial(BACK_DOOR) as stream:
        link = Talker(stream, begins=True)
        link.say(Get(id=1, wants=[town.want("a.txt")] * WANTS_MAX))
        for _ in range(WANTS_MAX):
            assert link.hear().body == FILES["a.txt"]
        link.say(Get(id=2, wants=[town.want("read")] * 16))
        for _ in range(16):
            link.hear()
    listener.close()
    assert len(streams[0].writes) < 20
    assert max(streams[0].writes) < TOGETHER_BYTES + READ_BODY_MAX + 1000


# What is not given


def other_digest(town: Town) -> Want:
    return Want(p="a.txt", d=digest_of_bytes(b"something else"))


def no_digest(town: Town) -> Want:
    return Want(p="a.txt", d="")


def no_such_file(town: Town) -> Want:
    return Want(p="nope", d=digest_of_bytes(b"nowhere"))


def not_announced(town: Town) -> Want:
    town.shop.folder.put("secret", b"not in the index")
    return Want(p="secret", d=digest_of_bytes(b"not in the index"))


def deleted(town: Town) -> Want:
    town.shop.folder.remove("a.txt")
    return town.want("a.txt")


def edited(town: Town) -> Want:
    town.shop.folder.edit("a.txt", b"the letter A")
    return town.want("a.txt")


def replaced(town: Town) -> Want:
    town.shop.folder.put("a.txt", b"the letter A")
    return town.want("a.txt")


def a_directory_now(town: Town) -> Want:
    town.shop.folder.remove("a.txt")
    town.shop.folder.obstruct("a.txt", "a directory")
    return town.want("a.txt")


@pytest.mark.parametrize(
    "prepare",
    [other_digest, no_digest, no_such_file, not_announced, deleted, edited, replaced, a_directory_now],
)
def test_what_is_not_here_any_more_is_gone_and_the_next_one_comes(town: Town, prepare: Callable[[Town], Want]) -> None:
    want = prepare(town)
    link = town.link()
    link.say(Get(id=1, wants=[want, town.want("empty")]), GetBlocks(id=2, p=want.p, d=want.d))
    assert link.hear() == Heard(Block(id=1, want=0, gone=True))
    assert link.hear() == Heard(Block(id=1, want=1))
    assert link.hear() == Heard(BlockList(id=2, gone=True))


@pytest.mark.parametrize("name", ["../etc/passwd", "/etc/passwd", ".gsync/index.sqlite", "a\0b", ""])
def test_a_name_that_is_none_ends_the_link(town: Town, name: str) -> None:
    link = town.link()
    link.say(Get(id=1, wants=[Want(p=name, d=digest_of_bytes(b""))]))
    assert ending(link.stream)[0] == b""


def test_a_file_that_changes_while_it_is_read_is_gone(town: Town) -> None:
    link = town.link()
    opened = town.shop.folder.open

    def open_then_edit(name: RelPath) -> object:
        file = opened(name)
        town.shop.folder.edit("a.txt", b"THE LETTER A")
        return file

    town.shop.folder.open = open_then_edit  # type: ignore[method-assign,assignment]
    link.say(Get(id=1, wants=[town.want("a.txt")]))
    assert link.hear() == Heard(Block(id=1, want=0, gone=True))


def test_a_file_that_changes_under_a_body_that_has_begun_breaks_the_link(town: Town) -> None:
    link = town.link()
    link.say(Get(id=1, wants=[town.want("large")]))
    gevent.sleep(1)
    town.shop.folder.edit("large", pattern(3 * BLOCK_BYTES + 5, seed=3))
    with pytest.raises(ConnectionBroken):
        link.hear()


def test_a_file_that_shrinks_under_a_body_that_has_begun_breaks_the_link(town: Town) -> None:
    link = town.link()
    link.say(Get(id=1, wants=[town.want("large")]))
    gevent.sleep(1)
    town.shop.folder.edit("large", b"")
    with pytest.raises(ConnectionBroken):
        link.hear()


# Who is not served


@pytest.mark.parametrize(
    "words",
    [
        frame(b"nonsense"),
        frame(b'{"t":"no such message"}'),
        frame(header(Block(id=1, want=0))),
        frame(header(Pong(id=1))),
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"native",
    ],
)
def test_nonsense_ends_the_link_and_nothing_else(town: Town, words: bytes) -> None:
    stream = town.lan.here.dial(THERE)
    with stream:
        stream.send(NATIVE_START + words)
        assert ending(stream)[0] == b""
    link = town.link()
    link.say(Ping(id=1))
    assert link.hear() == Heard(Pong(id=1))


def test_a_request_may_come_byte_by_byte(town: Town) -> None:
    stream = town.lan.here.dial(THERE)
    with stream:
        for byte in NATIVE_START + frame(header(Get(id=1, wants=[town.want("a.txt")]))):
            stream.send(bytes([byte]))
            gevent.sleep(0.001)
        assert Talker(stream).hear().body == FILES["a.txt"]


def test_a_link_on_which_nothing_is_asked_is_closed_and_a_ping_keeps_it(town: Town) -> None:
    link = town.link()
    for id_ in range(3):
        gevent.sleep(LINK_IDLE_S - 1)
        link.say(Ping(id=id_))
        assert link.hear() == Heard(Pong(id=id_))
    assert ending(link.stream, within_s=LINK_IDLE_S - 1)[1] == "open"
    assert ending(link.stream, within_s=2)[1] == "end"


def test_half_a_request_does_not_keep_a_link(town: Town) -> None:
    link = town.link()
    for byte in frame(header(Ping(id=1)))[:-1]:
        link.stream.send(bytes([byte]))
        gevent.sleep(1)
    assert ending(link.stream, within_s=LINK_IDLE_S)[1] == "end"


def test_one_who_reads_nothing_is_dropped(town: Town) -> None:
    link = town.link()
    link.say(Get(id=1, wants=[town.want("large")]))
    gevent.sleep(WINDOW_S + 1)
    with pytest.raises(EOFError):
        link.hear()
    slow = town.link()
    slow.say(Get(id=1, wants=[town.want("read")] * 10))
    gevent.sleep(WINDOW_S + 1)
    with pytest.raises(EOFError):
        [slow.hear() for _ in range(10)]


def test_a_steady_reader_is_given_his_time(town: Town) -> None:
    link = town.link()
    link.say(Get(id=1, wants=[town.want("large")]))
    taken = 0
    while taken < len(FILES["large"]):
        taken += len(link.stream.receive(PIPE_BYTES))
        gevent.sleep(4)


def test_one_address_has_a_bounded_number_of_links(town: Town) -> None:
    links = []
    for id_ in range(LINKS_PER_ADDRESS):
        links.append(town.link())
        links[-1].say(Ping(id=id_))
        links[-1].hear()
    refused = town.link()
    refused.say(Ping(id=1))
    assert ending(refused.stream)[0] == b""
    other = town.link(from_ip="192.0.2.77")
    other.say(Ping(id=1))
    assert other.hear() == Heard(Pong(id=1))
    links[0].stream.close()
    gevent.sleep(1)
    again = town.link()
    again.say(Ping(id=1))
    assert again.hear() == Heard(Pong(id=1))


def test_a_link_that_has_asked_is_not_dropped_for_idle_ones(town: Town) -> None:
    link = town.link()
    link.say(Ping(id=1))
    link.hear()
    idle = [town.lan.here.dial(THERE) for _ in range(UNPROVEN_PER_ADDRESS + 5)]
    gevent.sleep(1)
    link.say(Ping(id=2))
    assert link.hear() == Heard(Pong(id=2))
    for stream in idle:
        stream.close()


def test_one_who_waits_too_long_for_a_place_is_told_so_and_may_ask_again(town: Town) -> None:
    takers = []
    for number in range(UPLOADS):
        takers.append(town.link(from_ip=f"192.0.2.{100 + number // 8}"))
        takers[-1].say(Get(id=1, wants=[town.want("large")]))
    gevent.sleep(1)
    link = town.link()
    began = town.world.now_s
    link.say(Get(id=5, wants=[town.want("a.txt")]), Ping(id=6))
    assert link.hear() == Heard(Busy(id=5))
    assert town.world.now_s - began == pytest.approx(BUSY_AFTER_S)
    assert link.hear() == Heard(Pong(id=6))
    takers[0].hear()
    link.say(Get(id=7, wants=[town.want("a.txt")]))
    assert link.hear().body == FILES["a.txt"]


def test_a_limited_uplink_is_kept_and_not_held_against_the_reader() -> None:
    with simulated() as world:
        lan = Lan(world)
        shop = Shop(world, lan, FILES, rate=50_000.0)
        with lan.here.dial(THERE) as stream:
            link = Talker(stream, begins=True)
            began = world.now_s
            link.say(Get(id=1, wants=[Want(p="large", d=digest_of_bytes(FILES["large"]))]))
            link.say(Get(id=2, wants=[Want(p="read", d=digest_of_bytes(FILES["read"]))]))
            assert link.hear().body == FILES["large"]
            assert link.hear().body == FILES["read"]
            took_s = world.now_s - began
        shop.close()
    sent = len(FILES["large"]) + len(FILES["read"])
    assert took_s == pytest.approx(sent / 50_000, rel=0.02)


def test_without_a_native_server_the_link_is_closed_without_a_byte() -> None:
    with simulated() as world:
        lan = Lan(world)
        folder = MemoryFolder()
        shop = Shop(world, lan, {})
        listener = lan.there.listen(
            ip="0.0.0.0", port=BACK_DOOR.port, handler=Uploader(folder=folder, trees=shop.trees), limit=1
        )
        with lan.here.dial(BACK_DOOR) as stream:
            stream.send(NATIVE_START + frame(header(Ping(id=1))))
            assert ending(stream) == (b"", "end")
        listener.close()
        shop.close()
