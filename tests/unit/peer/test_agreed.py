"""What is claimed to be agreed: all of it, or nothing; and it stays what it was."""

from __future__ import annotations

import pytest

from gsync.core.marks import record_mark
from gsync.core.model import FileMeta, Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.records import record_of
from gsync.core.versions import Version
from gsync.peer import trees as trees_module
from gsync.peer.trees import Trees
from tests.unit.peer.world import meta, path, v

ONE, LINK, DIRECTORY, GONE = path("one"), path("link"), path("directory"), path("gone")


def of_kind(kind: Kind) -> FileMeta:
    shown = meta()
    return FileMeta(fingerprint=type(shown.fingerprint)(**{**fields(shown), "kind": kind}), version=v(5, a=1))


def fields(shown: FileMeta) -> dict[str, object]:
    return {name: getattr(shown.fingerprint, name) for name in shown.fingerprint.__struct_fields__}


def trees(
    synced: dict[RelPath, Version] | None = None, *, tells_edits: bool = True, digest: str = "b3:" + "0" * 64
) -> Trees:
    one = FileMeta(fingerprint=meta().fingerprint, version=v(5, a=2), digest=digest)
    local = {ONE: one, DIRECTORY: of_kind(Kind.DIRECTORY)}
    synced = {ONE: one.version} if synced is None else synced
    return Trees(local, synced, {GONE: Tombstone(version=v(5, a=3))}, tells_edits=tells_edits)


def test_it_is_all_records_and_their_marks() -> None:
    standing = trees()
    agreed = standing.agreed()
    assert agreed is not None
    marks = agreed.marks()
    records = list(standing.records())
    assert marks is not None
    assert (marks.count, len(records)) == (3, 3)
    assert list(agreed.records()) == records
    total = 0
    for one in records:
        total ^= record_mark(one)
    assert marks.total == total


def test_what_changes_later_does_not_change_it() -> None:
    standing = trees()
    agreed = standing.agreed()
    assert agreed is not None
    before = list(agreed.records())
    other = FileMeta(fingerprint=meta().fingerprint, version=v(6, a=4), digest="b3:" + "1" * 64)
    standing.note_local({ONE: other, GONE: other, path("new"): other})
    assert list(agreed.records()) == before
    assert agreed.changed(standing.entry) == [ONE, GONE]
    standing.note_local({}, gone=[DIRECTORY])
    assert record_of(DIRECTORY, of_kind(Kind.DIRECTORY)) in before
    assert agreed.changed(standing.entry) == [ONE, DIRECTORY, GONE]


@pytest.mark.parametrize(
    "standing",
    [
        trees({ONE: v(5, a=1)}),
        trees({path("other"): v(5, a=2)}),
        trees(digest=""),
        trees(tells_edits=False),
    ],
    ids=["another version", "never agreed", "not read yet", "a deletion of one who keeps its own to itself"],
)
def test_where_one_of_them_was_not_agreed_nothing_is_claimed(standing: Trees) -> None:
    agreed = standing.agreed()
    assert agreed is not None
    assert agreed.marks() is None


def test_nothing_is_claimed_where_nothing_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trees({}).agreed() is None
    on_demand = trees()
    on_demand.on_demand = True
    assert on_demand.agreed() is None
    monkeypatch.setattr(trees_module, "AGREED_MAX", 2)
    assert trees().agreed() is None
