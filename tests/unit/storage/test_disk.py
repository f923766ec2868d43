"""The real folder: what only a real disk has. What every folder does is in tests/contract/test_folder.py."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gsync.core.names import RelPath
from gsync.errors import FolderLocked, FolderUnusable, NoSpace, PathRefused, StorageError
from gsync.storage import disk, own_folder, trash
from gsync.storage.disk import DiskFolder
from gsync.storage.filesystem import Found, Skipped, Worth
from gsync.storage.space import floor_bytes

A = RelPath.parse("a")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "folder"


@pytest.fixture
def folder(root: Path) -> Iterator[DiskFolder]:
    with DiskFolder(root) as folder:
        yield folder


@contextmanager
def unprivileged() -> Iterator[None]:
    """A block in which this process may not read what nobody may: root is somebody else meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_missing_folder_is_made_with_all_above_it(tmp_path: Path) -> None:
    with DiskFolder(tmp_path / "x" / "y"):
        own = tmp_path / "x" / "y" / ".gsync"
        assert sorted(path.name for path in own.iterdir()) == ["lock", "root", "staging", "trash"]
        assert stat.S_IMODE(own.stat().st_mode) == 0o700


def test_an_own_folder_that_others_could_read_is_closed_to_them(root: Path) -> None:
    (root / ".gsync").mkdir(parents=True)
    (root / ".gsync").chmod(0o777)
    with DiskFolder(root):
        assert stat.S_IMODE((root / ".gsync").stat().st_mode) == 0o700


def test_a_file_in_the_place_of_the_folder_is_refused(root: Path) -> None:
    root.write_text("a file")
    with pytest.raises(FolderUnusable) as told:
        DiskFolder(root)
    assert told.value.advice


@pytest.mark.parametrize("name", [".gsync", ".gsync/staging", ".gsync/trash", ".gsync/lock", ".gsync/root"])
@pytest.mark.parametrize("what", ["link", "fifo", "other"])
def test_what_was_planted_in_the_place_of_our_own_is_refused(root: Path, name: str, what: str, tmp_path: Path) -> None:
    with DiskFolder(root):
        pass
    planted = root / name
    planted.rename(tmp_path / "moved")
    match what:
        case "link":
            planted.symlink_to(tmp_path / "moved")
        case "fifo":
            os.mkfifo(planted)
        case _ if (tmp_path / "moved").is_dir():
            planted.write_text("a file where a directory should be")
        case _:
            planted.mkdir()
    before = descriptors()
    with pytest.raises(FolderUnusable) as told:
        DiskFolder(root)
    assert told.value.advice
    assert descriptors() == before


def test_a_lock_that_is_a_second_name_of_somebodys_file_is_refused(root: Path, tmp_path: Path) -> None:
    with DiskFolder(root):
        pass
    precious = tmp_path / "precious"
    precious.write_text("work")
    (root / ".gsync" / "lock").unlink()
    (root / ".gsync" / "lock").hardlink_to(precious)
    with pytest.raises(FolderUnusable):
        DiskFolder(root)
    assert precious.read_text() == "work"


def test_a_second_opener_is_told_who_is_here(folder: DiskFolder, root: Path) -> None:
    before = descriptors()
    with pytest.raises(FolderLocked, match=str(os.getpid())) as locked:
        DiskFolder(root)
    assert locked.value.advice.endswith(f"kill {os.getpid()}")
    assert descriptors() == before


def test_a_closed_folder_can_be_opened_again_and_keeps_its_id(root: Path) -> None:
    before = descriptors()
    ids = []
    for _ in range(2):
        with DiskFolder(root) as folder:
            ids.append(folder.root_id)
    assert ids[0] == ids[1]
    assert descriptors() == before


def test_a_copied_folder_has_an_id_of_its_own(root: Path, tmp_path: Path) -> None:
    with DiskFolder(root) as original:
        pass
    subprocess.run(["cp", "-a", root, tmp_path / "copy"], check=True)
    with DiskFolder(tmp_path / "copy") as copy:
        assert copy.root_id != original.root_id


@pytest.mark.parametrize("marker", [b"", b"{", b"[]", b'{"id": "x"}', b"\xff"])
def test_a_marker_that_makes_no_sense_is_made_anew(root: Path, marker: bytes) -> None:
    with DiskFolder(root) as first:
        pass
    (root / ".gsync" / "root").write_bytes(marker)
    with DiskFolder(root) as second:
        assert second.root_id != first.root_id
        second.check_root()


def test_a_root_whose_own_folder_vanished_or_that_was_replaced_is_noticed(folder: DiskFolder, root: Path) -> None:
    marker = root / ".gsync" / "root"
    said = marker.read_bytes()
    marker.write_bytes(b'{"id": "somebody else\'s", "inode": 1}')
    with pytest.raises(FolderUnusable):
        folder.check_root()
    marker.unlink()
    with pytest.raises(FolderUnusable):
        folder.check_root()
    marker.write_bytes(said)
    folder.check_root()
    root.rename(root.with_name("elsewhere"))
    root.mkdir()
    with pytest.raises(FolderUnusable):
        folder.check_root()


def displaced(folder: DiskFolder, name: str, content: bytes) -> str:
    """A file that goes to the trash, and its name there."""
    staged, _ = folder.stage_content(content, mtime_ns=0, mode=0o644)
    staged.close()
    return folder.move_to_trash(staged.name, RelPath.parse(name), worth=Worth.UNSEEN)


@pytest.mark.parametrize("took", ["rm -rf .gsync/trash", "rm -rf .gsync/trash/*", "rm -rf .gsync/trash .gsync/staging"])
def test_a_trash_that_a_person_deleted_meanwhile_is_made_anew_for_the_next_file(
    folder: DiskFolder, root: Path, took: str
) -> None:
    before = descriptors()
    displaced(folder, "sub/a", b"first")
    subprocess.run(took, shell=True, cwd=root, check=True)
    second = displaced(folder, "sub/a", b"second")
    folder.sync_names()
    assert (root / second).read_bytes() == b"second"
    assert stat.S_IMODE((root / ".gsync/trash").stat().st_mode) == 0o700
    assert descriptors() == before


def test_a_trash_that_was_moved_away_keeps_what_it_has_and_a_look_makes_another(folder: DiskFolder, root: Path) -> None:
    first = displaced(folder, "a", b"first")
    (root / ".gsync/trash").rename(root.parent / "kept")
    folder.check_root()
    assert (root.parent / "kept" / first.removeprefix(".gsync/trash/")).read_bytes() == b"first"
    folder.sync_names()
    assert (root / displaced(folder, "b", b"second")).read_bytes() == b"second"


def test_a_link_that_was_planted_in_the_place_of_the_trash_is_not_followed(
    folder: DiskFolder, root: Path, tmp_path: Path
) -> None:
    (root / ".gsync/trash").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (root / ".gsync/trash").symlink_to(tmp_path / "elsewhere")
    staged, _ = folder.stage_content(b"x", mtime_ns=0, mode=0o644)
    staged.close()
    with pytest.raises(StorageError):
        folder.move_to_trash(staged.name, RelPath.parse("a"), worth=Worth.UNSEEN)
    assert folder.staged_names() == [staged.name]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    with pytest.raises(StorageError):
        folder.check_root()


def test_a_staging_that_a_person_deleted_is_made_anew(folder: DiskFolder, root: Path) -> None:
    (root / "work").write_text("work")
    (root / ".gsync/staging").rmdir()
    folder.stage().close()
    assert len(folder.staged_names()) == 1
    subprocess.run(["rm", "-rf", root / ".gsync/staging"], check=True)
    assert folder.take_out(RelPath.parse("nothing")) is None
    out = folder.take_out(RelPath.parse("work"))
    assert (root / f".gsync/staging/{out}").read_text() == "work"


@pytest.mark.parametrize(
    "took", ["rm -rf .gsync", "rm .gsync/lock", "rm .gsync/lock; touch .gsync/lock", "rm .gsync/root"]
)
def test_without_its_own_folder_lock_or_marker_a_gsync_cannot_go_on(folder: DiskFolder, root: Path, took: str) -> None:
    subprocess.run(took, shell=True, cwd=root, check=True)
    with pytest.raises(FolderUnusable, match="was deleted or replaced while gsync ran") as unusable:
        folder.check_root()
    assert "Start gsync again" in unusable.value.advice


def test_nothing_of_the_folder_is_moved_where_its_own_folder_is_gone(folder: DiskFolder, root: Path) -> None:
    (root / "work").write_text("work")
    subprocess.run(["rm", "-rf", root / ".gsync"], check=True)
    with pytest.raises(StorageError, match="staging was deleted"):
        folder.take_out(RelPath.parse("work"))
    with pytest.raises(StorageError, match="staging was deleted"):
        folder.stage()
    assert (root / "work").read_text() == "work"
    assert not (root / ".gsync").exists()


def failing(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("call", ["fsync", "ftruncate", "pwrite", "read", "fstat"])
def test_a_disk_that_fails_at_the_start_makes_the_folder_unusable(
    root: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DiskFolder(root):
        before = descriptors()
    with monkeypatch.context() as failures:
        failures.setattr(own_folder.os, call, failing)
        with pytest.raises(FolderUnusable, match="Input/output error"):
            DiskFolder(root)
    with DiskFolder(root):
        assert descriptors() == before


@pytest.mark.parametrize("call", ["stat", "fstat", "open", "read"])
def test_a_disk_that_does_not_answer_now_is_no_folder_that_is_gone(
    folder: DiskFolder, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as failures:
        failures.setattr(disk.os, call, failing)
        with pytest.raises(StorageError, match="Input/output error"):
            folder.check_root()
    folder.check_root()


def test_a_trash_that_cannot_be_listed_stays_as_it_is(folder: DiskFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as failures:
        failures.setattr(trash.os, "listdir", failing)
        with pytest.raises(StorageError, match="Input/output error"):
            folder.expire_trash()
    assert folder.expire_trash() == []


def test_everything_but_files_directories_and_links_is_skipped_with_its_reason(folder: DiskFolder, root: Path) -> None:
    (root / "link").symlink_to("/etc/hostname")
    (root / "dangling").symlink_to("nowhere")
    (root / "sub").mkdir()
    os.mkfifo(root / "sub" / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "sock"))
    (root / "file").write_text("x")
    reasons = {seen.name: seen.reason for seen in folder.listing() if isinstance(seen, Skipped)}
    assert reasons == {"sub/pipe": "a FIFO", "sock": "a socket"}
    assert {seen.path for seen in folder.listing() if isinstance(seen, Found)} == {"link", "dangling", "sub", "file"}


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"bad\xffutf8", "bad\\xffutf8"), (b"new\nline", "new\nline"), (b".GSYNC", ".GSYNC"), (b"..\\up", "..\\up")],
)
def test_a_name_that_cannot_be_told_to_others_is_skipped(
    folder: DiskFolder, root: Path, name: bytes, shown: str
) -> None:
    (Path(os.fsdecode(os.fsencode(root) + b"/" + name))).write_text("x")
    (skipped,) = folder.listing()
    assert isinstance(skipped, Skipped)
    assert skipped.name == shown
    assert skipped.reason.startswith("its name: ")


@pytest.mark.parametrize("count", [254, 255])
def test_a_name_of_up_to_255_bytes_is_listed(folder: DiskFolder, root: Path, count: int) -> None:
    (root / ("n" * count)).write_text("x")
    (found,) = folder.listing()
    assert isinstance(found, Found)
    assert len(found.path) == count


def test_a_name_that_is_too_long_for_the_disk_is_refused(folder: DiskFolder) -> None:
    staged = folder.stage()
    staged.close()
    name = RelPath("n" * 256)  # past the gate, as if the limit were another
    with pytest.raises(PathRefused):
        folder.put_new(staged.name, name)


def test_a_fifo_never_blocks(folder: DiskFolder, root: Path) -> None:
    os.mkfifo(root / "a")
    with pytest.raises(PathRefused, match="a FIFO"):
        folder.open(A)


def test_a_fifo_that_comes_between_look_and_open_never_blocks(
    folder: DiskFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").write_text("x")
    seen = folder.fingerprint(A)
    (root / "a").unlink()
    os.mkfifo(root / "a")
    monkeypatch.setattr(folder, "fingerprint", lambda path: seen)
    with pytest.raises(PathRefused, match="a FIFO"):
        folder.open(A)


def test_a_link_that_comes_between_look_and_open_is_not_followed(
    folder: DiskFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").write_text("x")
    seen = folder.fingerprint(A)
    (root / "a").unlink()
    (root / "a").symlink_to("/etc/hostname")
    monkeypatch.setattr(folder, "fingerprint", lambda path: seen)
    with pytest.raises(PathRefused, match="a link"):
        folder.open(A)


def test_the_trash_on_the_disk_is_private_and_listed_by_time(root: Path) -> None:
    with DiskFolder(root, wall_clock=lambda: 0.0, random_hex=lambda count: "5" * 2 * count) as folder:
        staged = folder.stage()
        staged.close()
        assert folder.move_to_trash(staged.name, A, worth=Worth.SUPERSEDED) == (
            ".gsync/trash/19700101T000000Z-55555555/a"
        )


def test_the_trash_is_emptied_after_thirty_days(root: Path) -> None:
    now = 0.0
    with DiskFolder(root, wall_clock=lambda: now) as folder:
        staged = folder.stage()
        staged.close()
        name = folder.move_to_trash(staged.name, A, worth=Worth.UNSEEN)
        folder.sync_names()
        (root / ".gsync" / "trash" / "not-one-of-ours").mkdir()
        now = 30 * 24 * 3600.0
        assert folder.expire_trash() == []
        now += 1
        assert folder.expire_trash() == [name.split("/")[2]]
        assert not (root / name).exists()
        assert (root / ".gsync" / "trash" / "not-one-of-ours").exists()


def test_the_floor_is_counted_from_the_free_space(folder: DiskFolder, root: Path) -> None:
    disk = os.statvfs(root)
    floor = floor_bytes(disk.f_blocks * disk.f_frsize)
    slack = 1 << 30  # others write to this disk too
    folder.require_space(max(0, disk.f_bavail * disk.f_frsize - floor - slack))
    with pytest.raises(NoSpace):
        folder.require_space(disk.f_bavail * disk.f_frsize - floor + slack)


def test_large_files_are_written_whole(folder: DiskFolder) -> None:
    staged = folder.stage()
    piece = os.urandom(1 << 20)
    for _ in range(18):
        staged.write(piece)
    assert staged.size == 18 << 20
    assert staged.fingerprint().size == 18 << 20
    staged.close()


def test_a_closed_folder_leaves_no_descriptor_open(root: Path) -> None:
    before = descriptors()
    folder = DiskFolder(root)
    staged = folder.stage()
    staged.close()
    folder.move_to_trash(staged.name, A, worth=Worth.UNSEEN)
    list(folder.listing())
    folder.close()
    assert descriptors() == before


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from gsync.core.names import RelPath
from gsync.errors import StorageError
from gsync.storage.disk import DiskFolder
os.chdir(sys.argv[1])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with DiskFolder(Path(".")) as folder:
    try:
        folder.open(RelPath.parse("secret"))
    except StorageError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.root
@pytest.mark.slow
def test_a_file_that_may_not_be_read_is_an_error_of_that_file_alone(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to become somebody who may not read")
    root = tmp_path / "folder"
    root.mkdir()
    (root / "secret").write_text("x")
    (root / "secret").chmod(0o600)
    os.chown(root, 65534, 65534)
    run = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, root], check=False, capture_output=True, text=True, cwd=Path.cwd()
    )
    assert run.stdout.strip() == "StorageError secret: Permission denied", run.stderr


def test_disk_errors_are_never_bare(folder: DiskFolder, root: Path) -> None:
    os.close(folder._own.staging_fd)
    try:
        with pytest.raises(StorageError):
            folder.stage()
        with pytest.raises(StorageError):
            folder.staged_names()
    finally:
        replacement = os.open(root / ".gsync" / "staging", os.O_RDONLY)
        assert replacement == folder._own.staging_fd


def test_what_cannot_be_read_is_left_alone_and_nothing_takes_its_place(root: Path, folder: DiskFolder) -> None:
    root.chmod(0o755)
    (root / "a").write_bytes(b"for nobody's eyes")
    (root / "a").chmod(0)
    (root / "b").write_bytes(b"for everybody")
    with unprivileged():
        found = {one.path: one for one in folder.listing() if isinstance(one, Found)}
        [skipped] = [one for one in folder.listing() if isinstance(one, Skipped)]
        assert (set(found), skipped) == ({"b"}, Skipped(name="a", reason="not readable by this user", hides=A))
        for refuse in (folder.fingerprint, folder.look, folder.take_out):
            with pytest.raises(PathRefused, match="not readable"):
                refuse(A)
        assert folder.fingerprint(RelPath.parse("b")) == found[RelPath.parse("b")].fingerprint
        assert folder.fingerprint(RelPath.parse("nothing")) is None


@pytest.mark.parametrize("mode", [0o000, 0o111, 0o444])
def test_a_directory_that_cannot_be_read_or_entered_hides_what_is_in_it(
    root: Path, folder: DiskFolder, mode: int
) -> None:
    root.chmod(0o755)
    (root / "a" / "sub").mkdir(parents=True)
    (root / "a" / "file").write_bytes(b"x")
    (root / "a").chmod(mode)
    reason = "not readable by this user"
    inside = [RelPath.parse("a/file"), RelPath.parse("a/sub")]
    hidden = inside if mode == 0o444 else [A]
    name = folder.stage_link("target")
    with unprivileged():
        found = list(folder.listing())
        alone = list(folder.listing(beneath=inside[0]))
        with pytest.raises(StorageError, match="a/new: Permission denied"):
            folder.put_new(name, RelPath.parse("a/new"))
    (root / "a").chmod(0o755)
    assert sorted(one.name for one in found if isinstance(one, Skipped)) == hidden
    assert {one.hides for one in found if isinstance(one, Skipped)} == set(hidden)
    assert {one.reason for one in found if isinstance(one, Skipped)} == {reason}
    assert alone == [Skipped(name="a/file", reason=reason, hides=inside[0])]
