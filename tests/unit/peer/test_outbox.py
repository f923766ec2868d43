"""What is said to a native tracker, and in which order."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.peer.announcement import PIECE_RECORDS
from gsync.peer.outbox import Outbox
from gsync.wire.native import Alive, Announce, Locate, Resync, ToTracker, Withdraw
from gsync.wire.records import wire_record
from tests.unit.peer.native import Shelf, record
from tests.unit.peer.world import path, v


@pytest.fixture
def world() -> Iterator[World]:
    with simulated() as world:
        yield world


def alive() -> Alive:
    return Alive(seq=7, digest="d")


def settled(shelf: Shelf) -> Outbox:
    """One that has announced everything."""
    box = Outbox(shelf, alive=alive)
    while not (isinstance(piece := box.next(), Announce) and piece.all):
        pass
    return box


def all_due(box: Outbox) -> list[ToTracker]:
    said: list[ToTracker] = []
    while (message := box._next()) is not None:
        said.append(message)
    return said


def shown(said: list[ToTracker]) -> list[str]:
    words: list[str] = []
    for message in said:
        match message:
            case Announce():
                words += [f"+{one.p}" for one in message.records] + ["."] * message.all
            case Withdraw():
                words += [f"-{name}" for name in message.paths]
            case _:
                words.append(type(message).__name__.lower())
    return words


def test_it_begins_with_everything(world: World) -> None:
    assert shown(all_due(Outbox(Shelf(record("a"), record("b")), alive=alive))) == ["+a", "+b", "."]
    assert all_due(settled(Shelf())) == []


def test_what_is_told_is_announced_together_and_in_its_order_as_it_is_then(world: World) -> None:
    shelf = Shelf(*(record(name) for name in "abc"))
    box = settled(shelf)
    box.tell([path("c"), path("a")])
    newest = record("a", version=v(9, a=3))
    shelf.put(newest)
    assert all_due(box) == [Announce(records=[wire_record(record("c")), wire_record(newest)])]
    assert all_due(box) == []


def test_what_is_told_twice_is_announced_once_where_it_was_told_last(world: World) -> None:
    box = settled(Shelf(*(record(name) for name in "abc")))
    box.tell([path("a"), path("b")])
    box.tell([path("c"), path("a")])
    assert shown(all_due(box)) == ["+b", "+c", "+a"]


def test_what_is_not_there_any_more_is_withdrawn_after_what_is_there(world: World) -> None:
    box = settled(Shelf(record("b")))
    box.tell([path("a"), path("b"), path("c")])
    assert shown(all_due(box)) == ["+b", "-a", "-c"]


def test_short_words_come_between_the_pieces_of_a_long_announcement(world: World) -> None:
    box = Outbox(Shelf(*(record(f"{number:04}") for number in range(2 * PIECE_RECORDS))), alive=alive)
    first = box.next()
    box.show_life()
    box.show_life()
    box.ask(Locate(id=1, paths=["a"]))
    box.ask(Locate(id=2, paths=["b"]))
    box.ask_for_snapshot()
    box.unask(1)
    assert isinstance(first, Announce)
    assert [box.next() for _ in range(3)] == [Resync(), Alive(seq=7, digest="d"), Locate(id=2, paths=["b"])]
    assert [piece.all for piece in all_due(box) if isinstance(piece, Announce)][-1]


def test_everything_anew_comes_after_the_announcement_that_has_begun(world: World) -> None:
    shelf = Shelf(*(record(f"{number:04}") for number in range(PIECE_RECORDS + 1)))
    box = Outbox(shelf, alive=alive)
    box.next()
    shelf.put(record("new"))
    box.tell([path("new")])
    box.tell_everything()
    words = shown(all_due(box))
    assert words.count(".") == 2
    assert words[-2:] == ["+new", "."]
    assert words.count("+new") == 1  # what was told is part of everything


def test_what_is_told_while_everything_is_announced_comes_after_it(world: World) -> None:
    shelf = Shelf(*(record(f"{number:04}") for number in range(PIECE_RECORDS + 1)))
    box = Outbox(shelf, alive=alive)
    box.next()
    shelf.put(record("new"))
    box.tell([path("new")])
    assert shown(all_due(box))[-2:] == [".", "+new"]


def test_each_path_waits_once_however_often_it_is_told(world: World) -> None:
    box = settled(Shelf(*(record(name) for name in "abc")))
    assert all_due(box) == []
    for _ in range(1000):
        box.tell([path(name) for name in "abc"])
    assert box.waiting == 3
    assert shown(all_due(box)) == ["+a", "+b", "+c"]


def test_whoever_takes_waits_until_there_is_something(world: World) -> None:
    box, said = settled(Shelf(record("a"))), list[tuple[float, ToTracker]]()

    def take() -> None:
        while True:
            message = box.next()
            said.append((world.now_s, message))

    with TaskGroup() as tasks:
        tasks.spawn(take)
        gevent.sleep(3)
        box.show_life()
        gevent.sleep(3)
        box.tell([path("a")])
        box.tell([path("a")])
        gevent.sleep(3)
        tasks.cancel()
    assert [(when, type(message)) for when, message in said] == [(3, Alive), (6, Announce)]


def test_what_waits_is_counted_until_it_is_said(world: World) -> None:
    box = Outbox(Shelf(*(record(name) for name in "abc")), alive=alive)
    assert box.waiting == 1
    box.next()
    assert box.waiting == 1  # it is being said until somebody asks for the next
    assert box._next() is None
    assert box.waiting == 0
    box.tell([path("a"), path("b")])
    assert box.waiting == 2
    box.next()
    box.tell([path("c")])
    assert box.waiting == 2
    box.tell_everything()
    assert box.waiting == 3
    assert shown(all_due(box)) == ["+a", "+b", "+c", "."]
    assert box.waiting == 0
    box.show_life()
    assert box.waiting == 0
