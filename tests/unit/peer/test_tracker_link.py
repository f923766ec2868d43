"""The native conversation, as a dialogue: what the tracker hears and when, and what comes of what it says."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping

import gevent
import pytest

from gsync.core.model import Offer, Source
from gsync.core.names import Endpoint, RelPath
from gsync.errors import ConnectionBroken, GsyncError, RemoteProtocolError, Stalled
from gsync.net.memory_stream import PIPE_BYTES
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.peer.agreed import Agreed
from gsync.peer.announcement import PIECE_RECORDS
from gsync.peer.locating import LOCATE_PATHS, LOCATE_S, LOCATES_MAX
from gsync.peer.neighbourhood import Whereabouts
from gsync.peer.tracker_link import (
    ALIVE_S,
    RECEIVE,
    RESYNC_CAP_S,
    RESYNC_S,
    SILENCE_S,
    TrackerLink,
)
from gsync.wire.frames import HEADER_MAX_BYTES, LENGTH_BYTES, FrameSplitter
from gsync.wire.native import (
    PIECE_BYTES,
    Ack,
    Alive,
    Announce,
    Delta,
    FromTracker,
    Join,
    Locate,
    Located,
    Peers,
    Resync,
    Same,
    Snapshot,
    ToTracker,
    Welcome,
    parse_from_tracker,
)
from tests.unit.peer.native import (
    SERVING,
    TRACKER,
    NativeTracker,
    Shelf,
    digest_of,
    framed,
    held,
    later,
    record,
    row,
)
from tests.unit.peer.world import OURS_IP, THEIRS_IP, Lan, path

A, B, C = (record(name) for name in "abc")


def native(ip: str, port: int = 2000) -> Source:
    return Source(endpoint=Endpoint(ip, port), speaks_gsync=True, speaks_native=True)


class Room:
    """A link, its tracker, and what became of both."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lan = Lan(world)
        self.tracker = NativeTracker(world, self.lan)
        self.tracker.negotiates = False
        self.tracker.open()
        self.shelf = Shelf(record("mine"))
        self.news: list[tuple[dict[str, tuple[str, ...]], bool]] = []
        self.offers: dict[RelPath, Offer | None] = {}
        self.failure: GsyncError | None = None
        self.changed: list[RelPath] = []
        self.on_news: Callable[[], None] = lambda: None
        self.tasks = TaskGroup()

    def start(self, first: bytes = b"") -> None:
        stream = self.lan.here.dial(TRACKER)
        self.link = TrackerLink(
            stream=stream,
            author="me",
            name="my machine",
            whereabouts=Whereabouts(
                own=Endpoint(OURS_IP, SERVING), tracker_ip=THEIRS_IP, is_own_address=self.lan.here.is_own_address
            ),
            holdings=self.shelf,
            clock=self.world.clock,
            on_records=self._hear,
            on_same=self._hear_same,
        )

        def run() -> None:
            with stream:
                try:
                    self.link.run(first)
                except GsyncError as failure:
                    self.failure = failure

        self.running = self.tasks.spawn(run)
        later()

    def save(self, *names: str) -> None:
        self.link.tell([self.shelf.put(record(name)) for name in names])

    def _hear_same(self, offers: Mapping[RelPath, Offer], agreed: Agreed) -> None:
        self.changed = agreed.changed(lambda path: None)
        self._hear(offers, True)

    def _hear(self, offers: Mapping[RelPath, Offer | None], is_whole: bool) -> None:
        self.news.append(
            (
                {
                    str(name): tuple(source.endpoint.ip for source in offer.sources) if offer else ("lost",)
                    for name, offer in offers.items()
                },
                is_whole,
            )
        )
        self.offers.update(offers)
        self.on_news()


@pytest.fixture
def room() -> Iterator[Room]:
    with simulated() as world:
        room = Room(world)
        yield room
        room.tasks.stop()
        room.tracker.close()


# Joining and announcing


def test_it_joins_and_announces_everything_at_once(room: Room) -> None:
    room.start()
    (join,) = room.tracker.of(Join)
    assert (join.author, join.name) == ("me", "my machine")
    assert room.tracker.told() == ["+mine", "."]
    assert isinstance(room.tracker.heard[0][1], Join)
    assert {when for when, _ in room.tracker.heard} == {0.0}


