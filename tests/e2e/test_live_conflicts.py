"""What two people did without knowing of each other: nothing is lost, and all folders end alike, with the same conflict copies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, Peer, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EARLY, LATE = 1_700_000_000, 1_700_000_100


def edit(folder: Path, name: str, content: bytes, *, mtime_s: float) -> None:
    (folder / name).write_bytes(content)
    os.utime(folder / name, (mtime_s, mtime_s))


def stop(*peers: Peer) -> None:
    for peer in peers:
        peer.stop()
        assert peer.code == 0, peer.last_words()


def copies(found: dict[str, live.Thing], stem: str) -> list[str]:
    return [name for name in found if name.startswith(f"{stem}.conflict-")]


def test_edits_that_two_made_offline_meet_and_a_person_settles_what_is_left(cluster: Cluster) -> None:
    port = cluster.tracker().port
    ann, ben, cleo = (cluster.folder(name) for name in ("ann", "ben", "cleo"))
    for name in (
        "both.txt",
        "only ann",
        "only ben",
        "deleted by ann",
        "deleted by both",
        "renamed by ann",
        "third.txt",
    ):
        edit(ann, name, f"{name} before".encode(), mtime_s=folders.OLD)
    peers = [cluster.peer(folder, port, "-v") for folder in (ann, ben, cleo)]
    live.settle(peers)
    stop(*peers[:2])

    edit(ann, "both.txt", b"ann's words", mtime_s=EARLY)
    edit(ben, "both.txt", b"ben's words", mtime_s=LATE)
    edit(ann, "third.txt", b"ann's, later", mtime_s=LATE)
    edit(ben, "third.txt", b"ben's, earlier", mtime_s=EARLY)
    edit(ann, "only ann", b"ann was here", mtime_s=EARLY)
    edit(ben, "only ben", b"ben was here", mtime_s=EARLY)
    (ann / "deleted by ann").unlink()
    edit(ben, "deleted by ann", b"edited by ben", mtime_s=EARLY)
    (ann / "deleted by both").unlink()
    (ben / "deleted by both").unlink()
    (ann / "renamed by ann").rename(ann / "new name")
    edit(ben, "renamed by ann", b"edited under its old name", mtime_s=EARLY)
    for folder in (ann, ben):
        edit(folder, "made by both, equal", b"the same", mtime_s=EARLY)
        edit(folder, "made by both.txt", f"by {folder.name}".encode(), mtime_s=LATE if folder is ann else EARLY)
    peers[:2] = [cluster.peer(folder, port, "-v") for folder in (ann, ben)]
    found = live.settle(peers)

    contents = {name: (cleo / name).read_bytes() for name in found}
    (both,), (third,), (made,) = (copies(found, stem) for stem in ("both", "third", "made by both"))
    assert contents == {
        "both.txt": b"ben's words",
        both: b"ann's words",
        "third.txt": b"ann's, later",
        third: b"ben's, earlier",
        "only ann": b"ann was here",
        "only ben": b"ben was here",
        "deleted by ann": b"edited by ben",
        "new name": b"edited under its old name",
        "made by both, equal": b"the same",
        "made by both.txt": b"by ann",
        made: b"by ben",
    }

    listed = cluster.gsync("conflicts", "--json", cwd=cleo)
    assert listed.ends() == 6
    assert {line["copy"] for line in listed.lines()} == {both, third, made}
    for choice, name in (("mine", "both.txt"), ("theirs", "third.txt"), ("both", made)):
        assert cluster.gsync("conflicts", "keep", choice, name, cwd=cleo).ends() == 0
    found = live.settle(peers)
    assert (ann / "both.txt").read_bytes() == b"ann's words"
    assert (ann / "third.txt").read_bytes() == b"ann's, later"
    assert (ann / "made by both (copy).txt").read_bytes() == b"by ben"
    assert not any(".conflict-" in name for name in found)
    assert cluster.gsync("conflicts", cwd=ben).ends() == 0
    lost = {b"ben's words", b"ben's, earlier"}
    eventually(lambda: lost <= live.trashed_contents(cleo), "what lost, in the trash")
    for peer in peers:
        assert "Traceback" not in peer.err


def test_one_who_comes_back_or_begins_anew_with_old_files_brings_back_nothing(cluster: Cluster) -> None:
    """Three of them: one with an index that knows the old state, one whose index is lost, one with a mere copy of the files."""
    port = cluster.tracker().port
    ann, away, lost, copied = (cluster.folder(name) for name in ("ann", "away", "lost", "copied"))
    for name in ("edited", "deleted", "kept", "own edit", "directory/inner"):
        (ann / name).parent.mkdir(exist_ok=True)
        edit(ann, name, f"{name} before".encode(), mtime_s=folders.OLD)
    peers = [cluster.peer(folder, port, "-v") for folder in (ann, away, lost)]
    live.settle(peers)
    stop(*peers[1:])
    for name in ("edited", "deleted", "kept", "own edit"):
        shutil.copy2(ann / name, copied / name)
    shutil.copytree(ann / "directory", copied / "directory")

    edit(ann, "edited", b"newer", mtime_s=folders.NEW)
    (ann / "deleted").unlink()
    (ann / "own edit").unlink()
    shutil.rmtree(ann / "directory")
    live.settles(peers[0])
    for name in os.listdir(lost / folders.OWN):
        if name.startswith("index"):
            (lost / folders.OWN / name).unlink()
    edit(copied, "own edit", b"the words of a late joiner", mtime_s=folders.NEW)
    peers[1:] = [cluster.peer(folder, port, "-v") for folder in (away, lost, copied)]
    found = live.settle(peers)

    assert {name: (away / name).read_bytes() for name in found} == {
        "edited": b"newer",
        "kept": b"kept before",
        "own edit": b"the words of a late joiner",
    }
    for folder in (away, lost, copied):
        kept = live.trashed_contents(folder)
        assert {b"edited before", b"deleted before", b"directory/inner before"} <= kept
    assert not any(peer.events("file.conflict") for peer in peers)


def test_five_peers_edit_the_same_files_at_the_same_time_and_nothing_is_lost(cluster: Cluster) -> None:
    """faults.md row 13: each of the edits is the file, a conflict copy, in a trash, or overwritten by one who had seen it."""
    port = cluster.tracker().port
    names = [f"file {number}" for number in range(PAIRS)]
    homes = [cluster.folder(name) for name in ("ann", "ben", "cleo", "dora", "emil")]
    for name in names:
        (homes[0] / name).write_bytes(b"before")
    peers = [cluster.peer(home, port, "-v") for home in homes]
    live.settle(peers)
    written = set()
    for name in names:
        for home in homes:  # at once: nobody has heard of anybody
            content = f"{name} as {home.name} wants it".encode()
            (home / name).write_bytes(content)
            written.add(content)
    live.settle(peers)

    kept = {path.read_bytes() for path in homes[0].iterdir() if path.is_file()}
    for home in homes:
        kept |= live.trashed_contents(home)
    assert written - kept == set()
    assert all((homes[0] / name).read_bytes() in written for name in names)


PAIRS = 20
