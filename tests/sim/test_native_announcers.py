"""Announcers and the real tracker: whatever happened to links, trackers and peers, in the end all know the same directory.

Only what is announced and heard is simulated here, no folder and no fetch: each peer holds records that the test changes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import gevent
import pytest

from gsync.core.model import Kind, Offer, Record
from gsync.core.names import Endpoint, RelPath
from gsync.core.records import winner
from gsync.core.versions import Version
from gsync.net.memory import MemoryNetwork
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.peer.announcer import Announcer
from gsync.peer.events import Events
from gsync.peer.tracker_link import TrackerLink
from gsync.storage.offer_rows import offer_tree
from gsync.tracker.tracker import Tracker
from gsync.wire.messages import DirectoryResponse
from tests.unit.peer.native import record
from tests.unit.peer.world import path, v

TRACKER = Endpoint("10.0.0.1", 9000)
PORT = 2000


class Shelf:
    """What one peer holds, for its announcer: records instead of trees."""

    def __init__(self) -> None:
        self.held: dict[RelPath, Record] = {}
        self.generation = 0
        self.new_tree = offer_tree
        self.on_demand = False
        self.remote: dict[RelPath, Offer] = {}

    def offered(self, path: RelPath) -> Offer | None:
        return self.remote.get(path)

    def announced(self) -> dict[RelPath, int]:
        return {
            path: one.version.mtime_s
            for path, one in self.held.items()
            if "/" not in path and one.kind is Kind.FILE and not one.deleted
        }

    def records(self) -> Iterator[Record]:
        for name in tuple(self.held):
            if name in self.held:
                yield self.held[name]

    def record(self, path: RelPath) -> Record | None:
        return self.held.get(path)


class Talker:
    """One peer's announcer, and what it has heard."""

    def __init__(self, swarm: Swarm, number: int, *, classic: bool = False) -> None:
        self.ip = f"10.0.0.{number + 10}"
        self.author = f"author{number}"
        self.shelf = Shelf()
        self.directory: DirectoryResponse | None = None
        self.announcer = Announcer(
            network=swarm.network.host(self.ip),
            tracker=TRACKER,
            port=PORT,
            trees=self.shelf,  # type: ignore[arg-type]
            events=Events(),
            clock=swarm.world.clock,
            rng=swarm.rng,
            on_directory=self._hear_directory,
            on_away=lambda: None,
            on_records=None if classic else self._hear,
            author=self.author,
        )
        self._tasks: TaskGroup | None = None

    def start(self) -> None:
        self._tasks = TaskGroup()
        self._tasks.spawn(self.announcer.run)

    def stop(self) -> None:
        if self._tasks is not None:
            self._tasks.stop()
        self._tasks = None

    @property
    def remote(self) -> dict[RelPath, Offer]:
        return self.shelf.remote

    @property
    def is_running(self) -> bool:
        return self._tasks is not None

    @property
    def is_native(self) -> bool:
        return isinstance(self.announcer._conversation, TrackerLink)

    def hold(self, *records: Record) -> None:
        for one in records:
            self.shelf.held[one.path] = one
        self.shelf.generation += 1
        self.announcer.tell([one.path for one in records])

    def drop(self, *names: str) -> None:
        for name in names:
            self.shelf.held.pop(path(name), None)
        self.shelf.generation += 1
        self.announcer.tell([path(name) for name in names])

    def known(self) -> dict[str, Record | int]:
        """What it has heard: the record of each path, or the mtime of a classic offer."""
        return {str(path): offer.record or offer.version.mtime_s for path, offer in self.remote.items()}

    def _hear(self, offers: Mapping[RelPath, Offer | None], is_whole: bool) -> None:
        if is_whole:
            self.shelf.remote = {}
        for name, offer in offers.items():
            if offer is None:
                self.remote.pop(name, None)
            else:
                self.remote[name] = offer

    def _hear_directory(self, directory: DirectoryResponse, own_end: Endpoint) -> None:
        self.directory = directory


