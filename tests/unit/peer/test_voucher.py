"""The voucher: who vouches by himself, who is asked, and what becomes of those who cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest

from gsync.core.names import Endpoint, RelPath
from gsync.core.vouching import Ticket
from gsync.errors import ConnectFailed, RemoteProtocolError
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.peer.fetcher import NotThere, Touch
from gsync.peer.trees import Trees
from gsync.peer.voucher import PATIENCE_S, SMALL_ENOUGH, Voucher
from tests.unit.peer.world import THERE, meta, offer, path

ELSEWHERE = Endpoint("192.0.2.3", 2000)
BIG = SMALL_ENOUGH + 1


class Queue:
    """Knows whether fetches come by themselves, and notes what it is told."""

    def __init__(self) -> None:
        self.busy = False
        self.told: list[tuple[str, Endpoint]] = []

    def waits_for(self, endpoint: Endpoint) -> bool:
        return self.busy

    def answered(self, endpoint: Endpoint) -> None:
        self.told.append(("answered", endpoint))

    def proved(self, endpoint: Endpoint) -> None:
        self.told.append(("proved", endpoint))


class Asker:
    """Touches sources as the test says, and notes it."""

    def __init__(self, voucher: Voucher, world: World) -> None:
        self.asked: list[tuple[float, RelPath, bool]] = []
        self.answer: Callable[[RelPath], bool] = lambda path: True
        self.takes_s = 0.0
        self._voucher = voucher
        self._world = world

    def touch(self, path: RelPath, endpoint: Endpoint, *, to_the_end: bool) -> Touch:
        self.asked.append((self._world.now_s, path, to_the_end))
        ticket = self._voucher.connected(endpoint)
        gevent.sleep(self.takes_s)
        gave = self.answer(path)
        if gave:
            self._voucher.gave_bytes(endpoint, ticket)
        return Touch(ticket=ticket, gave=gave)


class Room:
    """A voucher with its loop running, and those who wait for its word."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.queue = Queue()
        self.trees = Trees({}, {})
        self.woken: list[float] = []
        self.voucher = Voucher(
            trees=self.trees, queue=self.queue, clock=world.clock, on_answer=lambda: self.woken.append(world.now_s)
        )
        self.asker = Asker(self.voucher, world)
        self.verdicts: dict[str, tuple[float, bool]] = {}
        self.tasks = TaskGroup()

    def hold(self, name: str, *, size: int, endpoint: Endpoint = THERE) -> None:
        def wait() -> None:
            verdict = self.voucher.vouched(endpoint, path(name), size=size)
            self.verdicts[name] = (self.world.now_s, verdict)

        self.tasks.spawn(wait)
        gevent.sleep(0)

    def here(self, name: str, *, size: int, endpoint: Endpoint = THERE) -> None:
        """A file that is here and that the source offers."""
        self.trees.note_local({path(name): meta(size=size)})
        self.trees.remote[path(name)] = offer(5, endpoint)

    def connect(self) -> Ticket:
        return self.voucher.connected(THERE)


@pytest.fixture
def room() -> Iterator[Room]:
    with simulated() as world:
        room = Room(world)
        room.tasks.spawn(room.voucher.run, room.asker)
        gevent.sleep(0)
        yield room
        room.tasks.stop()


def test_a_connection_and_its_first_byte_tell_the_queue_how_good_a_source_is(room: Room) -> None:
    ticket = room.connect()
    assert room.queue.told == [("answered", THERE)]
    room.voucher.gave_bytes(THERE, ticket)
    assert room.queue.told == [("answered", THERE), ("proved", THERE)]
    assert len(room.woken) == 2


def test_the_next_fetch_vouches_by_itself(room: Room) -> None:
    room.queue.busy = True
    room.hold("a", size=10)
    gevent.sleep(0.5)
    room.voucher.gave_bytes(THERE, room.connect())
    gevent.sleep(0)
    assert room.verdicts == {"a": (0.5, True)}
    assert room.asker.asked == []


def test_a_connection_that_was_made_before_the_end_does_not_vouch(room: Room) -> None:
    room.queue.busy = True
    earlier = room.connect()
    room.hold("a", size=10)
    room.voucher.gave_bytes(THERE, earlier)
    gevent.sleep(0)
    assert room.verdicts == {}


def test_where_no_fetch_will_come_the_source_is_asked_at_once(room: Room) -> None:
    room.hold("a", size=10)
    gevent.sleep(0.1)
    assert room.asker.asked == [(0.0, "a", True)]
    assert room.verdicts == {"a": (0.0, True)}


def test_a_fetch_that_does_not_come_is_not_waited_for_longer_than_a_second(room: Room) -> None:
    room.queue.busy = True
    room.hold("a", size=10)
    gevent.sleep(PATIENCE_S - 0.1)
    assert room.asker.asked == []
    gevent.sleep(0.3)
    assert room.asker.asked == [(PATIENCE_S, "a", True)]
    assert room.verdicts["a"][1]


