"""Who looks for further sources: what is asked about, and what becomes of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import gevent
import pytest

from gsync.core.model import Kind, Offer, Record, Source
from gsync.core.names import Endpoint, RelPath
from gsync.net.simulation import simulated
from gsync.peer.seeker import ASKED_MAX, SEEK_S, Seeker
from gsync.peer.trees import Trees
from tests.unit.peer.world import path, v

FIRST, SECOND = (Source(endpoint=Endpoint(f"192.0.2.{n}", 2000), speaks_native=True) for n in (2, 3))
A, B = path("a"), path("b")


def offer(name: RelPath, *sources: Source) -> Offer:
    record = Record(path=name, kind=Kind.FILE, version=v(5, ann=1), digest="b3:00")
    return Offer(version=record.version, sources=sources, record=record)


class Room:
    def __init__(self) -> None:
        self.trees = Trees({}, {})
        self.wanted: list[RelPath] = []
        self.answers: dict[RelPath, tuple[Source, ...]] = {}
        self.asked: list[list[RelPath]] = []
        self.replanned: list[set[RelPath]] = []
        self.seeker = Seeker(
            wanted=self,
            trees=self.trees,
            locates=[self._locate],
            cut=lambda offer: offer,
            replan=lambda paths: self.replanned.append(set(paths)),
        )
        self.running = gevent.spawn(self.seeker.run)

    def stuck(self) -> Iterable[RelPath]:
        return self.wanted

    def _locate(self, paths: Sequence[RelPath]) -> Mapping[RelPath, tuple[Source, ...]]:
        self.asked.append(list(paths))
        return self.answers


@pytest.fixture
def room() -> Iterator[Room]:
    with simulated():
        room = Room()
        yield room
        room.running.kill()


def test_nobody_is_asked_while_all_can_be_had(room: Room) -> None:
    gevent.sleep(10 * SEEK_S)
    assert room.asked == []


def test_who_else_has_it_is_tried_first(room: Room) -> None:
    room.trees.note_remote({A: offer(A, FIRST)})
    room.wanted, room.answers = [A], {A: (FIRST, SECOND)}
    gevent.sleep(SEEK_S + 1)
    assert room.asked == [[A]]
    assert room.trees.remote[A].sources == (SECOND, FIRST)
    assert room.replanned == [{A}]


def test_an_answer_that_names_nobody_new_changes_nothing(room: Room) -> None:
    room.trees.note_remote({A: offer(A, FIRST)})
    room.wanted, room.answers = [A], {A: (FIRST,), B: (SECOND,)}
    gevent.sleep(SEEK_S + 1)
    assert (room.trees.remote, room.replanned) == ({A: offer(A, FIRST)}, [])


@pytest.mark.parametrize("count", [ASKED_MAX - 1, ASKED_MAX, ASKED_MAX + 1])
def test_a_question_has_a_bound(room: Room, count: int) -> None:
    room.wanted = [path(f"{number}") for number in range(count)]
    gevent.sleep(SEEK_S + 1)
    assert len(room.asked[0]) == min(count, ASKED_MAX)
