"""Every pair of peers (native, ours that speaks classic, theirs of edition 1 and 2) at every tracker where the two can meet: a
file of either comes to the other, then a newer version of it comes back, and both folders are equal.

The reference programs record every byte that they receive. Whatever of ours is in the swarm, these bytes are classic: no frame, no
key that the protocol does not name, nothing of subfolders, links, digests or versions.

All pairs run at the same time, because most of the time each of them waits for the next keepalive of somebody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import gevent
import pytest

from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, Peer, Tracker, cluster_beneath, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two kinds of peers, and the tracker between them; `are_equal` is false where it tells classic peers of nothing."""

    one: str
    other: str
    tracker: str
    are_equal: bool = True

    def __str__(self) -> str:
        return f"{self.one}-{self.other}-at-{self.tracker}"


PAIRS = (
    Pair("native", "native", "ours"),
    Pair("native", "classic", "ours"),
    Pair("native", "theirs-1", "ours"),
    Pair("native", "theirs-2", "ours"),
    Pair("classic", "classic", "ours"),
    Pair("classic", "theirs-1", "ours"),
    Pair("native", "native", "ours-naming-only"),
    Pair("native", "classic", "ours-naming-only", are_equal=False),
    Pair("native", "theirs-1", "ours-naming-only", are_equal=False),
    Pair("native", "native", "theirs-1"),
    Pair("native", "classic", "theirs-1"),
    Pair("native", "theirs-1", "theirs-1"),
    Pair("classic", "classic", "theirs-1"),
    Pair("classic", "theirs-1", "theirs-1"),
    Pair("native", "native", "theirs-2"),
    Pair("native", "classic", "theirs-2"),
    Pair("native", "theirs-2", "theirs-2"),
    Pair("classic", "classic", "theirs-2"),
)
"""What is missing has nothing of ours (`test_pairings.py` has it), or no edition in common: `--classic` is edition 1."""

ONLY_NATIVE = ("deep", "inner", "a link", "b3:", "author", '"gsync"', '"also"', '"t"', '"v"', '"k"')
"""Words that only native has, and the names of things that only native peers know."""


@dataclass(slots=True)
class Running:
    """One pair at work."""

    pair: Pair
    cluster: Cluster
    tracker: Tracker = field(init=False)
    peers: list[Peer] = field(default_factory=list)
    failure: AssertionError | None = None

    def start(self) -> None:
        self.tracker = self._start_tracker()
        for place, kind in enumerate((self.pair.one, self.pair.other)):
            folder = self.cluster.folder(f"{place} {kind}")
            folders.write(folder, f"from {place}", folders.noise(30_000, seed=place))
            folders.write(folder, f"tiny {place}", b"", mtime_s=folders.OLD + place)
            if kind == "native":
                (folder / "deep").mkdir()
                (folder / "deep" / "inner").write_bytes(b"only native peers know folders")
                if not place:
                    (folder / "a link").symlink_to("from 0")
            self.peers.append(self._start_peer(kind, folder))

    def edit(self, place: int, files: dict[str, bytes]) -> None:
        """A person's edits at one of the peers; to a classic tracker, and by a classic peer, it is told when it comes again."""
        peer, kind = self.peers[place], (self.pair.one, self.pair.other)[place]
        is_live = kind == "native" and self.pair.tracker.startswith("ours")
        if not is_live:
            peer.stop()
        for name, content in files.items():
            folders.write(peer.folder, name, content, mtime_s=folders.NEW)
        if not is_live:
            self.peers[place] = self._start_peer(kind, peer.folder)

    def go_on(self) -> None:
        """All that this pair is to do; what went wrong with it is kept for its test."""
        try:
            (_meet if self.pair.are_equal else _pass_by)(self)
        except AssertionError as error:
            self.failure = error

    def until_all_have(self, expected: dict[str, bytes]) -> None:
        for peer in self.peers:
            self.cluster.until(
                lambda peer=peer: all(_content(peer.folder / name) == content for name, content in expected.items()),
                f"{self.pair}: {sorted(expected)} in {peer.folder.name}",
            )

    def heard(self) -> dict[str, list[bytes]]:
        """What the programs of others received: for each of them the bytes of each connection."""
        found: dict[str, list[bytes]] = {}
        for directory in sorted(self.cluster.base.glob("heard by *")):
            found[directory.name] = [path.read_bytes() for path in directory.iterdir()]
        return found

    def require_unharmed(self) -> None:
        for program in (self.tracker, *self.peers):
            assert program.code is None, program.last_words()
            assert "Traceback" not in program.err, program.last_words()

    def _start_tracker(self) -> Tracker:
        if self.pair.tracker == "ours-naming-only":
            return self.cluster.tracker("--naming-only")
        if self.pair.tracker == "ours":
            return self.cluster.tracker()
        record = f"--record={self._ears('tracker')}"
        return self.cluster.reference_tracker(record, edition=int(self.pair.tracker[-1]))

    def _start_peer(self, kind: str, folder: Path) -> Peer:
        port = self.tracker.port
        if kind.startswith("theirs"):
            ears = self._ears(f"peer {len(list(self.cluster.base.glob('heard by *')))}")
            return self.cluster.reference_peer(folder, port, f"--record={ears}", edition=int(kind[-1]))
        return self.cluster.peer(folder, port, "-v", *(["--classic"] if kind == "classic" else []))

    def _ears(self, whose: str) -> Path:
        ears = self.cluster.base / f"heard by {whose}"
        ears.mkdir()
        return ears


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _meet(one: Running) -> None:
    """Files and newer versions go either way, and both folders end equal."""
    first = {f"from {place}": folders.noise(30_000, seed=place) for place in (0, 1)}
    one.until_all_have(first | {"tiny 0": b"", "tiny 1": b""})
    edits = (
        {"from 1": b"edited at the first"},
        {"from 0": b"edited at the second" * 1000, "new": b"made at the second"},
    )
    for place, files in enumerate(edits):
        one.edit(place, files)
        one.until_all_have(files)
    tops = [_top(peer.folder) for peer in one.peers]
    assert tops[0] == tops[1]
    if one.pair.one == one.pair.other == "native" and one.pair.tracker.startswith("ours"):
        live.settle(one.peers)
    one.require_unharmed()


