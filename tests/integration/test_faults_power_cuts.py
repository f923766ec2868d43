"""faults.md row 3: the power of a native receiver's disk is cut at random instants; nothing is torn, nothing is lost.

First a working life is recorded and cut at many instants afterwards, each image healed by the swarm. Then the power is really
cut, again and again, while persons edit on both sides, and the peer goes on with the disk that is left.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import gevent
import pytest

from gsync.core.blocks import digest_of_bytes
from gsync.core.model import Kind
from gsync.storage.disk import DiskFolder
from gsync.storage.index import Fate, Index
from gsync.storage.publisher import Publisher
from gsync.storage.syscalls import RENAME_EXCHANGE, renameat2
from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, Peer
from tests.integration import power_cuts
from tests.integration.disks import memory_disk
from tests.integration.power_cuts import Cuts, Recorded
from tests.integration.sizes import limit_s, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300)), pytest.mark.root("mount disks")]

IMAGES, CUTS = 16, 4
ROUNDS = 6
HEALED_EACH = 4
DISK_MIB, ROOM_MIB = 96, 800

SMALL, LARGE = 3_000, 2_500_000
FILES = 12


@dataclass(slots=True)
class History:
    """Every content that ever stood at a path, and what the receiver has promised by which instant."""

    at: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    promised: list[tuple[int, frozenset[str]]] = field(default_factory=list)
    made: int = 0

    def content(self, size: int) -> bytes:
        """One that there never was before."""
        self.made += 1
        return folders.noise(size + self.made, seed=self.made)

    def note(self, folder: Path) -> None:
        """Remember what stands there now."""
        for path, digest in _digests(folder).items():
            self.at[path].add(digest)

    def promised_by(self, position: int) -> set[str]:
        """What had to be durable at that instant."""
        return {digest for when, digests in self.promised if when <= position for digest in digests}


def _digests(folder: Path) -> dict[str, str]:
    return {path: thing.what for path, thing in live.picture(folder).items() if thing.kind == "file"}


def _kept(folder: Path) -> set[str]:
    """The digests of everything in the folder and its trash."""
    return {*_digests(folder).values(), *map(_digest, live.trashed_contents(folder))}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _change(folder: Path, history: History, number: int) -> None:
    """One round of work: small batches, replacements, a large file, deletions, renames of files and of a directory."""
    batch = folder / f"batch {number}"
    batch.mkdir()
    for place in range(FILES):
        folders.write(folder, f"batch {number}/{place}", history.content(SMALL), mtime_s=folders.OLD + number)
        if place % 2:
            folders.write(folder, f"steady {place}", history.content(SMALL), mtime_s=folders.OLD + number)
    if number % 2:
        folders.write(folder, f"large {number % 4}", history.content(LARGE), mtime_s=folders.OLD + number)
    if number > 1:
        before = folder / f"batch {number - 1}"
        for place in range(3):
            (before / f"{place}").unlink()
        (before / "3").rename(folder / f"moved {number}")
    if number > 2:
        (folder / f"batch {number - 2}").rename(folder / f"shelf {number - 2}")
    history.note(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A tracker and a source, whose disks stay as they are, and where the receiver has its folder."""

    cluster: Cluster
    port: int
    source: Peer

    def receiver(self, home: Path) -> Peer:
        return self.cluster.peer(home, self.port)


@pytest.fixture
def town(cluster: Cluster) -> Town:
    port = cluster.tracker().port
    return Town(cluster=cluster, port=port, source=cluster.peer("source", port))


@pytest.fixture
def room(cluster: Cluster) -> Iterator[Path]:
    """Where the images are; in memory, because nobody waits for a disk here."""
    with memory_disk(cluster.base / "room", mib=ROOM_MIB) as room:
        yield room
        cluster.close()


def _share(small: int) -> int:
    """How many of this row's images a test of `small` of them makes."""
    return times(IMAGES + CUTS) * small // (IMAGES + CUTS)


def test_no_cut_of_a_working_life_leaves_anything_torn_or_lost(town: Town, room: Path) -> None:
    rng = random.Random(3)
    history = History()
    image = power_cuts.make_image(room / "image", mib=DISK_MIB)
    base = Path(shutil.copy(image, room / "base"))
    with power_cuts.recorded(town.cluster, image, "receiver") as disk:
        home = disk.folder / "home"
        home.mkdir()
        receiver = town.receiver(home)
        live.settle([town.source, receiver])
        begin = disk.position
        for number in range(ROUNDS):
            _change(town.source.folder, history, number)
            _watch(receiver, town.source, disk, history)
        end = disk.position
        receiver.stop()
    final = live.picture(town.source.folder)
    cuts = Cuts(base, disk.log)
    late = 0
    for number, position in enumerate(sorted(rng.randrange(begin, end) for _ in range(_share(IMAGES)))):
        cut = cuts.at(position, rng=rng, to=room / "cut")
        late += cut.late > 0
        with power_cuts.after_the_cut(room / "cut", disk.folder):
            torn = [path for path, digest in _digests(home).items() if digest not in history.at[path]]
            assert torn == [], f"torn by {cut}"
            is_told_all = _recovers(home, f"{cut}")
            if number % HEALED_EACH == 0 or not is_told_all:
                _heals(town, home, final)
            lost = history.promised_by(position) - _kept(home)
            assert lost == set(), f"lost by {cut}"
    print(f"row 3: {_share(IMAGES)} images of a life of {end} writes and flushes, {late} amid unflushed ones")


