"""faults.md row 5: nothing leads out of the folder, and nothing that stands in it makes gsync hang."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import gevent
import pytest

from gsync.core.ignore import is_ignored
from gsync.core.names import RelPath
from gsync.errors import NameRefused
from tests.e2e import folders
from tests.e2e.cluster import Cluster, Peer
from tests.e2e.pretenders import PretendedSource, PretendedTracker, contents, listing
from tests.integration.disks import memory_disk
from tests.integration.names import corpus
from tests.integration.sizes import limit_s, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300))]

SECRET = b"a secret that stays where it is\n"
OWNED = b"owned by whoever could write here\n"
SWAPS = times(50_000)
SPARSE = 1024**4


class Neighbourhood:
    """A folder deep inside others; every place around it holds a secret, and nothing there may change."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.outside = base / "outside"
        self.folder = base / "1" / "2" / "3" / "4" / "folder"
        self.folder.mkdir(parents=True)
        self.outside.mkdir()
        for place in (self.outside, *list(self.folder.parents)[:5]):
            (place / "secret").write_bytes(SECRET)
        for name, target in (
            ("link to a file", self.outside / "secret"),
            ("link to a folder", self.outside),
            ("link to itself", Path("link to itself")),
        ):
            (self.folder / name).symlink_to(target)
        os.mkfifo(self.folder / "fifo")
        _bind(self.folder / "socket")
        (self.folder / "subfolder").mkdir()
        self._before = self.surroundings()

    def is_untouched(self) -> bool:
        return self.surroundings() == self._before

    def surroundings(self) -> dict[str, tuple[int, int, bytes]]:
        """Everything beneath `base` that is not in the folder."""
        seen = {}
        for place, directories, files in os.walk(self.base):
            if Path(place) == self.folder:
                directories.clear()
                continue
            for name in [*directories, *files]:
                path = Path(place) / name
                status = path.lstat()
                content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
                seen[str(path)] = (status.st_ino, status.st_mode, content)
        return seen