def test_a_large_folder_is_announced_in_pieces_and_alive_comes_between_them(room: Room) -> None:
    for number in range(20 * PIECE_RECORDS):
        room.shelf.put(record(f"{number:06}"))
    room.tracker.on_message = slow(room.tracker, 1.0)
    room.start()
    gevent.sleep(60)
    kinds = [type(message) for _, message in room.tracker.heard]
    assert len([kind for kind in kinds if kind is Announce]) > 20
    last = max(number for number, kind in enumerate(kinds) if kind is Announce)
    assert Alive in kinds[:last]
    assert room.tracker.told()[-1] == "."
    assert len(room.tracker.told()) == 20 * PIECE_RECORDS + 2


def knows_the_same(tracker: NativeTracker) -> Callable[[ToTracker], Iterable[FromTracker]]:
    """It does, whatever was claimed, and says so after a second."""

    def answer(message: ToTracker) -> Iterable[FromTracker]:
        if not isinstance(message, Join):
            return tracker.usual(message)
        gevent.sleep(1)
        return [
            Welcome(epoch="e1", seq=7),
            Peers(peers=tracker.rows),
            Same(seq=7, holders=[1]),
        ]

    return answer


def test_what_the_tracker_knows_already_is_not_announced(room: Room) -> None:
    room.shelf.put(record("gone", deleted=True))
    room.shelf.is_agreed = True
    room.tracker.on_message = knows_the_same(room.tracker)
    room.start()
    assert room.link.waiting == 1
    room.save("new")
    gevent.sleep(1)
    mine, gone = record("mine"), record("gone", deleted=True)
    (join,) = room.tracker.of(Join)
    assert join.digest == digest_of(mine, gone)
    assert room.news == [({"mine": ("192.0.2.9",), "gone": ()}, True)]
    assert room.offers[path("mine")] == Offer(version=mine.version, sources=(native("192.0.2.9"),), record=mine)
    assert room.tracker.told() == ["+new"]
    assert room.link.waiting == 0
    gevent.sleep(ALIVE_S)
    assert room.tracker.of(Alive)[-1] == Alive(seq=7, digest=digest_of(mine, gone))
    room.tracker.say(Delta(prev=7, seq=8, held=[held(record("new"))], lost=["mine"]))
    gevent.sleep(ALIVE_S)
    assert room.tracker.of(Alive)[-1] == Alive(seq=8, digest=digest_of(record("new"), gone))
    assert not room.tracker.of(Resync)


def test_a_tracker_that_knows_something_else_is_told_everything(room: Room) -> None:
    room.shelf.is_agreed = True
    room.tracker.directory = [held(A, 1)]
    room.start()
    room.save("new")
    gevent.sleep(1)
    assert room.tracker.of(Join)[0].digest == digest_of(record("mine"))
    assert room.news == [({"a": ("192.0.2.9",)}, True)]
    assert room.tracker.told() == ["+mine", ".", "+new"]


def test_a_tracker_that_knows_the_same_may_ask_for_everything_all_the_same(room: Room) -> None:
    room.shelf.is_agreed = True
    room.tracker.on_message = knows_the_same(room.tracker)
    room.start()
    gevent.sleep(1)
    room.tracker.say(Resync())
    later()
    assert room.tracker.told() == ["+mine", "."]


def test_who_has_nothing_that_was_agreed_claims_nothing_and_is_not_told_the_same(room: Room) -> None:
    room.tracker.on_message = knows_the_same(room.tracker)
    room.start()
    gevent.sleep(1)
    assert room.tracker.of(Join)[0].digest == ""
    assert isinstance(room.failure, RemoteProtocolError)


def test_a_change_goes_out_at_once_and_stands_together(room: Room) -> None:
    room.start()
    room.tracker.heard.clear()
    gevent.sleep(1)
    room.save("x", "y", "z")
    room.link.tell([path("never")])
    later()
    assert room.tracker.told() == ["+x", "+y", "+z", "-never"]
    assert len(room.tracker.of(Announce)) == 1
    assert {when for when, _ in room.tracker.heard} == {1.01}


def test_what_vanishes_is_withdrawn(room: Room) -> None:
    room.start()
    del room.shelf.all[path("mine")]
    room.link.tell([path("mine")])
    later()
    assert room.tracker.told() == ["+mine", ".", "-mine"]