def test_the_smallest_file_that_is_known_to_be_there_is_asked_for(room: Room) -> None:
    room.here("tiny", size=3)
    room.here("empty", size=0)
    room.here("elsewhere", size=1, endpoint=ELSEWHERE)
    room.hold("big", size=BIG)
    room.hold("small", size=10)
    gevent.sleep(0.1)
    assert [(name, whole) for _, name, whole in room.asker.asked] == [("tiny", True)]
    assert {name: verdict for name, (_, verdict) in room.verdicts.items()} == {"big": True, "small": True}


@pytest.mark.parametrize(("size", "whole"), [(SMALL_ENOUGH - 1, True), (SMALL_ENOUGH, True), (SMALL_ENOUGH + 1, False)])
def test_a_file_above_a_mebibyte_is_broken_off_after_its_first_bytes(room: Room, size: int, whole: bool) -> None:
    room.hold("a", size=size)
    gevent.sleep(0.1)
    assert [to_the_end for _, _, to_the_end in room.asker.asked] == [whole]


def test_an_empty_file_needs_a_second_empty_answer_to_its_own_name(room: Room) -> None:
    room.here("tiny", size=3)
    room.asker.answer = lambda name: name != "empty"
    room.hold("empty", size=0)
    gevent.sleep(0.1)
    assert [(name, whole) for _, name, whole in room.asker.asked] == [("empty", False)]
    assert room.verdicts == {"empty": (0.0, True)}


def test_an_empty_file_that_is_not_empty_the_second_time_is_not_trusted(room: Room) -> None:
    room.hold("empty", size=0)
    gevent.sleep(0.1)
    assert room.verdicts == {"empty": (0.0, False)}


def test_a_source_that_gives_nothing_when_asked_loses_what_was_held(room: Room) -> None:
    room.asker.answer = lambda name: False
    room.hold("a", size=10)
    room.hold("b", size=10)
    gevent.sleep(0.1)
    assert {name: verdict for name, (_, verdict) in room.verdicts.items()} == {"a": False, "b": False}


def fails(error: Exception) -> Callable[[RelPath], bool]:
    def fail(path: RelPath) -> bool:
        raise error

    return fail


@pytest.mark.parametrize("error", [ConnectFailed("refused"), NotThere("no"), RemoteProtocolError("nonsense")])
@pytest.mark.parametrize("size", [0, 10])
def test_a_source_that_cannot_be_asked_loses_what_was_held_and_nothing_else(
    room: Room, error: Exception, size: int
) -> None:
    room.asker.answer = fails(error)
    room.hold("a", size=size)
    gevent.sleep(0.1)
    assert room.verdicts == {"a": (0.0, False)}
    room.asker.answer = lambda name: True
    room.hold("b", size=10)
    gevent.sleep(0.1)
    assert room.verdicts["b"][1]


def test_a_source_is_asked_by_one_at_a_time(room: Room) -> None:
    room.asker.takes_s = 2.0
    room.hold("a", size=10)
    room.hold("b", size=10)
    gevent.sleep(1.9)
    assert len(room.asker.asked) == 1


def test_what_ended_while_the_source_was_asked_is_asked_for_afterwards(room: Room) -> None:
    room.asker.takes_s = 1.5
    room.hold("a", size=10)
    gevent.sleep(0.5)
    room.hold("b", size=10)
    gevent.sleep(5)
    assert room.verdicts == {"a": (1.5, True), "b": (3.0, True)}


def test_sources_are_asked_side_by_side(room: Room) -> None:
    room.asker.takes_s = 1.0
    room.hold("a", size=10)
    room.hold("b", size=10, endpoint=ELSEWHERE)
    gevent.sleep(1.1)
    assert room.verdicts == {"a": (1.0, True), "b": (1.0, True)}


def test_one_that_fell_quiet_is_nudged_by_a_further_connection(room: Room) -> None:
    room.queue.busy = True
    room.voucher.fell_quiet(THERE, path("a"), size=10)
    gevent.sleep(0.1)
    assert room.asker.asked == [(0.0, "a", True)]
    gevent.sleep(10)
    assert len(room.asker.asked) == 1


def test_one_that_fell_quiet_in_a_large_file_is_only_touched(room: Room) -> None:
    room.voucher.fell_quiet(THERE, path("a"), size=BIG)
    gevent.sleep(0.1)
    assert [whole for _, _, whole in room.asker.asked] == [False]


def test_nothing_is_asked_while_nothing_is_held(room: Room) -> None:
    room.here("a", size=3)
    room.voucher.stir()
    gevent.sleep(100)
    assert room.asker.asked == []
