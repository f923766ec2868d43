"""Publishing on the real disk: the same outcomes as in memory, and a race against a real editor."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from gsync.core.actions import Displaced
from gsync.core.diff import Seen, diff
from gsync.core.model import FileMeta
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import StorageError
from gsync.storage.disk import DiskFolder
from gsync.storage.downloads import Overtaken, Published, Released
from gsync.storage.index import Index
from gsync.storage.leases import has_writer
from gsync.storage.limbo import SECOND_LOOK_S
from gsync.storage.publisher import Publisher
from gsync.storage.scanner import scan
from tests.unit.storage.publishing import download

A = RelPath.parse("a")
LATER_NS = 2**62


class Desk:
    """A real folder with everything that publishing needs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.start()

    def start(self) -> None:
        self.ahead_s = 0.0
        self.folder = DiskFolder(self.root)
        self.index = Index.open(self.folder.own_fd, root_id=self.folder.root_id)
        self.publisher = Publisher(self.folder, self.index, clock=lambda: time.monotonic() + self.ahead_s)
        self.publisher.recover()
        self.root_fd = os.open(self.root, os.O_RDONLY)

    def stop(self) -> None:
        os.close(self.root_fd)
        self.index.close()
        self.folder.close()

    def meta(self, path: RelPath) -> FileMeta:
        fingerprint = self.folder.fingerprint(path)
        assert fingerprint is not None
        return FileMeta(fingerprint=fingerprint, version=Version.from_mtime(5))

    def shown(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.root.iterdir() if path.is_file()}

    def everything(self) -> set[bytes]:
        return {path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "folder")
    yield desk
    desk.stop()


def test_a_batch_of_many_new_files_stands_and_is_known(desk: Desk) -> None:
    outcomes = desk.publisher.publish([download(f"f{n}", b"%d" % n) for n in range(50)])
    assert all(isinstance(outcome, Published) for outcome in outcomes)
    assert desk.shown() == {f"f{n}": b"%d" % n for n in range(50)}
    known = desk.index.load().local
    found = scan(desk.folder, known, now_ns=LATER_NS)
    seen = {path: Seen(fingerprint=one.fingerprint) for path, one in found.files.items()}
    assert not diff(known, seen, author=desk.index.author, has_history=False).changed
    assert desk.folder.staged_names() == []


@pytest.mark.parametrize("displaced", list(Displaced))
def test_what_is_replaced_is_kept(desk: Desk, displaced: Displaced) -> None:
    (desk.root / "a").write_bytes(b"old")
    (desk.root / "a").chmod(0o750)
    (outcome,) = desk.publisher.publish([download("a", b"new", over=desk.meta(A), displaced=displaced)])
    assert isinstance(outcome, Published)
    assert desk.shown()["a"] == b"new"
    assert outcome.meta.fingerprint.mode == 0o750
    kept = outcome.trashed or (outcome.conflict_copy and outcome.conflict_copy[0])
    assert (desk.root / str(kept)).read_bytes() == b"old"


def test_what_was_edited_is_not_replaced(desk: Desk) -> None:
    (desk.root / "a").write_bytes(b"old")
    old = desk.meta(A)
    (desk.root / "a").write_bytes(b"edited")
    assert desk.publisher.publish([download("a", b"new", over=old)]) == [Overtaken(path=A)]
    assert desk.shown() == {"a": b"edited"}


def test_a_real_writer_that_goes_on_typing_gets_its_conflict_copy(desk: Desk) -> None:
    (desk.root / "a").write_bytes(b"old")
    with (desk.root / "a").open("r+b") as editor:
        desk.publisher.publish([download("a", b"new", over=desk.meta(A))])
        editor.write(b"typed on")
        editor.flush()
        assert desk.publisher.review_limbo() == []
    (released,) = desk.publisher.review_limbo()
    assert isinstance(released, Released)
    assert released.conflict_copy is not None
    assert desk.shown() == {"a": b"new", released.conflict_copy[0]: b"typed on"}


def test_a_large_download_survives_nothing_but_its_own_publishing(desk: Desk) -> None:
    staged = desk.publisher.begin(A)
    staged.write(b"x" * 100_000)
    desk.stop()
    staged.close()
    desk.start()
    assert desk.folder.staged_names() == []
    assert desk.shown() == {}


def test_a_folder_that_became_read_only_is_an_error_of_each_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(content: bytes, *, mtime_ns: int, mode: int) -> NoReturn:
        raise StorageError("read-only")

    monkeypatch.setattr(desk.folder, "stage_content", refuse)
    outcomes = desk.publisher.publish([download("a", b"1"), download("b", b"2")])
    assert [type(outcome).__name__ for outcome in outcomes] == ["Unpublished", "Unpublished"]


EDITOR = """
import os, random, sys, time
path, log, rng = sys.argv[1], open(sys.argv[2], "w"), random.Random(7)
print("ready", flush=True)
number = 0
while not os.path.exists(sys.argv[3]):
    try:
        fd = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        continue
    number += 1
    os.pwrite(fd, b"edit-%06d" % number, 0)
    log.write(f"{os.fstat(fd).st_ino} edit-{number:06d}\\n")
    if rng.random() < 0.5:
        time.sleep(rng.random() * 0.002)
    os.close(fd)
    time.sleep(rng.random() * 0.004)
log.close()
"""


@pytest.mark.slow
def test_no_edit_of_a_real_editor_is_lost_in_a_race(desk: Desk, tmp_path: Path) -> None:
    """The editor writes into whatever stands at the path. Of each inode, its last edit must be there afterwards.

    In the trash only if it was what the planner saw; else in the folder, where a person finds it.
    """
    (desk.root / "a").write_bytes(b"edit-000000")
    log, stop = tmp_path / "log", tmp_path / "stop"
    arguments = [str(desk.root / "a"), str(log), str(stop)]
    published = 0
    seen: set[bytes] = set()
    with subprocess.Popen([sys.executable, "-c", EDITOR, *arguments], stdout=subprocess.PIPE) as editor:
        assert editor.stdout is not None
        editor.stdout.readline()
        races = int(os.environ.get("GSYNC_RACES", "60"))
        for number in itertools.count():
            if published == races:
                break
            old = desk.meta(A)
            # A write sets the mtime first and copies its bytes then: what `old` shows is known only while nobody writes.
            idle = not has_writer(desk.root_fd, "a")
            content = (desk.root / "a").read_bytes()
            if not idle or desk.meta(A) != old:
                continue
            seen.add(content)
            (outcome,) = desk.publisher.publish([download("a", b"publ-%06d" % number, over=old)])
            published += isinstance(outcome, Published)
            desk.publisher.review_limbo()
        stop.touch()
        editor.wait()
    desk.ahead_s = SECOND_LOOK_S
    desk.publisher.review_limbo()
    last = dict(line.split() for line in log.read_text().splitlines())
    kept = set(desk.shown().values()) | (seen & desk.everything())
    lost = {edit for edit in last.values() if edit.encode() not in kept}
    assert not lost, f"{len(lost)} of {len(last)} lost, {published} published"
    assert desk.folder.staged_names() == []
    print(f"{published} published, {len(last)} files edited")
