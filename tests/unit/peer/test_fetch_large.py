"""A large file in blocks: from several sources, with what is here already, and in spite of those who lie, stall or die."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest
from msgspec.structs import replace

from gsync.core.blocks import BLOCK_BYTES, ContentHasher, block_count, digest_of_joined
from gsync.core.model import FileMeta, Record, Source
from gsync.core.names import Endpoint
from gsync.core.swarm import OVERDUE_S
from gsync.errors import (
    ConnectFailed,
    ConnectionBroken,
    NoSpace,
    RemoteProtocolError,
    SourceBusy,
    Stalled,
    StorageError,
    WrongContent,
)
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.peer import draught
from gsync.peer.block_lists import BlockLists
from gsync.peer.causes import FetchError
from gsync.peer.draught import DEPTH, RUN_BLOCKS, RUN_S
from gsync.peer.fetcher import STALL_S, NotThere
from gsync.peer.intake import Content
from gsync.peer.links import LINKS_PER_SOURCE, Links
from gsync.peer.native_fetcher import LIST_MAX_BYTES, LIST_WAIT_S, NativeFetcher
from gsync.peer.reuse import Reuse
from gsync.storage.memory import FailAt
from gsync.storage.workers import InlineWorkers
from gsync.wire.native import Block, BlockList, Busy, Get, GetBlocks, OnPeerLink, Ping, Pong
from tests.unit.peer.native_world import (
    NATIVE,
    BlockStage,
    Shop,
    Talker,
    hashed_trees,
    native_script,
    pattern,
    record,
)
from tests.unit.peer.world import THERE, Lan, Witness, path

MIB = BLOCK_BYTES
NAME = path("large")
LARGE = pattern(6 * MIB + 5)
RECORD = record("large", LARGE)
FEW = pattern(MIB + 5, seed=7)
OTHERS = [Endpoint(f"192.0.2.{10 + number}", 2000) for number in range(5)]


def blocks_of(content: bytes) -> bytes:
    hasher = ContentHasher()
    hasher.update(content)
    return b"".join(hasher.blocks())


def native(endpoint: Endpoint) -> Source:
    return Source(endpoint=endpoint, speaks_gsync=True, speaks_native=True)


class Desk:
    def __init__(self, world: World) -> None:
        self.world = world
        self.lan = Lan(world)
        self.witness = Witness()
        self.links = Links(network=self.lan.here, witness=self.witness, clock=world.clock)
        self.stage = BlockStage()
        self.folder = self.stage.folder
        self.failed: list[tuple[Endpoint, type]] = []
        self.fetcher = self.new_fetcher()

    def new_fetcher(self) -> NativeFetcher:
        """As after a restart, with what the folder holds now."""
        lists = BlockLists(InlineWorkers())
        return NativeFetcher(
            links=self.links,
            witness=self.witness,
            stager=self.stage,
            reuse=Reuse(folder=self.folder, trees=hashed_trees(self.folder), lists=lists),
            lists=lists,
            workers=InlineWorkers(),
            clock=self.world.clock,
            on_failed=lambda source, error: self.failed.append((source.endpoint, type(error))),
        )

    def have(self, name: str, content: bytes) -> FileMeta:
        """A file that is here already."""
        self.folder.put(name, content)
        trees = hashed_trees(self.folder)
        self.fetcher = self.new_fetcher()
        return trees.local[path(name)]

    def fetch(self, wanted: Record = RECORD, *sources: Source, old: FileMeta | None = None) -> bytes:
        """The content, as it stands in its staged file; what it came from is forgotten."""
        return self.body(self.fetcher.fetch_large(wanted.path, wanted, sources or (NATIVE,), old=old))

    def body(self, content: Content) -> bytes:
        assert not isinstance(content.held, bytes)
        body = content.held.read_at(0, content.size + 1)
        self.folder.unlink_staged(content.held.name)
        assert len(body) == content.size
        return body

    def fails_from(self, answer: Callable[[Talker, OnPeerLink], object]) -> FetchError:
        with self.lan.serving(native_script(answer)):
            return self.fails()

    def fails(self, wanted: Record = RECORD, *sources: Source) -> FetchError:
        with pytest.raises((ConnectFailed, Exception)) as raised:
            self.fetch(wanted, *sources)
        error = raised.value
        assert isinstance(error, FetchError)
        return error

    @property
    def wire(self) -> int:
        return self.fetcher.bytes_received


@pytest.fixture
def desk() -> Iterator[Desk]:
    with simulated() as world:
        yield Desk(world)


def answer_rightly(talker: Talker, question: OnPeerLink, content: bytes = LARGE) -> None:
    match question:
        case GetBlocks():
            blocks = blocks_of(content)
            talker.say(BlockList(id=question.id, body=len(blocks)), body=blocks)
        case Get(wants=[want]):
            body = content[want.offset : want.offset + want.count]
            talker.say(Block(id=question.id, want=0, body=len(body)), body=body)
        case _:
            raise AssertionError(question)


def lying_at(number: int, lie: Callable[[Talker, OnPeerLink], object]) -> Callable[[Talker, OnPeerLink], None]:
    """Right answers, but for block `number` that of `lie`; so slow that it is asked for one block at a time."""

    def answer(talker: Talker, question: OnPeerLink) -> None:
        gevent.sleep(RUN_S)
        if isinstance(question, Get) and question.wants[0].offset == number * MIB:
            lie(talker, question)
        else:
            answer_rightly(talker, question)

    return answer


# One source


@pytest.mark.parametrize("size", [256 * 1024 + 1, MIB - 1, MIB, MIB + 1, 6 * MIB, 6 * MIB + 5])
def test_a_large_file_comes_whole(desk: Desk, size: int) -> None:
    content = pattern(size)
    shop = Shop(desk.world, desk.lan, {"large": content})
    assert desk.fetch(record("large", content)) == content
    shop.close()
    assert desk.wire < size + 2000
    assert desk.stage.begun == [(NAME, size)]
    assert desk.stage.kept == {}


def test_it_is_asked_for_where_its_record_says_and_staged_for_where_it_will_stand(desk: Desk) -> None:
    shop = Shop(desk.world, desk.lan, {"large": LARGE})
    content = desk.fetcher.fetch_large(path("here"), RECORD, [NATIVE], old=None)
    assert desk.body(content) == LARGE
    assert desk.stage.begun[0][0] == path("here")
    shop.close()


def test_the_next_blocks_are_asked_for_before_the_last_one_is_here(desk: Desk) -> None:
    outstanding: list[int] = []

    def serve(talker: Talker, question: OnPeerLink) -> None:
        if isinstance(question, GetBlocks):
            answer_rightly(talker, question)
            return
        asked = [question]
        gevent.sleep(0.1)
        while asked:
            while talker.pending or talker.stream.is_readable():
                asked.append(talker.hear().message)
            outstanding.append(len(asked))
            answer_rightly(talker, asked.pop(0))
            gevent.sleep(0.1)

    with desk.lan.serving(native_script(serve)):
        assert desk.fetch() == LARGE
    assert max(outstanding) == DEPTH


@pytest.mark.parametrize(("seconds", "most"), [(0.0, RUN_BLOCKS), (RUN_S / 2, 2), (10 * RUN_S, 1)])
def test_one_question_asks_a_quick_source_for_several_blocks_and_a_slow_one_for_one(
    desk: Desk, seconds: float, most: int
) -> None:
    asked: list[int] = []

    def serve(talker: Talker, question: OnPeerLink) -> None:
        if isinstance(question, Get):
            asked.append(question.wants[0].count)
            gevent.sleep(seconds * block_count(asked[-1]))
        answer_rightly(talker, question, BIG)

    with desk.lan.serving(native_script(serve)):
        assert desk.fetch(BIG_RECORD) == BIG
    assert asked[:DEPTH] == [MIB] * DEPTH
    assert max(asked) == most * MIB
    assert sum(asked) == len(BIG)


def test_a_question_never_asks_for_a_block_that_is_here(desk: Desk) -> None:
    left = bytearray(BIG)
    for number in (0, 1, 2, 3, 4, 5, 8, 9, 12, 24):
        left[number * MIB] ^= 1
    desk.stage.leave(BIG_RECORD.digest, bytes(left))
    shop = Shop(desk.world, desk.lan, {"large": BIG})
    assert desk.fetch(BIG_RECORD) == BIG
    assert desk.wire < 9 * MIB + 5 + 25 * 32 + 2000
    shop.close()


def test_blocks_of_zeros_are_not_sent_and_stay_holes(desk: Desk) -> None:
    content = bytes(5 * MIB) + LARGE[:MIB] + bytes(7 * MIB)
    shop = Shop(desk.world, desk.lan, {"large": content})
    assert desk.fetch(record("large", content)) == content
    shop.close()
    assert desk.wire < MIB + 2000
    assert desk.stage.begun == [(NAME, MIB)]


def test_a_source_may_take_its_time_to_read_the_file_for_the_list(desk: Desk) -> None:
    def slowly(talker: Talker, question: OnPeerLink) -> None:
        if isinstance(question, GetBlocks):
            for _ in range(9):
                gevent.sleep(3)
                talker.say(Pong(id=question.id))
        answer_rightly(talker, question)

    with desk.lan.serving(native_script(slowly)):
        assert desk.fetch() == LARGE


def test_but_not_for_ever(desk: Desk) -> None:
    def never(talker: Talker, question: OnPeerLink) -> None:
        while True:
            gevent.sleep(3)
            talker.say(Pong(id=question.id))  # type: ignore[union-attr]

    assert isinstance(desk.fails_from(never), Stalled)
    assert desk.world.now_s == pytest.approx(LIST_WAIT_S, abs=5)


# A source that is no good, and no other


def gone(talker: Talker, question: OnPeerLink) -> None:
    kind = Block if isinstance(question, Get) else BlockList
    talker.say(kind(id=question.id, gone=True, **({"want": 0} if kind is Block else {})))  # type: ignore[union-attr,arg-type]


def busy(talker: Talker, question: OnPeerLink) -> None:
    talker.say(Busy(id=question.id))  # type: ignore[union-attr]


def another_files_bytes(talker: Talker, question: OnPeerLink) -> None:
    if isinstance(question, GetBlocks):
        answer_rightly(talker, question, pattern(len(LARGE), seed=9))
        return
    assert isinstance(question, Get)
    due = question.wants[0].count
    talker.say(Block(id=question.id, want=0, body=due), body=pattern(due, seed=9))


def short(talker: Talker, question: OnPeerLink) -> None:
    if isinstance(question, GetBlocks):
        talker.say(BlockList(id=question.id, body=32), body=bytes(32))
        return
    assert isinstance(question, Get)
    due = question.wants[0].count - 1
    talker.say(Block(id=question.id, want=0, body=due), body=bytes(due))


def long(talker: Talker, question: OnPeerLink) -> None:
    if isinstance(question, GetBlocks):
        talker.say(BlockList(id=question.id, body=320), body=bytes(320))
    else:
        talker.say(Block(id=question.id, want=0, body=MIB + 1), body=bytes(MIB + 1))  # type: ignore[union-attr]


def endless(talker: Talker, question: OnPeerLink) -> None:
    if isinstance(question, GetBlocks):
        talker.say(BlockList(id=question.id, body=2**60))
    else:
        talker.say(Block(id=question.id, want=0, body=2**60))  # type: ignore[union-attr]
    while True:
        talker.stream.send(bytes(65536))


def another_number(talker: Talker, question: OnPeerLink) -> None:
    talker.say(Block(id=question.id, want=1, body=MIB), body=LARGE[:MIB])  # type: ignore[union-attr]


def another_question(talker: Talker, question: OnPeerLink) -> None:
    talker.say(Block(id=99, want=0, body=MIB), body=LARGE[:MIB])


def a_question(talker: Talker, question: OnPeerLink) -> None:
    talker.say(Ping(id=question.id))  # type: ignore[union-attr]


def killed(talker: Talker, question: OnPeerLink) -> None:
    talker.stream.reset()


def closed_in_the_middle(talker: Talker, question: OnPeerLink) -> None:
    talker.say(Block(id=question.id, want=0, body=MIB), body=LARGE[: MIB // 2])  # type: ignore[union-attr]
    talker.stream.close()


def silent(talker: Talker, question: OnPeerLink) -> None:
    gevent.sleep(1000)


LIES: list[tuple[Callable[[Talker, OnPeerLink], object], type]] = [
    (gone, NotThere),
    (busy, SourceBusy),
    (another_files_bytes, WrongContent),
    (short, RemoteProtocolError),
    (long, RemoteProtocolError),
    (endless, RemoteProtocolError),
    (another_number, RemoteProtocolError),
    (another_question, RemoteProtocolError),
    (a_question, RemoteProtocolError),
    (killed, ConnectionBroken),
    (closed_in_the_middle, (ConnectionBroken, RemoteProtocolError)),  # type: ignore[list-item]
    (silent, Stalled),
]


@pytest.mark.parametrize(("lie", "error"), LIES)
def test_a_source_that_gives_no_list_is_told_of_and_nothing_is_left(
    desk: Desk, lie: Callable[[Talker, OnPeerLink], object], error: type
) -> None:
    assert isinstance(desk.fails_from(lie), error)
    assert desk.folder.staged_names() == []
    assert desk.links.idle <= (lie is gone)
    assert desk.world.now_s <= STALL_S + 1


@pytest.mark.parametrize("at", [0, 3, 6])
@pytest.mark.parametrize(("lie", "error"), LIES)
def test_a_source_that_fails_at_a_block_is_told_of_and_what_came_is_kept_for_the_next_try(
    desk: Desk, lie: Callable[[Talker, OnPeerLink], object], error: type, at: int
) -> None:
    assert isinstance(desk.fails_from(lying_at(at, lie)), error)
    assert len(desk.stage.kept) == (
        at > 0 or lie is another_files_bytes
    )  # of which one is told when the next ones are here
    before = desk.wire
    with desk.lan.serving(native_script(answer_rightly)):
        assert desk.fetch() == LARGE
    assert desk.wire - before < len(LARGE) - at * MIB + 2000
    assert desk.folder.staged_names() == []


@pytest.mark.parametrize("size", [2**62, (LIST_MAX_BYTES // 32 + 1) * MIB])
def test_a_file_that_is_too_large_to_be_true_is_not_asked_for(desk: Desk, size: int) -> None:
    with desk.lan.serving(native_script(endless)):
        assert isinstance(desk.fails(replace(RECORD, size=size)), RemoteProtocolError)
    assert desk.wire == 0


def test_a_record_whose_size_is_wrong_is_noticed(desk: Desk) -> None:
    shop = Shop(desk.world, desk.lan, {"large": LARGE})
    for size in (len(LARGE) - 1, len(LARGE) + 1, len(LARGE) + 5 * MIB, 3 * MIB):
        assert isinstance(desk.fails(replace(RECORD, size=size)), RemoteProtocolError | NotThere)
    shop.close()


def test_nobody_listens(desk: Desk) -> None:
    assert isinstance(desk.fails(), ConnectFailed)
    assert desk.folder.staged_names() == []


# Several sources


class Swarm:
    """Sources that all have the file, or answer as they like."""

    def __init__(self, desk: Desk, *answers: Callable[[Talker, OnPeerLink], object] | None) -> None:
        self.asked = [0] * len(answers)
        self.sources = [native(endpoint) for endpoint in OTHERS[: len(answers)]]
        self._listeners = []
        for number, (answer, endpoint) in enumerate(zip(answers, OTHERS, strict=False)):
            script = native_script(self._counting(number, answer or answer_rightly))
            host = desk.lan.network.host(endpoint.ip)
            self._listeners.append(host.listen(ip="0.0.0.0", port=endpoint.port, handler=script, limit=10))

    def _counting(
        self, number: int, answer: Callable[[Talker, OnPeerLink], object]
    ) -> Callable[[Talker, OnPeerLink], None]:
        def counted(talker: Talker, question: OnPeerLink) -> None:
            if isinstance(question, Get):
                self.asked[number] += block_count(question.wants[0].count)
            answer(talker, question)

        return counted

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()


BIG = pattern(24 * MIB + 5)
BIG_RECORD = record("large", BIG)


def big(talker: Talker, question: OnPeerLink) -> None:
    gevent.sleep(0.01)
    answer_rightly(talker, question, BIG)


@pytest.mark.slow
def test_several_sources_share_the_work_and_no_block_comes_twice(desk: Desk) -> None:
    swarm = Swarm(desk, big, big, big)
    assert desk.fetch(BIG_RECORD, *swarm.sources) == BIG
    swarm.close()
    assert sum(swarm.asked) == 25
    assert min(swarm.asked) > 4
    assert desk.failed == []


def test_a_few_blocks_are_fetched_from_one_source(desk: Desk) -> None:
    swarm = Swarm(desk, None, None)
    assert desk.fetch(RECORD, *swarm.sources) == LARGE
    swarm.close()
    assert swarm.asked == [7, 0]


@pytest.mark.slow
@pytest.mark.parametrize(("lie", "error"), LIES)
@pytest.mark.parametrize("liar", [0, 1])
def test_a_liar_among_others_is_told_of_and_does_no_harm(
    desk: Desk, lie: Callable[[Talker, OnPeerLink], object], error: type, liar: int
) -> None:
    answers: list[Callable[[Talker, OnPeerLink], object] | None] = [big, big, big]
    lies = 0

    def sometimes(talker: Talker, question: OnPeerLink) -> None:
        nonlocal lies
        if isinstance(question, Get):
            lies += 1
        if lies == 3:
            lie(talker, question)
        else:
            big(talker, question)

    answers[liar] = sometimes
    swarm = Swarm(desk, *answers)
    assert desk.fetch(BIG_RECORD, *swarm.sources) == BIG
    swarm.close()
    assert lies >= 3
    told = [endpoint for endpoint, kind in desk.failed if issubclass(kind, error)]
    assert told == ([] if liar == 0 or lie is silent else [OTHERS[liar]])  # of the first one its fetch tells
    assert desk.folder.staged_names() == []


def test_a_source_with_the_wrong_list_is_passed_over(desk: Desk) -> None:
    swarm = Swarm(desk, another_files_bytes, None)
    assert desk.fetch(RECORD, *swarm.sources) == LARGE
    swarm.close()
    assert swarm.asked == [0, 7]


def test_when_all_have_failed_the_first_ones_error_is_raised_and_the_others_are_told(desk: Desk) -> None:
    swarm = Swarm(desk, lying_at(0, killed), lying_at(0, another_files_bytes), lying_at(0, gone))
    assert isinstance(desk.fails(RECORD, *swarm.sources), ConnectionBroken)
    swarm.close()
    assert desk.failed == [(OTHERS[1], WrongContent), (OTHERS[2], NotThere)]


@pytest.mark.slow
def test_a_slow_source_holds_nothing_up(desk: Desk) -> None:
    def slow(talker: Talker, question: OnPeerLink) -> None:
        if isinstance(question, Get):
            gevent.sleep(9)
        answer_rightly(talker, question, BIG)

    swarm = Swarm(desk, slow, big)
    began = desk.world.now_s
    assert desk.fetch(BIG_RECORD, *swarm.sources) == BIG
    assert desk.world.now_s - began < 2 * OVERDUE_S + 2
    swarm.close()
    assert desk.failed == []


def test_more_sources_than_are_asked_at_a_time_stand_in_for_those_that_fail(desk: Desk) -> None:
    swarm = Swarm(desk, *([lying_at(0, gone)] * 4), None)
    assert desk.fetch(RECORD, *swarm.sources) == LARGE
    swarm.close()


# What is here already


def test_what_an_interrupted_download_left_is_looked_at_and_gone_on_with(desk: Desk) -> None:
    left = bytearray(LARGE[: 5 * MIB])
    left[2 * MIB + 7] ^= 1
    desk.stage.leave(RECORD.digest, bytes(left))
    shop = Shop(desk.world, desk.lan, {"large": LARGE})
    assert desk.fetch() == LARGE
    shop.close()
    assert desk.wire < 2 * MIB + 5 + 2000
    assert desk.stage.begun == []


def test_one_that_is_longer_than_the_file_is_cut(desk: Desk) -> None:
    desk.stage.leave(RECORD.digest, LARGE + b"and more")
    shop = Shop(desk.world, desk.lan, {"large": LARGE})
    assert desk.fetch() == LARGE
    shop.close()
    assert desk.wire < 2000


def test_garbage_where_zeros_should_be_is_overwritten(desk: Desk) -> None:
    content = bytes(3 * MIB) + LARGE[:MIB]
    desk.stage.leave(record("large", content).digest, LARGE[: 2 * MIB])
    shop = Shop(desk.world, desk.lan, {"large": content})
    assert desk.fetch(record("large", content)) == content
    shop.close()


@pytest.mark.parametrize(
    ("new", "blocks"),
    [
        (b"x" + BIG, 1),
        (BIG[1:], 0),
        (BIG + pattern(MIB, seed=4), 2),
        (BIG[: 9 * MIB] + pattern(MIB, seed=4) + BIG[10 * MIB :], 1),
        (BIG[: 9 * MIB + 77] + b"inserted" + BIG[9 * MIB + 77 :], 1),
        (BIG[: 15 * MIB], 0),
    ],
    ids=["inserted at the start", "removed at the start", "appended", "a block in place", "inserted", "cut off"],
)
def test_of_an_edited_file_only_what_is_new_is_fetched(desk: Desk, new: bytes, blocks: int) -> None:
    old = desk.have("large", BIG)
    shop = Shop(desk.world, desk.lan, {"large": new})
    assert desk.fetch(record("large", new), old=old) == new
    shop.close()
    assert desk.wire <= blocks * MIB + 5000


def test_a_file_with_the_same_content_is_copied(desk: Desk) -> None:
    desk.have("elsewhere", LARGE)
    shop = Shop(desk.world, desk.lan, {"large": LARGE})
    assert desk.fetch() == LARGE
    shop.close()
    assert desk.wire < 2000


def test_the_file_that_it_was_moved_from_gives_its_blocks(desk: Desk) -> None:
    desk.have("old name", BIG)
    new = BIG[:MIB] + b"x" * MIB + BIG[2 * MIB :]
    shop = Shop(desk.world, desk.lan, {"large": new})
    assert desk.fetch(replace(record("large", new), moved_from=path("old name"))) == new
    shop.close()
    assert desk.wire < MIB + 3000


def test_a_file_that_is_not_what_the_index_says_gives_nothing_wrong(desk: Desk) -> None:
    old = desk.have("large", LARGE)
    desk.folder.edit("large", pattern(len(LARGE), seed=5))
    shop = Shop(desk.world, desk.lan, {"large": LARGE})
    assert desk.fetch(old=old) == LARGE
    shop.close()


def test_a_file_that_is_gone_or_cannot_be_read_is_passed_over(desk: Desk) -> None:
    old = desk.have("large", LARGE)
    shop = Shop(desk.world, desk.lan, {"large": LARGE})
    desk.folder.remove("large")
    assert desk.fetch(old=old) == LARGE
    shop.close()


def test_when_everything_is_here_nobody_is_asked_but_for_the_list(desk: Desk) -> None:
    desk.have("elsewhere", LARGE)
    swarm = Swarm(desk, None)
    assert desk.fetch(RECORD, *swarm.sources) == LARGE
    desk.fetch(RECORD, *swarm.sources)  # the list is known now
    swarm.close()
    assert swarm.asked == [0]


# Our own disk, and our own end


@pytest.mark.parametrize("at", range(0, 8))
def test_a_disk_that_fails_ends_it_at_once_and_what_is_here_is_kept(desk: Desk, at: int) -> None:
    shop = Shop(desk.world, desk.lan, {"large": LARGE})
    fails = FailAt(at, NoSpace("the disk is full"))
    desk.folder.on_call = lambda method: fails(method) if method in ("write_at", "require_space") else None
    assert isinstance(desk.fails(), StorageError)
    desk.folder.on_call = lambda method: None
    assert len(desk.stage.kept) == (at > 0)  # one that fails is heard of when the next ones are here
    assert desk.fetch() == LARGE
    shop.close()
    assert desk.folder.staged_names() == []


def test_one_that_is_stopped_keeps_what_it_has(desk: Desk) -> None:
    desk.lan.network.latency_s = (0.01, 0.01)
    shop = Shop(desk.world, desk.lan, {"large": LARGE})
    tasks = TaskGroup()
    for stop_after_s in (0.0, 0.011, 0.03, 0.2, 0.4, 0.6):
        task = tasks.spawn(desk.fetch)
        gevent.sleep(stop_after_s)
        task.cancel()
        task.join()
        assert sorted(desk.stage.kept.values()) == desk.folder.staged_names()
    assert len(desk.stage.kept) == 1
    before = desk.wire
    assert desk.fetch() == LARGE
    assert desk.wire - before < len(LARGE) - MIB
    shop.close()
    tasks.stop()


def test_a_source_that_dies_at_any_moment_costs_only_what_it_did_not_bring(desk: Desk) -> None:
    desk.lan.network.latency_s = (0.001, 0.001)
    tasks, ends = TaskGroup(), list[FetchError]()
    for died_after_s in (0.0005, 0.002, 0.01, 0.05, 0.02):
        shop = Shop(desk.world, desk.lan, {"large": LARGE})
        task = tasks.spawn(lambda: ends.append(desk.fails()))
        gevent.sleep(died_after_s)
        shop.close()
        task.join()
        assert isinstance(ends.pop(), ConnectionBroken | ConnectFailed)
        gevent.sleep(0.01)
    shop = Shop(desk.world, desk.lan, {"large": LARGE})
    before = desk.wire
    assert desk.fetch() == LARGE
    assert desk.wire - before < len(LARGE)
    shop.close()
    tasks.stop()


@pytest.mark.slow
def test_several_large_files_at_once_share_the_buffers(desk: Desk) -> None:
    files = {f"large{number}": pattern(5 * MIB, seed=number) for number in range(20)}
    shop = Shop(desk.world, desk.lan, files)
    tasks, came = TaskGroup(), dict[str, bytes]()

    def fetch(name: str) -> None:
        came[name] = desk.fetch(record(name, files[name]))

    for name in files:
        tasks.spawn(fetch, name)
    tasks.join()
    assert came == files
    shop.close()


@pytest.mark.parametrize("turn", [2, 100])
def test_a_file_of_few_blocks_is_not_kept_waiting_by_huge_ones_of_the_same_source(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    monkeypatch.setattr(draught, "TURN_BLOCKS", turn)
    ended: list[tuple[str, float]] = []
    tasks = TaskGroup()
    body = pattern(MIB)
    blocks = blocks_of(body) * 14
    large = replace(RECORD, size=14 * MIB, digest=digest_of_joined(blocks))

    def serve(talker: Talker, question: OnPeerLink) -> None:
        gevent.sleep(0.01)
        if isinstance(question, GetBlocks):
            told = blocks if question.p != "few" else blocks_of(FEW)
            talker.say(BlockList(id=question.id, body=len(told)), body=told)
        elif isinstance(question, Get) and question.wants[0].p == "few":
            answer_rightly(talker, question, FEW)
        elif isinstance(question, Get):
            whole = body * (question.wants[0].count // MIB)
            talker.say(Block(id=question.id, want=0, body=len(whole)), body=whole)

    def fetch(name: str, wanted: Record) -> None:
        content = desk.fetcher.fetch_large(path(name), replace(wanted, path=path(name)), [NATIVE])
        ended.append((name, desk.world.now_s))
        desk.folder.unlink_staged(content.held.name)  # type: ignore[union-attr]

    with desk.lan.serving(native_script(serve)) as came:
        for number in range(LINKS_PER_SOURCE):
            tasks.spawn(fetch, f"huge {number}", large)
        gevent.sleep(0.02)
        tasks.spawn(fetch, "few", record("few", FEW))
        tasks.join()
        assert len(came) == LINKS_PER_SOURCE
    assert len(ended) == LINKS_PER_SOURCE + 1
    assert (ended[0][0] == "few") == (turn == 2)


def test_the_source_is_named_where_it_proved_itself(desk: Desk) -> None:
    shop = Shop(desk.world, desk.lan, {"large": LARGE})
    desk.fetch()
    shop.close()
    assert desk.witness.said[0] == ("connected", THERE)
    assert ("gave bytes", 1) in desk.witness.said
