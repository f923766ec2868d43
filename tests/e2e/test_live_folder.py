"""The live folder on three native peers, as a person uses it: whatever stands in one folder soon stands in all, and moves no
byte that need not move.

One swarm for all tests; each works in a directory of its own, named for it, and leaves everybody settled.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, Peer, cluster_beneath, eventually
from tests.e2e.live import Thing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 1024**2
ALMOST_NOTHING = 4096
"""Bytes of content that may still move where none needs to."""


class Trio:
    """Three native peers, and a directory of the test's own in each of their folders."""

    def __init__(self, cluster: Cluster) -> None:
        self.port = cluster.tracker().port
        self.peers = [cluster.peer(name, self.port, "-v", "--stats") for name in ("ann", "ben", "cleo")]
        self.home = "home"

    @property
    def places(self) -> list[Path]:
        """The test's directory in each folder; that of the first stands from the start."""
        return [peer.folder / self.home for peer in self.peers]

    def settle(self) -> dict[str, Thing]:
        """All are settled and equal; what stands in the test's directory, by names beneath it."""
        beneath = self.home + "/"
        found = live.settle(self.peers)
        return {path.removeprefix(beneath): thing for path, thing in found.items() if path.startswith(beneath)}

    def received(self) -> int:
        """Content bytes that all have received so far; stats come each second, so the next ones are waited for."""
        return sum(_received_after(peer) for peer in self.peers)


def _received_after(peer: Peer) -> int:
    known = len(peer.events("peer.stats"))
    stats = peer.until(lambda: peer.events("peer.stats")[known:], "the next stats")
    return int(stats[-1]["bytes_received"])


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    with cluster_beneath(tmp_path_factory.mktemp("live") / "cluster") as cluster:
        yield Trio(cluster)


@pytest.fixture
def trio(swarm: Trio, request: pytest.FixtureRequest) -> Iterator[Trio]:
    swarm.home = request.node.name.removeprefix("test_")[:60]
    swarm.places[0].mkdir()
    yield swarm
    for peer in swarm.peers:
        assert peer.code is None, peer.last_words()
        assert "Traceback" not in peer.err, peer.last_words()
        troubles = [event for event in peer.events("error") if "differ only in case" not in event["what"]]
        assert not troubles, peer.last_words()


def test_a_tree_with_one_of_everything_stands_everywhere_as_it_was_made(trio: Trio) -> None:
    ann, _, cleo = trio.places
    (ann / "nested" / "deeper" / "deepest").mkdir(parents=True)
    (ann / "empty directory").mkdir()
    (ann / "nested" / "empty, too").mkdir()
    (ann / "nested" / "deeper" / "deepest" / "file").write_bytes(b"far down")
    (ann / "empty file").touch()
    (ann / "program").write_bytes(b"#!/bin/sh\n")
    (ann / "program").chmod(0o755)
    (ann / "large").write_bytes(folders.noise(20 * MIB + 1, seed=20))
    (ann / "to the nanosecond").write_bytes(b"now")
    os.utime(ann / "to the nanosecond", ns=(0, 1_234_567_890_123_456_789))
    with (ann / "sparse").open("wb") as file:
        file.seek(5 * MIB)
        file.write(b"in the middle of nothing")
        file.truncate(8 * MIB)
    (ann / "link to a file").symlink_to("nested/deeper/deepest/file")
    (ann / "link to a directory").symlink_to("nested")
    (ann / "link out of the folder").symlink_to("/etc/passwd")
    (ann / "link to nothing").symlink_to("nobody home")
    expected = live.picture(ann)
    assert expected["link to nothing"] == Thing("link", "nobody home")

    assert trio.settle() == expected
    assert (cleo / "to the nanosecond").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert (cleo / "sparse").stat().st_size == 8 * MIB


