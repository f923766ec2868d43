"""When one syncfs does for a batch, and what happens when it is slow or fails."""

from __future__ import annotations

import errno

import pytest

from gsync.storage.durability import FILE_BY_FILE_BATCHES, SYNCFS_MIN_FILES, SYNCFS_SLOW_S, Durability

ROOT = 99


class Kernel:
    """Notes what it is asked for; `takes_s` is how long a syncfs takes, `broken` are the descriptors that fail."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.takes_s = 0.0
        self.broken: set[int] = set()
        self._now = 0.0
        self.durability = Durability(ROOT, monotonic=lambda: self._now, syncfs=self._syncfs, fsync=self._fsync)

    def _syncfs(self, fd: int) -> None:
        assert fd == ROOT
        self.calls.append("syncfs")
        self._now += self.takes_s
        if self.broken:
            raise OSError(errno.EIO, "broken")

    def _fsync(self, fd: int) -> None:
        self.calls.append("fsync")
        if fd in self.broken:
            raise OSError(errno.EIO, "broken")

    def sync(self, count: int) -> list[int]:
        self.calls.clear()
        return self.durability.sync(range(count))


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.mark.parametrize(
    ("count", "calls"),
    [
        (0, []),
        (1, ["fsync"]),
        (SYNCFS_MIN_FILES - 1, ["fsync"] * (SYNCFS_MIN_FILES - 1)),
        (SYNCFS_MIN_FILES, ["syncfs"]),
        (SYNCFS_MIN_FILES + 1, ["syncfs"]),
    ],
)
def test_many_files_share_one_flush(kernel: Kernel, count: int, calls: list[str]) -> None:
    assert kernel.sync(count) == []
    assert kernel.calls == calls


@pytest.mark.parametrize(("takes_s", "slow"), [(SYNCFS_SLOW_S, False), (SYNCFS_SLOW_S + 0.01, True)])
def test_after_a_slow_one_the_next_batches_go_file_by_file(kernel: Kernel, takes_s: float, slow: bool) -> None:
    kernel.takes_s = takes_s
    kernel.sync(SYNCFS_MIN_FILES)
    kernel.takes_s = 0.0
    for _ in range(FILE_BY_FILE_BATCHES):
        kernel.sync(SYNCFS_MIN_FILES)
        assert ("syncfs" not in kernel.calls) == slow
    kernel.sync(SYNCFS_MIN_FILES)
    assert kernel.calls == ["syncfs"]


def test_an_error_of_another_programs_file_is_not_ours(kernel: Kernel) -> None:
    kernel.broken = {ROOT}
    assert kernel.sync(SYNCFS_MIN_FILES) == []
    assert kernel.calls == ["syncfs"] + ["fsync"] * SYNCFS_MIN_FILES


def test_only_the_files_that_fail_are_not_written(kernel: Kernel) -> None:
    kernel.broken = {3, 7}
    assert kernel.sync(SYNCFS_MIN_FILES) == [3, 7]
    assert kernel.sync(5) == [3]
