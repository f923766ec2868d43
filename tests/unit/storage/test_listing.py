"""Listing again and again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.storage.filesystem import Found
from gsync.storage.listing import Lister


@pytest.fixture
def lister(tmp_path: Path) -> Iterator[Lister]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield Lister(fd)
    os.close(fd)


def found(lister: Lister) -> dict[str, Found]:
    return {seen.path: seen for seen in lister.listing() if isinstance(seen, Found)}


def test_an_unchanged_file_is_the_same_value_again(lister: Lister, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("x")
    first = found(lister)
    (tmp_path / "b").chmod(0o600)
    second = found(lister)
    assert second["a"] is first["a"]
    assert second["b"].fingerprint.mode == 0o600


def test_what_is_gone_is_not_remembered(lister: Lister, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    found(lister)
    (tmp_path / "a").unlink()
    assert found(lister) == {}


def test_two_listings_at_once_do_not_disturb_each_other(lister: Lister, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"f{number}").write_text("x")
    one, other = lister.listing(), lister.listing()
    seen = [(next(one), next(other)) for _ in range(20)]
    assert len({first.path for first, _ in seen if isinstance(first, Found)}) == 20
    assert len({second.path for _, second in seen if isinstance(second, Found)}) == 20


def test_a_listing_that_is_given_up_leaves_no_descriptor_open(lister: Lister, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"f{number}").write_text("x")
    before = len(os.listdir("/proc/self/fd"))
    listing = lister.listing()
    next(listing)
    listing.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_vanishes_meanwhile_is_left_out(lister: Lister, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("x")
    listing = lister.listing()
    first = next(listing)
    assert isinstance(first, Found)
    for name in {"a", "b", "c"} - {first.path}:
        (tmp_path / name).unlink()
    assert list(listing) == []
