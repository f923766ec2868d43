"""Changing names on the real disk: what it costs, and what happens when somebody is quicker."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gsync.core.names import RelPath
from gsync.errors import PathRefused, StorageError
from gsync.storage import naming, parents, renames
from gsync.storage.disk import DiskFolder
from gsync.storage.filesystem import Worth
from gsync.storage.naming import ADJUSTED_MAX
from gsync.storage.renames import Spot

A = RelPath.parse("a")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "folder"


@pytest.fixture
def folder(root: Path) -> Iterator[DiskFolder]:
    with DiskFolder(root) as folder:
        yield folder


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def new(folder: DiskFolder, content: bytes = b"x") -> str:
    with_content = folder.stage()
    with_content.write(content)
    with_content.close()
    return with_content.name


def counted(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> list[object]:
    """The calls of `where.name` from now on."""
    calls: list[object] = []
    original: Callable[..., object] = getattr(where, name)

    def count(*args: object, **kwargs: object) -> object:
        calls.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(where, name, count)
    return calls


@pytest.mark.slow
def test_a_batch_opens_and_syncs_each_directory_once(
    folder: DiskFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [RelPath.parse(f"d{number % 50}/f{number}") for number in range(500)]
    names = [new(folder) for _ in paths]
    for number in range(50):
        (root / f"d{number}").mkdir()
    opened = counted(monkeypatch, parents, "open_directory")
    one_by_one = counted(monkeypatch, folder._durability, "_fsync")
    whole = counted(monkeypatch, folder._durability, "_syncfs")
    before = descriptors()
    for path, name in zip(paths, names, strict=True):
        assert folder.put_new(name, path)
        assert folder.fingerprint(path) is not None
    assert len(opened) == 50
    assert descriptors() - before == 50
    folder.sync_names()
    assert (len(whole), len(one_by_one)) == (1, 0)
    assert descriptors() == before


def test_a_few_directories_are_synced_each_and_staging_with_them(
    folder: DiskFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        folder._durability,
        "_fsync",
        lambda fd: synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), root)),
    )
    folder.put_new(new(folder), RelPath.parse("d/e/f"))
    folder.make_directory(RelPath.parse("made"))
    folder.sync_names()
    assert sorted(synced) == [".", ".gsync/staging", "d", "d/e"]


def test_names_that_the_disk_does_not_take_are_said_and_tried_again(
    folder: DiskFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put_new(new(folder), RelPath.parse("d/f"))
    asked: list[int] = []

    def fail(fd: int) -> None:
        asked.append(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as failures:
        failures.setattr(folder._durability, "_fsync", fail)
        with pytest.raises(StorageError, match="did not take"):
            folder.sync_names()
    again: list[int] = []
    monkeypatch.setattr(folder._durability, "_fsync", again.append)
    folder.sync_names()
    assert again == asked


def test_the_other_threads_look_on_their_own(folder: DiskFolder, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = RelPath.parse("d/f")
    folder.put_new(new(folder, b"old"), path)
    (root / "d").rename(root / "renamed")
    (root / "d").mkdir()
    seen = []
    thread = threading.Thread(target=lambda: seen.append(folder.fingerprint(path)))
    before = descriptors()
    thread.start()
    thread.join()
    assert seen == [None]
    assert descriptors() == before


def test_a_directory_that_comes_between_look_and_take_is_put_back(
    folder: DiskFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").write_text("x")
    put_new = renames.put_new

    def swapped(source: Spot, target: Spot) -> bool:
        monkeypatch.setattr(naming.renames, "put_new", put_new)
        (root / "a").unlink()
        (root / "a" / "work").mkdir(parents=True)
        return put_new(source, target)

    monkeypatch.setattr(naming.renames, "put_new", swapped)
    with pytest.raises(PathRefused, match="a directory"):
        folder.take_out(A)
    assert (root / "a" / "work").is_dir()
    assert folder.staged_names() == []


@pytest.mark.parametrize("method", ["take_out", "remove_directory"])
def test_what_goes_between_look_and_change_is_gone(
    folder: DiskFolder, root: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    if method == "take_out":
        (root / "a").write_text("x")
    else:
        (root / "a").mkdir()
    readable = folder._looking.readable

    def looked(spot: Spot, *kinds: object) -> object:
        status = readable(spot, *kinds)  # type: ignore[arg-type]
        (root / "a").unlink() if method == "take_out" else (root / "a").rmdir()
        return status

    monkeypatch.setattr(folder._looking, "readable", looked)
    assert getattr(folder, method)(A) in (None, True)
    assert folder.staged_names() == []


def test_a_file_that_is_edited_between_look_and_adjust_is_left_as_it_is(
    folder: DiskFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").write_text("x")
    expected = folder.fingerprint(A)
    assert expected is not None
    opened = folder._looking.open

    def edited(path: RelPath) -> tuple[int, os.stat_result]:
        (root / "a").write_text("longer")
        return opened(path)

    monkeypatch.setattr(folder._looking, "open", edited)
    before = (root / "a").stat().st_mode
    assert folder.adjust(A, expected=expected, mtime_ns=1, executable=True) is None
    assert (root / "a").stat().st_mode == before
    assert (root / "a").stat().st_mtime_ns != 1


@pytest.mark.parametrize("count", [ADJUSTED_MAX - 1, ADJUSTED_MAX, ADJUSTED_MAX + 1])
def test_so_many_adjusted_files_are_kept_open_at_most(
    folder: DiskFolder, root: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(folder._durability, "_syncfs", synced.append)
    monkeypatch.setattr(folder._durability, "_fsync", synced.append)
    (root / "a").write_text("x")
    before = descriptors()
    for number in range(count):
        seen = folder.fingerprint(A)
        assert seen is not None
        assert folder.adjust(A, expected=seen, mtime_ns=number, executable=None) is not None
    assert descriptors() - before == count % ADJUSTED_MAX
    assert len(synced) == (count >= ADJUSTED_MAX)
    folder.sync_names()
    assert descriptors() == before


def test_a_closed_folder_leaves_no_directory_and_no_adjusted_file_open(root: Path) -> None:
    before = descriptors()
    with DiskFolder(root) as folder:
        folder.put_new(new(folder), RelPath.parse("d/f"))
        seen = folder.fingerprint(RelPath.parse("d/f"))
        assert seen is not None
        folder.adjust(RelPath.parse("d/f"), expected=seen, mtime_ns=5, executable=True)
        folder.move_to_trash(new(folder), RelPath.parse("x/y/z"), worth=Worth.UNSEEN)
    assert descriptors() == before
