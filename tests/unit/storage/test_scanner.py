"""One look at the folder, and the files that only reading can judge."""

from __future__ import annotations

import pytest

from gsync.core.blocks import digest_of_bytes
from gsync.core.diff import Seen, diff
from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.storage.filesystem import Skipped
from gsync.storage.memory import MemoryFolder
from gsync.storage.scanner import SETTLED_NS, Scan, scan

A = RelPath.parse("a")
NOW_NS = 1_700_000_100 * 10**9


@pytest.fixture
def folder() -> MemoryFolder:
    return MemoryFolder(wall_clock=lambda: 1_700_000_000.0)


def shown(folder: MemoryFolder) -> Fingerprint:
    fingerprint = folder.fingerprint(A)
    assert fingerprint is not None
    return fingerprint


def known(folder: MemoryFolder, content: bytes = b"") -> dict[RelPath, FileMeta]:
    return {
        A: FileMeta(
            fingerprint=shown(folder),
            version=Version.from_mtime(5),
            digest=digest_of_bytes(content) if content else "",
        )
    }


def prints(found: Scan) -> dict[RelPath, Fingerprint]:
    return {path: one.fingerprint for path, one in found.files.items()}


def seen(found: Scan) -> dict[RelPath, Seen]:
    return {path: Seen(fingerprint=one.fingerprint) for path, one in found.files.items()}


def reads(folder: MemoryFolder) -> list[str]:
    calls: list[str] = []
    folder.on_call = calls.append
    return calls


def test_a_scan_shows_every_file_and_what_was_skipped(folder: MemoryFolder) -> None:
    folder.put("a", b"content")
    folder.obstruct("pipe", "a FIFO")
    found = scan(folder, {}, now_ns=NOW_NS)
    assert prints(found) == {A: shown(folder)}
    assert found.skipped == (Skipped(name="pipe", reason="a FIFO"),)


def test_nothing_is_read(folder: MemoryFolder) -> None:
    folder.put("a", b"content", mtime_ns=77)
    before = known(folder, b"content")
    folder.put("a", b"CONTENT", mtime_ns=77)
    calls = reads(folder)
    assert prints(scan(folder, before, now_ns=NOW_NS)) == {A: shown(folder)}
    assert "open" not in calls


@pytest.mark.parametrize(
    ("age_ns", "unsettled"),
    [(-SETTLED_NS, False), (1 - SETTLED_NS, True), (0, True), (SETTLED_NS - 1, True), (SETTLED_NS, False)],
)
def test_a_file_that_changed_within_the_last_tick_is_looked_at_again(
    folder: MemoryFolder, age_ns: int, unsettled: bool
) -> None:
    folder.put("a", b"content")
    found = scan(folder, {}, now_ns=shown(folder).ctime_ns + age_ns)
    assert (A in found.unsettled) == unsettled
    assert (A in found.files) != unsettled


def test_an_unsettled_file_is_shown_as_it_was_known(folder: MemoryFolder) -> None:
    folder.put("a", b"content")
    before = known(folder)
    folder.edit("a", b"edited")
    found = scan(folder, before, now_ns=shown(folder).ctime_ns)
    assert prints(found) == {A: before[A].fingerprint}
    assert not diff(before, seen(found), author="me", has_history=False).changed


def test_two_edits_within_one_tick_of_the_disk_are_not_taken_for_one(folder: MemoryFolder) -> None:
    folder.put("a", b"1st")
    first = shown(folder)
    early = scan(folder, {}, now_ns=first.ctime_ns + SETTLED_NS - 1)
    node = folder.disk.names["a"]
    node.content, node.mtime_ns, node.ctime_ns = b"2nd", first.mtime_ns, first.ctime_ns
    assert A not in early.files
    assert scan(folder, {}, now_ns=first.ctime_ns + SETTLED_NS).files[A].fingerprint == shown(folder)
