"""The hand on the folder: what goes together, what the others see when, and what is looked at again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import gevent
import pytest
from msgspec.structs import replace

from gsync.core.actions import Displaced
from gsync.core.blocks import ContentHasher, digest_of_bytes
from gsync.core.model import Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import NoSpace, StorageError
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.peer.applier import EXPIRE_TRASH_S, GATHER_S, REVIEW_S, WAITING_MAX_BYTES, Applier
from gsync.peer.events import FileConflict, Trouble
from gsync.peer.trees import Trees
from gsync.storage.downloads import (
    Download,
    NewDirectory,
    NewLink,
    Outcome,
    Overtaken,
    Published,
    Released,
    Unpublished,
)
from gsync.storage.filesystem import Staged
from gsync.storage.memory import MemoryFolder
from gsync.storage.publisher import BATCH_MAX_BYTES, BATCH_MAX_FILES
from gsync.storage.workers import Pool
from tests.unit.peer.world import Heard, SlowWorkers, meta, path, v
from tests.unit.storage import publishing

A, B = path("a"), path("b")
COPY = path("a.conflict-20010909T014640Z-00000000-89abcdef")


def download(name: str, content: bytes = b"x") -> Download:
    return Download(path=path(name), version=v(7), content=content, mtime_ns=7 * 10**9)


class Publisher:
    """Publishes nothing, and says what the test wants said."""

    def __init__(self) -> None:
        self.batches: list[list[RelPath]] = []
        self.outcomes: dict[str, Outcome] = {}
        self.released: list[Published | Released] = []
        self.reviews = 0
        self.busy: frozenset[RelPath] = frozenset()
        self.while_publishing: Callable[[], None] = lambda: None

    def publish(self, batch: Sequence[Download]) -> list[Outcome]:
        self.batches.append([one.path for one in batch])
        self.while_publishing()
        return [self.outcomes.get(one.path, Published(path=one.path, meta=meta(mtime_s=7))) for one in batch]

    def review_limbo(self) -> list[Published | Released]:
        self.reviews += 1
        released, self.released = self.released, []
        return released

    def busy_paths(self) -> frozenset[RelPath]:
        return self.busy


class Room:
    """An applier over a publisher that only pretends."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.folder = MemoryFolder(wall_clock=world.clock.wall)
        self.publisher = Publisher()
        self.workers = SlowWorkers()
        self.trees = Trees({}, {})
        self.heard = Heard()
        self.touched: list[set[RelPath]] = []
        self.outcomes: list[Outcome] = []
        self.applier = Applier(
            folder=self.folder,
            publisher=self.publisher,  # type: ignore[arg-type]
            workers=self.workers,
            trees=self.trees,
            events=self.heard.events,
            clock=world.clock,
            on_touch=self._touch,
        )
        self.tasks = TaskGroup()
        self.tasks.spawn(self.applier.run)

    def _touch(self, paths: Iterable[RelPath]) -> None:
        self.touched.append(set(paths))

    def apply(self, *names: str, content: bytes = b"x") -> None:
        """Hand in downloads, each from a greenlet of its own."""
        for name in names:
            self.tasks.spawn(lambda name: self.outcomes.append(self.applier.apply(download(name, content))), name)
        gevent.sleep(0)


@pytest.fixture
def room() -> Iterator[Room]:
    with simulated() as world:
        room = Room(world)
        gevent.sleep(0)
        yield room
        room.tasks.stop()


# What goes together


def test_the_first_file_of_a_quiet_time_is_published_at_once(room: Room) -> None:
    room.apply("a")
    gevent.sleep(0.001)
    assert room.publisher.batches == [[A]]


def test_what_gathers_while_the_disk_is_busy_goes_together(room: Room) -> None:
    room.workers.takes_s[Pool.DISK] = 1.0
    room.apply("a")
    gevent.sleep(0.1)
    room.apply("b", "c", "d")
    gevent.sleep(10)
    assert room.publisher.batches == [["a"], ["b", "c", "d"]]
    assert [outcome.path for outcome in room.outcomes] == ["a", "b", "c", "d"]


def test_what_became_of_a_batch_is_told_while_the_next_one_is_on_its_way_if_a_whole_one_waits(room: Room) -> None:
    room.workers.takes_s[Pool.DISK] = 0.2
    in_hand: list[int] = []
    for number in range(3 * BATCH_MAX_FILES - 1):
        room.applier.submit(download(f"{number}"), lambda _: in_hand.append(len(room.applier.in_hand)))
    gevent.sleep(10)
    assert [len(batch) for batch in room.publisher.batches] == [500, 500, 499]
    assert in_hand == [500] * 500 + [0] * 999


