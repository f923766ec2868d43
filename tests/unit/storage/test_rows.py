"""Values of the index as text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import IndexDamaged
from gsync.storage.rows import Reader, entry_row, synced_row, version_text

A = RelPath.parse("a")
prints = st.builds(
    Fingerprint,
    size=st.integers(0, 2**63),
    mtime_ns=st.integers(-(2**70), 2**70),
    ctime_ns=st.integers(-(2**70), 2**70),
    inode=st.integers(0, 2**64 - 1),
    mode=st.integers(0, 0o7777),
)
versions = st.builds(
    Version.from_vector, st.dictionaries(st.sampled_from(["mtime", "00ff", "11ee"]), st.integers(0, 2**62))
)
metas = st.builds(FileMeta, fingerprint=prints, version=versions, digest=st.sampled_from(["", "b3:" + "0" * 64]))


@given(metas)
def test_every_entry_comes_back_as_it_was(meta: FileMeta) -> None:
    assert Reader().entry(entry_row(A, meta)) == (A, meta)


@given(versions)
def test_every_version_comes_back_as_it_was(version: Version) -> None:
    assert Reader().synced(synced_row(A, version)) == (A, version)


def test_equal_texts_become_one_value() -> None:
    read = Reader()
    text = version_text(Version.from_vector({"00ff": 3, "mtime": 7}))
    (path, version), (other_path, other_version) = read.synced(("a", text)), read.synced(("a", text))
    assert path is other_path
    assert version is other_version


@pytest.mark.parametrize("text", ["", '{"mtime":12', '{"mtime":}', '{"mtime":"1"}', "12", '{"mtime":1.5}', '{"m":[]}'])
def test_a_version_that_makes_no_sense_is_damage(text: str) -> None:
    with pytest.raises(IndexDamaged):
        Reader().synced(("a", text))
