"""Where the bytes of a fetch go: memory while they are few, staging through four buffers once they are many."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import gevent
import pytest
from gevent.event import AsyncResult
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.blocks import ContentHasher, digest_of_bytes
from gsync.errors import NoSpace, StorageError
from gsync.net.simulation import simulated
from gsync.net.tasks import TaskGroup
from gsync.peer.intake import BUFFER, BUFFERS, SMALL_MAX, Content, Intake, abandon
from gsync.storage.filesystem import Staged
from gsync.storage.memory import FailAt
from gsync.storage.workers import Job
from tests.unit.peer.world import Stage, path

NAME = path("a")


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def pour(intake: Intake, body: bytes, *, step: int = 65536) -> None:
    """Give `body` as a socket would: at most `step` bytes at a time, never more than there is room."""
    at = 0
    while at < len(body):
        room = intake.room()
        assert len(room) > 0
        part = body[at : at + min(step, len(room))]
        room[: len(part)] = part
        intake.took(len(part))
        at += len(part)


def written(content: Content, stage: Stage) -> bytes:
    if isinstance(content.held, bytes):
        return content.held
    return stage.folder.contents()[f".gsync/staging/{content.held.name}"]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    ("size", "staged"),
    [
        *[
            (0, False),
            (1, False),
            (16 * 1024, False),
            (16 * 1024 + 1, False),
            (SMALL_MAX - 1, False),
            (SMALL_MAX, False),
        ],
        *[(SMALL_MAX + 1, True), (BUFFER - 1, True), (BUFFER, True), (BUFFER + 1, True), (3 * BUFFER + 7, True)],
    ],
)
def test_what_came_is_what_is_held(size: int, staged: bool, told: bool) -> None:
    stage, body = Stage(), pattern(size)
    intake = Intake(NAME, stager=stage, expected=size if told else None)
    pour(intake, body)
    content = intake.finish()
    assert content.size == size
    assert content.digest == digest_of_bytes(body)
    assert written(content, stage) == body
    assert (not isinstance(content.held, bytes)) == staged
    assert len(stage.begun) == staged
    assert stage.abandoned == []


@given(st.lists(st.integers(1, 300_000), max_size=8), st.one_of(st.none(), st.integers(0, 2_000_000)))
def test_pieces_of_any_size_make_the_same_content(pieces: list[int], promised: int | None) -> None:
    stage, body = Stage(), pattern(sum(pieces))
    intake = Intake(NAME, stager=stage, expected=promised)
    at = 0
    for size in pieces:
        pour(intake, body[at : at + size], step=size)
        at += size
        assert intake.size == at
    content = intake.finish()
    assert (written(content, stage), content.digest) == (body, digest_of_bytes(body))


def test_a_promise_of_any_size_takes_no_more_than_a_buffer() -> None:
    intake = Intake(NAME, stager=Stage(), expected=2**63)
    assert len(intake.room()) == BUFFER


def test_what_is_abandoned_leaves_nothing_staged() -> None:
    stage = Stage()
    intake = Intake(NAME, stager=stage, expected=None)
    pour(intake, pattern(2 * BUFFER))
    intake.abandon()
    assert stage.folder.staged_names() == []
    intake.abandon()
    assert len(stage.abandoned) == 1


def test_what_was_never_staged_is_abandoned_by_forgetting_it() -> None:
    stage = Stage()
    intake = Intake(NAME, stager=stage, expected=None)
    pour(intake, b"few")
    intake.abandon()
    assert (stage.begun, stage.abandoned) == ([], [])


def test_content_that_is_not_wanted_any_more_is_forgotten() -> None:
    stage = Stage()
    large = Intake(NAME, stager=stage, expected=None)
    pour(large, pattern(BUFFER))
    small = Intake(NAME, stager=stage, expected=None)
    pour(small, b"few")
    for intake in (large, small):
        abandon(intake.finish(), stage)
    assert stage.folder.staged_names() == []
    assert len(stage.abandoned) == 1


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_disk_that_fails_is_heard_of_at_the_latest_at_the_end(at: int) -> None:
    stage = Stage()
    intake = Intake(NAME, stager=stage, expected=None)
    fails = FailAt(at, NoSpace("the disk is full"))
    stage.folder.on_call = lambda method: fails(method) if method == "write" else None

    def receive() -> None:
        pour(intake, pattern(3 * BUFFER))
        intake.finish()

    with pytest.raises(NoSpace):
        receive()
    intake.abandon()
    assert stage.folder.staged_names() == []


class SlowJob:
    """A write that is under way until the test lets it end."""

    def __init__(self) -> None:
        self.result: AsyncResult = AsyncResult()

    def get(self) -> None:
        self.result.get()

    def wait(self) -> None:
        self.result.wait()


class SlowStage(Stage):
    """Writes only when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: deque[SlowJob] = deque()
        self.buffers: list[memoryview] = []

    def write(self, staged: Staged, hasher: ContentHasher, data: memoryview) -> Job[None]:
        self.jobs.append(SlowJob())
        self.buffers.append(data)
        return self.jobs[-1]

    def end_one(self) -> None:
        self.jobs.popleft().result.set(None)

    def abandon(self, staged: Staged) -> None:
        assert not self.jobs, "abandoned while a write was under way"
        super().abandon(staged)


