"""What is planned together."""

from __future__ import annotations

from gsync.core.model import Kind, Offer, Record
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.peer.due import PLANNED_AT_A_TIME, Due
from gsync.peer.sweep import Sweep
from gsync.peer.trees import Trees


class Offered:
    def __init__(self) -> None:
        self.remote: dict[RelPath, Offer] = {}

    def offer(self, path: RelPath, *, moved_from: str = "") -> None:
        version = Version.from_vector({"a": 1, "mtime": 5})
        was = RelPath.parse(moved_from) if moved_from else None
        record = Record(path=path, kind=Kind.FILE, version=version, moved_from=was)
        self.remote[path] = Offer(version=version, sources=(), record=record)


def _paths(count: int) -> list[RelPath]:
    return [RelPath.parse(f"{number:04}.txt") for number in range(count)]


def test_each_path_is_due_once_and_taken_once_in_the_order_of_asking() -> None:
    due, (a, b, c) = Due(Offered()), _paths(3)
    due.add([b, a])
    due.add([a, c])
    assert (len(due), due.take(), len(due), due.take()) == (3, [b, a, c], 0, [])


def test_many_are_taken_in_pieces() -> None:
    due, paths = Due(Offered()), _paths(2 * PLANNED_AT_A_TIME + 1)
    due.add(paths)
    pieces = [due.take(), due.take(), due.take()]
    assert [len(piece) for piece in pieces] == [PLANNED_AT_A_TIME, PLANNED_AT_A_TIME, 1]
    assert [path for piece in pieces for path in piece] == paths


def test_where_something_was_moved_all_are_taken_together_once() -> None:
    offered, paths = Offered(), _paths(3 * PLANNED_AT_A_TIME)
    due = Due(offered)
    offered.offer(paths[-1], moved_from="old.txt")
    due.add(paths)
    assert due.take() == paths
    offered.offer(paths[-1])
    due.add(paths)
    assert len(due.take()) == PLANNED_AT_A_TIME


def test_a_move_that_comes_to_a_path_already_due_is_seen_too() -> None:
    offered, paths = Offered(), _paths(2 * PLANNED_AT_A_TIME)
    due = Due(offered)
    due.add(paths)
    offered.offer(paths[0], moved_from="old.txt")
    due.add(paths[:1])
    assert due.take() == paths


def test_what_is_wanted_here_and_offered_under_another_name_is_planned_with_that_name() -> None:
    offered, (here, there, other) = Offered(), _paths(3)
    wanted = {here, other}
    due = Due(offered, is_wanted=wanted.__contains__)
    offered.offer(there)
    offered.offer(other)
    due.wants(here, offered.remote[there])
    due.wants(other, offered.remote[other])
    due.add([there])
    assert due.take() == [there, here]
    due.add([here, there])
    assert due.take() == [here, there]
    due.add([other])
    assert due.take() == [other]
    wanted.clear()
    due.add([there])
    assert due.take() == [there]
    wanted.add(here)
    due.add([there])
    assert due.take() == [there]


def directory(trees: Trees, *names: RelPath, mtime_s: int = 5) -> Sweep:
    return trees.note_remote({name: Offer(version=Version(mtime_s), sources=()) for name in names})


def test_what_is_swept_comes_behind_all_else() -> None:
    trees, paths = Trees({}, {}), _paths(PLANNED_AT_A_TIME + 2)
    due = Due(trees)
    due.sweep(directory(trees, RelPath.parse("swept")))
    due.add(paths)
    assert len(due) == len(paths) + 1
    assert due.take() == paths[:PLANNED_AT_A_TIME]
    assert due.take() == [*paths[PLANNED_AT_A_TIME:], "swept"]
    assert (len(due), due.take()) == (0, [])


def test_what_was_renamed_in_a_directory_is_taken_at_once_with_its_old_names() -> None:
    trees, paths = Trees({}, {}), _paths(3 * PLANNED_AT_A_TIME)
    due, offered = Due(trees), Offered()
    for path in paths[::2]:
        offered.offer(path, moved_from=f"{path}.old")
    trees.note_remote(offered.remote)
    due.sweep(trees.note_remote(offered.remote))
    assert due.take() == []
    fresh = Trees({}, {})
    due = Due(fresh)
    due.sweep(fresh.note_remote(offered.remote))
    assert sorted(due.take()) == sorted([*paths[::2], *(f"{path}.old" for path in paths[::2])])


def test_directories_that_come_faster_than_they_are_compared_are_passed_over() -> None:
    trees, (a, b, c, d) = Trees({}, {}), _paths(4)
    due = Due(trees)
    assert not due.sweep(directory(trees, a))
    assert not due.sweep(directory(trees, b))
    assert due.sweep(directory(trees, c))
    assert due.sweep(directory(trees, a, d))
    assert due.take() == [a]
    assert due.take() == [d]
    assert len(due) == 0
    assert not due.sweep(directory(trees, b))


def test_while_there_is_plenty_to_do_nothing_is_swept_but_all_else_is_taken() -> None:
    trees, (a, b, c) = Trees({}, {}), _paths(3)
    plenty = [True]
    due = Due(trees, is_plenty=lambda: plenty[0])
    due.sweep(directory(trees, a, b))
    assert (due.is_ready, due.held_back, due.take(), len(due)) == (False, 2, [], 2)
    due.add([c])
    assert (due.is_ready, due.take(), due.is_ready) == (True, [c], False)
    plenty[0] = False
    assert (due.is_ready, due.held_back, due.take()) == (True, 0, [a, b])
    assert (due.is_ready, due.held_back, len(due)) == (False, 0, 0)
