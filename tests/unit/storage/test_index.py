"""The index: what it remembers, and that no damage to it does harm."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gsync.core.actions import Displaced
from gsync.core.model import FileMeta, Fingerprint, Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import FolderUnusable, IndexDamaged, StorageError
from gsync.storage.index import FILE, Fate, Index
from gsync.storage.journal import JournalRow, RowState

A = RelPath.parse("a")
B = RelPath.parse("b")
C = RelPath.parse("c/d")
ROOT = "00ff"
META = FileMeta(
    fingerprint=Fingerprint(size=5, mtime_ns=-1, ctime_ns=2**70, inode=2**64 - 1, mode=0o644),
    version=Version.from_vector({"0123456789abcdef": 3, "mtime": 1000}),
    digest="b3:" + "0" * 64,
    author="0123456789abcdef",
    moved_from=RelPath.parse("old/place"),
)
GRAVE = Tombstone(version=META.version, kind=Kind.DIRECTORY, digest=META.digest, author="77", leftover_inode=2**64 - 1)
PLAIN = FileMeta(fingerprint=META.fingerprint, version=Version.from_mtime(7))
ROW = JournalRow(
    name="0011223344556677",
    path=A,
    state=RowState.STAGED,
    entry=META,
    expected=META.fingerprint,
    displaced=Displaced.CONFLICT_COPY,
    loser=PLAIN,
)

CLASSIC = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entry (path TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE synced (path TEXT PRIMARY KEY, version TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE journal (name TEXT PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('schema', '1'), ('author', '0123456789abcdef'), ('root', '00ff');
INSERT INTO entry VALUES ('a', '5 1 2 3 420', '{"mtime":7}', '');
"""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index.open(tmp_path, root_id=ROOT)
    yield index
    index.close()


def reopened(index: Index, directory: Path, *, root_id: str = ROOT) -> Index:
    index.close()
    return Index.open(directory, root_id=root_id)


def test_a_new_index_is_empty_and_has_an_author(index: Index) -> None:
    contents = index.load()
    assert (contents.local, contents.buried, contents.synced) == ({}, {}, {})
    assert index.fate is Fate.NEW
    assert len(bytes.fromhex(contents.author)) == 8
    assert contents.author == index.author


def test_what_was_recorded_is_there_after_a_restart(index: Index, tmp_path: Path) -> None:
    index.record(entries={A: META, B: PLAIN, C: GRAVE}, synced={A: META.version}, journal=[ROW])
    again = reopened(index, tmp_path)
    assert again.fate is Fate.FOUND
    assert again.author == index.author
    for _ in range(2):
        contents = again.load()
        assert contents.local == {A: META, B: PLAIN}
        assert contents.buried == {C: GRAVE}
        assert contents.synced == {A: META.version}
    assert again.journal() == [ROW]
    again.close()


def test_none_removes_a_path(index: Index) -> None:
    index.record(entries={A: META, B: META}, synced={A: META.version, B: META.version})
    index.record(entries={A: None}, synced={B: None})
    contents = index.load()
    assert set(contents.local) == {B}
    assert set(contents.synced) == {A}


def test_a_path_is_buried_or_stands_but_never_both(index: Index) -> None:
    index.record(entries={A: META, B: GRAVE})
    index.record(entries={A: GRAVE, B: META})
    assert (index.load().local, index.load().buried) == ({B: META}, {A: GRAVE})
    index.record(entries={A: None, B: None})
    assert (index.load().local, index.load().buried) == ({}, {})


def test_history_begins_with_the_first_whole_scan_and_outlives_a_restart(index: Index, tmp_path: Path) -> None:
    index.record(entries={A: META})
    assert not index.has_history
    again = reopened(index, tmp_path)
    assert not again.has_history
    again.record(scanned=True)
    assert again.has_history
    again.record(entries={B: META})
    assert again.has_history
    third = reopened(again, tmp_path)
    assert third.has_history
    copy = reopened(third, tmp_path, root_id="another")
    assert not copy.has_history
    copy.close()


def test_a_scan_that_cannot_be_recorded_does_not_begin_the_history(index: Index) -> None:
    with pytest.raises(StorageError):
        index.record(
            entries={A: FileMeta(fingerprint=META.fingerprint, version=META.version, digest=None)}, scanned=True
        )  # type: ignore[arg-type]
    assert not index.has_history


