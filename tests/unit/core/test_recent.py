"""A memory that does not grow: what was used last stays."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.recent import Recent


@pytest.mark.parametrize(("count", "kept"), [(2, 2), (3, 3), (4, 3)])
def test_it_holds_as_many_as_its_limit(count: int, kept: int) -> None:
    recent: Recent[int, str] = Recent(3)
    for number in range(count):
        recent[number] = str(number)
    assert len(recent) == kept
    assert recent.get(count - 1) == str(count - 1)


def test_what_was_read_lately_outlives_what_was_set_later() -> None:
    recent: Recent[str, int] = Recent(2)
    recent["a"] = 1
    recent["b"] = 2
    assert recent.get("a") == 1
    recent["c"] = 3
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)


def test_a_value_that_is_false_is_remembered() -> None:
    recent: Recent[str, int] = Recent(2)
    recent["a"] = 0
    assert recent.get("a") == 0


def test_what_was_never_there_can_be_forgotten() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.forget("a")
    recent["a"] = 1
    recent.forget("a")
    assert recent.get("a") is None
    assert len(recent) == 0


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from(["set", "get", "forget"]), st.integers(0, 6))))
def test_it_behaves_like_an_ordered_mapping_that_is_cut(limit: int, steps: list[tuple[str, int]]) -> None:
    recent: Recent[int, int] = Recent(limit)
    model: OrderedDict[int, int] = OrderedDict()
    for turn, (what, key) in enumerate(steps):
        if what == "set":
            recent[key] = model[key] = turn
            model.move_to_end(key)
            while len(model) > limit:
                model.popitem(last=False)
        elif what == "get":
            assert recent.get(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
        else:
            recent.forget(key)
            model.pop(key, None)
        assert len(recent) == len(model)
