"""What every trash bin keeps, the real one and the fake: what is found in it, in which order, and what is not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gsync.core.names import RelPath
from gsync.core.status import Trashed
from gsync.errors import FileVanished, PathRefused, UnknownName
from gsync.storage.memory import MemoryFolder
from gsync.storage.memory_bin import MemoryBin
from gsync.storage.restoring import Bin
from gsync.storage.trash_bin import TrashBin
from gsync.storage.visiting import look_into

OLD = "20261121T060018Z-62c09ab6"
NEW = "20261122T060018Z-00000000-unseen"


class OnDisk:
    """A trash on the real disk, and a hand that puts things into it."""

    def __init__(self, root: Path) -> None:
        self.root = root / ".gsync" / "trash"
        self.root.mkdir(parents=True)
        self.own_fd = look_into(root)
        self.bin: Bin = TrashBin(self.own_fd)

    def put(self, name: str, content: bytes) -> None:
        where = self.root / name
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(content)

    def link(self, name: str, target: str) -> None:
        (self.root / name).symlink_to(target)

    def remove(self, name: str) -> None:
        (self.root / name).unlink()

    def close(self) -> None:
        os.close(self.own_fd)


class InMemory:
    """The same in memory."""

    def __init__(self, root: Path) -> None:
        self.folder = MemoryFolder()
        self.bin: Bin = MemoryBin(self.folder)

    def put(self, name: str, content: bytes) -> None:
        self.folder.put(f".gsync/trash/{name}", content)

    def link(self, name: str, target: str) -> None:
        self.folder.link(f".gsync/trash/{name}", target)

    def remove(self, name: str) -> None:
        self.folder.remove(f".gsync/trash/{name}")

    def close(self) -> None:
        pass


@pytest.fixture(params=[OnDisk, InMemory], ids=["disk", "memory"])
def trash(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnDisk | InMemory]:
    make: Callable[[Path], OnDisk | InMemory] = request.param
    trash = make(tmp_path)
    trash.put(f"{OLD}/a.txt", b"old")
    trash.put(f"{OLD}/photos/deep/b.jpg", b"x")
    trash.put(f"{OLD}/photos.txt", b"x")
    trash.put(f"{NEW}/a.txt", b"newer")
    trash.put("mine/a.txt", b"no box of ours")
    trash.link(f"{NEW}/link", "/etc")
    yield trash
    trash.close()


def told(found: Iterator[Trashed]) -> list[tuple[str, str]]:
    return [(one.box, one.path) for one in found]


def test_the_newest_box_comes_first_and_paths_in_order(trash: OnDisk) -> None:
    assert told(trash.bin.trashed()) == [
        *[(NEW, "a.txt"), (NEW, "link"), (OLD, "a.txt"), (OLD, "photos.txt"), (OLD, "photos/deep/b.jpg")],
    ]


def test_a_line_says_size_time_and_target(trash: OnDisk) -> None:
    first, link, *_ = trash.bin.trashed()
    assert (first.size, first.since_s, first.target) == (5, 1795327218.0, "")
    assert link.target == "/etc"


def test_it_can_be_asked_for_one_path_or_what_is_beneath_it(trash: OnDisk) -> None:
    assert told(trash.bin.trashed(beneath=RelPath.parse("a.txt"))) == [(NEW, "a.txt"), (OLD, "a.txt")]
    assert told(trash.bin.trashed(beneath=RelPath.parse("photos"))) == [(OLD, "photos/deep/b.jpg")]
    assert told(trash.bin.trashed(beneath=RelPath.parse("etc"))) == []


def test_it_can_be_asked_for_one_box(trash: OnDisk) -> None:
    assert told(trash.bin.trashed(box=OLD, beneath=RelPath.parse("a.txt"))) == [(OLD, "a.txt")]
    for box in ("20990101T000000Z-00000000", "..", "../staging", "mine"):
        with pytest.raises(UnknownName, match="no box"):
            list(trash.bin.trashed(box=box))


def test_a_file_is_read_and_a_link_is_not_followed(trash: OnDisk) -> None:
    first, link, second, *_ = trash.bin.trashed()
    for one, content in ((first, b"newer"), (second, b"old")):
        with trash.bin.open(one) as file:
            assert file.read_at(0, 10) == content
    with pytest.raises(PathRefused):
        trash.bin.open(link)


def test_a_file_that_has_gone_meanwhile_is_told(trash: OnDisk) -> None:
    one = next(trash.bin.trashed())
    trash.remove(f"{NEW}/a.txt")
    with pytest.raises(FileVanished):
        trash.bin.open(one)
