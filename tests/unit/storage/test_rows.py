"""Values of the index as text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.actions import Displaced
from gsync.core.model import Entry, FileMeta, Fingerprint, Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import IndexDamaged
from gsync.storage.journal import JournalRow, RowState
from gsync.storage.rows import Reader, entry_row, journal_row, parse_journal, synced_row, version_text

A = RelPath.parse("a")
B = RelPath.parse("in/here")
prints = st.builds(
    Fingerprint,
    size=st.integers(0, 2**63),
    mtime_ns=st.integers(-(2**70), 2**70),
    ctime_ns=st.integers(-(2**70), 2**70),
    inode=st.integers(0, 2**64 - 1),
    mode=st.integers(0, 0o7777),
    kind=st.sampled_from(Kind),
)
versions = st.builds(
    Version.from_vector, st.dictionaries(st.sampled_from(["mtime", "00ff", "11ee"]), st.integers(0, 2**62))
)
digests = st.sampled_from(["", "b3:" + "0" * 64])
authors = st.sampled_from(["", "00ff", 'a "name" of, somebody else\'s: 7'])
metas = st.builds(
    FileMeta,
    fingerprint=prints,
    version=versions,
    digest=digests,
    target=st.sampled_from(["", "../where ever", "ü"]),
    author=authors,
    moved_from=st.sampled_from([None, B]),
)
tombstones = st.builds(
    Tombstone,
    version=versions,
    kind=st.sampled_from(Kind),
    digest=digests,
    author=authors,
    leftover_inode=st.integers(0, 2**64 - 1),
)
rows = st.builds(
    JournalRow,
    name=st.just("0011"),
    path=st.just(B),
    state=st.sampled_from(RowState),
    entry=metas | tombstones,
    expected=st.none() | prints,
    displaced=st.sampled_from(Displaced),
    loser=st.none() | metas,
)


@given(metas | tombstones)
def test_every_entry_comes_back_as_it_was(entry: Entry) -> None:
    assert Reader().entry(entry_row(A, entry)) == (A, entry)


@given(rows)
def test_every_journal_row_comes_back_as_it_was(row: JournalRow) -> None:
    assert parse_journal(journal_row(row)) == row


@given(versions)
def test_every_version_comes_back_as_it_was(version: Version) -> None:
    assert Reader().synced(synced_row(A, version)) == (A, version)


def test_equal_texts_become_one_value() -> None:
    read = Reader()
    text = version_text(Version.from_vector({"00ff": 3, "mtime": 7}))
    (path, version), (other_path, other_version) = read.synced(("a", text)), read.synced(("a", text))
    assert path is other_path
    assert version is other_version


@pytest.mark.parametrize("text", ['[1,[["b",1],["a",1]]]', '[1,[["a",1],["a",2]]]'])
def test_authors_out_of_order_are_damage_for_equal_versions_must_be_equal_values(text: str) -> None:
    with pytest.raises(IndexDamaged):
        Reader().synced(("a", text))


@pytest.mark.parametrize(
    "text", ["", "[12", "[]", "[12]", '["1",[]]', "[-1,[]]", "12", "[1.5,[]]", '[1,[["a",-1]]]', '[1,[["mtime",2]]]']
)
def test_a_version_that_makes_no_sense_is_damage(text: str) -> None:
    with pytest.raises(IndexDamaged):
        Reader().synced(("a", text))