def _recovers(home: Path, when: str) -> bool:
    """Do what a start does first; then the index tells of no content that is not there. Whether it tells of each path, too.

    A path that it misses was renamed a moment ago: the next look finds the same content there, and sees that it was.
    """
    with closing(DiskFolder(home)) as folder, closing(Index.open(folder.own_fd, root_id=folder.root_id)) as index:
        assert index.fate is Fate.FOUND, when
        Publisher(folder, index, clock=time.monotonic).recover()
        known = {str(path): meta.digest for path, meta in index.load().local.items() if meta.kind is Kind.FILE}
    stands = {path: digest_of_bytes((home / path).read_bytes()) for path in _digests(home)}
    assert all(stands.get(path, digest) == digest for path, digest in known.items()), when
    assert sorted(known.values()) == sorted(stands.values()), when
    return known == stands


def _watch(receiver: Peer, source: Peer, disk: Recorded, history: History) -> None:
    """Until the receiver has everything; of what it says meanwhile to stand there, note from when on it does."""
    said = len(receiver.fetched)
    expected = live.picture(source.folder)

    def has_everything() -> bool:
        nonlocal said
        fetched = receiver.fetched
        if len(fetched) > said:
            new = frozenset(expected[path].what for path in fetched[said:] if path in expected)
            history.promised.append((disk.position, new))
            said = len(fetched)
        with suppress(FileNotFoundError):  # it was moved while we looked
            return _digests(receiver.folder) == _digests(source.folder)
        return False

    receiver.until(has_everything, "everything")
    live.settle([source, receiver])
    history.promised.append((disk.position, frozenset(_digests(source.folder).values())))


def _heals(town: Town, home: Path, final: live.Picture) -> None:
    """The peer goes on with what is left, gets what it lacks, and tells nobody of what it found."""
    receiver = town.receiver(home)
    live.settle([town.source, receiver])
    receiver.signal(signal.SIGTERM)
    assert receiver.ends() == 0, receiver.last_words()
    assert "Traceback" not in receiver.err, receiver.last_words()
    assert live.picture(home) == final
    assert live.picture(town.source.folder) == final, "the receiver passed on what it found"


class Person:
    """Edits files of a folder, and knows what must not be lost of it: all but what she overwrote herself, having it before her."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.made: set[bytes] = set()
        self.overwritten: set[bytes] = set()
        self._count = 0

    def edit(self, path: str) -> None:
        """Write a new content beside the file, sync it, and exchange the two at once; what comes out is what she overwrote."""
        self._count += 1
        content = f"{path}, edit {self._count} of {self.name}\n".encode() * 40
        at, beside = self.folder / path, self.folder.parent / "a person's"
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self.made.add(content)
        try:
            renameat2(-1, str(beside), -1, str(at), RENAME_EXCHANGE)
        except FileNotFoundError:
            beside.replace(
                at
            )  # should a first version come in just now, it is lost: so each first one has a name of its own
        else:
            self.overwritten.add(beside.read_bytes())
            beside.unlink()
        for folder in {self.folder, beside.parent}:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(fd)
            os.close(fd)


def test_persons_lose_nothing_though_the_power_goes_again_and_again(town: Town, room: Path) -> None:
    """The peer is killed, and its disk keeps of the last moments what it likes; it goes on with that."""
    rng = random.Random(33)
    image = power_cuts.make_image(room / "image", mib=DISK_MIB)
    ann = Person("ann", town.source.folder)
    ben = Person("ben", Path())
    for number in range(6):
        ann.edit(f"both {number}")
    cuts = _share(CUTS)
    for number in range(cuts):
        base = Path(shutil.copy(image, room / "base"))
        with power_cuts.recorded(town.cluster, image, f"receiver {number}") as disk:
            ben.folder = disk.folder / "home"
            ben.folder.mkdir(exist_ok=True)
            receiver = town.receiver(ben.folder)
            live.settle([town.source, receiver])
            for step in range(rng.randrange(4, 20)):
                rng.choice([ann, ben]).edit(f"both {rng.randrange(6)}")
                ann.edit(f"of ann {step % 3}")
                ben.edit(f"of ben {step % 3}")
                gevent.sleep(rng.choice([0, 0.005, 0.02, 0.1]))
            receiver.kill()
            position = disk.position
        Cuts(base, disk.log).at(position, rng=rng, to=image)
    with power_cuts.after_the_cut(image, disk.folder):
        receiver = town.receiver(ben.folder)
        live.settle([town.source, receiver])
        ben.edit("of ben 0")
        live.settle([town.source, receiver])
        kept = _contents(ann.folder) | _contents(ben.folder)
        receiver.stop()
    lost = (ann.made | ben.made) - ann.overwritten - ben.overwritten - kept
    assert sorted(content.splitlines()[0] for content in lost) == []
    print(f"row 3: {cuts} cuts while {len(ann.made) + len(ben.made)} edits were made: 0 lost")


def _contents(folder: Path) -> set[bytes]:
    """Everything in the folder and its trash."""
    here = {path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return here | live.trashed_contents(folder)
