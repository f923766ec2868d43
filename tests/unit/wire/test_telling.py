"""What a tracker spells from spelled records is read like any other snapshot or delta."""

from __future__ import annotations

from gsync.core.claims import Told
from gsync.core.model import Kind, Record
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.wire.native import Delta, Held, Snapshot, header, parse_from_tracker
from gsync.wire.records import spell_record, wire_record
from gsync.wire.telling import delta_header, snapshot_header


def record(name: str) -> Record:
    return Record(path=RelPath.parse(name), kind=Kind.FILE, version=Version.from_mtime(5))


def told(name: str, *holders: int) -> Told:
    return Told(path=RelPath.parse(name), spelled=spell_record(record(name)), holders=holders)


def held(name: str, *holders: int) -> Held:
    return Held(r=wire_record(record(name)), h=list(holders))


LOST = Told(path=RelPath.parse('lost "ü"'), spelled=b"")


def test_a_snapshot_is_read_as_one() -> None:
    for last in (False, True):
        spelled = snapshot_header(7, [told('a "ü"', 1, 2), told("b")], last=last)
        same = Snapshot(seq=7, held=[held('a "ü"', 1, 2), held("b")], last=last)
        assert parse_from_tracker(spelled) == same
        assert spelled == header(same)


def test_a_delta_is_read_as_one() -> None:
    spelled = delta_header(7, 8, [told("a", 1), LOST, told("b")])
    same = Delta(prev=7, seq=8, held=[held("a", 1), held("b")], lost=['lost "ü"'])
    assert parse_from_tracker(spelled) == same
    assert spelled == header(same)


def test_what_is_empty_is_left_out() -> None:
    assert snapshot_header(0, [], last=True) == b'{"t":"snapshot","seq":0,"held":[],"last":true}'
    assert delta_header(0, 1, [LOST]) == header(Delta(prev=0, seq=1, lost=['lost "ü"']))
