"""Rules in subfolders take effect with the look that finds them; what they name is told to nobody, and deleted nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from gsync.net.simulation import simulated
from gsync.peer.scanning import RULES_ROUNDS
from tests.unit.peer.test_indexer_live import Room
from tests.unit.peer.world import offer, path


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with simulated() as world:
        room = Room(world, tmp_path)
        yield room
        room.end()


def told(room: Room) -> set[tuple[str, str]]:
    return {(name, word) for _, name, word in room.told}


def test_the_first_look_tells_nothing_that_rules_in_a_subfolder_name(room: Room) -> None:
    for name in ("d/a.o", "d/b", "a.o", "d/build/x"):
        room.folder.put(name, b"x")
    room.folder.put("d/.gsyncignore", b"*.o\nbuild/\n")
    gevent.sleep(1)
    room.indexer.start()
    assert set(room.trees.local) == {"a.o", "d", "d/.gsyncignore", "d/b"}
    assert not [name for _, name, _ in room.told if name in {"d/a.o", "d/build", "d/build/x"}]


def test_rules_in_a_subfolder_take_effect_at_once_and_are_told_themselves(room: Room) -> None:
    room.folder.put("d/a.o", b"1")
    room.folder.put("a.o", b"1")
    room.start()
    room.folder.put("d/.gsyncignore", b"*.o\n")
    gevent.sleep(1)
    assert told(room) == {("d/.gsyncignore", "file"), ("d/a.o", "withdrawn")}
    room.told.clear()
    room.folder.edit("d/.gsyncignore", b"")
    gevent.sleep(1)
    assert told(room) == {("d/.gsyncignore", "file"), ("d/a.o", "file")}
    room.require_true()


def test_rules_that_go_leave_nothing_ignored(room: Room) -> None:
    room.folder.put("d/.gsyncignore", b"*.o\n")
    room.folder.put("d/a.o", b"1")
    room.start()
    room.trees.note_remote({path("d/b.o"): offer(5)})
    room.folder.remove("d/.gsyncignore")
    gevent.sleep(1)
    assert told(room) == {("d/.gsyncignore", "gone"), ("d/a.o", "file"), ("d/b.o", "withdrawn")}
    room.require_true()


def test_a_directory_that_comes_with_its_rules_is_told_without_what_they_name(room: Room) -> None:
    room.start()
    for name in ("new/a.o", "new/b", "new/e/c.o"):
        room.folder.put(name, b"x")
    room.folder.put("new/.gsyncignore", b"*.o\n")
    gevent.sleep(1)
    assert {name for name, _ in told(room)} == {"new", "new/.gsyncignore", "new/b", "new/e"}


def test_a_directory_that_is_renamed_takes_its_rules_along(room: Room) -> None:
    room.folder.put("d/.gsyncignore", b"*.o\n")
    room.folder.put("d/a.o", b"1")
    room.folder.put("d/b", b"2")
    room.start()
    room.folder.rename("d", "e")
    gevent.sleep(1)
    assert not room.indexer.is_ignored(path("d/a.o"))
    assert room.indexer.is_ignored(path("e/a.o"))
    assert path("e/a.o") not in room.trees.local
    room.require_true()


def test_a_restart_reads_the_rules_before_it_looks(room: Room) -> None:
    room.folder.put("d/.gsyncignore", b"*.o\n")
    room.start()
    room.end()
    room.folder.put("d/a.o", b"1")
    room.open()
    room.start()
    assert set(room.trees.local) == {"d", "d/.gsyncignore"}
    room.folder.put("d/b.o", b"1")
    gevent.sleep(1)
    assert room.told == []


def test_what_stands_here_before_its_rules_have_come_is_withdrawn_and_stays(room: Room) -> None:
    room.start()
    room.folder.put("d/a.o", b"from elsewhere, by somebody who knew no rules")
    gevent.sleep(1)
    assert not room.indexer.is_ignored(path("d/b.o"))
    room.folder.put("d/.gsyncignore", b"*.o\n")
    gevent.sleep(1)
    assert room.indexer.is_ignored(path("d/b.o"))
    assert path("d/a.o") not in room.trees.local
    assert room.trees.buried == {}
    assert "d/a.o" in room.folder.tree()


@pytest.mark.parametrize("depth", [RULES_ROUNDS, RULES_ROUNDS + 3])
def test_rules_that_let_in_one_directory_after_the_other_are_all_found(room: Room, depth: int) -> None:
    directories = ["/".join(["d"] * count) for count in range(1, depth + 1)]
    room.folder.put(".gsyncignore", b"d\n")
    for directory in directories[:-1]:
        room.folder.put(f"{directory}/.gsyncignore", b"!/d\n")
    room.folder.put(f"{directories[-1]}/x", b"x")
    room.start()
    assert room.trees.local.keys() == {".gsyncignore"}
    room.folder.edit(".gsyncignore", b"d\n!/d\n")
    gevent.sleep(1)
    assert path(f"{directories[-1]}/x") in room.trees.local
    room.require_true()