def test_a_tracker_that_asks_is_told_everything_again(room: Room) -> None:
    room.start()
    room.tracker.say(Resync())
    later()
    assert room.tracker.told() == ["+mine", ".", "+mine", "."]


# Hearing


def test_the_snapshot_is_passed_on_once_and_whole(room: Room) -> None:
    room.tracker.directory = [held(A, 1), held(B, 1), held(C, 1)]
    room.tracker.piece = 1
    room.start()
    assert room.news == [({"a": ("192.0.2.9",), "b": ("192.0.2.9",), "c": ("192.0.2.9",)}, True)]
    assert room.link.answers == 1


def test_a_delta_is_passed_on_as_it_comes(room: Room) -> None:
    room.tracker.directory = [held(A, 1)]
    room.start()
    room.tracker.say(Delta(prev=1, seq=3, held=[held(B, 1)], lost=["a"]))
    later()
    assert room.news[1:] == [({"b": ("192.0.2.9",), "a": ("lost",)}, False)]
    room.tracker.say(Peers(peers=[row(2, "192.0.2.8")]), Delta(prev=3, seq=4, held=[held(B, 2, 1)]))
    later()
    assert room.news[2:] == [({"b": ("192.0.2.8", "192.0.2.9")}, False)]
    assert room.offers[path("b")] == Offer(
        version=B.version, sources=(native("192.0.2.8"), native("192.0.2.9")), record=B
    )


def test_a_peer_on_the_trackers_machine_is_where_we_reached_the_tracker_and_we_are_no_source(room: Room) -> None:
    room.tracker.rows = [row(1, ""), row(2, OURS_IP, SERVING)]
    room.tracker.directory = [held(A, 2, 1), held(B, 2)]
    room.start()
    assert room.news == [({"a": (THEIRS_IP,), "b": ()}, True)]


def test_bytes_that_came_with_the_end_of_the_negotiation_are_heard(room: Room) -> None:
    room.tracker.on_message = lambda message: []
    whole = framed(Welcome(epoch="e", seq=1), Peers(peers=[row(1)]), Snapshot(seq=1, held=[held(A, 1)], last=True))
    room.start(whole[:-5])
    assert room.news == []
    assert room.tracker.stream is not None
    room.tracker.stream.send(whole[-5:])
    later()
    assert room.news == [({"a": ("192.0.2.9",)}, True)]


def test_frames_may_be_cut_at_every_byte(room: Room) -> None:
    room.tracker.on_message = lambda message: []
    room.start()
    assert room.tracker.stream is not None
    for byte in framed(
        Welcome(epoch="e", seq=1), Peers(peers=[row(1)]), Snapshot(seq=1, held=[held(A, 1)], last=True), Resync()
    ):
        room.tracker.stream.send(bytes([byte]))
        gevent.sleep(0.001)
    assert room.news == [({"a": ("192.0.2.9",)}, True)]
    assert room.tracker.told() == ["+mine", ".", "+mine", "."]


