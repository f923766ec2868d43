"""Free names and exchanges, where the system can and where it cannot; all ways end in the same place."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gsync.storage import syscalls
from gsync.storage.renames import Rename, Spot, exchange, put_new


def missing(number: int) -> Rename:
    def renameat2(old_fd: int, old: str, new_fd: int, new: str, flags: int) -> None:
        raise OSError(number, os.strerror(number))

    return renameat2


def no_links(*args: object, **kwargs: object) -> None:
    raise OSError(errno.EPERM, "no hard links here")


@pytest.fixture(params=["renameat2", "links", "plain"])
def renameat2(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Rename:
    if request.param == "renameat2":
        return syscalls.renameat2
    if request.param == "plain":
        monkeypatch.setattr(os, "link", no_links)
    return missing(errno.EINVAL)


@pytest.fixture
def spots(tmp_path: Path) -> Iterator[tuple[Spot, Spot]]:
    (tmp_path / "staging").mkdir()
    (tmp_path / "folder").mkdir()
    fds = [os.open(tmp_path / name, os.O_RDONLY) for name in ("staging", "folder")]
    (tmp_path / "staging" / "s").write_text("staged")
    yield Spot(fds[0], "s"), Spot(fds[1], "t")
    for fd in fds:
        os.close(fd)


def test_a_free_name_is_taken(spots: tuple[Spot, Spot], renameat2: Rename, tmp_path: Path) -> None:
    assert put_new(*spots, renameat2=renameat2)
    assert (tmp_path / "folder" / "t").read_text() == "staged"
    assert os.listdir(tmp_path / "staging") == []


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_a_taken_name_stays_as_it_is(
    spots: tuple[Spot, Spot], renameat2: Rename, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    target = tmp_path / "folder" / "t"
    make(target)
    before = os.lstat(target).st_ino
    assert not put_new(*spots, renameat2=renameat2)
    assert os.lstat(target).st_ino == before
    assert os.listdir(tmp_path / "staging") == ["s"]


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_an_exchange_swaps_with_whatever_stands_there(
    spots: tuple[Spot, Spot], renameat2: Rename, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "folder" / "t")
    before = [spot.inode() for spot in spots]
    assert exchange(*spots, renameat2=renameat2)
    assert [spot.inode() for spot in spots] == before[::-1]
    assert os.listdir(tmp_path / "staging") == ["s"]


def test_an_exchange_with_a_free_name_does_nothing(spots: tuple[Spot, Spot], renameat2: Rename, tmp_path: Path) -> None:
    assert not exchange(*spots, renameat2=renameat2)
    assert os.listdir(tmp_path / "staging") == ["s"]
    assert os.listdir(tmp_path / "folder") == []


def test_a_staged_name_that_is_gone_is_an_error(spots: tuple[Spot, Spot], renameat2: Rename, tmp_path: Path) -> None:
    (tmp_path / "staging" / "s").unlink()
    with pytest.raises(FileNotFoundError):
        put_new(*spots, renameat2=renameat2)
    (tmp_path / "folder" / "t").write_text("old")
    with pytest.raises(FileNotFoundError):
        exchange(*spots, renameat2=renameat2)
    assert (tmp_path / "folder" / "t").read_text() == "old"


def test_a_kernel_without_the_call_is_no_error(spots: tuple[Spot, Spot]) -> None:
    assert put_new(*spots, renameat2=missing(errno.ENOSYS))


def test_other_errors_are_errors(spots: tuple[Spot, Spot]) -> None:
    with pytest.raises(OSError, match="Read-only"):
        put_new(*spots, renameat2=missing(errno.EROFS))
    with pytest.raises(OSError, match="Read-only"):
        exchange(*spots, renameat2=missing(errno.EROFS))


def test_a_save_between_link_and_rename_is_not_lost(
    spots: tuple[Spot, Spot], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "folder" / "t"
    target.write_text("old")
    link = os.link

    def link_then_save(*args: str, **kwargs: int) -> None:
        link(*args, **kwargs)  # type: ignore[arg-type]
        monkeypatch.setattr(os, "link", link)
        (tmp_path / "aside").write_text("saved meanwhile")
        (tmp_path / "aside").replace(target)

    monkeypatch.setattr(os, "link", link_then_save)
    assert exchange(*spots, renameat2=missing(errno.EINVAL))
    assert target.read_text() == "staged"
    assert (tmp_path / "staging" / "s").read_text() == "saved meanwhile"
    assert os.listdir(tmp_path / "staging") == ["s"]
