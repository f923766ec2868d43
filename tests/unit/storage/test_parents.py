"""The directories that are kept open while names in them are changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gsync.storage import parents as module
from gsync.storage.parents import FRESH_S, PARENTS_MAX, Parents
from gsync.storage.renames import Spot


class Office:
    """Parents over a folder, with a clock of ours, and a note of what was opened and synced."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.now = 0.0
        self.opened: list[str] = []
        self.synced: list[str] = []
        self.fails = False
        self.root_fd = os.open(path, os.O_RDONLY)
        self.parents = Parents(self.root_fd, mode=0o750, monotonic=lambda: self.now, syncfs=self.syncfs)
        self._open = module.open_directory
        monkeypatch.setattr(module, "open_directory", self.open_directory)

    def open_directory(self, root_fd: int, path: str) -> int:
        self.opened.append(path)
        return self._open(root_fd, path)

    def syncfs(self, fd: int) -> None:
        assert fd == self.root_fd
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.synced.append("everything")

    def fsync(self, fd: int) -> None:
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), self.path))

    def sync(self, fds: Sequence[int]) -> None:
        for fd in fds:
            self.fsync(fd)

    def change(self, path: str) -> Spot:
        """As if a name were changed."""
        spot = self.parents.spot(path)
        self.parents.note_change(path)
        return spot


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    root = tmp_path / "root"
    for name in ("a/b", "c", "a2"):
        (root / name).mkdir(parents=True)
    office = Office(root, monkeypatch)
    before = descriptors()
    yield office
    office.parents.close()
    assert descriptors() == before
    os.close(office.root_fd)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_directory_is_opened_and_synced_once_for_all_names_in_it(office: Office) -> None:
    for number in range(50):
        office.change(f"a/b/{number}")
        office.change(f"c/{number}")
    assert office.opened == ["a/b", "c"]
    office.parents.sync(office.sync)
    assert sorted(office.synced) == ["a/b", "c"]


def test_a_name_at_the_top_opens_nothing_and_has_the_root_synced(office: Office) -> None:
    assert office.change("top") == Spot(office.root_fd, "top")
    assert office.opened == []
    office.parents.sync(office.sync)
    assert office.synced == ["."]
    office.parents.sync(office.sync)
    assert office.synced == ["."]


def test_only_what_was_changed_is_synced_and_then_forgotten(office: Office) -> None:
    office.parents.spot("a/x")
    office.change("c/x")
    office.parents.sync(office.sync)
    assert office.synced == ["c"]
    office.parents.spot("c/x")
    assert office.opened == ["a", "c", "c"]


def test_what_could_not_be_synced_is_tried_again(office: Office) -> None:
    office.change("a/x")
    office.change("top")
    office.parents.forget("a")
    office.fails = True
    with pytest.raises(OSError, match="Input/output"):
        office.parents.sync(office.sync)
    office.fails = False
    office.parents.sync(office.sync)
    assert sorted(office.synced) == [".", "a"]


def test_missing_directories_are_made_with_their_mode_and_synced_above(office: Office) -> None:
    spot = office.parents.made("a/b/new/deep/file")
    office.parents.note_change("a/b/new/deep/file")
    assert spot.name == "file"
    assert (office.path / "a/b/new/deep").stat().st_mode & 0o777 == 0o750
    office.parents.sync(office.sync)
    assert sorted(office.synced) == ["a/b", "a/b/new", "a/b/new/deep"]
    assert office.parents.made("a/b/new/deep/file").name == "file"


@pytest.mark.parametrize(
    ("make", "number"),
    [
        (lambda path: path.write_text("x"), errno.ENOTDIR),
        (lambda path: path.symlink_to("c"), errno.ELOOP),
        (lambda path: path.symlink_to("nowhere"), errno.ELOOP),
    ],
)
def test_nothing_is_made_through_what_is_no_directory(office: Office, make: object, number: int) -> None:
    make(office.path / "odd")  # type: ignore[operator]
    for path in ("odd/new/file", "odd/file"):
        with pytest.raises(OSError) as told:  # noqa: PT011
            office.parents.made(path)
        assert told.value.errno == number
    assert list((office.path / "c").iterdir()) == []


@pytest.mark.parametrize(("age_s", "name"), [(0.0, "old"), (FRESH_S, "old"), (FRESH_S + 0.001, "new")])
def test_a_descriptor_is_not_trusted_for_long(office: Office, age_s: float, name: str) -> None:
    office.change("c/x")
    (office.path / "c").rename(office.path / "renamed")
    (office.path / "c").mkdir()
    (office.path / "renamed" / "old").touch()
    (office.path / "c" / "new").touch()
    office.now = age_s
    assert os.listdir(office.parents.spot("c/x").dir_fd) == [name]
    office.parents.sync(office.sync)
    assert office.synced == ["renamed"]


def test_a_directory_that_is_forgotten_is_opened_anew_with_all_in_it(office: Office) -> None:
    for path in ("a/x", "a/b/x", "a2/x", "c/x"):
        office.change(path)
    office.parents.forget("a")
    office.opened.clear()
    for path in ("a/x", "a/b/x", "a2/x", "c/x"):
        office.parents.spot(path)
    assert office.opened == ["a", "a/b"]
    office.parents.sync(office.sync)
    assert sorted(office.synced) == ["a", "a/b", "a2", "c"]


@pytest.mark.parametrize("count", [PARENTS_MAX - 1, PARENTS_MAX, PARENTS_MAX + 1])
@pytest.mark.parametrize("forgets", [False, True])
def test_so_many_directories_are_open_at_most_and_none_goes_unsynced(office: Office, count: int, forgets: bool) -> None:
    before = descriptors()
    for number in range(count):
        (office.path / f"d{number}").mkdir()
        office.change(f"d{number}/x")
        if forgets:
            office.parents.forget(f"d{number}")
    assert descriptors() - before == min(count, PARENTS_MAX)
    office.parents.sync(office.sync)
    first = count > PARENTS_MAX
    assert sorted(office.synced) == sorted(["everything"] * first + [f"d{number}" for number in range(first, count)])
    assert descriptors() == before
    office.change("c/x")
    office.parents.sync(office.sync)
    assert office.synced[-1] == "c"


def test_when_all_cannot_be_synced_at_once_it_is_tried_again(office: Office) -> None:
    for number in range(PARENTS_MAX + 1):
        (office.path / f"d{number}").mkdir()
        office.change(f"d{number}/x")
    office.fails = True
    with pytest.raises(OSError, match="Input/output"):
        office.parents.sync(office.sync)
    office.fails = False
    office.parents.sync(office.sync)
    assert len(set(office.synced)) == PARENTS_MAX + 1
    assert "everything" in office.synced