def test_a_tebibyte_of_holes_is_synced_in_moments_and_takes_no_room(trio: Trio) -> None:
    places = trio.places
    before = trio.received()
    with (places[0] / "huge").open("wb") as file:
        file.seek(2**39)
        file.write(b"in the middle of nothing")
        file.truncate(2**40)
    for place, peer in zip(places[1:], trio.peers[1:], strict=True):
        peer.until(lambda place=place: (place / "huge").exists(), "the huge file")
    for peer in trio.peers:
        live.settles(peer)
    with (places[1] / "huge").open("r+b") as file:  # ours took its name: an edit of it travels back
        file.seek(2**40 - 5)
        file.write(b"edit.")
    eventually(lambda: _end_of(places[2] / "huge") == b"edit.", "the edit of the huge file")
    for peer, place in zip(trio.peers, places, strict=True):
        live.settles(peer)
        status = (place / "huge").stat()
        assert status.st_size == 2**40
        assert status.st_blocks * 512 <= 4 * MIB
        assert _end_of(place / "huge") == b"edit."
        with (place / "huge").open("rb") as file:
            file.seek(2**39)
            assert file.read(24) == b"in the middle of nothing"
    lists_and_blocks = 2 * 2 * (2**20 * 32 + MIB)
    assert trio.received() - before <= lists_and_blocks + ALMOST_NOTHING
    for peer, place in zip(trio.peers, places, strict=True):
        (place / "huge").unlink(missing_ok=True)
        live.settles(peer)
    for peer in trio.peers:  # other tests look at every byte that is in the trash
        shutil.rmtree(peer.folder / ".gsync" / "trash")  # as a person may: it is made anew


def _end_of(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-5, os.SEEK_END)
        return file.read()


ODD_NAMES = (
    "with spaces  and more ",
    "-rf",
    "--help",
    ".hidden",
    "...",
    "grüße",
    "gru\u0308ße",
    "日本語",
    "🦊 and 👩‍👩‍👧",
    "a" * 255,
    "ü" * 127,
    "quote\"'`$(touch x)`",
    "back\\slash",
    "per%cent&amp;<b>",
    "CON",
    "trailing.",
    "Case",
    "case",
    "CASE",
)


def test_names_travel_byte_for_byte(trio: Trio) -> None:
    ann, ben, _ = trio.places
    for number, name in enumerate(ODD_NAMES):
        (ann / name).write_bytes(b"%d" % number)
        (ann / f"in {number}").mkdir()
        (ann / f"in {number}" / name).mkdir()
        (ann / f"in {number}" / name / name).symlink_to(name)
    expected = live.picture(ann)

    assert trio.settle() == expected
    assert {entry.name for entry in os.scandir(os.fsencode(ben))} >= {os.fsencode(name) for name in ODD_NAMES}


def test_names_that_cannot_travel_stay_where_they_are_and_hold_up_nobody(trio: Trio) -> None:
    ann, ben, _ = trio.places
    cannot = (b"not \xff utf-8", b"new\nline", b"escape\x1b[31m")
    for name in cannot:
        Path(os.fsdecode(os.fsencode(ann) + b"/" + name)).write_bytes(b"mine")
    (ann / "can").write_bytes(b"everybody's")
    eventually((ben / "can").exists, "the one that can travel")
    for name in cannot:
        path = Path(os.fsdecode(os.fsencode(ann) + b"/" + name))
        assert path.read_bytes() == b"mine"
        path.unlink()
    assert trio.settle().keys() == {"can"}


def test_an_edit_an_append_a_cut_and_a_touch_arrive(trio: Trio) -> None:
    ann, ben, cleo = trio.places
    for name in ("edited", "appended to", "cut", "touched", "made a program", "emptied"):
        (ann / name).write_bytes(b"some words\n" * 50)
    trio.settle()

    (ann / "edited").write_bytes(b"other words")
    with (ben / "appended to").open("ab") as file:
        file.write(b"one line more\n")
    with (cleo / "cut").open("r+b") as file:
        file.truncate(5)
    os.utime(ben / "touched", ns=(0, 1_111_111_111_000_000_001))
    (cleo / "made a program").chmod(0o700)
    (ann / "emptied").write_bytes(b"")
    found = trio.settle()

    assert (cleo / "edited").read_bytes() == b"other words"
    assert (ann / "appended to").read_bytes().endswith(b"one line more\n")
    assert (ann / "cut").read_bytes() == b"some "
    assert found["touched"].mtime_ns == 1_111_111_111_000_000_001
    assert found["made a program"].executable
    assert found["emptied"].size == 0
    assert len(found) == 6


def test_a_new_mtime_or_mode_alone_moves_no_content(trio: Trio) -> None:
    ann, _, cleo = trio.places
    for number in range(3):
        (ann / f"large {number}").write_bytes(folders.noise(2 * MIB, seed=number))
    trio.settle()
    before = trio.received()
    for number in range(3):
        os.utime(ann / f"large {number}", ns=(0, 1_500_000_000_000_000_000 + number))
        (ann / f"large {number}").chmod(0o755)
    trio.settle()
    assert (cleo / "large 2").stat().st_mtime_ns == 1_500_000_000_000_000_002
    assert trio.received() - before < ALMOST_NOTHING


