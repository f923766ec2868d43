"""Buffers for blocks: so many at a time, and used again."""

from __future__ import annotations

import gevent

from gsync.core.blocks import BLOCK_BYTES
from gsync.net.simulation import simulated
from gsync.net.tasks import TaskGroup
from gsync.peer.buffers import SPARE_MAX, Buffers


def test_a_buffer_holds_one_block_and_is_used_again() -> None:
    buffers = Buffers(limit=1)
    first = buffers.take()
    assert len(first) == BLOCK_BYTES
    assert buffers.take_now() is None
    buffers.give(first)
    assert buffers.take_now() is first


def test_few_are_kept_when_nobody_needs_them() -> None:
    buffers = Buffers(limit=2 * SPARE_MAX)
    taken = [buffers.take() for _ in range(2 * SPARE_MAX)]
    for buffer in taken:
        buffers.give(buffer)
    again = [buffers.take() for _ in range(2 * SPARE_MAX)]
    assert sum(any(buffer is old for old in taken) for buffer in again) == SPARE_MAX


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
