"""What is planned together."""

from __future__ import annotations

from gsync.core.model import Kind, Offer, Record
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.peer.due import PLANNED_AT_A_TIME, Due


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