def test_deletions_of_files_links_and_trees_arrive(trio: Trio) -> None:
    ann, ben, cleo = trio.places
    for name in ("file", "tree/a", "tree/sub/b", "kept/c"):
        (ann / name).parent.mkdir(parents=True, exist_ok=True)
        (ann / name).write_bytes(name.encode())
    (ann / "link").symlink_to("file")
    trio.settle()

    (ben / "file").unlink()
    (ben / "link").unlink()
    shutil.rmtree(cleo / "tree")
    assert trio.settle().keys() == {"kept", "kept/c"}
    eventually(lambda: b"file" in live.trashed_contents(ann.parent), "what went, in the trash")

    (cleo / "file").write_bytes(b"again, by another")
    assert trio.settle()["file"].size == len(b"again, by another")


def test_one_kind_of_thing_takes_the_place_of_another(trio: Trio) -> None:
    ann, ben, _ = trio.places
    (ann / "file to directory").write_bytes(b"a file")
    (ann / "directory to file").mkdir()
    (ann / "directory to file" / "inner").write_bytes(b"inner")
    (ann / "link to file").symlink_to("somewhere")
    (ann / "file to link").write_bytes(b"another file")
    trio.settle()

    (ben / "file to directory").unlink()
    (ben / "file to directory").mkdir()
    (ben / "file to directory" / "inner").write_bytes(b"now inside")
    shutil.rmtree(ben / "directory to file")
    (ben / "directory to file").write_bytes(b"now a file")
    (ben / "link to file").unlink()
    (ben / "link to file").write_bytes(b"no link any more")
    (ben / "file to link").unlink()
    (ben / "file to link").symlink_to("elsewhere")
    expected = live.picture(ben)

    assert trio.settle() == expected


def test_renames_of_files_and_of_a_directory_with_200_files_move_no_content(trio: Trio) -> None:
    ann, ben, cleo = trio.places
    (ann / "album" / "sub").mkdir(parents=True)
    for number in range(200):
        (ann / "album" / ("sub" if number % 2 else "") / f"{number}").write_bytes(folders.noise(5000, seed=number))
    (ann / "single").write_bytes(folders.noise(MIB, seed=1))
    (ann / "elsewhere").mkdir()
    before = trio.settle()
    inodes = {number: _inode(cleo / "album" / str(number)) for number in range(0, 200, 2)}
    received = trio.received()

    (ben / "album").rename(ben / "elsewhere" / "renamed album")
    (ben / "single").rename(ben / "elsewhere" / "one")
    after = trio.settle()

    def renamed(name: str) -> str:
        return name.replace("album", "elsewhere/renamed album", 1).replace("single", "elsewhere/one", 1)

    assert after == {renamed(name): thing for name, thing in before.items()}
    assert trio.received() - received < ALMOST_NOTHING
    there = cleo / "elsewhere" / "renamed album"
    assert {number: _inode(there / str(number)) for number in inodes} == inodes


def _inode(path: Path) -> int:
    return path.lstat().st_ino


def test_a_rename_that_only_changes_case_and_one_in_a_ring_arrive(trio: Trio) -> None:
    ann, ben, _ = trio.places
    for name in ("readme", "a", "b", "c"):
        (ann / name).write_bytes(name.encode() * 1000)
    before = trio.settle()
    (ben / "readme").rename(ben / "README")
    (ben / "a").rename(ben / "x")
    for source, target in (("c", "a"), ("b", "c"), ("x", "b")):
        (ben / source).rename(ben / target)
    after = trio.settle()
    assert after == {"README": before["readme"], "b": before["a"], "c": before["b"], "a": before["c"]}


def test_edits_of_different_files_at_the_same_time_all_arrive(trio: Trio) -> None:
    ann = trio.places[0]
    for number in range(30):
        (ann / f"{number}").write_bytes(b"before")
    trio.settle()
    for number in range(30):
        (trio.places[number % 3] / f"{number}").write_bytes(b"after %d" % number)
    trio.settle()
    assert [(ann / f"{number}").read_bytes() for number in range(30)] == [b"after %d" % n for n in range(30)]


