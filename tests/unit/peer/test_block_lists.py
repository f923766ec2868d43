"""Block lists: proven, read once, kept within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import AsyncResult

from gsync.core.blocks import BLOCK_BYTES, ContentHasher, digest_of_bytes
from gsync.errors import FileChanged
from gsync.net.simulation import simulated
from gsync.net.tasks import TaskGroup
from gsync.peer import block_lists
from gsync.peer.block_lists import KEPT_BYTES, READERS, BlockLists
from gsync.storage.memory import MemoryFolder
from gsync.storage.workers import InlineWorkers, Job, Pool
from tests.unit.peer.native_world import pattern
from tests.unit.peer.world import P, SlowWorkers, T, folder_with, path

LARGE = pattern(5 * BLOCK_BYTES + 3)


class PooledWorkers(SlowWorkers):
    """`SlowWorkers` that really let the caller go on."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks = TaskGroup()

    def spawn(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        result: AsyncResult = AsyncResult()
        self.tasks.spawn(lambda: result.set(self.run(pool, function, *args, **kwargs)))
        return result  # type: ignore[return-value]  # it has `get` and `wait`


def blocks_of(content: bytes) -> bytes:
    hasher = ContentHasher()
    hasher.update(content)
    return b"".join(hasher.blocks())


@pytest.fixture
def folder() -> MemoryFolder:
    return folder_with({"large": LARGE, "small": b"few", "empty": b""})


@pytest.fixture
def tasks() -> Iterator[TaskGroup]:
    with simulated():
        tasks = TaskGroup()
        yield tasks
        tasks.stop()


@pytest.mark.parametrize(("content", "pauses"), [(LARGE, 2), (b"few", 0), (b"", 0)])
def test_a_file_is_read_in_slices_and_its_list_is_kept(
    content: bytes, pauses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_lists, "SLICE_BYTES", 2 * BLOCK_BYTES)
    lists, slices = BlockLists(InlineWorkers()), []
    folder = folder_with({"f": content})
    digest = digest_of_bytes(content)
    assert lists.known(digest) is None
    with folder.open(path("f")) as file:
        assert lists.of(file, digest, on_slice=lambda: slices.append(True)) == blocks_of(content)
    assert lists.known(digest) == blocks_of(content)
    assert len(slices) == pauses


def test_a_file_that_is_another_one_has_no_list(folder: MemoryFolder) -> None:
    lists = BlockLists(InlineWorkers())
    with folder.open(path("small")) as file, pytest.raises(FileChanged):
        lists.of(file, digest_of_bytes(LARGE))
    assert lists.known(digest_of_bytes(LARGE)) is None


def test_a_file_that_changes_while_it_is_read_has_no_list(folder: MemoryFolder) -> None:
    lists = BlockLists(InlineWorkers())
    with folder.open(path("large")) as file:
        folder.edit("large", LARGE)
        with pytest.raises(FileChanged):
            lists.of(file, digest_of_bytes(LARGE))


def test_the_list_that_was_used_longest_ago_goes() -> None:
    lists = BlockLists(InlineWorkers())
    blocks = [bytes(32)] * (KEPT_BYTES // 32 // 4)
    for digest in ("1", "2", "3", "4"):
        lists.keep(digest, blocks)
    assert lists.known("1") is not None
    lists.keep("5", blocks)
    assert [digest for digest in "12345" if lists.known(digest) is not None] == ["1", "3", "4", "5"]


def test_a_list_that_would_push_out_all_others_is_not_kept() -> None:
    lists = BlockLists(InlineWorkers())
    lists.keep("1", [bytes(32)])
    lists.keep("2", [bytes(32)] * (KEPT_BYTES // 32 + 1))
    assert lists.known("2") is None
    assert lists.known("1") is not None


def test_many_who_ask_for_one_list_have_it_read_few_times(tasks: TaskGroup, folder: MemoryFolder) -> None:
    workers = PooledWorkers()
    workers.takes_s[Pool.SCAN] = 1.0
    lists, came = BlockLists(workers), []

    def ask() -> None:
        with folder.open(path("large")) as file:
            came.append(lists.of(file, digest_of_bytes(LARGE)))

    for _ in range(20):
        tasks.spawn(ask)
    gevent.sleep(100)
    assert came == [blocks_of(LARGE)] * 20
    assert 1 <= len(workers.calls) <= READERS * 2


def test_one_that_is_stopped_waits_for_the_read_that_is_under_way(tasks: TaskGroup, folder: MemoryFolder) -> None:
    workers = PooledWorkers()
    workers.takes_s[Pool.SCAN] = 10.0
    lists, closed = BlockLists(workers), []

    def ask() -> None:
        with folder.open(path("large")) as file:
            try:
                lists.of(file, digest_of_bytes(LARGE))
            finally:
                closed.append(file.read_at(0, 1))

    task = tasks.spawn(ask)
    gevent.sleep(1)
    task.cancel()
    gevent.sleep(1)
    assert not closed
    gevent.sleep(20)
    assert closed