@pytest.fixture
def tasks() -> Iterator[TaskGroup]:
    with simulated():
        tasks = TaskGroup()
        yield tasks
        tasks.stop()


def test_a_slow_disk_is_waited_for_when_four_buffers_are_full(tasks: TaskGroup) -> None:
    stage = SlowStage()
    intake = Intake(NAME, stager=stage, expected=None)
    tasks.spawn(pour, intake, pattern(10 * BUFFER))
    gevent.sleep(1)
    assert len(stage.jobs) == BUFFERS
    assert intake.size <= BUFFERS * BUFFER
    before = intake.size
    stage.end_one()
    gevent.sleep(1)
    assert intake.size == before + BUFFER
    assert len(stage.jobs) == BUFFERS
    while stage.jobs:
        stage.end_one()
        gevent.sleep(1)


def test_buffers_that_are_being_written_are_not_filled(tasks: TaskGroup) -> None:
    stage = SlowStage()
    intake = Intake(NAME, stager=stage, expected=None)
    tasks.spawn(pour, intake, pattern(10 * BUFFER))
    gevent.sleep(1)
    held = [bytes(buffer) for buffer in stage.buffers]
    stage.end_one()
    gevent.sleep(1)
    assert [bytes(buffer) for buffer in stage.buffers[1:BUFFERS]] == held[1:]
    while stage.jobs:
        stage.end_one()
        gevent.sleep(1)


@pytest.mark.parametrize("buffers", [2, 10])
@pytest.mark.parametrize("done", [0, 1, 2])
def test_one_that_is_stopped_waits_for_the_writes_that_are_under_way(tasks: TaskGroup, buffers: int, done: int) -> None:
    stage = SlowStage()
    intake = Intake(NAME, stager=stage, expected=None)
    ended = []

    def receive() -> None:
        try:
            pour(intake, pattern(buffers * BUFFER))
            intake.finish()
        finally:
            intake.abandon()
            ended.append(True)

    task = tasks.spawn(receive)
    for _ in range(done):
        gevent.sleep(1)
        stage.end_one()
    gevent.sleep(1)
    task.cancel()
    gevent.sleep(1)
    assert not ended
    while stage.jobs:
        stage.end_one()
        gevent.sleep(1)
    assert ended
    assert len(stage.abandoned) == 1


def test_the_failure_of_one_write_does_not_cut_the_others_short(tasks: TaskGroup) -> None:
    stage = SlowStage()
    intake = Intake(NAME, stager=stage, expected=None)
    failures = []

    def receive() -> None:
        try:
            pour(intake, pattern(10 * BUFFER))
        except StorageError as error:
            failures.append(error)
            intake.abandon()

    tasks.spawn(receive)
    gevent.sleep(1)
    stage.jobs.popleft().result.set_exception(StorageError("input/output error"))
    gevent.sleep(1)
    assert failures
    assert stage.abandoned == []
    while stage.jobs:
        stage.end_one()
        gevent.sleep(1)
    assert len(stage.abandoned) == 1
