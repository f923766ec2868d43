"""The tracker connection, as a dialogue: what the tracker hears and when, and what its answers bring about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import gevent
import pytest

from gsync.core.names import Endpoint
from gsync.errors import ConnectionBroken
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Stream
from gsync.peer.announcer import CONNECT_S, RETRY_BASE_S, RETRY_CAP_S, Announcer
from gsync.peer.classic_link import ANSWER_S, KEEPALIVE_S
from gsync.peer.events import TrackerDown, TrackerUp
from gsync.peer.trees import Trees
from gsync.wire.framing import TRACKER_LIMIT_BYTES, JsonSplitter
from gsync.wire.messages import DirectoryResponse
from tests.unit.peer.world import THEIRS_IP, Heard, Lan, meta, offer, path

TRACKER = Endpoint(THEIRS_IP, 9000)
SERVING = 2001

DIRECTORY = b'{"b.txt":{"ip":"192.0.2.9","port":2000,"mtime":7}}'
OURS = b"{\t" + DIRECTORY[1:] + b"\n"
OTHER = b'{"c.txt":{"ip":"192.0.2.9","port":2000,"mtime":7}}'

Answer = Callable[[int, bytes], bytes | None]


class Steady:
    """Chance that never takes anything away."""

    def random(self) -> float:
        return 0.0


class Tracker:
    """Hears message after message, and answers each with what the test says: None closes, b"" says nothing."""

    def __init__(self, world: World, lan: Lan) -> None:
        self.heard: list[tuple[float, bytes]] = []
        self.connected: list[float] = []
        self.ended: list[str] = []
        self.answer: Answer = lambda number, message: DIRECTORY
        self._world = world
        self._lan = lan
        self._listener: Any = None

    def open(self) -> None:
        self._listener = self._lan.there.listen(ip="0.0.0.0", port=TRACKER.port, handler=self._serve, limit=10)

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _serve(self, stream: Stream) -> None:
        self.connected.append(self._now())
        splitter, number = JsonSplitter(2 * TRACKER_LIMIT_BYTES), 0
        try:
            while data := stream.receive(65536):
                for message in splitter.feed(data):
                    self.heard.append((self._now(), message))
                    answer = self.answer(number, message)
                    number += 1
                    if answer is None:
                        return
                    stream.send(answer)
            self.ended.append("end")
        except ConnectionBroken:
            self.ended.append("broken")

    def _now(self) -> float:
        return round(self._world.now_s, 3)

    def said(self) -> list[tuple[float, str]]:
        """What was heard, in short: when, and `initial a b` or `keepalive`."""
        told = []
        for when, message in self.heard:
            value = json.loads(message)
            assert value.pop("port") == SERVING
            names = " ".join(entry["name"] for entry in value.pop("files", [])) if "files" in value else None
            assert value == {}
            told.append((when, "keepalive" if names is None else f"initial {names}"))
        return told


class Room:
    """An announcer and its neighbours."""

    def __init__(self, world: World, *, knows_gsync: bool = True) -> None:
        self.world = world
        self.lan = Lan(world)
        self.tracker = Tracker(world, self.lan)
        self.trees = Trees({path("a.txt"): meta(mtime_s=5)}, {})
        self.heard = Heard()
        self.directories: list[tuple[DirectoryResponse, Endpoint]] = []
        self.away: list[float] = []
        self.announcer = Announcer(
            network=self.lan.here,
            tracker=TRACKER,
            port=SERVING,
            trees=self.trees,
            events=self.heard.events,
            clock=world.clock,
            rng=Steady(),
            on_directory=lambda directory, own_end: self.directories.append((directory, own_end)),
            on_away=lambda: self.away.append(round(world.now_s, 3)),
            knows_gsync=knows_gsync,
        )
        self.tasks = TaskGroup()

    def start(self) -> None:
        self.tasks.spawn(self.announcer.run)

    def save(self, name: str) -> None:
        """A new file here, and a good moment to say so."""
        self.trees.note_local({path(name): meta(mtime_s=6)})
        self.announcer.tell_news()

    @property
    def names(self) -> list[set[str]]:
        """The names of each directory that was passed on."""
        return [set(directory.offers) for directory, _ in self.directories]


@pytest.fixture
def room() -> Iterator[Room]:
    with simulated() as world:
        room = Room(world)
        yield room
        room.tasks.stop()
        room.tracker.close()


def test_an_initial_comes_once_and_a_keepalive_each_five_seconds(room: Room) -> None:
    room.tracker.open()
    room.start()
    gevent.sleep(3 * KEEPALIVE_S + 1)
    assert room.tracker.said() == [(0.0, "initial a.txt"), (5.0, "keepalive"), (10.0, "keepalive"), (15.0, "keepalive")]
    assert room.tracker.connected == [0.0]
    assert room.heard.names() == ["tracker.up"]


def test_a_classic_peer_shows_nobody_that_it_is_one_of_ours() -> None:
    with simulated() as world:
        room = Room(world, knows_gsync=False)
        room.tracker.open()
        room.start()
        gevent.sleep(1)
        room.tasks.stop()
        room.tracker.close()
    assert [message for _, message in room.tracker.heard] == [
        b'{"port":2001,"files":[{"name":"a.txt","mtime":5}]}',
    ]


def test_every_message_of_ours_shows_who_we_are_and_ends_in_a_newline(room: Room) -> None:
    sent: list[bytes] = []

    def hear(stream: Stream) -> None:
        while data := stream.receive(65536):
            sent.append(data)
            stream.send(DIRECTORY)

    listener = room.lan.there.listen(ip="0.0.0.0", port=TRACKER.port, handler=hear, limit=10)
    room.start()
    gevent.sleep(KEEPALIVE_S + 1)
    listener.close()
    assert sent == [
        b'{\t"port":2001,"files":[{"name":"a.txt","mtime":5}]}\n',
        b'{"port":2001}\n',
    ]


def test_a_directory_is_passed_on_with_our_own_end(room: Room) -> None:
    room.tracker.open()
    room.start()
    gevent.sleep(1)
    assert room.names == [{"b.txt"}]
    assert room.directories[0][1].ip == room.lan.here.ip


def test_a_directory_that_is_equal_to_the_last_is_not_passed_on(room: Room) -> None:
    room.tracker.answer = lambda number, message: [DIRECTORY, DIRECTORY, OTHER, OTHER, DIRECTORY][min(number, 4)]
    room.tracker.open()
    room.start()
    gevent.sleep(6 * KEEPALIVE_S + 1)
    assert room.names == [{"b.txt"}, {"c.txt"}, {"b.txt"}]
    assert room.announcer.answers == 7


def test_the_first_directory_of_a_new_connection_is_passed_on_even_if_it_is_equal(room: Room) -> None:
    room.tracker.answer = lambda number, message: DIRECTORY if number < 1 else None
    room.tracker.open()
    room.start()
    gevent.sleep(2 * KEEPALIVE_S + 2)
    assert room.names == [{"b.txt"}] * 3


@pytest.mark.parametrize("cut", [1, 10, len(DIRECTORY) - 1])
def test_a_directory_may_come_in_pieces(room: Room, cut: int) -> None:
    def hear(stream: Stream) -> None:
        stream.receive(65536)
        stream.send(DIRECTORY[:cut])
        gevent.sleep(20)
        stream.send(DIRECTORY[cut:])
        gevent.sleep(100)

    listener = room.lan.there.listen(ip="0.0.0.0", port=TRACKER.port, handler=hear, limit=10)
    room.start()
    gevent.sleep(21)
    assert room.names == [{"b.txt"}]
    room.tasks.cancel()
    listener.close()


def test_entries_that_are_refused_are_logged_and_the_others_taken(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    bad = b'"../x":{"ip":"192.0.2.9","port":2000,"mtime":7},'
    room.tracker.answer = lambda number, message: b"{" + bad + DIRECTORY[1:]
    room.tracker.open()
    room.start()
    gevent.sleep(1)
    assert room.names == [{"b.txt"}]
    assert "'../x'" in caplog.text


# News


def test_a_foreign_tracker_hears_one_initial_a_connection_whatever_changes(room: Room) -> None:
    room.tracker.open()
    room.start()
    gevent.sleep(1)
    room.save("b.txt")
    gevent.sleep(20)
    assert [what for _, what in room.tracker.said()] == ["initial a.txt"] + ["keepalive"] * 4
    assert room.announcer.waiting == 1
    room.trees.note_remote({path("b.txt"): offer(room.trees.local[path("b.txt")].version.mtime_s)})
    assert room.announcer.waiting == 0  # another one has told it


def test_a_tracker_of_ours_hears_news_at_once_when_the_last_initial_is_five_seconds_old(room: Room) -> None:
    room.tracker.answer = lambda number, message: OURS
    room.tracker.open()
    room.start()
    gevent.sleep(7)
    room.save("b.txt")
    gevent.sleep(6)
    assert room.tracker.said() == [
        (0.0, "initial a.txt"),
        (5.0, "keepalive"),
        (7.0, "initial a.txt b.txt"),
        (12.0, "keepalive"),
    ]


def test_a_tracker_of_ours_hears_news_at_most_each_five_seconds(room: Room) -> None:
    room.tracker.answer = lambda number, message: OURS
    room.tracker.open()
    room.start()
    for number in range(12):
        gevent.sleep(1)
        room.save(f"{number:02}")
    gevent.sleep(10)
    initials = [when for when, what in room.tracker.said() if what.startswith("initial")]
    assert initials == [0.0, 5.0, 10.0, 15.0]
    assert len(room.tracker.said()[-1][1]) == len("keepalive")
    assert "11" in next(what for when, what in room.tracker.said() if when == 15.0)


def test_a_change_that_an_announcement_would_not_show_is_no_news(room: Room) -> None:
    room.tracker.answer = lambda number, message: OURS
    room.tracker.open()
    room.start()
    gevent.sleep(6)
    room.trees.note_local({path("a.txt"): meta(mtime_s=5, size=99)})
    room.announcer.tell_news()
    gevent.sleep(6)
    assert [what for _, what in room.tracker.said()] == ["initial a.txt", "keepalive", "keepalive"]


def test_a_file_that_is_gone_is_news(room: Room) -> None:
    room.tracker.answer = lambda number, message: OURS
    room.tracker.open()
    room.start()
    gevent.sleep(6)
    room.trees.note_local({}, [path("a.txt")])
    room.announcer.tell_news()
    gevent.sleep(1)
    assert room.tracker.said()[-1] == (6.0, "initial ")


def test_no_two_messages_of_a_quiet_peer_are_more_than_five_seconds_apart(room: Room) -> None:
    room.tracker.answer = lambda number, message: OURS
    room.tracker.open()
    room.start()
    for pause in (3.0, 2.5, 4.9, 5.1, 0.1, 7.0):
        gevent.sleep(pause)
        room.save(f"{pause}")
    gevent.sleep(10)
    times = [when for when, _ in room.tracker.said()]
    assert max(later - earlier for earlier, later in pairwise(times)) <= KEEPALIVE_S


@pytest.mark.slow
def test_an_initial_that_no_tracker_would_take_is_cut_to_the_names_that_fit(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    room.trees.note_local({path(f"{number:06}" + "x" * 240): meta() for number in range(20_000)})
    room.tracker.open()
    room.start()
    gevent.sleep(1)
    (_, message) = room.tracker.heard[0]
    assert TRACKER_LIMIT_BYTES / 4 < len(message) <= TRACKER_LIMIT_BYTES
    assert "announce.cut" in caplog.text


# What goes wrong


def downs(room: Room) -> list[str]:
    return [event.reason for event in room.heard.all if isinstance(event, TrackerDown)]


def test_a_tracker_that_is_not_there_is_dialled_again_with_backoff_for_ever(room: Room) -> None:
    room.start()
    gevent.sleep(30)
    waits = [round(later - earlier, 3) for earlier, later in pairwise([0.0, *room.away])]
    assert waits[:5] == [RETRY_BASE_S, 2 * RETRY_BASE_S, 4 * RETRY_BASE_S, 8 * RETRY_BASE_S, RETRY_CAP_S]
    assert set(waits[5:]) == {RETRY_CAP_S}
    assert len(downs(room)) == len(room.away) + 1
    assert "refused" in downs(room)[0]
    room.tracker.open()
    gevent.sleep(RETRY_CAP_S)
    assert isinstance(room.heard.all[-1], TrackerUp)
    assert room.names == [{"b.txt"}]


def test_whoever_can_bring_the_tracker_back_is_asked_before_each_new_try(room: Room) -> None:
    room.announcer._on_away = room.tracker.open
    room.start()
    gevent.sleep(1)
    assert room.tracker.connected == [RETRY_BASE_S]
    room.announcer._on_away = lambda: None


def test_a_dial_without_an_answer_is_given_up_after_five_seconds(room: Room) -> None:
    room.lan.network.silence(TRACKER)
    room.start()
    gevent.sleep(CONNECT_S + 0.1)
    assert downs(room) == ["no answer within 5 s"]


def test_a_connection_that_ends_is_made_anew_without_a_word(room: Room) -> None:
    room.tracker.answer = lambda number, message: DIRECTORY if number < 2 else None
    room.tracker.open()
    room.start()
    gevent.sleep(12)
    assert room.tracker.connected == [0.0, 10.0 + RETRY_BASE_S]
    assert [what for _, what in room.tracker.said()].count("initial a.txt") == 2
    assert downs(room) == []


def test_a_tracker_that_stays_away_is_said_to_be(room: Room) -> None:
    room.tracker.open()
    room.start()
    gevent.sleep(1)
    room.tracker.close()
    gevent.sleep(3)
    assert len(downs(room)) >= 1


def test_a_tracker_that_is_silent_for_thirty_seconds_is_left(room: Room) -> None:
    room.tracker.answer = lambda number, message: DIRECTORY if number < 1 else b""
    room.tracker.open()
    room.start()
    gevent.sleep(ANSWER_S - 0.1)
    assert len(room.tracker.connected) == 1
    gevent.sleep(1)
    assert room.tracker.connected == [0.0, ANSWER_S + RETRY_BASE_S]


def test_a_tracker_that_reads_nothing_is_left_after_thirty_seconds(room: Room) -> None:
    room.trees.note_local({path(f"{number:05}"): meta() for number in range(5_000)})
    listener = room.lan.there.listen(
        ip="0.0.0.0", port=TRACKER.port, handler=lambda stream: gevent.sleep(1000), limit=10
    )
    room.start()
    gevent.sleep(ANSWER_S + 0.1)
    assert downs(room) == ["it takes nothing for 30 s"]
    room.tasks.stop()
    listener.close()


MALFORMED = [b"[]", b"nonsense", b'{"a":}', b'{"a":' * 10, b"{]", b'{"b.txt" 5}']


@pytest.mark.parametrize("malformed", MALFORMED)
def test_a_malformed_directory_drops_the_connection_and_keeps_the_last(room: Room, malformed: bytes) -> None:
    room.tracker.answer = lambda number, message: DIRECTORY if number < 1 else malformed
    room.tracker.open()
    room.start()
    gevent.sleep(KEEPALIVE_S + 0.1)
    assert room.names == [{"b.txt"}]
    gevent.sleep(1)
    assert room.tracker.connected == [0.0, KEEPALIVE_S + RETRY_BASE_S]
    assert room.names == [{"b.txt"}] * 2


@pytest.mark.parametrize("malformed", MALFORMED)
def test_one_that_only_ever_says_nonsense_is_no_tracker_and_a_person_is_told(room: Room, malformed: bytes) -> None:
    room.tracker.answer = lambda number, message: malformed
    room.tracker.open()
    room.start()
    gevent.sleep(4)
    assert room.tracker.connected == [0.0, 0.5, 1.5, 3.5]
    assert len(downs(room)) == 4
    assert room.directories == []


def test_a_peer_that_stops_leaves_in_order(room: Room) -> None:
    room.tracker.open()
    room.start()
    gevent.sleep(7)
    room.tasks.stop()
    gevent.sleep(0.1)
    assert room.tracker.ended == ["end"]
