"""What every `Folder` does, the real one and the one in memory: with files at its top, in staging, and in the trash."""

from __future__ import annotations

import pytest

from gsync.core.names import RelPath
from gsync.errors import FileVanished, FolderUnusable, NoSpace, PathRefused, StorageError
from gsync.storage.filesystem import Found, Skipped, Worth
from tests.contract.places import Place, staged, whole

MTIME_NS = 1_500_000_000 * 10**9 + 7
A = RelPath.parse("a.txt")
B = RelPath.parse("b.txt")


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


def test_the_listing_says_why_it_skips(place: Place) -> None:
    place.make_fifo("odd")
    assert list(place.folder.listing()) == [Skipped(name="odd", reason="a FIFO")]


def test_what_is_odd_is_not_touched(place: Place) -> None:
    place.make_fifo(A)
    for refuse in (place.folder.look, place.folder.fingerprint, place.folder.open, place.folder.take_out):
        with pytest.raises(PathRefused, match="a FIFO"):
            refuse(A)
    with pytest.raises(PathRefused, match="a FIFO"):
        place.folder.move(A, B)


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


def test_a_file_never_tells_of_a_hole_where_data_is(place: Place) -> None:
    content = b"x" + bytes(300_000) + b"y" * 5000 + bytes(200_000)
    place.save("a.txt", content)
    staged = place.folder.stage()
    for start in range(0, len(content), 50_000):
        staged.write(content[start : start + 50_000])
    with place.folder.open(A) as file:
        for one in (file, staged):
            for offset in range(0, len(content), 999):
                data = one.data_at(offset)
                assert offset <= data <= len(content)
                assert not content[offset:data].strip(b"\0")
    staged.close()


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


@pytest.mark.parametrize("content", [b"", b"content"])
@pytest.mark.parametrize("mode", [0o644, 0o666, 0o777, 0o400])  # some of them with bits that the umask takes away
def test_a_small_content_is_staged_whole_with_its_mtime_and_mode(place: Place, content: bytes, mode: int) -> None:
    one, shown = place.folder.stage_content(content, mtime_ns=MTIME_NS, mode=mode)
    assert (shown.size, shown.mtime_ns, shown.mode) == (len(content), MTIME_NS, mode)
    assert shown == one.fingerprint()
    assert one.size == len(content)
    assert place.folder.sync([one]) == []
    one.close()
    assert place.folder.put_new(one.name, A)
    assert place.content(A) == content


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


@pytest.mark.parametrize("obstacle", ["file", "link", "directory", "fifo"])
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


def test_an_exchange_that_brings_out_something_odd_can_be_undone(place: Place) -> None:
    place.make_fifo(A)
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
    assert place.folder.new_executable_mode & ~0o755 == 0
    assert place.folder.new_executable_mode & 0o666 == place.folder.new_file_mode & 0o666


def test_a_staged_file_is_written_and_read_anywhere(place: Place) -> None:
    one = place.folder.stage()
    one.write_at(4, b"efgh")
    assert one.size == 8
    one.write_at(0, memoryview(b"abcd"))
    one.write(b"ij")
    assert one.read_at(0, 100) == b"abcdefghij"
    assert (one.read_at(8, 1), one.read_at(10, 5)) == (b"i", b"")
    one.truncate(3)
    assert (one.size, one.read_at(0, 100)) == (3, b"abc")
    one.truncate(5)
    assert (one.size, one.read_at(0, 100)) == (5, b"abc\0\0")
    one.close()
    assert whole(place.folder.open_staged(one.name)) == b"abc\0\0"


def test_a_gap_in_a_staged_file_reads_as_zeros(place: Place) -> None:
    one = place.folder.stage()
    one.write_at(3, b"")
    assert one.size == 0
    one.write_at(3, b"x")
    assert one.read_at(0, 9) == b"\0\0\0x"
    one.close()


def test_a_staged_file_can_be_gone_on_with(place: Place) -> None:
    one = place.folder.stage()
    one.write(b"first ")
    one.close()
    again = place.folder.reopen_staged(one.name)
    assert (again.name, again.size, again.inode) == (one.name, 6, again.fingerprint().inode)
    again.write(b"second")
    again.finish(mtime_ns=10**18, mode=0o600)
    assert place.folder.sync([again]) == []
    again.close()
    assert place.folder.put_new(one.name, A)
    assert place.content(A) == b"first second"


def test_only_a_regular_file_in_staging_can_be_gone_on_with(place: Place) -> None:
    with pytest.raises(FileVanished):
        place.folder.reopen_staged("0123456789abcdef")
    with pytest.raises(PathRefused):
        place.folder.reopen_staged(place.folder.stage_link("target"))


def test_closing_twice_is_harmless(place: Place) -> None:
    place.folder.close()
    place.folder.close()


def test_an_error_of_the_disk_names_the_file(place: Place) -> None:
    with pytest.raises(StorageError, match=r"a\.txt"):
        place.folder.open(A)
