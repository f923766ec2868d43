"""Marks of paths that are not kept: a dict would say the same."""

from __future__ import annotations

from functools import reduce
from operator import xor

from hypothesis import given
from hypothesis import strategies as st

from gsync.core.mark_table import MarkTable

paths = st.sampled_from([f"p{number}" for number in range(40)])
marks = st.just(0) | st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(paths, marks)))
def test_it_knows_how_many_there_are_and_what_they_join_to(puts: list[tuple[str, int]]) -> None:
    table, model = MarkTable(), dict[str, int]()
    for path, mark in puts:
        table.put(path, mark)
        model[path] = mark
        assert table.total == reduce(xor, model.values(), 0)
        assert table.count == sum(map(bool, model.values()))


def test_many_come_and_go_and_come_again() -> None:
    table = MarkTable()
    for mark in (7, 0, 9, 8, 0, 5):
        for number in range(20_000):
            table.put(f"p{number}", number * 10 + mark if mark else 0)
        assert table.count == (20_000 if mark else 0)
        assert table.total == (reduce(xor, (number * 10 + mark for number in range(20_000))) if mark else 0)


def test_it_does_not_grow_by_what_has_gone() -> None:
    table = MarkTable()
    for number in range(100_000):
        table.put(f"p{number}", 1)
        table.put(f"p{number}", 0)
    assert sum(len(one._slots) for one in table._tables if one is not None) <= 256 * 64