def test_bad_records_and_bad_addresses_are_logged_and_the_others_taken(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    bad = held(A, 1)
    bad.r.p = "../x"
    room.tracker.rows = [row(1), row(2, "127.0.0.1"), row(3, "nonsense\n")]
    room.tracker.directory = [bad, held(B, 2, 1)] + [bad] * 20
    room.start()
    assert room.news == [({"b": ("192.0.2.9",)}, True)]
    assert "record.refused path='../x'" in caplog.text
    assert "records.refused count=21" in caplog.text
    assert "peer.refused address='127.0.0.1:2000'" in caplog.text
    assert r"'nonsense\n:2000'" in caplog.text


# Staying alive


def test_a_keepalive_each_five_seconds_tells_seq_and_digest(room: Room) -> None:
    room.tracker.directory = [held(A, 1)]
    room.start()
    gevent.sleep(2 * ALIVE_S)
    room.tracker.say(Delta(prev=1, seq=2, held=[held(B, 1)]))
    gevent.sleep(ALIVE_S)
    told = [(when, message.seq, message.digest) for when, message in room.tracker.heard if isinstance(message, Alive)]
    assert told == [(5.0, 1, digest_of(A)), (10.0, 1, digest_of(A)), (15.0, 2, digest_of(A, B))]


def test_a_keepalive_is_not_late_behind_news_that_take_their_time(room: Room) -> None:
    room.on_news = lambda: gevent.sleep(12)
    room.start()
    gevent.sleep(12)
    assert [when for when, message in room.tracker.heard if isinstance(message, Alive)] == [5.0, 10.0]
    assert room.failure is None


def test_a_tracker_that_is_silent_for_thirty_seconds_is_left(room: Room) -> None:
    room.tracker.acks = lambda alive: None
    room.start()
    gevent.sleep(SILENCE_S - 0.1)
    assert room.failure is None
    gevent.sleep(0.2)
    assert isinstance(room.failure, Stalled)
    assert room.running.done


def test_a_tracker_that_takes_nothing_is_left_after_thirty_seconds(room: Room) -> None:
    for number in range(4 * PIPE_BYTES // 100):
        room.shelf.put(record(f"{number:06}"))

    def hear_nothing(message: ToTracker) -> list[FromTracker]:
        for _ in range(100):
            assert room.tracker.stream is not None
            room.tracker.stream.send(framed(Ack(seq=0, digest="")))
            gevent.sleep(1)
        return []

    room.tracker.on_message = hear_nothing
    room.start()
    gevent.sleep(SILENCE_S - 0.1)
    assert room.failure is None
    gevent.sleep(0.2)
    assert isinstance(room.failure, Stalled)
    assert "takes nothing" in str(room.failure)


def test_a_slow_tracker_costs_no_memory(room: Room) -> None:
    room.tracker.on_message = slow(room.tracker, 0.5)
    room.start()
    for number in range(2000):
        room.save("x", f"{number % 100:02}")
        gevent.sleep(0.01)
    box = room.link._outbox
    assert len(box._told) <= 101
    later(60)
    assert set(room.tracker.told()) == {".", "+mine", "+x", *(f"+{number:02}" for number in range(100))}
    assert len(room.tracker.of(Announce)) < 500  # of 2,000: what had not gone out yet was told in one


def test_a_connection_that_ends_says_so(room: Room) -> None:
    room.start()
    room.tracker.close()
    later()
    assert isinstance(room.failure, ConnectionBroken)


# Drifting apart


def answering_resync(room: Room) -> Callable[[ToTracker], list[FromTracker]]:
    def answer(message: ToTracker) -> list[FromTracker]:
        if isinstance(message, Resync):
            return room.tracker.snapshot()
        return list(room.tracker.usual(message))

    return answer


def resyncs(room: Room) -> list[float]:
    return [when for when, message in room.tracker.heard if isinstance(message, Resync)]


def test_a_gap_in_the_deltas_brings_a_snapshot_at_once(room: Room) -> None:
    room.tracker.on_message = answering_resync(room)
    room.tracker.directory = [held(A, 1)]
    room.start()
    room.tracker.directory, room.tracker.seq = [held(B, 1)], 7
    gevent.sleep(1)
    room.tracker.say(Delta(prev=5, seq=6, held=[held(C, 1)]), Delta(prev=6, seq=7, held=[held(C, 1)]))
    later()
    assert resyncs(room) == [1.01]
    assert room.news[1:] == [({"b": ("192.0.2.9",)}, True)]
    room.tracker.say(Delta(prev=7, seq=8, held=[held(C, 1)]))
    later()
    assert room.news[2:] == [({"c": ("192.0.2.9",)}, False)]


def test_an_equal_seq_with_another_digest_brings_a_snapshot(room: Room) -> None:
    room.tracker.on_message = answering_resync(room)
    room.tracker.directory = [held(A, 1)]
    room.start()
    gevent.sleep(11)
    room.tracker.directory = [held(A, 1), held(B, 1)]
    room.tracker.acks = lambda alive: Ack(seq=1, digest=digest_of(A, B))
    gevent.sleep(60)
    assert resyncs(room) == [15.0]
    assert len(room.news) == 2
    assert set(room.offers) == {path("a"), path("b")}


def test_an_ack_without_a_digest_claims_nothing(room: Room) -> None:
    room.tracker.acks = lambda alive: Ack(seq=99, digest="")
    room.start()
    gevent.sleep(100)
    assert resyncs(room) == []


def test_a_tracker_that_is_ahead_twice_without_a_word_between_has_lost_some(room: Room) -> None:
    room.tracker.on_message = answering_resync(room)
    room.start()
    gevent.sleep(11)
    room.tracker.acks = lambda alive: Ack(seq=9, digest="x")
    gevent.sleep(5)
    assert resyncs(room) == []
    room.tracker.seq = 9
    room.tracker.acks = lambda alive: Ack(seq=alive.seq, digest=alive.digest)
    gevent.sleep(20)
    assert resyncs(room) == []  # the next Ack was right again: it was a matter of order
    room.tracker.acks = lambda alive: Ack(seq=9, digest=digest_of())
    gevent.sleep(30)
    assert len(resyncs(room)) == 1
    assert len(room.news) == 2


def test_a_digest_that_never_fits_brings_snapshots_more_and_more_seldom(room: Room) -> None:
    room.tracker.on_message = answering_resync(room)
    room.tracker.acks = lambda alive: Ack(seq=alive.seq, digest="wrong")
    room.start()
    gevent.sleep(1500)
    waits = [later - earlier for earlier, later in zip([0.0, *resyncs(room)], resyncs(room), strict=False)]
    assert waits == [
        RESYNC_S,
        2 * RESYNC_S,
        4 * RESYNC_S,
        8 * RESYNC_S,
        16 * RESYNC_S,
        RESYNC_CAP_S,
        RESYNC_CAP_S,
        RESYNC_CAP_S,
    ]


def test_a_snapshot_that_does_not_come_is_asked_for_again_but_not_while_it_is_coming(room: Room) -> None:
    def answer(message: ToTracker) -> list[FromTracker]:
        if isinstance(message, Join):
            return [Welcome(epoch="e", seq=1)]
        return list(room.tracker.usual(message)) if isinstance(message, Alive) else []

    room.tracker.on_message = answer
    room.start()
    gevent.sleep(35)
    assert resyncs(room) == [10.0, 30.0]
    for _ in range(30):
        room.tracker.say(Snapshot(seq=1, held=[held(A)]))
        gevent.sleep(5)
    assert resyncs(room) == [10.0, 30.0]
    room.tracker.say(Snapshot(seq=1, held=[], last=True))
    gevent.sleep(20)
    assert resyncs(room) == [10.0, 30.0]
    assert room.news == [({"a": ()}, True)]


# Asking


def locating(room: Room, *names: str) -> list[tuple[float, Mapping[RelPath, tuple[Source, ...]]]]:
    found: list[tuple[float, Mapping[RelPath, tuple[Source, ...]]]] = []

    def ask() -> None:
        told = room.link.locate([path(name) for name in names])
        found.append((room.world.now_s, told))

    room.tasks.spawn(ask)
    return found


def holding(room: Room, **holders: list[int]) -> Callable[[ToTracker], list[FromTracker]]:
    def answer(message: ToTracker) -> list[FromTracker]:
        if isinstance(message, Locate):
            return [Located(id=message.id, holders=[holders.get(name, []) for name in message.paths])]
        return list(room.tracker.usual(message))

    return answer


def test_who_asks_is_told_the_holders_by_path(room: Room) -> None:
    room.tracker.rows = [row(1), row(2, "192.0.2.8"), row(3, OURS_IP, SERVING)]
    room.tracker.on_message = holding(room, a=[2, 1], b=[3], c=[77])
    room.start()
    found = locating(room, "a", "b", "c")
    later()
    assert [told for _, told in found] == [
        {path("a"): (native("192.0.2.8"), native("192.0.2.9")), path("b"): (), path("c"): ()}
    ]
    assert len(room.link._locating) == 0


def test_no_answer_within_five_seconds_is_none(room: Room) -> None:
    room.start()
    found = locating(room, "a")
    gevent.sleep(LOCATE_S - 0.1)
    assert found == []
    gevent.sleep(0.2)
    assert [(round(when, 3), told) for when, told in found] == [(LOCATE_S + 0.01, {})]
    assert len(room.link._locating) == 0
    room.tracker.say(Located(id=1, holders=[[1]]), Located(id=77, holders=[]))  # late, and never asked
    later()
    assert room.failure is None


def test_an_answer_that_is_too_short_or_too_long_is_taken_as_far_as_it_fits(room: Room) -> None:
    def answer(message: ToTracker) -> list[FromTracker]:
        if isinstance(message, Locate):
            return [Located(id=message.id, holders=[[1]] * (1 if len(message.paths) == 2 else 5))]
        return list(room.tracker.usual(message))

    room.tracker.on_message = answer
    room.start()
    short, long = locating(room, "a", "b"), locating(room, "c")
    later()
    assert [set(told) for _, told in short + long] == [{path("a")}, {path("c")}]


def test_only_so_many_questions_are_open_at_a_time(room: Room) -> None:
    room.start()
    found = [locating(room, f"{number}") for number in range(2 * LOCATES_MAX)]
    later()
    assert len(room.tracker.of(Locate)) == LOCATES_MAX
    gevent.sleep(LOCATE_S + 0.1)
    assert len(room.link._locating) <= LOCATES_MAX
    gevent.sleep(2 * LOCATE_S)
    assert all(len(one) == 1 for one in found)


def test_many_paths_are_asked_about_in_several_questions(room: Room) -> None:
    names = [f"{number:04}" for number in range(2 * LOCATE_PATHS + 1)]
    room.tracker.on_message = holding(room, **{name: [1] for name in names})
    room.start()
    found = locating(room, *names)
    later()
    assert [len(question.paths) for question in room.tracker.of(Locate)] == [LOCATE_PATHS, LOCATE_PATHS, 1]
    assert list(found[0][1]) == names


def test_no_question_is_longer_than_a_piece(room: Room) -> None:
    names = ["/".join([f"{number:03}" + '"' * 252] * 15 + ['"' * 255]) for number in range(20)]
    room.tracker.on_message = holding(room, **{name: [1] for name in names})
    room.start()
    found = locating(room, *names)
    later()
    questions = room.tracker.of(Locate)
    assert len(questions) > 1
    assert max(len(framed(question)) for question in questions) <= PIECE_BYTES
    assert list(found[0][1]) == names


def test_who_waits_for_an_answer_hears_at_once_when_the_connection_ends(room: Room) -> None:
    room.start()
    found = [locating(room, f"{number}") for number in range(LOCATES_MAX + 1)]
    later()
    room.tracker.close()
    later()
    assert [told for one in found for _, told in one] == [{}] * (LOCATES_MAX + 1)
    assert room.link.locate([path("a")]) == {}
    assert room.world.now_s < 1


# Whether both know the same


def agreeing(room: Room) -> list[tuple[float, bool]]:
    verdicts: list[tuple[float, bool]] = []

    def ask() -> None:
        verdict = room.link.agrees()
        verdicts.append((round(room.world.now_s, 2), verdict))

    room.tasks.spawn(ask)
    return verdicts


def test_both_agree_when_an_answer_to_a_question_asked_now_says_so(room: Room) -> None:
    room.tracker.directory = [held(A, 1)]
    room.tracker.on_message = holding(room)
    room.start()
    verdicts = agreeing(room)
    later()
    assert verdicts == [(0.01, True)]
    room.tracker.acks = lambda alive: Ack(seq=alive.seq, digest="other")
    verdicts = agreeing(room)
    later()
    assert verdicts == [(0.02, False)]
    room.tracker.acks = lambda alive: Ack(seq=alive.seq + 1, digest=alive.digest)
    verdicts = agreeing(room)
    later()
    assert verdicts == [(0.03, False)]


def test_who_does_not_have_all_is_known_once_the_tracker_has_said_so(room: Room) -> None:
    room.tracker.on_message = holding(room)
    room.start()
    assert room.link.laggard == ""
    for lags, spoken in [(99, "another peer"), (None, "")]:
        room.tracker.acks = lambda alive, lags=lags: Ack(seq=alive.seq, digest=alive.digest, lags=lags)
        assert room.link.agrees()
        assert room.link.laggard == spoken


def test_both_do_not_agree_while_something_is_still_to_be_told(room: Room) -> None:
    room.tracker.on_message = holding(room)
    room.start()
    room.save("x")
    assert room.link.waiting == 1
    assert not room.link.agrees()
    later()
    assert room.link.waiting == 0
    assert room.link.agrees()


def test_a_tracker_that_is_about_to_tell_more_is_asked_again(room: Room) -> None:
    room.tracker.on_message = holding(room)
    room.start()
    room.tracker.acks = lambda alive: Ack(seq=alive.seq, digest="" if room.world.now_s < 0.2 else alive.digest)
    verdicts = agreeing(room)
    gevent.sleep(1)
    assert [told for _, told in verdicts] == [True]
    assert 0.2 <= verdicts[0][0] < 0.3


def test_two_may_ask_at_the_same_time(room: Room) -> None:
    room.tracker.on_message = holding(room)
    room.start()
    one, other = agreeing(room), agreeing(room)
    later()
    assert [told for _, told in one + other] == [True, True]


def test_without_a_snapshot_or_an_answer_both_do_not_agree(room: Room) -> None:
    room.start()
    verdicts = agreeing(room)
    gevent.sleep(LOCATE_S + 0.1)
    assert verdicts == [(LOCATE_S + 0.01, False)]
    room.tracker.on_message = lambda message: []
    verdicts = agreeing(room)
    later()
    room.tracker.close()
    later()
    assert [told for _, told in verdicts] == [False]


# What is not allowed


HOSTILE = [
    pytest.param(b"\0\0\0\0", id="an empty frame"),
    pytest.param(b"\xff\xff\xff\xff", id="a frame of 4 GiB"),
    pytest.param((HEADER_MAX_BYTES + 1).to_bytes(4, "big"), id="a frame a byte too long"),
    pytest.param(b"\0\0\0\x02{}", id="no message"),
    pytest.param(b'\0\0\0\x0c{"t":"hello"}'[:16], id="an unknown message"),
    pytest.param(b"\0\0\0\x04\xff\xfe\xfd\xfc", id="no text"),
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
    pytest.param(b'\0\0\0\x2a{"t":"ack","seq":1,"digest":"","more":true}', id="an unknown field"),
    pytest.param(b'\0\0\0\x22{"t":"ack","seq":-1,"digest":"xx"}', id="a number below zero"),
    pytest.param(framed(Welcome(epoch="other", seq=1)), id="another life in the middle"),
    pytest.param(framed(Join(author="a")), id="a peer's message"),
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_is_not_allowed_ends_the_connection(room: Room, hostile: bytes) -> None:
    room.tracker.directory = [held(A, 1)]
    room.start()
    assert room.tracker.stream is not None
    room.tracker.stream.send(hostile)
    later()
    assert isinstance(room.failure, RemoteProtocolError)
    assert len(room.news) == 1
    assert room.running.done


def test_a_frame_that_never_ends_holds_no_more_than_its_bound(room: Room) -> None:
    room.start()
    assert room.tracker.stream is not None
    room.tracker.stream.send(HEADER_MAX_BYTES.to_bytes(4, "big"))
    for _ in range(HEADER_MAX_BYTES // 65536 - 1):
        room.tracker.stream.send(b"{" * 65536)
        gevent.sleep(0.01)
    splitters = [one for one in gc.get_referrers(FrameSplitter) if isinstance(one, FrameSplitter)]
    assert max(splitter.pending for splitter in splitters) <= HEADER_MAX_BYTES + RECEIVE
    room.tracker.stream.send(b"{" * 65536)
    later()
    assert isinstance(room.failure, RemoteProtocolError)


# The end


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.01, 4.99, 5.0, 5.001, 12.0])
def test_whenever_it_is_ended_nothing_is_left(after_s: float) -> None:
    with simulated() as world:
        room = Room(world)
        for number in range(1500):
            room.shelf.put(record(f"{number:06}"))
        room.tracker.directory = [held(record(f"{number:06}"), 1) for number in range(1500)]
        room.tracker.on_message = slow(room.tracker, 0.3)
        room.on_news = lambda: gevent.sleep(0.5)
        before = greenlets()
        room.start()
        found = locating(room, "a")
        gevent.sleep(after_s)
        room.running.cancel()
        later()
        assert room.running.done
        later()
        assert len(found) == 1 or after_s < 0.1
        room.tracker.close()
        room.tasks.stop()
        assert greenlets() == before


def greenlets() -> int:
    gc.collect()
    return sum(1 for one in gc.get_objects() if isinstance(one, gevent.Greenlet) and one and not one.dead)


def slow(tracker: NativeTracker, seconds: float) -> Callable[[ToTracker], list[FromTracker]]:
    def answer(message: ToTracker) -> list[FromTracker]:
        gevent.sleep(seconds)
        return list(tracker.usual(message))

    return answer


def test_what_a_good_tracker_says_is_understood() -> None:
    for message in (Welcome(epoch="e", seq=1), Peers(peers=[row(1)]), Snapshot(seq=1, held=[]), Resync()):
        assert parse_from_tracker(framed(message)[LENGTH_BYTES:]) == message
