"""Rows of claimed paths: each path has one, and a free one is used again."""

from __future__ import annotations

from gsync.core.claimed import Claimed
from gsync.core.names import RelPath

A, B, C = (RelPath.parse(name) for name in "abc")


def test_each_path_keeps_its_row_until_it_is_dropped() -> None:
    claimed = Claimed()
    a, b = claimed.new(A), claimed.new(B)
    claimed.drop(a)
    assert (claimed.rows, claimed.at(0), claimed.at(1)) == (2, None, b)
    assert claimed.by_path == {B: b}


def test_a_free_row_is_used_again() -> None:
    claimed = Claimed()
    claimed.drop(claimed.new(A))
    claimed.new(B)
    c = claimed.new(C)
    assert claimed.rows == 2
    assert claimed.at(1) is c