def test_journal_rows_are_replaced_by_name_and_forgotten_by_name(index: Index) -> None:
    other = JournalRow(name="other", path=B, state=RowState.REMOVING, entry=GRAVE)
    index.record(journal=[ROW, other])
    index.record(journal=[other], forget=[ROW.name, "never heard of"])
    assert index.journal() == [other]


def test_rows_that_are_not_forgotten_stay_when_all_that_one_knew_of_go(index: Index, tmp_path: Path) -> None:
    other = JournalRow(name="other", path=B, state=RowState.REMOVING, entry=GRAVE)
    index.record(journal=[other])
    later = reopened(index, tmp_path)
    later.record(journal=[ROW])
    later.record(forget=[ROW.name])
    assert later.journal() == [other]
    later.record(forget=[other.name])
    assert later.journal() == []


def test_after_an_error_rows_go_by_their_names_only(index: Index) -> None:
    bad = replace(ROW, entry=replace(META, digest=None))
    other = JournalRow(name="other", path=B, state=RowState.REMOVING, entry=GRAVE)
    index.record(journal=[ROW, other])
    with pytest.raises(StorageError):
        index.record(entries={A: bad.entry}, forget=[ROW.name, other.name])
    index.record(forget=[ROW.name])
    assert index.journal() == [other]


def test_a_transaction_that_fails_leaves_nothing_behind(index: Index) -> None:
    bad = FileMeta(fingerprint=META.fingerprint, version=META.version, digest=None)  # type: ignore[arg-type]
    with pytest.raises(StorageError):
        index.record(entries={A: META, B: bad}, synced={A: META.version})
    assert index.load().local == {}
    index.record(entries={A: META})
    assert index.load().local == {A: META}


