"""How a peer and its tracker find out that both speak native, and what is said to trackers that do not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import gevent
import pytest

from gsync.core.model import Offer
from gsync.core.names import Endpoint, RelPath
from gsync.core.status import Dialect, TrackerSeen
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Stream
from gsync.peer.announcer import RETRY_BASE_S, Announcer
from gsync.peer.classic_link import ANSWER_S, KEEPALIVE_S, PROBE_ABOVE_BYTES
from gsync.peer.events import TrackerDown, TrackerUp
from gsync.peer.trees import Trees
from gsync.wire.frames import NATIVE_START
from gsync.wire.framing import JsonSplitter
from gsync.wire.messages import DirectoryResponse
from gsync.wire.native import Announce, Delta, Join, Locate, Located, Peers, Snapshot, Welcome
from tests.unit.peer.native import SERVING, TRACKER, YES, NativeTracker, framed, held, later, parsed, record, row
from tests.unit.peer.test_announcer import DIRECTORY, OURS, Steady
from tests.unit.peer.test_announcer import Tracker as ClassicTracker
from tests.unit.peer.world import Heard, Lan, meta, path

INITIAL = b'{\t\t"port":2001,"files":[{"name":"a.txt","mtime":5}]}'
PROBE = b'{\t\t"port":2001,"files":[]}'
KEEPALIVE = b'{"port":2001}'


class Room:
    """An announcer that knows native, and its neighbours."""

    def __init__(self, world: World, *, knows_gsync: bool = True) -> None:
        self.world = world
        self.lan = Lan(world)
        self.native = NativeTracker(world, self.lan)
        self.classic = ClassicTracker(world, self.lan)
        self.trees = Trees({path("a.txt"): meta(mtime_s=5, content=b"hello")}, {})
        self.heard = Heard()
        self.directories: list[DirectoryResponse] = []
        self.news: list[tuple[dict[str, Offer | None], bool]] = []
        self.announcer = Announcer(
            network=self.lan.here,
            tracker=TRACKER,
            port=SERVING,
            trees=self.trees,
            events=self.heard.events,
            clock=world.clock,
            rng=Steady(),
            on_directory=lambda directory, own_end: self.directories.append(directory),
            on_away=lambda: None,
            knows_gsync=knows_gsync,
            on_records=self._hear,
            author="me",
            name="my machine",
        )
        self.tasks = TaskGroup()

    def start(self) -> None:
        self.tasks.spawn(self.announcer.run)
        later()

    def end(self) -> None:
        self.tasks.stop()
        self.native.close()
        self.classic.close()

    def grow(self, count: int) -> None:
        """So many more files that their list is about 100 bytes each."""
        self.trees.note_local({path(f"{number:06}".ljust(80, "x")): meta(mtime_s=5) for number in range(count)})

    def downs(self) -> list[str]:
        return [event.reason for event in self.heard.all if isinstance(event, TrackerDown)]

    def ups(self) -> list[int]:
        return [event.names for event in self.heard.all if isinstance(event, TrackerUp)]

    def _hear(self, offers: Mapping[RelPath, Offer | None], is_whole: bool) -> None:
        self.news.append((dict(offers), is_whole))


@pytest.fixture
def room() -> Iterator[Room]:
    with simulated() as world:
        room = Room(world)
        yield room
        room.end()


LARGE = PROBE_ABOVE_BYTES // 80


def said(tracker: ClassicTracker | NativeTracker) -> list[str]:
    """What was said in JSON, in short."""
    words: list[str] = []
    for _, message in tracker.heard if isinstance(tracker, ClassicTracker) else tracker.initials:
        value = json.loads(message)
        words.append(f"initial {len(value['files'])}" if "files" in value else "keepalive")
    return words


# Two that both know


def test_two_tabs_answered_by_two_tabs_become_native(room: Room) -> None:
    room.native.directory = [held(record("b"), 1)]
    room.native.open()
    room.start()
    assert [message for _, message in room.native.initials] == [INITIAL]
    (join,) = room.native.of(Join)
    assert (join.author, join.name) == ("me", "my machine")
    assert room.native.told() == ["+a.txt", "."]
    assert [(set(offers), is_whole) for offers, is_whole in room.news] == [({"b"}, True)]
    assert room.directories == []
    assert room.ups() == [1]


def test_no_json_is_said_any_more(room: Room) -> None:
    room.native.open()
    room.start()
    gevent.sleep(10 * KEEPALIVE_S)
    room.announcer.tell_news()
    gevent.sleep(10 * KEEPALIVE_S)
    assert len(room.native.initials) == 1
    assert room.native.connected == [0.0]
    assert room.downs() == []


def test_changes_are_told_and_questions_answered(room: Room) -> None:
    room.native.open()
    room.start()
    room.trees.note_local({path("new"): meta(content=b"new")})
    room.announcer.tell([path("new"), path("gone")])
    later()
    assert room.native.told() == ["+a.txt", ".", "+new", "-gone"]
    room.native.say(Delta(prev=1, seq=2, held=[held(record("c"), 1)]))
    usual = room.native.usual
    room.native.on_message = lambda message: (
        [Located(id=message.id, holders=[[1]])] if isinstance(message, Locate) else usual(message)
    )
    found: list[Mapping[RelPath, object]] = []
    room.tasks.spawn(lambda: found.append(room.announcer.locate([path("c")])))
    later()
    assert [list(one) for one in found] == [[path("c")]]
    assert [(set(offers), is_whole) for offers, is_whole in room.news] == [(set(), True), ({"c"}, False)]
    assert room.announcer.answers == 2


def test_a_tracker_that_knows_native_is_asked_with_an_empty_list_from_then_on(room: Room) -> None:
    room.native.open()
    room.start()
    gevent.sleep(1)
    room.native.close()
    room.native.open()
    gevent.sleep(2)
    assert said(room.native) == ["initial 1", "initial 0"]
    assert [message for _, message in room.native.initials][1] == PROBE
    assert room.native.told() == ["+a.txt", ".", "+a.txt", "."]
    assert [is_whole for _, is_whole in room.news] == [True, True]


def test_a_restarted_tracker_that_knows_nothing_makes_nothing_deleted(room: Room) -> None:
    room.native.directory = [held(record("b"), 1)]
    room.native.open()
    room.start()
    room.native.close()
    room.native.epoch, room.native.directory, room.native.seq, room.native.rows = "e2", [], 0, []
    room.native.open()
    gevent.sleep(2)
    assert [(dict(offers), is_whole) for offers, is_whole in room.news[1:]] == [({}, True)]
    room.native.say(Peers(peers=[row(1, "192.0.2.8")]), Delta(prev=0, seq=1, held=[held(record("b"), 1)]))
    later()
    assert set(room.news[-1][0]) == {path("b")}
    assert not any(offer is None for offers, _ in room.news for offer in offers.values())


def test_a_long_list_is_not_sent_to_a_tracker_that_may_be_native(room: Room) -> None:
    room.grow(LARGE)
    room.native.open()
    room.start()
    gevent.sleep(1)
    assert said(room.native) == ["initial 0"]
    assert room.native.connected == [0.0]
    assert room.native.told()[-1] == "."


@pytest.mark.parametrize(("after_s", "keepalives"), [(0.0, 0), (0.5, 0), (12.0, 2)])
def test_answers_that_were_outstanding_are_passed_over(room: Room, after_s: float, keepalives: int) -> None:
    room.native.directory = [held(record("b"), 1)]
    room.native.answers_after_s = after_s
    room.native.answer = b"{\t\t" + DIRECTORY[1:]
    room.native.open()
    room.start()
    gevent.sleep(60)
    assert said(room.native) == ["initial 1"] + ["keepalive"] * keepalives
    assert room.directories == []
    assert [set(offers) for offers, _ in room.news] == [{"b"}]
    assert room.downs() == []


WORDS = (
    b"{\t\t"
    + DIRECTORY[1:]
    + b"\n"
    + b"\0"
    + framed(Welcome(epoch="e", seq=1), Peers(peers=[row(1)]), Snapshot(seq=1, held=[held(record("b"), 1)], last=True))
)


@pytest.mark.parametrize("cut", range(1, len(WORDS)))
def test_the_negotiation_may_be_cut_at_every_byte(cut: int) -> None:
    with simulated() as world:
        room, received = Room(world), list[bytes]()

        def serve(stream: Stream) -> None:
            received.append(stream.receive(65536))
            switch = WORDS.index(b"\0")
            stream.send(WORDS[: min(cut, switch)])
            gevent.sleep(0.1)
            if cut < switch:
                stream.send(WORDS[cut:switch])
            received.append(stream.receive(65536))
            rest = WORDS[switch:]
            inside = max(cut - switch, 0)
            stream.send(rest[:inside])
            gevent.sleep(0.1)
            stream.send(rest[inside:])
            while data := stream.receive(65536):
                received.append(data)

        listener = room.lan.there.listen(ip="0.0.0.0", port=TRACKER.port, handler=serve, limit=10)
        room.start()
        gevent.sleep(2)
        assert [(set(offers), is_whole) for offers, is_whole in room.news] == [({"b"}, True)]
        assert received[0] == INITIAL + b"\n"
        assert received[1] == NATIVE_START
        assert [type(message) for message in parsed(b"".join(received[2:]))] == [Join, Announce]
        room.end()
        listener.close()


def test_a_keepalive_that_is_still_going_out_is_not_cut_by_the_end_of_json() -> None:
    """The tracker reads nothing, then answers: what was being sent goes out whole before NUL."""
    with simulated() as world:
        room, received = Room(world), bytearray()
        room.grow(1500)  # more than a pipe holds, less than a probe

        def serve(stream: Stream) -> None:
            stream.send(YES)
            gevent.sleep(10)
            while data := stream.receive(1000):
                received.extend(data)
                gevent.sleep(0.01)
                if data.endswith(b"\0"):
                    stream.send(b"\0")

        listener = room.lan.there.listen(ip="0.0.0.0", port=TRACKER.port, handler=serve, limit=10)
        room.start()
        gevent.sleep(20)
        text, switch, frames = bytes(received).partition(b"\0")
        assert switch
        assert [len(json.loads(message)["files"]) for message in JsonSplitter(10**7).feed(text)] == [1501]
        assert isinstance(parsed(frames)[0], Join)
        room.end()
        listener.close()


def test_how_the_tracker_stands_can_be_looked_at(room: Room) -> None:
    assert room.announcer.seen() == TrackerSeen(endpoint=TRACKER, is_up=False)
    assert room.announcer.agrees() is None
    room.start()
    assert room.announcer.seen() == TrackerSeen(endpoint=TRACKER, is_up=False, reason="connection refused")
    room.native.open()
    gevent.sleep(1)
    assert room.announcer.seen() == TrackerSeen(endpoint=TRACKER, is_up=True, dialect=Dialect.NATIVE)
    assert room.announcer.waiting == 0
    room.announcer.tell([path("a.txt"), path("b.txt")])
    assert room.announcer.waiting == 2
    room.native.close()
    gevent.sleep(0.1)
    assert not room.announcer.seen().is_up
    assert "closed" in room.announcer.seen().reason or "broke" in room.announcer.seen().reason
    assert room.announcer.agrees() is None
    room.classic.open()
    gevent.sleep(2)
    assert room.announcer.seen() == TrackerSeen(endpoint=TRACKER, is_up=True, dialect=Dialect.CLASSIC)
    assert room.announcer.agrees() is None


# Trackers that do not


def test_a_tracker_of_ours_that_knows_no_native_is_spoken_to_as_ever(room: Room) -> None:
    room.classic.answer = lambda number, message: OURS
    room.classic.open()
    room.start()
    gevent.sleep(7)
    room.trees.note_local({path("b.txt"): meta(mtime_s=6)})
    room.announcer.tell([path("b.txt")])
    room.announcer.tell_news()
    gevent.sleep(6)
    assert [message for _, message in room.classic.heard] == [
        INITIAL,
        KEEPALIVE,
        b'{\t\t"port":2001,"files":[{"name":"a.txt","mtime":5},{"name":"b.txt","mtime":6}]}',
        KEEPALIVE,
    ]
    assert [set(directory.offers) for directory in room.directories] == [{"b.txt"}]
    assert room.news == []


def test_a_foreign_tracker_hears_one_whole_initial_on_one_connection(room: Room) -> None:
    room.classic.open()
    room.start()
    gevent.sleep(11)
    assert [message for _, message in room.classic.heard] == [INITIAL, KEEPALIVE, KEEPALIVE]
    assert room.classic.connected == [0.0]
    assert room.announcer.locate([path("a")]) == {}


def test_a_foreign_tracker_hears_a_long_list_after_a_question_and_never_a_question_again(room: Room) -> None:
    room.grow(LARGE)
    room.classic.open()
    room.start()
    gevent.sleep(1)
    assert said(room.classic) == ["initial 0", f"initial {LARGE + 1}"]
    assert room.classic.connected == [0.0, 0.0]
    room.classic.close()
    gevent.sleep(0.1)
    room.classic.open()
    gevent.sleep(5)
    assert said(room.classic)[-1] == f"initial {LARGE + 1}"
    assert said(room.classic).count("initial 0") == 1
    assert room.classic.ended[0] == "end"
    assert len(room.directories) == 2


def test_a_foreign_tracker_that_takes_no_empty_list_hears_the_whole_one(room: Room) -> None:
    room.grow(LARGE)
    room.classic.answer = lambda number, message: DIRECTORY if b'"files":[]' not in message else None
    room.classic.open()
    room.start()
    gevent.sleep(2)
    assert said(room.classic) == ["initial 0", f"initial {LARGE + 1}"]
    assert len(room.directories) == 1


def test_a_foreign_tracker_that_never_answers_an_empty_list_hears_the_whole_one(room: Room) -> None:
    room.grow(LARGE)
    room.classic.answer = lambda number, message: b"" if len(room.classic.connected) == 1 else DIRECTORY
    room.classic.open()
    room.start()
    gevent.sleep(ANSWER_S + 2)
    assert said(room.classic)[0] == "initial 0"
    assert f"initial {LARGE + 1}" in said(room.classic)
    assert len(room.directories) == 1


def test_a_tracker_that_was_native_and_is_not_any_more_hears_the_whole_list_at_once(room: Room) -> None:
    room.native.open()
    room.start()
    gevent.sleep(1)
    room.native.close()
    room.classic.open()
    gevent.sleep(1)
    assert said(room.classic) == ["initial 0", "initial 1"]
    assert room.classic.connected[0] == room.classic.connected[1]
    assert [set(directory.offers) for directory in room.directories] == [{"b.txt"}]
    room.classic.close()
    room.native.open()
    gevent.sleep(2)
    assert said(room.native) == [
        "initial 1",
        "initial 1",
    ]  # the second one in vain: it had been taken for a foreign one
    assert len(room.news) == 2


def test_a_classic_peer_never_speaks_native() -> None:
    with simulated() as world:
        room = Room(world, knows_gsync=False)
        room.grow(LARGE)
        room.native.open()
        room.start()
        gevent.sleep(KEEPALIVE_S)
        assert said(room.native) == [f"initial {LARGE + 1}", "keepalive"]
        assert b"\t" not in b"".join(message for _, message in room.native.initials)
        assert len(room.directories) == 1  # whatever it begins with
        room.end()


def test_only_the_first_answer_decides(room: Room) -> None:
    room.classic.answer = lambda number, message: OURS if not number else YES
    room.classic.open()
    room.start()
    gevent.sleep(11)
    assert said(room.classic) == ["initial 1", "keepalive", "keepalive"]
    assert room.news == []


# What goes wrong


HOSTILE = [
    pytest.param([YES + b"\0"], "b'\\x00'", id="NUL before ours"),
    pytest.param([YES, b"{\0"], "in the middle of a message", id="NUL in a message"),
    pytest.param([YES, YES * 9], "more answers", id="answers without questions"),
    pytest.param([YES, b"hello"], "where a JSON object should begin", id="neither JSON nor NUL"),
    pytest.param([YES, b"\0\0\0\0\0"], "frame header", id="an empty frame"),
]


@pytest.mark.parametrize(("words", "reason"), HOSTILE)
def test_a_tracker_that_breaks_the_negotiation_is_left(room: Room, words: list[bytes], reason: str) -> None:
    def serve(stream: Stream) -> None:
        for word in words:
            stream.receive(65536)
            stream.send(word)
        gevent.sleep(100)

    listener = room.lan.there.listen(ip="0.0.0.0", port=TRACKER.port, handler=serve, limit=10)
    room.start()
    gevent.sleep(0.1)
    assert reason in room.downs()[0]
    assert room.news == []
    gevent.sleep(RETRY_BASE_S)
    assert len(room.downs()) == 2  # and dialled again
    room.end()
    listener.close()


def test_a_tracker_that_agrees_and_then_says_nothing_is_left_after_thirty_seconds(room: Room) -> None:
    def serve(stream: Stream) -> None:
        stream.receive(65536)
        stream.send(YES)
        gevent.sleep(1000)

    listener = room.lan.there.listen(ip="0.0.0.0", port=TRACKER.port, handler=serve, limit=10)
    room.start()
    gevent.sleep(ANSWER_S + 0.1)
    assert room.downs() == ["no answer for 30 s"]
    room.end()
    listener.close()


def test_one_that_agrees_but_never_tells_a_directory_is_said_to_be_down(room: Room) -> None:
    room.native.on_message = lambda message: []
    room.native.open()
    room.start()
    gevent.sleep(ANSWER_S + 0.1)
    assert room.ups() == []
    assert room.downs() == ["no word for 30 s"]


def test_a_tracker_that_has_greeted_is_about_to_tell_until_it_has_told(room: Room) -> None:
    room.native.on_message = lambda message: [Welcome(epoch="1", seq=0)] if isinstance(message, Join) else []
    room.native.open()
    assert not room.announcer.is_about_to_tell
    room.start()
    assert (room.announcer.is_about_to_tell, room.announcer.tells_changes) == (True, False)
    room.native.say(Snapshot(seq=0, held=[], last=True))
    later()
    assert (room.announcer.is_about_to_tell, room.announcer.tells_changes) == (False, True)


@pytest.mark.parametrize("latency_s", [0.0, 0.4])
def test_a_peer_that_is_stopped_at_any_time_leaves_nothing(latency_s: float) -> None:
    for step in range(25):
        with simulated() as world:
            room = Room(world)
            room.lan.network.latency_s = (latency_s, latency_s)
            room.native.open()
            room.start()
            gevent.sleep(step * 0.1)
            room.tasks.stop()
            gevent.sleep(1)
            assert len(room.tasks) == 0
            assert len(room.native.ended) == len(room.native.connected)
            assert latency_s or room.native.ended == ["end"]
            room.native.close()


def test_a_peer_with_native_off_shows_one_tab() -> None:
    with simulated() as world:
        room = Room(world)
        room.announcer = Announcer(
            network=room.lan.here,
            tracker=Endpoint(TRACKER.ip, TRACKER.port),
            port=SERVING,
            trees=room.trees,
            events=room.heard.events,
            clock=world.clock,
            rng=Steady(),
            on_directory=lambda directory, own_end: None,
            on_away=lambda: None,
        )
        room.classic.open()
        room.start()
        assert room.classic.heard[0][1] == INITIAL.replace(b"\t\t", b"\t")
        room.end()