class Swarm:
    """The talkers and their tracker."""

    def __init__(self, world: World, *, seed: int) -> None:
        self.world = world
        self.rng = random.Random(seed)
        self.network = MemoryNetwork(rng=self.rng, latency_s=(0.001, 0.02))
        self.talkers: list[Talker] = []
        self.is_native = True
        self._listener: object = None

    def start_tracker(self) -> None:
        tracker = Tracker(network=self.network.host(TRACKER.ip), clock=self.world.clock, speaks_native=self.is_native)
        self._listener = tracker.listen(ip=TRACKER.ip, port=TRACKER.port)

    def stop_tracker(self) -> None:
        if self._listener is not None:
            self._listener.close()  # type: ignore[attr-defined]
        self._listener = None

    def talker(self, *records: Record, classic: bool = False) -> Talker:
        talker = Talker(self, len(self.talkers), classic=classic)
        self.talkers.append(talker)
        talker.shelf.held.update({one.path: one for one in records})
        talker.start()
        return talker

    def joined(self) -> dict[str, Record]:
        """What all that run hold together."""
        held: dict[str, list[Record]] = {}
        for talker in self.talkers:
            if talker.is_running:
                for name, one in talker.shelf.held.items():
                    held.setdefault(str(name), []).append(one)
        return {name: winner(records) for name, records in held.items()}

    def holders(self, one: Record) -> set[str]:
        return {t.ip for t in self.talkers if t.is_running and t.shelf.held.get(one.path) == one}

    def wait_until_agreed(self, *, within_s: float = 60.0) -> None:
        deadline = self.world.now_s + within_s
        while not self.is_agreed():
            assert self.world.now_s < deadline, [t.known() for t in self.talkers]
            gevent.sleep(0.25)

    def is_agreed(self) -> bool:
        expected = self.joined()
        return all(talker.known() == expected for talker in self.talkers if talker.is_running)

    def end(self) -> None:
        for talker in self.talkers:
            talker.stop()
        self.stop_tracker()


@contextmanager
def swarm(*, seed: int = 1) -> Iterator[Swarm]:
    with simulated() as world:
        swarm = Swarm(world, seed=seed)
        swarm.start_tracker()
        yield swarm
        swarm.end()


def test_two_native_peers_hear_of_each_others_records_with_their_sources() -> None:
    with swarm() as s:
        a, b = s.talker(record("x")), s.talker(record("d/y"))
        s.wait_until_agreed(within_s=1)
        assert a.is_native
        assert b.is_native
        assert [source.endpoint for source in b.remote[path("x")].sources] == [Endpoint(a.ip, PORT)]
        assert a.remote[path("x")].sources == ()
        assert a.remote[path("d/y")].sources[0].speaks_native
        assert a.directory is None


def test_a_change_is_heard_within_a_tenth_of_a_second() -> None:
    with swarm() as s:
        a, b = s.talker(), s.talker()
        gevent.sleep(1)
        a.hold(record("x"), record("y", deleted=True))
        gevent.sleep(0.1)
        assert b.known() == {"x": record("x"), "y": record("y", deleted=True)}
        a.drop("x")
        gevent.sleep(0.2)
        assert b.known() == {"y": record("y", deleted=True)}


@pytest.mark.slow
def test_a_large_folder_is_known_to_all_in_pieces() -> None:
    with swarm() as s:
        many = [record(f"{number:05}") for number in range(5000)]
        a, b = s.talker(*many), s.talker()
        s.wait_until_agreed(within_s=5)
        assert len(b.remote) == 5000
        late = s.talker()
        s.wait_until_agreed(within_s=5)
        assert len(late.remote) == 5000
        assert a.is_native


def test_a_tracker_that_is_killed_and_comes_back_empty_is_told_everything_again() -> None:
    with swarm() as s:
        a, b, c = s.talker(record("x")), s.talker(record("y"), record("x")), s.talker()
        s.wait_until_agreed()
        s.stop_tracker()
        b.hold(record("z"))
        gevent.sleep(3)
        s.start_tracker()
        s.wait_until_agreed(within_s=20)
        assert c.known() == {name: record(name) for name in "xyz"}
        assert a.is_native


def test_a_peer_that_leaves_is_no_source_any_more_and_nothing_of_it_is_deleted() -> None:
    with swarm() as s:
        a, b, c = s.talker(record("x"), record("only")), s.talker(record("x")), s.talker()
        s.wait_until_agreed()
        a.stop()
        s.wait_until_agreed(within_s=5)
        assert c.known() == {"x": record("x")}
        gevent.sleep(2)
        assert set(c.announcer.locate([path("x"), path("only")])) <= {path("x"), path("only")}
        assert [source.endpoint.ip for source in c.announcer.locate([path("x")])[path("x")]] == [b.ip]


def test_whoever_asks_is_told_all_holders() -> None:
    with swarm() as s:
        holders = [s.talker(record("x")) for _ in range(12)]
        asker = s.talker()
        s.wait_until_agreed()
        found = asker.announcer.locate([path("x")])[path("x")]
        known = {source.endpoint.ip for source in (*found, *asker.remote[path("x")].sources)}
        assert len(known) >= 8
        assert known <= {holder.ip for holder in holders}