def _bind(path: Path) -> None:
    """Leave a socket at `path`, however long that is: the address of one holds 107 bytes."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(f"/proc/self/fd/{descriptor}/{path.name}")
    finally:
        os.close(descriptor)


@pytest.fixture
def around(tmp_path: Path) -> Neighbourhood:
    return Neighbourhood(tmp_path / "around")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with memory_disk(tmp_path / "disk", mib=48) as disk:
        yield disk


def _legal(name: str) -> bool:
    try:
        RelPath.parse_flat(name)
    except NameRefused:
        return False
    return True


def _port(peer: Peer) -> int:
    return int(peer.endpoint.rpartition(":")[2])


def _ask(port: int, request: bytes) -> bytes:
    """All that the peer at `port` answers, until it closes."""
    got = b""
    with suppress(ConnectionResetError), socket.create_connection(("127.0.0.1", port), 20) as conn:
        conn.sendall(request)
        with suppress(OSError):  # a file that cannot be opened just then is answered with a reset
            conn.shutdown(socket.SHUT_WR)
        while data := conn.recv(65536):
            got += data
    return got


def _everybody_owned(conn: socket.socket, request: bytes) -> None:
    conn.sendall(OWNED if not request.endswith(b"\n") else b"Content-Length: %d\n" % len(OWNED) + OWNED)


@pytest.mark.parametrize("ours", [False, True], ids=["edition 1", "edition 2"])
def test_no_announced_name_leads_out_of_the_folder(cluster: Cluster, around: Neighbourhood, ours: bool) -> None:
    names = corpus(around.outside)
    assert len(names) == 200
    legal = {name for name in names if _legal(name) and not is_ignored(RelPath.parse(name))}
    special = {"link to a file", "link to a folder", "link to itself", "fifo", "socket", "subfolder"}
    before = {name: (around.folder / name).lstat().st_ino for name in special}

    with PretendedSource(_everybody_owned) as source, PretendedTracker() as tracker:
        entries = dict.fromkeys([*names, "honest"], (source.port, folders.NEW))
        tracker.answer = listing(entries, ours=ours)
        peer = cluster.peer(around.folder, tracker.port, "-v")
        expected = legal | {"honest"}
        cluster.until(lambda: folders.names(around.folder) == expected, f"{len(expected)} harmless names")
        peer.until(lambda: "directory.refused" in peer.err, "a word on what was refused")

    assert around.is_untouched()
    for name in expected - special:
        path = around.folder / name
        assert stat.S_ISREG(path.lstat().st_mode)
        assert path.read_bytes() == OWNED
    assert {name: (around.folder / name).lstat().st_ino for name in special} == before
    assert set(os.listdir(around.folder / ".gsync")) <= {
        "lock", "root", "staging", "trash", "index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "tracker",
        "control",
    }  # fmt: skip
    assert OWNED not in (around.folder / ".gsync" / "root").read_bytes()
    assert peer.code is None


def test_no_requested_name_leads_out_of_the_folder(cluster: Cluster, around: Neighbourhood) -> None:
    folders.write(around.folder, "honest", b"for everybody")
    with PretendedTracker() as tracker:
        peer = cluster.peer(around.folder, tracker.port, "-v")
        port = _port(peer)

        for name in corpus(around.outside):
            raw = name.encode("utf-8", "surrogatepass")
            for request in (raw, raw + b"\n", json.dumps(name).encode(), b'"' + raw + b'"\n'):
                assert _ask(port, request) == b"", request

        assert _ask(port, b"honest") == b"for everybody"
        assert _ask(port, b"honest\n") == b"Content-Length: 13\nfor everybody"
    assert "upload.refused" in peer.err
    assert "no such file here" in peer.err
    assert around.is_untouched()
    assert peer.code is None


def test_a_tracker_passes_no_name_on_that_leads_out_of_a_folder(cluster: Cluster, around: Neighbourhood) -> None:
    names = [name for name in corpus(around.outside) if name.isprintable() or "\ud800" not in name]
    tracker = cluster.tracker("-v")
    with socket.create_connection(("127.0.0.1", tracker.port)) as conn:
        files = [{"name": name, "mtime": folders.OLD} for name in [*names, "honest"]]
        conn.sendall(json.dumps({"port": 5000, "files": files}).encode())
        with conn.makefile("rb") as lines:
            directory = json.loads(lines.readline())

    assert set(directory) == {name for name in names if _legal(name)} | {"honest"}
    tracker.says("refused")


def test_a_link_that_comes_and_goes_is_never_followed(cluster: Cluster, around: Neighbourhood) -> None:
    """The served name and the fetch target are swapped with links to the secret, many thousand times, while both are in use."""
    served = folders.write(around.folder, "served", b"for everybody")
    target = folders.write(around.folder, "target", b"old")
    others = []
    for name in ("served", "target"):
        other = around.base / "1" / "2" / "3" / "4" / f"link for {name}"
        other.symlink_to(around.outside / "secret")
        others.append(other)
    honest = around.surroundings()
    answers: set[bytes] = set()

    with PretendedSource(contents({"target": OWNED})) as source, PretendedTracker() as tracker:
        peer = cluster.peer(around.folder, tracker.port, "-v")
        port = _port(peer)
        cluster.all_in_sync([peer])
        swapper = cluster.run(
            [sys.executable, Path(__file__).with_name("swapper.py"), served, others[0], target, others[1]]
        )
        mtime = folders.NEW

        def enough() -> bool:
            nonlocal mtime
            mtime += 1
            tracker.push(listing({"target": (source.port, mtime)}))
            for request in (b"served", b"served\n", b"target", b"target\n"):
                answers.add(_ask(port, request))
            return int((swapper.out.split() or ["0"])[-1]) >= SWAPS and mtime - folders.NEW >= 200

        swapper.until(enough, f"{SWAPS} swaps and 200 directories")
        swapper.stop()
        assert peer.code is None, peer.last_words()
        peer.stop()

    assert not [answer for answer in answers if SECRET in answer]
    assert (around.outside / "secret").read_bytes() == SECRET
    changed = {path for path, seen in around.surroundings().items() if honest.get(path) != seen}
    assert changed <= {str(other) for other in others}  # the swapper put files of ours there, or took them back
    assert sorted(os.listdir(around.outside)) == ["secret"]


@pytest.mark.root("make device nodes")
def test_odd_things_in_the_folder_are_left_alone_and_hang_nobody(cluster: Cluster, around: Neighbourhood) -> None:
    os.mknod(around.folder / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(around.folder / "tty", 0o666 | stat.S_IFCHR, os.makedev(5, 0))
    os.mknod(around.folder / "disk", 0o600 | stat.S_IFBLK, os.makedev(7, 250))
    with (around.folder / "sparse").open("wb") as file:
        file.truncate(SPARSE)
    folders.write(around.folder, "honest", b"for everybody")
    for name in ("link to a file", "link to a folder", "link to itself"):
        os.utime(around.folder / name, (folders.OLD, folders.OLD), follow_symlinks=False)
    odd = ["null", "tty", "disk", "fifo", "socket", "subfolder", "link to a file", "link to a folder", "link to itself"]

    with PretendedTracker() as tracker:
        peer = cluster.peer(around.folder, tracker.port, "-v")
        port = _port(peer)
        peer.until(tracker.initials, "the Initial")
        assert sorted(file["name"] for file in tracker.initials()[0]["files"]) == ["honest", "sparse"]
        for name in odd:
            for request in (name.encode(), name.encode() + b"\n"):
                assert _ask(port, request) == b""
        with socket.create_connection(("127.0.0.1", port), 20) as conn:
            conn.sendall(b"sparse\n")
            with conn.makefile("rb") as answer:
                assert answer.readline() == b"Content-Length: %d\n" % SPARSE
                assert answer.read(65536) == bytes(65536)
                assert _ask(port, b"honest") == b"for everybody"

        with PretendedSource(_everybody_owned) as source:
            tracker.push(listing(dict.fromkeys([*odd, "new"], (source.port, folders.NEW))))
            cluster.until((around.folder / "new").exists, "the one that can be had")
            peer.until(lambda: {e["path"] for e in peer.events("file.skipped")} >= set(odd), "a word on each odd one")
    skipped = {name for event in peer.events("scan.skipped") for name in event["names"]}
    assert skipped == {"null", "tty", "disk", "fifo", "socket"}
    assert around.is_untouched()
    assert all((around.folder / name).lstat() for name in odd)
    assert peer.code is None


def test_a_folder_that_is_a_link_or_has_planted_links_for_our_own_folder_is_refused(cluster: Cluster) -> None:
    outside = cluster.folder("outside")
    plants: dict[str, Callable[[Path], None]] = {
        "own folder": lambda home: (home / ".gsync").symlink_to(outside),
        "staging": lambda home: _beneath(home, "staging").symlink_to(outside),
        "trash": lambda home: _beneath(home, "trash").symlink_to(outside),
        "lock": lambda home: _beneath(home, "lock").symlink_to(outside / "made"),
        "marker": lambda home: _beneath(home, "root").symlink_to(outside / "made"),
        "index": lambda home: _beneath(home, "index.sqlite").symlink_to(outside / "made"),
        "fifo": lambda home: os.mkfifo(_beneath(home, "lock")),
    }
    with PretendedTracker() as tracker:
        started = {}
        for name, plant in plants.items():
            home = cluster.folder(name)
            plant(home)
            started[name] = cluster.peer(home, tracker.port, "--once", json=False)
        for name, peer in started.items():
            code = peer.ends()
            assert code == 11 or name == "index", (name, peer.last_words())
            assert "Traceback" not in peer.err
    assert os.listdir(outside) == []


def _beneath(home: Path, name: str) -> Path:
    own = home / ".gsync"
    own.mkdir(exist_ok=True)
    return own / name


@pytest.mark.root("mount a small disk")
def test_a_big_file_stops_at_the_free_space_floor(cluster: Cluster, small_disk: Path) -> None:
    """A source that promises more than fits, and one that never ends, leave the floor free, and the small file comes."""
    promised = 10 * 1024**3

    def flood(conn: socket.socket, request: bytes) -> None:
        if request.strip() == b"small":
            contents({"small": b"fits"})(conn, request)
            return
        if request.endswith(b"\n"):
            conn.sendall(b"Content-Length: %d\n" % promised)
        while True:
            conn.sendall(bytes(65536))
            gevent.sleep(0)

    floor = int(_size(small_disk) * 0.05)
    lowest = _free(small_disk)
    with PretendedSource(flood) as source, PretendedTracker() as tracker:
        tracker.answer = listing(dict.fromkeys(("big", "small"), (source.port, folders.NEW)), ours=True)
        peer = cluster.peer(small_disk / "folder", tracker.port)

        def given_up() -> bool:
            nonlocal lowest
            lowest = min(lowest, _free(small_disk))
            return any(event["path"] == "big" for event in peer.events("file.skipped")) and not folders.staged_bytes(
                peer.folder
            )

        peer.until(given_up, "the big file given up")
        cluster.until(lambda: folders.names(peer.folder) == {"small"}, "the small file")
        assert peer.code is None
        peer.stop()
    assert lowest >= floor // 2  # the index needs a little


def _size(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_blocks * status.f_frsize


def _free(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize
