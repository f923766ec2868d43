"""What every `Folder` does, the real one and the one in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from gsync.core.names import RelPath
from gsync.errors import FileVanished, FolderUnusable, NoSpace, PathRefused, StorageError
from gsync.storage.disk import DiskFolder
from gsync.storage.filesystem import Folder, Found, OpenFile, Skipped, Staged, Worth
from gsync.storage.memory import MemoryFolder

A = RelPath.parse("a.txt")
B = RelPath.parse("b.txt")


class Place(Protocol):
    """A folder, and a person who works in it."""

    folder: Folder

    def save(self, name: str, content: bytes) -> None: ...

    def write_into(self, name: str, content: bytes) -> None: ...

    def write_into_in_secret(self, name: str, content: bytes) -> None: ...

    def make_link(self, name: str) -> None: ...

    def make_directory(self, name: str) -> None: ...

    def open_for_writing(self, name: str) -> None: ...

    def close_all(self) -> None: ...

    def content(self, name: str) -> bytes | None: ...

    def lose_root(self) -> None: ...


class DiskPlace:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = DiskFolder(path)
        self._open: list[int] = []

    def save(self, name: str, content: bytes) -> None:
        aside = self.path.parent / "aside"
        aside.write_bytes(content)
        aside.replace(self.path / name)

    def write_into(self, name: str, content: bytes) -> None:
        (self.path / name).write_bytes(content)

    def write_into_in_secret(self, name: str, content: bytes) -> None:
        path = self.path / name
        before = path.stat()
        path.write_bytes(content)
        while path.stat().st_mtime_ns != before.st_mtime_ns or path.stat().st_ctime_ns == before.st_ctime_ns:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # again, until the disk's clock has ticked

    def make_link(self, name: str) -> None:
        (self.path / name).symlink_to("/etc/hostname")

    def make_directory(self, name: str) -> None:
        (self.path / name).mkdir()

    def open_for_writing(self, name: str) -> None:
        self._open.append(os.open(self.path / name, os.O_RDWR))

    def close_all(self) -> None:
        while self._open:
            os.close(self._open.pop())

    def content(self, name: str) -> bytes | None:
        path = self.path / name
        return path.read_bytes() if path.exists() else None

    def lose_root(self) -> None:
        self.path.rename(self.path.with_name("elsewhere"))

    def end(self) -> None:
        self.close_all()
        self.folder.close()


class MemoryPlace:
    def __init__(self) -> None:
        self.folder = MemoryFolder()

    def save(self, name: str, content: bytes) -> None:
        self.folder.put(name, content)

    def write_into(self, name: str, content: bytes) -> None:
        self.folder.edit(name, content)

    def write_into_in_secret(self, name: str, content: bytes) -> None:
        self.folder.edit(name, content, mtime_ns=self.folder.disk.names[name].mtime_ns)

    def make_link(self, name: str) -> None:
        self.folder.obstruct(name, "a link")

    def make_directory(self, name: str) -> None:
        self.folder.obstruct(name, "a subfolder: not synced yet")

    def open_for_writing(self, name: str) -> None:
        self.folder.hold_open(name)

    def close_all(self) -> None:
        for node in self.folder.disk.names.values():
            node.writers = 0

    def content(self, name: str) -> bytes | None:
        return self.folder.contents().get(name)

    def lose_root(self) -> None:
        self.folder.root_stands = False


@pytest.fixture(params=["disk", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "memory":
        yield MemoryPlace()
        return
    disk = DiskPlace(tmp_path / "folder")
    yield disk
    disk.end()


def staged(folder: Folder, content: bytes, *, mtime_s: int = 1_600_000_000, mode: int = 0o640) -> Staged:
    one = folder.stage()
    one.write(content)
    one.finish(mtime_ns=mtime_s * 10**9, mode=mode)
    return one


def whole(file: OpenFile) -> bytes:
    with file:
        return file.read_at(0, 1 << 20)


def test_a_new_folder_shows_nothing(place: Place) -> None:
    assert list(place.folder.listing()) == []


def test_the_listing_shows_regular_files_with_their_fingerprint(place: Place) -> None:
    place.save(A, b"content")
    (found,) = place.folder.listing()
    assert found == Found(path=A, fingerprint=place.folder.fingerprint(A) or pytest.fail("nothing there"))
    assert found.fingerprint.size == 7


def test_a_second_listing_sees_what_changed_since_the_first(place: Place) -> None:
    place.save(A, b"one")
    list(place.folder.listing())
    place.save(A, b"other")
    place.save(B, b"new")
    sizes = {found.path: found.fingerprint.size for found in place.folder.listing() if isinstance(found, Found)}
    assert sizes == {A: 5, B: 3}


@pytest.mark.parametrize(("what", "reason"), [("link", "a link"), ("directory", "a subfolder: not synced yet")])
def test_the_listing_says_why_it_skips(place: Place, what: str, reason: str) -> None:
    getattr(place, f"make_{what}")("odd")
    assert list(place.folder.listing()) == [Skipped(name="odd", reason=reason)]


@pytest.mark.parametrize("what", ["link", "directory"])
def test_nothing_but_regular_files_is_touched(place: Place, what: str) -> None:
    getattr(place, f"make_{what}")(A)
    with pytest.raises(PathRefused):
        place.folder.fingerprint(A)
    with pytest.raises(PathRefused):
        place.folder.open(A)


def test_a_free_name_has_no_fingerprint_and_cannot_be_opened(place: Place) -> None:
    assert place.folder.fingerprint(A) is None
    with pytest.raises(FileVanished):
        place.folder.open(A)


def test_an_open_file_reads_anywhere_and_nothing_past_its_end(place: Place) -> None:
    place.save(A, b"0123456789")
    with place.folder.open(A) as file:
        assert file.read_at(2, 3) == b"234"
        assert file.read_at(8, 100) == b"89"
        assert file.read_at(10, 1) == b""
        assert file.fingerprint.size == 10


def test_an_open_file_notices_that_it_was_written_into(place: Place) -> None:
    place.save(A, b"before")
    with place.folder.open(A) as file:
        assert not file.changed()
        place.write_into(A, b"after it")
        assert file.changed()


def test_an_open_file_notices_that_it_was_written_into_and_given_its_old_mtime_back(place: Place) -> None:
    place.save(A, b"before")
    with place.folder.open(A) as file:
        place.write_into_in_secret(A, b"after.")
        assert file.changed()


def test_an_open_file_outlives_a_save_that_replaces_it(place: Place) -> None:
    place.save(A, b"before")
    with place.folder.open(A) as file:
        place.save(A, b"after")
        assert file.read_at(0, 100) == b"before"
        assert not file.changed()


def test_a_staged_file_does_not_show_in_the_folder(place: Place) -> None:
    staged(place.folder, b"content").close()
    assert list(place.folder.listing()) == []
    assert len(place.folder.staged_names()) == 1


def test_a_staged_file_knows_its_size_times_and_mode(place: Place) -> None:
    one = place.folder.stage()
    one.write(b"abc")
    one.write(memoryview(b"defg"))
    assert one.size == 7
    one.finish(mtime_ns=1_500_000_000 * 10**9, mode=0o750)
    fingerprint = one.fingerprint()
    assert (fingerprint.size, fingerprint.mtime_ns, fingerprint.mode) == (7, 1_500_000_000 * 10**9, 0o750)
    assert fingerprint.inode == one.inode
    assert place.folder.staged_fingerprint(one.name) == fingerprint
    one.close()
    assert whole(place.folder.open_staged(one.name)) == b"abcdefg"


def test_staged_names_differ(place: Place) -> None:
    staged_files = [place.folder.stage() for _ in range(5)]
    assert len({one.name for one in staged_files}) == 5
    for one in staged_files:
        one.close()


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33])
def test_a_batch_of_any_size_is_made_durable(place: Place, count: int) -> None:
    batch = [staged(place.folder, b"x") for _ in range(count)]
    assert place.folder.sync(batch) == []
    for one in batch:
        one.close()


def test_put_new_takes_a_free_name_and_keeps_mtime_and_inode(place: Place) -> None:
    one = staged(place.folder, b"content")
    before = one.fingerprint()
    one.close()
    assert place.folder.put_new(one.name, A)
    now = place.folder.fingerprint(A)
    assert now is not None
    assert now.same_content_as(before)
    assert place.folder.staged_names() == []
    assert place.content(A) == b"content"


@pytest.mark.parametrize("obstacle", ["file", "link", "directory"])
def test_put_new_never_takes_a_name_that_is_taken(place: Place, obstacle: str) -> None:
    if obstacle == "file":
        place.save(A, b"mine")
    else:
        getattr(place, f"make_{obstacle}")(A)
    one = staged(place.folder, b"other")
    one.close()
    assert not place.folder.put_new(one.name, A)
    assert place.folder.staged_names() == [one.name]
    if obstacle == "file":
        assert place.content(A) == b"mine"


def test_exchange_swaps_and_keeps_what_was_displaced_under_the_staged_name(place: Place) -> None:
    place.save(A, b"old")
    old = place.folder.fingerprint(A)
    one = staged(place.folder, b"newer")
    one.close()
    assert place.folder.exchange(one.name, A)
    assert place.content(A) == b"newer"
    out = place.folder.staged_fingerprint(one.name)
    assert out is not None
    assert old is not None
    assert out.same_content_as(old)
    assert whole(place.folder.open_staged(one.name)) == b"old"


def test_exchange_with_a_free_name_does_nothing(place: Place) -> None:
    one = staged(place.folder, b"new")
    one.close()
    assert not place.folder.exchange(one.name, A)
    assert place.folder.staged_names() == [one.name]
    assert place.content(A) is None


@pytest.mark.parametrize("what", ["link", "directory"])
def test_an_exchange_that_brings_out_something_odd_can_be_undone(place: Place, what: str) -> None:
    getattr(place, f"make_{what}")(A)
    one = staged(place.folder, b"new")
    one.close()
    assert place.folder.exchange(one.name, A)
    with pytest.raises(PathRefused):
        place.folder.staged_fingerprint(one.name)
    assert place.folder.exchange(one.name, A)
    with pytest.raises(PathRefused):
        place.folder.fingerprint(A)
    assert whole(place.folder.open_staged(one.name)) == b"new"


def test_a_staged_name_that_is_gone_says_so(place: Place) -> None:
    assert place.folder.staged_fingerprint("0123456789abcdef") is None
    for call in (place.folder.open_staged, place.folder.has_writer):
        with pytest.raises(FileVanished):
            call("0123456789abcdef")
    with pytest.raises(FileVanished):
        place.folder.move_to_trash("0123456789abcdef", A, worth=Worth.UNSEEN)
    place.folder.unlink_staged("0123456789abcdef")


def test_a_displaced_file_that_is_still_open_for_writing_has_a_writer(place: Place) -> None:
    place.save(A, b"old")
    place.open_for_writing(A)
    one = staged(place.folder, b"new")
    one.close()
    place.folder.exchange(one.name, A)
    assert place.folder.has_writer(one.name) is True
    place.close_all()
    assert place.folder.has_writer(one.name) is False


@pytest.mark.parametrize("worth", list(Worth))
def test_the_trash_keeps_a_file_under_its_path(place: Place, worth: Worth) -> None:
    one = staged(place.folder, b"old")
    one.close()
    name = place.folder.move_to_trash(one.name, A, worth=worth)
    start, trash, box, path = name.split("/")
    assert (start, trash, path) == (".gsync", "trash", A)
    assert box.endswith("-unseen") == (worth is Worth.UNSEEN)
    assert place.content(name) == b"old"
    assert place.folder.staged_names() == []


def test_the_trash_keeps_two_files_of_one_path_apart(place: Place) -> None:
    names = []
    for content in (b"first", b"second"):
        one = staged(place.folder, content)
        one.close()
        names.append(place.folder.move_to_trash(one.name, A, worth=Worth.SUPERSEDED))
    assert [place.content(name) for name in names] == [b"first", b"second"]


def test_what_is_in_the_trash_can_be_looked_at_and_taken_back(place: Place) -> None:
    one = staged(place.folder, b"old")
    before = one.fingerprint()
    one.close()
    name = place.folder.move_to_trash(one.name, A, worth=Worth.SUPERSEDED)
    there = place.folder.trashed_fingerprint(name)
    assert there is not None
    assert there.same_content_as(before)
    back = place.folder.take_back(name)
    assert place.folder.staged_names() == [back]
    assert place.folder.trashed_fingerprint(name) is None
    assert place.folder.trashed_fingerprint(".gsync/trash/19700101T000000Z-00000000/a") is None
    with pytest.raises(FileVanished):
        place.folder.take_back(name)


def test_fresh_trash_is_not_expired(place: Place) -> None:
    one = staged(place.folder, b"old")
    one.close()
    name = place.folder.move_to_trash(one.name, A, worth=Worth.SUPERSEDED)
    place.folder.sync_names()
    assert place.folder.expire_trash() == []
    assert place.content(name) == b"old"


def test_an_unlinked_download_is_gone(place: Place) -> None:
    one = staged(place.folder, b"content")
    one.close()
    place.folder.unlink_staged(one.name)
    assert place.folder.staged_names() == []


def test_more_than_the_disk_holds_is_refused_beforehand(place: Place) -> None:
    place.folder.require_space(1)
    with pytest.raises(NoSpace):
        place.folder.require_space(1 << 60)


def test_a_folder_that_is_gone_is_noticed(place: Place) -> None:
    place.folder.check_root()
    place.lose_root()
    with pytest.raises(FolderUnusable):
        place.folder.check_root()


def test_names_can_be_made_durable_at_any_time(place: Place) -> None:
    place.folder.sync_names()
    one = staged(place.folder, b"x")
    one.close()
    place.folder.put_new(one.name, A)
    place.folder.sync_names()
    assert place.content(A) == b"x"


def test_new_files_are_readable_by_others_unless_the_umask_says_no(place: Place) -> None:
    assert place.folder.new_file_mode & ~0o644 == 0


def test_closing_twice_is_harmless(place: Place) -> None:
    place.folder.close()
    place.folder.close()


def test_an_error_of_the_disk_names_the_file(place: Place) -> None:
    with pytest.raises(StorageError, match=r"a\.txt"):
        place.folder.open(A)
