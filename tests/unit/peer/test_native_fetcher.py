"""Small files over a native link: what the source is asked, what is taken from it, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest
from msgspec.structs import replace

from gsync.core.model import Record
from gsync.core.names import RelPath
from gsync.errors import (
    ConnectFailed,
    ConnectionBroken,
    GsyncError,
    RemoteProtocolError,
    SourceBusy,
    Stalled,
    TransportError,
    WrongContent,
)
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Stream
from gsync.peer.block_lists import BlockLists
from gsync.peer.causes import FetchError, cause_of
from gsync.peer.events import Cause
from gsync.peer.fetcher import STALL_S, NotThere
from gsync.peer.link import Use
from gsync.peer.links import Links
from gsync.peer.native_fetcher import REQUEST_BYTES, REQUEST_FILES, REQUEST_TEXT_BYTES, REQUESTS_AHEAD, NativeFetcher
from gsync.peer.reuse import Reuse
from gsync.storage.workers import InlineWorkers
from gsync.wire.frames import NATIVE_START, frame
from gsync.wire.native import Block, Busy, Get, OnPeerLink, Pong, header
from tests.unit.peer.native_world import NATIVE, BlockStage, Shop, Talker, hashed_trees, native_script, record, wants
from tests.unit.peer.world import THERE, Lan, Witness, path

FILES = {f"f{number:03}": f"content {number}".encode() * number for number in range(100)}
RECORDS = [record(name, content) for name, content in FILES.items()]


def small_fetcher(links: Links, witness: Witness, world: World) -> NativeFetcher:
    lists, workers, stage = BlockLists(InlineWorkers()), InlineWorkers(), BlockStage()
    return NativeFetcher(
        links=links,
        witness=witness,
        stager=stage,
        reuse=Reuse(folder=stage.folder, trees=hashed_trees(stage.folder), lists=lists),
        lists=lists,
        workers=workers,
        clock=world.clock,
    )


class Desk:
    def __init__(self, world: World) -> None:
        self.world = world
        self.lan = Lan(world)
        self.witness = Witness()
        self.links = Links(network=self.lan.here, witness=self.witness, clock=world.clock)
        self.fetcher = small_fetcher(self.links, self.witness, world)

    def fetch(self, records: list[Record]) -> tuple[dict[RelPath, bytes | FetchError], FetchError | None]:
        """What came, and what ended it."""
        came: dict[RelPath, bytes | FetchError] = {}
        try:
            for name, content in self.fetcher.fetch_small(wants(*records), NATIVE):
                came[name] = content
        except (TransportError, RemoteProtocolError) as error:
            return came, error
        return came, None

    def fetch_from(
        self, answer: Callable[[Talker, OnPeerLink], object], records: list[Record] = RECORDS[:3]
    ) -> tuple[dict[RelPath, bytes | FetchError], FetchError | None]:
        with self.lan.serving(native_script(answer)):
            return self.fetch(records)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with simulated() as world:
        yield Desk(world)


def contents(*names: str) -> dict[RelPath, bytes]:
    return {path(name): FILES[name] for name in names or FILES}


def block(talker: Talker, question: OnPeerLink, number: int, body: bytes) -> None:
    assert isinstance(question, Get)
    talker.say(Block(id=question.id, want=number, body=len(body)), body=body)


def test_many_files_come_over_one_link(desk: Desk) -> None:
    shop = Shop(desk.world, desk.lan, FILES)
    assert desk.fetch(RECORDS) == (contents(), None)
    assert desk.fetch(RECORDS[:1]) == (contents("f000"), None)
    shop.close()
    assert [word for word, _ in desk.witness.said] == ["connected", "gave bytes", "gave bytes"]


def test_a_file_is_asked_for_where_its_record_says_and_given_where_it_will_stand(desk: Desk) -> None:
    shop = Shop(desk.world, desk.lan, {"there": b"text"})
    (came,) = desk.fetcher.fetch_small([(path("here"), record("there", b"text"))], NATIVE)
    assert came == (path("here"), b"text")
    shop.close()


def test_nothing_to_fetch_is_nothing_to_ask(desk: Desk) -> None:
    with desk.lan.serving(native_script(lambda talker, question: None)):
        assert desk.fetch([]) == ({}, None)


def test_requests_keep_their_bounds_and_the_next_one_is_there_before_the_last_is_answered(desk: Desk) -> None:
    records = [replace(RECORDS[1], path=path("x" * 200 + str(i))) for i in range(300)]
    records += [replace(RECORDS[2], path=path(str(i))) for i in range(REQUEST_FILES + 10)]
    asked: list[Get] = []
    outstanding: list[int] = []

    def serve(stream: Stream) -> None:
        stream.receive(1)
        talker = Talker(stream)
        done = 0
        while done < len(records):
            gevent.sleep(0.01)
            while stream.is_readable() or talker.pending:
                question = talker.hear().message
                assert isinstance(question, Get)
                asked.append(question)
            outstanding.append(len(asked))
            get = asked.pop(0)
            for number, want in enumerate(get.wants):
                body = FILES["f001"] if len(want.p) > 200 else FILES["f002"]
                block(talker, get, number, body)
                done += 1
            assert len(get.wants) <= REQUEST_FILES
            assert len(header(get)) <= REQUEST_TEXT_BYTES
        stream.receive(1)

    with desk.lan.serving(serve):
        came, error = desk.fetch(records)
    assert error is None
    assert len(came) == len(records)
    assert max(outstanding) == REQUESTS_AHEAD


def test_a_request_is_bounded_in_bytes(desk: Desk) -> None:
    size = REQUEST_BYTES // 4
    asked: list[int] = []

    def answer(talker: Talker, question: OnPeerLink) -> None:
        assert isinstance(question, Get)
        asked.append(len(question.wants))
        for number in range(len(question.wants)):
            talker.say(Block(id=question.id, want=number, gone=True))

    desk.fetch_from(answer, [replace(RECORDS[0], path=path(str(i)), size=size) for i in range(9)])
    assert asked == [4, 4, 1]


# One file that does not come


def test_one_that_is_gone_does_not_cost_the_others_anything(desk: Desk) -> None:
    shop = Shop(desk.world, desk.lan, {name: body for name, body in FILES.items() if name != "f050"})
    came, error = desk.fetch(RECORDS)
    shop.close()
    assert error is None
    gone = came.pop(path("f050"))
    assert isinstance(gone, NotThere)
    assert cause_of(gone) is Cause.GONE
    assert len(came) == len(FILES) - 1
    assert desk.links.idle == 1


@pytest.mark.parametrize("lie", [b"content X", FILES["f002"][:9]])
def test_a_wrong_content_is_not_given_out_and_the_next_ones_are(desk: Desk, lie: bytes) -> None:
    def answer(talker: Talker, question: OnPeerLink) -> None:
        for number, name in enumerate(("f000", "f001", "f002")):
            block(talker, question, number, lie if number == 1 else FILES[name])

    came, error = desk.fetch_from(answer)
    assert error is None
    wrong = came.pop(path("f001"))
    assert isinstance(wrong, WrongContent)
    assert cause_of(wrong) is Cause.NONSENSE
    assert came == contents("f000", "f002")


# A source that ends it for all


def short(talker: Talker, question: OnPeerLink) -> None:
    block(talker, question, 1, FILES["f001"][:-1])


def long(talker: Talker, question: OnPeerLink) -> None:
    block(talker, question, 1, FILES["f001"] + b"x")


def endless(talker: Talker, question: OnPeerLink) -> None:
    talker.say(Block(id=1, want=1, body=2**62))
    while True:
        talker.stream.send(bytes(65536))


def the_wrong_number(talker: Talker, question: OnPeerLink) -> None:
    block(talker, question, 2, FILES["f002"])


def the_wrong_request(talker: Talker, question: OnPeerLink) -> None:
    talker.say(Block(id=99, want=1, body=9), body=FILES["f001"])


def another_kind_of_answer(talker: Talker, question: OnPeerLink) -> None:
    talker.say(Pong(id=1))


def a_question(talker: Talker, question: OnPeerLink) -> None:
    talker.say(Get(id=1, wants=[]))


def gone_with_a_body(talker: Talker, question: OnPeerLink) -> None:
    talker.say(Block(id=1, want=1, body=3, gone=True), body=b"abc")


def nonsense(talker: Talker, question: OnPeerLink) -> None:
    talker.stream.send(frame(b"}{"))


@pytest.mark.parametrize(
    "lie",
    [
        short,
        long,
        endless,
        the_wrong_number,
        the_wrong_request,
        another_kind_of_answer,
        a_question,
        gone_with_a_body,
        nonsense,
    ],
)
def test_a_source_that_breaks_the_protocol_loses_what_is_left_and_keeps_what_came(
    desk: Desk, lie: Callable[[Talker, OnPeerLink], None]
) -> None:
    def answer(talker: Talker, question: OnPeerLink) -> None:
        block(talker, question, 0, FILES["f000"])
        lie(talker, question)

    came, error = desk.fetch_from(answer)
    assert isinstance(error, RemoteProtocolError)
    assert came == contents("f000")
    assert desk.links.idle == 0
    assert desk.world.now_s < 1


def test_a_source_that_is_killed_in_the_middle_loses_what_is_left_and_keeps_what_came(desk: Desk) -> None:
    """At any byte of its answers."""
    whole = b"".join(
        frame(header(Block(id=1, want=number, body=len(FILES[name])))) + FILES[name]
        for number, name in enumerate(("f000", "f001", "f002"))
    )
    ends = [0]
    for number, name in enumerate(("f000", "f001", "f002")):
        ends.append(ends[-1] + len(frame(header(Block(id=1, want=number, body=len(FILES[name]))))) + len(FILES[name]))
    for cut in range(len(whole)):

        def serve(stream: Stream, cut: int = cut) -> None:
            assert stream.receive(1) == NATIVE_START
            Talker(stream).hear()
            stream.send(whole[:cut])
            stream.wait_sent()
            if cut % 2:
                stream.reset()

        with desk.lan.serving(serve):
            came, error = desk.fetch(RECORDS[:3])
        assert isinstance(error, ConnectionBroken)
        assert len(came) == sum(end <= cut for end in ends[1:])


def test_a_source_that_stops_sending_is_given_up(desk: Desk) -> None:
    def answer(talker: Talker, question: OnPeerLink) -> None:
        block(talker, question, 0, FILES["f000"])

    came, error = desk.fetch_from(answer)
    assert isinstance(error, Stalled)
    assert came == contents("f000")
    assert desk.world.now_s == pytest.approx(STALL_S, abs=0.1)


def test_a_source_that_is_busy_says_so(desk: Desk) -> None:
    came, error = desk.fetch_from(lambda talker, question: talker.say(Busy(id=question.id)))  # type: ignore[union-attr]
    assert (came, type(error)) == ({}, SourceBusy)
    assert isinstance(error, SourceBusy)
    assert cause_of(error) is Cause.STALLED


def test_a_source_that_is_not_there_is_told_apart(desk: Desk) -> None:
    came, error = desk.fetch(RECORDS)
    assert came == {}
    assert isinstance(error, ConnectFailed)


def test_a_fetch_that_is_given_up_in_the_middle_leaves_no_link(desk: Desk) -> None:
    shop = Shop(desk.world, desk.lan, FILES)
    coming = desk.fetcher.fetch_small(wants(*RECORDS), NATIVE)
    assert next(coming)[1] == FILES["f000"]
    coming.close()  # type: ignore[attr-defined]  # a generator
    assert desk.links.idle == 0
    assert desk.fetch(RECORDS[:1]) == (contents("f000"), None)
    shop.close()


def test_one_that_is_killed_in_the_middle_leaves_no_link(desk: Desk) -> None:
    desk.lan.network.latency_s = (0.01, 0.01)  # type: ignore[attr-defined]
    shop = Shop(desk.world, desk.lan, FILES)
    tasks = TaskGroup()
    task = tasks.spawn(desk.fetch, RECORDS)
    task.cancel()
    task.join()
    assert desk.links.idle == 0
    with desk.links.link(THERE, Use.SMALL), desk.links.link(THERE, Use.SMALL):
        pass
    shop.close()
    tasks.stop()


def test_errors_are_those_of_the_ladder() -> None:
    assert issubclass(WrongContent, RemoteProtocolError)
    assert issubclass(SourceBusy, TransportError)
    assert not issubclass(NotThere, TransportError | RemoteProtocolError)
    assert issubclass(NotThere, GsyncError)