def test_the_shared_rules_of_what_is_left_alone_are_obeyed_everywhere(trio: Trio) -> None:
    ann, ben, _ = trio.places
    home = trio.home
    rules = trio.peers[0].folder / ".gsyncignore"
    rules.write_text(f"/{home}/*.log\n!/{home}/important.log\n/{home}/build/\n")
    trio.settle()
    for place in (ann, ben):
        (place / "build").mkdir(parents=True)
        (place / "build" / "out").write_bytes(os.fsencode(place))
        (place / "noise.log").write_bytes(os.fsencode(place))
    (ann / "important.log").write_bytes(b"this one travels")
    (ann / "code").write_bytes(b"and this one")
    eventually(lambda: (ben / "important.log").exists() and (ben / "code").exists(), "what is not left alone")
    for peer in trio.peers:
        live.settles(peer)
    assert [path.name for path in sorted(trio.places[2].iterdir())] == ["code", "important.log"]
    for place in (ann, ben):
        assert (place / "noise.log").read_bytes() == (place / "build" / "out").read_bytes() == os.fsencode(place)

    (ben / "noise.log").unlink()  # left alone means that a deletion is, too
    shutil.rmtree(ben / "build")
    rules.write_text("")
    found = trio.settle()
    assert found["noise.log"].size == len(os.fsencode(ann))
    assert "build/out" in found


def test_no_half_saved_file_of_any_editor_is_ever_seen_elsewhere(trio: Trio) -> None:
    ann, ben, cleo = trio.places
    rng = random.Random(6)
    for save in SAVES:
        (ann / save.__name__).write_bytes(_text(rng))
    trio.settle()
    saved = {save.__name__: {(ann / save.__name__).read_bytes()} for save in SAVES}
    interrupted: set[str] = set()
    wrong: dict[str, str] = {}

    def watch(place: Path) -> None:
        while True:
            for name, whole in saved.items():
                try:
                    content = (place / name).read_bytes()
                except FileNotFoundError:
                    wrong[name] = "was gone for a moment"
                    continue
                if content not in whole:
                    wrong[name] = f"half of it: {content!r}"[:200]
            gevent.sleep(0.001)

    watchers = [gevent.spawn(watch, place) for place in (ben, cleo)]
    for _ in range(6):
        for save in SAVES:
            content = _text(rng)
            saved[save.__name__].add(content)
            began = time.monotonic()
            save(ann / save.__name__, content)
            if save in SAVES_IN_STEPS and time.monotonic() - began > PROMPT_SAVE_S:
                interrupted.add(save.__name__)
        gevent.sleep(rng.random() / 5)
    found = trio.settle()
    gevent.killall(watchers)

    assert {name: what for name, what in wrong.items() if name not in interrupted} == {}
    assert found.keys() == saved.keys()


def _text(rng: random.Random) -> bytes:
    return rng.randbytes(20_000).hex().encode()


def like_vim(path: Path, content: bytes) -> None:
    """The old file becomes a backup, a new one is written under the name, the backup goes."""
    backup = path.with_name(path.name + "~")
    path.rename(backup)
    path.write_bytes(content)
    backup.unlink()


def like_most_editors(path: Path, content: bytes) -> None:
    """A new file beside it is renamed over it."""
    new = path.with_name(f".{path.name}.tmp")
    new.write_bytes(content)
    new.replace(path)


def like_simple_ones(path: Path, content: bytes) -> None:
    """The file is emptied and written anew, in pieces."""
    with path.open("wb", buffering=0) as file:
        for begin in range(0, len(content), 4096):
            file.write(content[begin : begin + 4096])


def like_a_swapper(path: Path, content: bytes) -> None:
    """The old file is moved away, the new one into its place, and the old one is deleted, as some office programs do."""
    new, old = path.with_name(f"lu{path.name}.tmp"), path.with_name(f"{path.name}.old")
    new.write_bytes(content)
    path.rename(old)
    new.rename(path)
    old.unlink()


SAVES: tuple[Callable[[Path, bytes], None], ...] = (like_vim, like_most_editors, like_simple_ones, like_a_swapper)

SAVES_IN_STEPS = (like_vim, like_simple_ones, like_a_swapper)
"""Between the steps of these the file is empty or gone on the disk itself."""

PROMPT_SAVE_S = 0.002
"""Half a tick of the clock that stamps files. Where a save waits for longer between two of its steps, the folder
did rest in that state, and nobody can tell it from one that was meant: that file is then judged by what it is in the end.
"""


def test_a_log_that_grows_is_followed_and_is_whole_in_the_end(trio: Trio) -> None:
    ann, ben, cleo = trio.places
    log = ann / "grows.log"
    with log.open("ab", buffering=0) as file:
        for number in range(100):
            file.write(b"line %d of a log that grows\n" % number)
            gevent.sleep(0.01)
            for place in (ben, cleo):
                if (place / log.name).exists():
                    assert log.read_bytes().startswith((place / log.name).read_bytes())
    trio.settle()
    assert (ben / log.name).read_bytes() == log.read_bytes()
    assert [path.name for path in cleo.iterdir()] == [log.name]