def _pass_by(one: Running) -> None:
    """Whoever speaks only classic is told of nothing by a tracker of names, tells nothing, and is not harmed."""
    live.settles(one.peers[0])
    if one.pair.other == "classic":
        one.peers[1].until(lambda: one.peers[1].is_in_sync, "an answer")
    else:
        eventually(lambda: any(stream.count(b"{") > 1 for said in one.heard().values() for stream in said), "answers")
    assert folders.names(one.peers[1].folder) == {"from 1", "tiny 1"}
    assert folders.names(one.peers[0].folder) == {"from 0", "tiny 0", "deep", "a link"}
    one.require_unharmed()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Pair, Running]]:
    with cluster_beneath(tmp_path_factory.mktemp("pairs") / "cluster") as parent:
        all_of_them = {pair: Running(pair, Cluster(parent.base / str(pair))) for pair in PAIRS}
        try:
            for one in all_of_them.values():
                one.start()
            gevent.joinall([gevent.spawn(one.go_on) for one in all_of_them.values()], raise_error=True)
            yield all_of_them
        finally:
            for one in all_of_them.values():
                one.cluster.close()


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_files_and_newer_versions_go_either_way_and_both_end_equal(running: dict[Pair, Running], pair: Pair) -> None:
    failure = running[pair].failure
    if failure is not None:
        raise failure


def _top(folder: Path) -> dict[str, bytes]:
    """The files at the top, which is all that classic knows."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.is_symlink()}


def test_nothing_native_reaches_the_programs_of_others(running: dict[Pair, Running]) -> None:
    streams = 0
    for pair, one in running.items():
        for who, said in one.heard().items():
            for stream in said:
                streams += 1
                _require_classic(stream, f"{pair}: {who}")
    print(f"pairs: {streams} connections of others heard classic only")
    assert streams >= len([pair for pair in PAIRS if "theirs" in str(pair)])


def _require_classic(stream: bytes, where: str) -> None:
    """It is a run of JSON objects without foreign keys, a request for a top-level name, or the content of a file."""
    if stream.lstrip().startswith(b"{"):
        assert b"\0" not in stream, where
        text = stream.decode("ascii")
        assert not [word for word in ONLY_NATIVE if word in text], (where, text[:2000])
        decoder, at = json.JSONDecoder(), 0
        while at < len(text):
            at = len(text) - len(text[at:].lstrip())
            if at == len(text):
                break
            try:
                message, at = decoder.raw_decode(text, at)
            except ValueError:
                break  # the last one, which was on its way when the program was ended
            keys = set(message) if "port" in message else {key for entry in message.values() for key in entry}
            assert keys <= {"port", "files", "ip", "mtime"}, (where, message)
            assert all(file.keys() == {"name", "mtime"} for file in message.get("files", ())), (where, message)
        return
    body = stream.partition(b"\n")[2] if stream.startswith(b"Content-Length: ") else stream
    names = {b"from 0", b"from 1", b"tiny 0", b"tiny 1", b"new", b""}
    contents = {folders.noise(30_000, seed=place) for place in (0, 1)}
    contents |= {b"edited at the first", b"edited at the second" * 1000, b"made at the second"}
    whole = stream.removesuffix(b"\n") in names or body in contents
    assert whole or any(content.startswith(body) for content in contents), (where, stream[:200])