def test_what_became_of_a_batch_is_told_also_if_all_that_waits_behind_it_is_overtaken(room: Room) -> None:
    room.workers.takes_s[Pool.DISK] = 0.7
    told: list[Outcome] = []
    for number in range(2 * BATCH_MAX_FILES):
        room.applier.submit(download(f"{number}"), told.append)
    gevent.sleep(0.5)
    room.trees.note_local({path(f"{number}"): Tombstone(version=v(9)) for number in range(500, 1000)})
    gevent.sleep(1.0)
    assert len(told) == 1000


def test_files_that_follow_a_batch_closely_go_together(room: Room) -> None:
    room.apply("a")
    gevent.sleep(0.01)
    room.apply("b")
    gevent.sleep(0.01)
    room.apply("c")
    gevent.sleep(GATHER_S - 0.03)
    assert room.publisher.batches == [["a"]]
    gevent.sleep(0.02)
    assert room.publisher.batches == [["a"], ["b", "c"]]
    gevent.sleep(GATHER_S)
    room.apply("d")
    gevent.sleep(0.001)
    assert room.publisher.batches == [["a"], ["b", "c"], ["d"]]


@pytest.mark.parametrize("files", [{"count": BATCH_MAX_FILES}, {"count": 2, "size": BATCH_MAX_BYTES // 2}])
def test_a_whole_batch_waits_for_nothing_more(room: Room, files: dict[str, int]) -> None:
    room.apply("first")
    gevent.sleep(0.001)
    room.apply(*map(str, range(files["count"])), content=bytes(files.get("size", 1)))
    gevent.sleep(0.001)
    assert [len(batch) for batch in room.publisher.batches] == [1, files["count"]]


@pytest.mark.parametrize("files", [{"count": BATCH_MAX_FILES}, {"count": 2, "size": BATCH_MAX_BYTES // 2}])
def test_of_several_whole_batches_that_wait_none_waits_for_more(room: Room, files: dict[str, int]) -> None:
    room.workers.takes_s[Pool.DISK] = 0.2
    room.apply("first")
    gevent.sleep(0.05)
    room.apply(*map(str, range(3 * files["count"])), content=bytes(files.get("size", 1)))
    gevent.sleep(0.651)  # the last one is begun at 0.6, and heard of at 0.7
    assert [len(batch) for batch in room.publisher.batches] == [1, files["count"], files["count"], files["count"]]


def test_what_gathers_when_the_peer_is_stopped_is_not_published(room: Room) -> None:
    room.apply("a")
    gevent.sleep(0.01)
    room.apply("b")
    room.tasks.stop()
    assert room.publisher.batches == [["a"]]
    assert [outcome.path for outcome in room.outcomes] == ["a"]


@pytest.mark.parametrize("count", [BATCH_MAX_FILES - 1, BATCH_MAX_FILES, BATCH_MAX_FILES + 1])
def test_a_batch_has_at_most_500_files(room: Room, count: int) -> None:
    room.workers.takes_s[Pool.DISK] = 1.0
    room.apply("first")
    gevent.sleep(0.1)
    room.apply(*(f"{number}" for number in range(count)))
    gevent.sleep(10)
    sizes = [len(batch) for batch in room.publisher.batches[1:]]
    assert sizes == ([count] if count <= BATCH_MAX_FILES else [BATCH_MAX_FILES, 1])


def test_a_batch_is_closed_once_it_has_32_mib(room: Room) -> None:
    room.workers.takes_s[Pool.DISK] = 1.0
    room.apply("first")
    gevent.sleep(0.1)
    room.apply("a", "b", "c", content=bytes(BATCH_MAX_BYTES // 2))
    gevent.sleep(10)
    assert room.publisher.batches == [["first"], ["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("size", "full"), [(WAITING_MAX_BYTES - 1, False), (WAITING_MAX_BYTES, True), (WAITING_MAX_BYTES + 1, True)]
)
def test_it_is_full_when_two_batches_wait(room: Room, size: int, full: bool) -> None:
    room.workers.takes_s[Pool.DISK] = 1.0
    room.apply("a", content=bytes(size))
    assert room.applier.is_full == full
    gevent.sleep(2)
    assert not room.applier.is_full


# What the others see


def test_the_trees_know_a_published_file_before_its_fetch_hears_of_it(room: Room) -> None:
    seen: list[tuple[bool, bool]] = []

    def fetch() -> None:
        room.applier.apply(download("a"))
        seen.append((A in room.trees.local, room.trees.synced.get(A) == v(7)))

    room.tasks.spawn(fetch)
    gevent.sleep(1)
    assert seen == [(True, True)]
    assert A in room.trees.names


def test_paths_are_touched_before_and_after_and_in_hand_between(room: Room) -> None:
    seen: list[tuple[frozenset[RelPath], list[set[RelPath]]]] = []
    room.publisher.while_publishing = lambda: seen.append((room.applier.in_hand, list(room.touched)))
    room.apply("a")
    gevent.sleep(1)
    assert seen == [(frozenset({A}), [{A}])]
    assert room.touched == [{A}, {A}]
    assert room.applier.in_hand == frozenset()


def test_what_the_publisher_could_not_record_stays_in_hand(room: Room) -> None:
    room.publisher.busy = frozenset({B})
    assert room.applier.in_hand == {B}


@pytest.mark.parametrize("outcome", [Overtaken(path=A), Unpublished(path=A, error=NoSpace("full"))])
def test_what_was_not_published_changes_no_tree(room: Room, outcome: Outcome) -> None:
    room.publisher.outcomes["a"] = outcome
    room.apply("a", "b")
    gevent.sleep(1)
    assert room.outcomes[0] is outcome
    assert set(room.trees.local) == {B} == set(room.trees.synced)


@pytest.mark.parametrize(
    ("seen", "there"), [(None, v(7)), (v(7), v(8, ann=1)), (v(7), v(7, ann=1)), (v(7), None)], ids=str
)
@pytest.mark.parametrize("kind", [Download, NewLink, NewDirectory])
def test_nothing_is_published_over_another_tombstone_than_its_plan_saw(
    room: Room, kind: type, seen: Version | None, there: Version | None
) -> None:
    change = {
        Download: replace(download("a"), grave=seen),
        NewLink: NewLink(path=A, version=v(9), target="x", digest="", grave=seen),
        NewDirectory: NewDirectory(path=A, version=v(9), grave=seen),
    }[kind]
    if there is not None:
        room.trees.note_local({A: Tombstone(version=there)})
    room.applier.submit(change, room.outcomes.append)
    room.apply("b")
    gevent.sleep(1)
    assert room.publisher.batches == [[B]]
    assert room.outcomes[0] == Overtaken(path=A)
    assert not room.applier.is_full


def test_what_is_published_over_the_tombstone_that_its_plan_saw_is_published(room: Room) -> None:
    room.trees.note_local({A: Tombstone(version=v(6))})
    room.applier.submit(replace(download("a"), grave=v(6)), room.outcomes.append)
    gevent.sleep(1)
    assert room.publisher.batches == [[A]]


def test_a_conflict_copy_is_in_the_tree_but_agreed_with_nobody(room: Room) -> None:
    kept = meta(mtime_s=5, version=v(5, ann=1))
    room.publisher.outcomes["a"] = Published(path=A, meta=meta(mtime_s=7), conflict_copy=(COPY, kept))
    room.apply("a")
    gevent.sleep(1)
    assert room.trees.local[COPY] is kept
    assert COPY not in room.trees.synced
    assert room.heard.all == [FileConflict(path=A, kept_as=COPY)]
    assert {COPY} in room.touched


def test_a_remark_of_the_publisher_is_told_to_a_person(room: Room) -> None:
    room.publisher.outcomes["a"] = Published(path=A, meta=meta(mtime_s=7), remark="its conflict name is taken")
    room.apply("a")
    gevent.sleep(1)
    assert room.heard.all == [Trouble(what="a: its conflict name is taken")]


# What is looked at again


def test_what_waits_in_limbo_is_looked_at_each_second_of_quiet(room: Room) -> None:
    gevent.sleep(3 * REVIEW_S + 0.5)
    assert room.publisher.reviews == 3


def test_what_waits_in_limbo_is_looked_at_also_while_files_come_all_the_time(room: Room) -> None:
    for number in range(40):
        room.apply(f"{number}")
        gevent.sleep(REVIEW_S / 10)
    assert 3 <= room.publisher.reviews <= 4


def test_what_has_found_its_place_is_taken_over(room: Room) -> None:
    kept = meta(mtime_s=5)
    room.publisher.released = [
        Released(path=A, conflict_copy=(COPY, kept)),
        Published(path=B, meta=meta(mtime_s=7)),
        Released(path=A, trashed="x"),
    ]
    gevent.sleep(REVIEW_S + 0.1)
    assert room.trees.local == {COPY: kept, B: meta(mtime_s=7)}
    assert room.trees.synced == {B: v(7)}
    assert room.heard.all == [FileConflict(path=A, kept_as=COPY)]
    assert room.touched == [{A}, {COPY}, {B}, {A}]


def test_the_trash_is_looked_through_each_hour(room: Room) -> None:
    gevent.sleep(2 * EXPIRE_TRASH_S + 10)
    assert room.workers.calls.count("expire_trash") == 3


def test_a_trash_that_cannot_be_looked_through_is_no_trouble(room: Room) -> None:
    def fail(method: str) -> None:
        if method == "expire_trash":
            raise StorageError("input/output error")

    room.folder.on_call = fail
    gevent.sleep(REVIEW_S + 0.1)
    room.apply("a")
    gevent.sleep(1)
    assert [outcome.path for outcome in room.outcomes] == [A]
    assert room.heard.all == []


# With the real publisher


class Real:
    """An applier over a real publisher and a folder in memory."""

    def __init__(self, world: World, directory: Path) -> None:
        self.disk = publishing.World(directory)
        self.trees = Trees({}, {})
        self.heard = Heard()
        self.applier = Applier(
            folder=self.disk.folder,
            publisher=self.disk.publisher,
            workers=SlowWorkers(),
            trees=self.trees,
            events=self.heard.events,
            clock=world.clock,
            on_touch=lambda paths: None,
        )
        self.tasks = TaskGroup()
        self.tasks.spawn(self.applier.run)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Real]:
    with simulated() as world:
        real = Real(world, tmp_path)
        yield real
        real.tasks.stop()
        real.disk.end()


def stage(real: Real, content: bytes) -> Staged:
    staged = real.applier.begin(A, expected=0)
    hasher = ContentHasher()
    real.applier.write(staged, hasher, memoryview(content)).get()
    assert hasher.digest() == digest_of_bytes(content)
    return staged


def test_a_large_file_is_staged_written_and_published(real: Real) -> None:
    staged = stage(real, b"large")
    outcome = real.applier.apply(Download(path=A, version=v(7), content=staged, mtime_ns=7 * 10**9))
    assert isinstance(outcome, Published)
    assert real.disk.in_folder() == {"a": b"large"}
    assert real.trees.local == {A: outcome.meta}


def test_a_large_file_that_would_not_fit_is_refused_before_a_byte_of_it_is_fetched(real: Real) -> None:
    real.disk.folder.disk.capacity = 1000
    with pytest.raises(NoSpace):
        real.applier.begin(A, expected=1_000_000)
    assert real.disk.folder.staged_names() == []


def test_a_large_file_that_is_kept_is_gone_on_with_and_published(real: Real) -> None:
    digest = digest_of_bytes(b"large")
    staged = real.applier.begin(A, expected=5, digest=digest)
    staged.write_at(0, b"lar")
    real.applier.keep(staged)
    assert real.applier.partial(digest_of_bytes(b"another")) is None
    left = real.applier.partial(digest)
    assert left is not None
    assert real.applier.partial(digest) is None
    assert left.read_at(0, 10) == b"lar"
    left.write_at(3, b"ge")
    outcome = real.applier.apply(Download(path=A, version=v(7), content=left, digest=digest, mtime_ns=7 * 10**9))
    assert isinstance(outcome, Published)
    assert real.disk.in_folder() == {"a": b"large"}
    assert real.disk.folder.staged_names() == []


def test_a_large_file_that_is_abandoned_leaves_nothing(real: Real) -> None:
    real.applier.abandon(stage(real, b"large"))
    assert real.disk.folder.staged_names() == []
    assert real.disk.index.journal() == []


def test_the_loser_of_a_conflict_is_told_and_served(real: Real) -> None:
    old = real.disk.save("a", b"mine")
    real.trees.note_local({A: old})
    outcome = real.applier.apply(publishing.download("a", b"theirs", over=old, displaced=Displaced.CONFLICT_COPY))
    assert isinstance(outcome, Published)
    (told,) = real.heard.all
    assert isinstance(told, FileConflict)
    assert real.disk.in_folder() == {"a": b"theirs", told.kept_as: b"mine"}
    assert told.kept_as in real.trees.names
    assert real.trees.local[told.kept_as].version == old.version


def test_a_file_that_somebody_writes_into_finds_its_place_once_he_has_finished(real: Real) -> None:
    old = real.disk.save("a", b"mine")
    real.trees.note_local({A: old})
    held = real.disk.folder.hold_open("a")
    real.applier.apply(publishing.download("a", b"theirs", over=old))
    real.disk.folder.write_into(held, b"still writing")
    gevent.sleep(3)
    assert real.heard.all == []
    held.writers -= 1
    gevent.sleep(REVIEW_S + 0.1)
    (told,) = real.heard.all
    assert isinstance(told, FileConflict)
    assert real.disk.in_folder()[told.kept_as] == b"still writing"