def test_a_classic_peer_of_ours_and_a_native_one_know_of_each_others_files() -> None:
    with swarm() as s:
        native, classic = s.talker(record("x", version=v(50, a=1))), s.talker(classic=True)
        classic.hold(Record(path=path("k"), kind=Kind.FILE, version=Version.from_mtime(7)))
        gevent.sleep(12)
        assert classic.directory is not None
        assert set(classic.directory.offers) == {path("x"), path("k")}
        assert classic.directory.offers[path("x")].version == Version.from_mtime(50)
        assert native.known() == {"x": record("x", version=v(50, a=1)), "k": 7}
        assert [source.endpoint.ip for source in native.remote[path("k")].sources] == [classic.ip]
        assert not native.remote[path("k")].sources[0].speaks_native


def test_the_digests_agree_in_quiet_so_no_snapshot_is_ever_asked_for() -> None:
    with swarm() as s:
        talkers = [s.talker(*(record(f"{number}{name}") for name in "abc")) for number in range(4)]
        s.wait_until_agreed()
        before = [talker.announcer.answers for talker in talkers]
        gevent.sleep(120)
        assert [talker.announcer.answers for talker in talkers] == before
        assert all(talker.is_native for talker in talkers)


NAMES = ("a", "b", "c", "d/e", "d/f", "g")


def disturb(s: Swarm) -> None:
    """One thing happens, mostly to somebody's records."""
    rng, talker = s.rng, s.rng.choice(s.talkers)
    match rng.choices(
        ("edit", "many", "delete", "drop", "copy", "cut", "part", "tracker", "peer"), (8, 2, 3, 2, 4, 2, 1, 1, 2)
    )[0]:
        case "edit":
            name = rng.choice(NAMES)
            talker.hold(edited(talker, name, rng.randrange(1000)))
        case "many":
            talker.hold(*(edited(talker, f"m/{number}", rng.randrange(1000)) for number in range(rng.randrange(700))))
        case "delete":
            name = rng.choice(NAMES)
            talker.hold(edited(talker, name, 0, deleted=True))
        case "drop":
            talker.drop(rng.choice(NAMES))
        case "copy":
            known = [one for one in talker.known().values() if isinstance(one, Record)]
            talker.hold(*rng.sample(known, min(len(known), 3)))
        case "cut":
            s.network.cut(talker.ip, TRACKER.ip)
        case "part":
            s.network.partition({talker.ip}, {TRACKER.ip})
            gevent.sleep(rng.uniform(0, 60))
            s.network.heal()
        case "tracker":
            s.stop_tracker()
            gevent.sleep(rng.uniform(0, 10))
            s.start_tracker()
        case "peer":
            if talker.is_running:
                talker.stop()
            else:
                talker.start()


def edited(talker: Talker, name: str, content: int, *, deleted: bool = False) -> Record:
    old = talker.shelf.held.get(path(name))
    version = (old.version if old else Version.from_mtime(0)).edited_by(talker.author, 5)
    return record(name, version=version, content=b"%d" % content, deleted=deleted)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_after_any_disturbance_all_know_the_same_directory(seed: int) -> None:
    with swarm(seed=seed) as s:
        for _ in range(2 + seed % 4):
            s.talker()
        for _ in range(40):
            disturb(s)
            gevent.sleep(s.rng.choice((0.0, 0.001, 0.03, 0.3, 2.0, 7.0)))
        for talker in s.talkers:
            if not talker.is_running:
                talker.start()
        s.wait_until_agreed(within_s=120)
        gevent.sleep(20)
        assert s.is_agreed()
        for talker in s.talkers:
            for offer in talker.remote.values():
                assert offer.record is not None
                holders = s.holders(offer.record) - {talker.ip}
                told = {source.endpoint.ip for source in offer.sources}
                # One who has let go of it may still be named, but not alone while others have it.
                assert told & holders or not holders or offer.record.deleted
        before = [talker.announcer.answers for talker in s.talkers]
        gevent.sleep(60)
        assert [talker.announcer.answers for talker in s.talkers] == before  # at rest nothing is told any more


def test_all_change_to_the_dialect_of_a_tracker_that_is_replaced_by_an_older_or_newer_one() -> None:
    with swarm() as s:
        a, b = s.talker(record("x")), s.talker(record("y"))
        s.wait_until_agreed()
        s.stop_tracker()
        s.is_native = False
        s.start_tracker()
        gevent.sleep(20)
        assert not a.is_native
        assert a.directory is not None
        assert set(a.directory.offers) == {path("x"), path("y")}
        s.stop_tracker()
        s.is_native = True
        s.start_tracker()
        gevent.sleep(20)
        assert s.is_agreed()
        assert a.is_native
        assert b.is_native
