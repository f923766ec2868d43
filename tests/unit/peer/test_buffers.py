"""Buffers for blocks: so many at a time, and used again."""

from __future__ import annotations

import gevent

from gsync.core.blocks import BLOCK_BYTES
from gsync.net.simulation import simulated
from gsync.net.tasks import TaskGroup
from gsync.peer.buffers import SPARE_MAX, Buffers, blocks_in


def test_a_buffer_holds_whole_blocks_and_is_used_again() -> None:
    buffers = Buffers(limit=3)
    first = buffers.take()
    assert len(first) == BLOCK_BYTES
    second = buffers.take_now(2)
    assert second is not None
    assert blocks_in(second) == 2
    assert buffers.take_now(1) is None
    buffers.give(first)
    buffers.give(second)
    assert buffers.take_now(2) is second
    assert buffers.take_now(1) is first


def test_where_less_is_free_a_buffer_is_smaller() -> None:
    buffers = Buffers(limit=3)
    sizes = [blocks_in(buffer) if (buffer := buffers.take_now(2)) is not None else 0 for _ in range(3)]
    assert sizes == [2, 1, 0]


def test_few_are_kept_when_nobody_needs_them() -> None:
    buffers = Buffers(limit=2 * SPARE_MAX)
    taken = [buffers.take() for _ in range(2 * SPARE_MAX)]
    for buffer in taken:
        buffers.give(buffer)
    again = [buffers.take() for _ in range(2 * SPARE_MAX)]
    assert sum(any(buffer is old for old in taken) for buffer in again) == SPARE_MAX


def test_those_that_were_kept_make_room_for_others_of_another_size() -> None:
    buffers = Buffers(limit=2 * SPARE_MAX)
    for taken in [buffers.take() for _ in range(SPARE_MAX)]:
        buffers.give(taken)
    large = buffers.take_now(SPARE_MAX)
    assert large is not None
    buffers.give(large)
    assert buffers.take_now(SPARE_MAX) is large


def test_whoever_finds_none_waits_for_one() -> None:
    with simulated(), TaskGroup() as tasks:
        buffers = Buffers(limit=1)
        held, came = buffers.take(), []
        tasks.spawn(lambda: came.append(buffers.take()))
        gevent.sleep(1)
        assert not came
        buffers.give(held)
        gevent.sleep(1)
        assert came == [held]