def test_the_index_can_be_opened_through_the_descriptor_of_its_directory(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    fd = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
    inside.rename(tmp_path / "moved")
    index = Index.open(fd, root_id=ROOT)
    index.record(entries={A: META})
    index.close()
    os.close(fd)
    assert (tmp_path / "moved" / FILE).exists()


@pytest.mark.parametrize("name", [FILE, FILE + "-wal", FILE + "-shm", FILE + "-journal"])
def test_a_planted_link_is_refused(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / name).symlink_to(elsewhere)
    with pytest.raises(FolderUnusable):
        Index.open(tmp_path, root_id=ROOT)
    assert not elsewhere.exists()


def test_a_copied_folder_keeps_its_entries_under_another_author_and_forgets_the_journal(
    index: Index, tmp_path: Path
) -> None:
    index.record(entries={A: META, C: GRAVE}, synced={A: META.version}, journal=[ROW])
    copy = reopened(index, tmp_path, root_id="another")
    assert copy.fate is Fate.COPIED
    assert copy.author != index.author
    assert copy.load().local == {A: META}
    assert copy.load().synced == {A: META.version}
    assert copy.load().buried == {C: replace(GRAVE, leftover_inode=0)}, "that inode is another directory's here"
    assert copy.journal() == []
    again = reopened(copy, tmp_path, root_id="another")
    assert (again.fate, again.author) == (Fate.FOUND, copy.author)
    again.close()


def test_a_damaged_index_is_set_aside_and_made_anew(index: Index, tmp_path: Path) -> None:
    index.record(entries={A: META})
    index.close()
    (tmp_path / FILE).write_bytes(b"this is not a database" * 100)
    again = Index.open(tmp_path, root_id=ROOT, wall_clock=lambda: 0.0)
    assert again.fate is Fate.DAMAGED
    assert again.author != index.author
    assert again.load().local == {}
    assert (tmp_path / (FILE + ".damaged-19700101T000000Z")).exists()
    again.record(entries={A: META})
    again.close()


def test_an_index_of_another_kind_is_left_alone_and_a_person_is_told(index: Index, tmp_path: Path) -> None:
    index.close()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("UPDATE meta SET value = '3' WHERE key = 'schema'")
    database.close()
    with pytest.raises(FolderUnusable):
        Index.open(tmp_path, root_id=ROOT)


def test_an_index_of_the_classic_system_is_set_aside_and_versions_start_anew(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as database:
        database.executescript(CLASSIC)
    database.close()
    index = Index.open(tmp_path, root_id=ROOT, wall_clock=lambda: 0.0)
    assert index.fate is Fate.OLD
    assert index.author != "0123456789abcdef"
    assert (index.load().local, index.load().synced, index.has_history) == ({}, {}, False)
    assert (tmp_path / (FILE + ".old-19700101T000000Z")).exists()
    again = reopened(index, tmp_path)
    assert again.fate is Fate.FOUND
    again.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET path = '../../etc/passwd'",
        "UPDATE entry SET fingerprint = '1 2 3'",
        "UPDATE entry SET fingerprint = 'a b c d e'",
        "UPDATE entry SET version = '[]'",
        "UPDATE entry SET version = '[\"soon\",[]]'",
        "UPDATE entry SET kind = 'device'",
        "UPDATE entry SET fingerprint = '', leftover = 'some'",
        "UPDATE entry SET moved_from = '/etc/passwd'",
        "UPDATE entry SET version = 'no JSON'",
        "UPDATE synced SET path = '.gsync/index.sqlite'",
        "UPDATE synced SET version = '7'",
        "UPDATE journal SET name = '../lock'",
        "UPDATE journal SET state = 'whatever'",
        "UPDATE journal SET loser = '[1]'",
        """UPDATE journal SET loser = '["a","file","","[1,[]]","","","","",""]'""",
        "UPDATE journal SET entry = '{}'",
        "UPDATE journal SET expected = 'file'",
        "DROP TABLE entry",
        "DROP TABLE meta",
        "DELETE FROM meta",
    ],
)
def test_an_index_that_nobody_of_ours_wrote_counts_as_damaged(index: Index, tmp_path: Path, statement: str) -> None:
    index.record(entries={A: META}, synced={A: META.version}, journal=[ROW])
    index.close()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute(statement)
    database.close()
    again = Index.open(tmp_path, root_id=ROOT)
    assert again.fate is Fate.DAMAGED
    assert again.load().local == {}
    again.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an index of some hundred entries, all of it in this file."""
    directory = tmp_path_factory.mktemp("filled")
    index = Index.open(directory, root_id=ROOT)
    index.record(entries={RelPath.parse(f"file {n}"): META for n in range(300)})
    index.close()
    return directory / FILE


def usable(directory: Path) -> Index:
    """The index in `directory`, which must come up whatever is in its file, and remember again."""
    index = Index.open(directory, root_id=ROOT)
    index.record(entries={A: META})
    assert index.load().local[A] == META
    return index


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(share=0.99999)
@given(share=st.floats(0, 1))
def test_an_index_cut_at_any_place_comes_up_again(
    tmp_path_factory: pytest.TempPathFactory, filled: Path, share: float
) -> None:
    directory, whole = tmp_path_factory.mktemp("cut"), filled.read_bytes()
    size = int(len(whole) * share)
    (directory / FILE).write_bytes(whole[:size])
    index = usable(directory)
    assert (index.fate is Fate.FOUND) == (size == len(whole))
    index.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(share=0.5, value=128)
@example(share=0.046875, value=128)
@example(share=0.00021768807034542936, value=3)  # a format version that SQLite reads but does not write
@given(share=st.floats(0, 0.999), value=st.integers(0, 255))
def test_an_index_with_a_flipped_byte_comes_up_again(
    tmp_path_factory: pytest.TempPathFactory, filled: Path, share: float, value: int
) -> None:
    directory, whole = tmp_path_factory.mktemp("flipped"), filled.read_bytes()
    at = int(len(whole) * share)
    (directory / FILE).write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
    try:
        usable(directory).close()
    except FolderUnusable as told:  # the byte of the schema's number
        assert "schema" in str(told)  # noqa: PT017


@pytest.mark.parametrize("cut", [0, 1, 31, 32, 33, 4000, 8000])
def test_a_write_ahead_log_cut_at_any_place_loses_no_more_than_its_end(tmp_path: Path, cut: int) -> None:
    directory, copy = tmp_path / "a", tmp_path / "b"
    directory.mkdir()
    copy.mkdir()
    index = Index.open(directory, root_id=ROOT)
    index.record(entries={A: META})
    (copy / FILE).write_bytes((directory / FILE).read_bytes())
    (copy / (FILE + "-wal")).write_bytes((directory / (FILE + "-wal")).read_bytes()[:cut])
    index.close()
    usable(copy).close()


def test_damage_that_shows_later_says_so(index: Index, tmp_path: Path) -> None:
    index._database.execute("DROP TABLE synced")
    with pytest.raises(IndexDamaged):
        index.record(synced={A: META.version})
