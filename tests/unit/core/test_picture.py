"""What a plan asks of the trees across paths."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gsync.core.model import FileMeta, Fingerprint, Offer, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.picture import Seen, stands_alone
from gsync.core.records import record_of
from gsync.core.versions import Version

A, B = RelPath.parse("a"), RelPath.parse("b")
META = FileMeta(
    fingerprint=Fingerprint(size=1, mtime_ns=1, ctime_ns=1, inode=1, mode=0o644), version=Version(1), digest="b3:00"
)
MOVED = replace(META, moved_from=B)
GRAVE = Tombstone(version=Version(1))


def offered(record: Record) -> Offer:
    return Offer(version=record.version, sources=(), record=record)


@pytest.mark.parametrize(
    ("seen", "alone"),
    [
        pytest.param((None, None, None, None), True, id="nothing at all"),
        pytest.param((META, None, None, META.version), True, id="a file"),
        pytest.param((None, None, offered(record_of(A, META)), None), True, id="an offered file"),
        pytest.param((None, None, Offer(version=Version(1), sources=()), None), True, id="a classic offer"),
        pytest.param((MOVED, None, None, None), False, id="a file that was renamed here"),
        pytest.param((None, None, offered(record_of(A, MOVED)), None), False, id="a file that was renamed elsewhere"),
        pytest.param((META, None, offered(record_of(A, GRAVE)), None), False, id="a deletion elsewhere"),
        pytest.param((None, GRAVE, offered(record_of(A, META)), None), False, id="a deletion here"),
    ],
)
def test_only_what_no_rename_and_no_deletion_ties_to_other_paths_stands_alone(seen: Seen, alone: bool) -> None:
    assert stands_alone(seen) is alone
