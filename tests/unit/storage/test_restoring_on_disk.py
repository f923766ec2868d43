"""Restoring and settling with the real folder: subfolders, links, and what the trash of the real disk looks like."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.core.keeping import Keep
from gsync.core.names import RelPath
from gsync.errors import PathRefused
from gsync.storage.disk import DiskFolder
from gsync.storage.filesystem import Worth
from gsync.storage.restoring import Restorer
from gsync.storage.settling import Settler
from gsync.storage.trash_bin import TrashBin

NOW_NS = 1_800_000_000_000_000_007
COPY = RelPath.parse("d/notes.conflict-20010909T014640Z-00000000-89abcdef.txt")
NOTES = RelPath.parse("d/notes.txt")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DiskFolder]:
    with DiskFolder(tmp_path) as folder:
        yield folder


def throw_away(folder: DiskFolder, path: str) -> str:
    name = folder.take_out(RelPath.parse(path))
    assert name is not None
    trashed = folder.move_to_trash(name, RelPath.parse(path), worth=Worth.SUPERSEDED)
    folder.sync_names()
    return trashed


def restore(folder: DiskFolder, name: str) -> list[str]:
    restorer = Restorer(folder, TrashBin(folder.own_fd), wall_ns=lambda: NOW_NS)
    return [restorer.restore(one).displaced for one in restorer.meant([RelPath.parse(name)])]


def test_what_went_to_the_trash_comes_back_with_its_directories(folder: DiskFolder, tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/run.sh").write_text("work")
    (tmp_path / "d/e/run.sh").chmod(0o755)
    (tmp_path / "d/link").symlink_to("e/run.sh")
    for path in ("d/e/run.sh", "d/link"):
        throw_away(folder, path)
    (tmp_path / "d/e").rmdir()
    (tmp_path / "d").rmdir()
    assert restore(folder, "d") == ["", ""]
    assert (tmp_path / "d/e/run.sh").read_text() == "work"
    assert os.access(tmp_path / "d/e/run.sh", os.X_OK)
    assert (tmp_path / "d/e/run.sh").stat().st_mtime_ns == NOW_NS
    assert (tmp_path / "d/link").readlink() == Path("e/run.sh")
    assert folder.staged_names() == []


def test_what_stood_there_is_in_the_trash_and_can_be_restored_in_turn(folder: DiskFolder, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    throw_away(folder, "a.txt")
    (tmp_path / "a.txt").write_text("mine")
    (displaced,) = restore(folder, "a.txt")
    assert ((tmp_path / "a.txt").read_text(), (tmp_path / displaced).read_text()) == ("old", "mine")


def test_a_planted_link_on_the_way_leads_nowhere(folder: DiskFolder, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.txt").write_text("old")
    throw_away(folder, "d/a.txt")
    (tmp_path / "d").rmdir()
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "d").symlink_to(outside)
    with pytest.raises(PathRefused):
        restore(folder, "d/a.txt")
    assert list(outside.iterdir()) == []
    assert folder.staged_names() == []


@pytest.mark.parametrize(
    ("choice", "standing"),
    [
        (Keep.MINE, {"notes.txt": "mine"}),
        (Keep.THEIRS, {"notes.txt": "theirs"}),
        (Keep.BOTH, {"notes.txt": "theirs", "notes (copy).txt": "mine"}),
    ],
)
def test_a_choice_is_carried_out(folder: DiskFolder, tmp_path: Path, choice: Keep, standing: dict[str, str]) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / NOTES).write_text("theirs")
    (tmp_path / COPY).write_text("mine")
    kept = Settler(folder).keep(choice, COPY, NOTES, known={})
    assert {path.name: path.read_text() for path in (tmp_path / "d").iterdir()} == standing
    if kept.trashed:
        assert (tmp_path / kept.trashed).read_text() in {"mine", "theirs"} - set(standing.values())
