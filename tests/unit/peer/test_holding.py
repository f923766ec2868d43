"""Which deletions wait for a person."""

from __future__ import annotations

import pytest

from gsync.core.deletions import HOLD_MIN
from gsync.core.model import FileMeta, Fingerprint, Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.peer.holding import WINDOW_S, Holding


def names(count: int, start: int = 0) -> list[RelPath]:
    return [RelPath(f"f{number}") for number in range(start, start + count)]


def local(paths: list[RelPath], kind: Kind = Kind.FILE) -> dict[RelPath, FileMeta]:
    seen = Fingerprint(size=1, mtime_ns=1, ctime_ns=1, inode=1, mode=0o644, kind=kind)
    return {path: FileMeta(fingerprint=seen, version=Version.from_mtime(1)) for path in paths}


def gone(paths: list[RelPath], kind: Kind = Kind.FILE) -> dict[RelPath, Tombstone]:
    return {path: Tombstone(version=Version.from_mtime(1), kind=kind) for path in paths}


@pytest.mark.parametrize(
    ("known", "count", "share", "is_held"),
    [
        (HOLD_MIN, HOLD_MIN, 0.25, False),
        (HOLD_MIN + 1, HOLD_MIN + 1, 0.25, True),
        (1000, 250, 0.25, False),
        (1000, 251, 0.25, True),
        (1000, 251, 0.5, False),
        (1000, 501, 0.5, True),
    ],
)
def test_more_than_a_share_of_all_files_is_held(known: int, count: int, share: float, is_held: bool) -> None:
    holding = Holding(share)
    held = holding.sift(gone(names(count)), local(names(known)), now=0)
    assert held == holding.held == (set(names(count)) if is_held else set())


def test_directories_are_not_counted() -> None:
    holding = Holding()
    assert not holding.sift(gone(names(500), Kind.DIRECTORY), local(names(500), Kind.DIRECTORY), now=0)
    files, directories = gone(names(101)), gone(names(10, start=1000), Kind.DIRECTORY)
    assert len(holding.sift(files | directories, local(names(101)), now=0)) == 111


def test_what_is_held_stays_held() -> None:
    holding = Holding()
    everything = local(names(101))
    holding.sift(gone(names(101)), everything, now=0)
    assert holding.sift(gone(names(1)), everything, now=99) == set(names(1))
    assert len(holding.held) == 101


@pytest.mark.parametrize(("later_s", "held"), [(WINDOW_S - 0.1, 60), (WINDOW_S, 0)])
def test_what_went_lately_is_counted_with_it(later_s: float, held: int) -> None:
    holding = Holding()
    holding.sift(gone(names(60)), local(names(200)), now=0)
    assert len(holding.sift(gone(names(60, start=60)), local(names(140, start=60)), now=later_s)) == held


def test_what_is_back_is_held_no_longer() -> None:
    holding = Holding()
    holding.sift(gone(names(101)), local(names(101)), now=0)
    holding.back(frozenset(names(100)))
    assert holding.held == set(names(1, start=100))


def test_what_is_released_goes_once() -> None:
    holding = Holding()
    everything = local(names(101))
    holding.sift(gone(names(101)), everything, now=0)
    assert holding.release() == set(names(101))
    assert holding.sift(gone(names(101)), everything, now=1) == set()
    assert len(holding.sift(gone(names(101)), everything, now=2)) == 101
