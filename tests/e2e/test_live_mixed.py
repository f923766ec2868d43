"""Native peers beside peers and trackers that others wrote: top-level files reach everybody, and what only native peers know
(folders, links, deletions) reaches all of them, and breaks nothing of the others.

All swarms run at the same time, because most of the time each of them waits for the next keepalive of somebody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, Peer, cluster_beneath

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class Case:
    """Which peers meet at which tracker: two of ours, native unless `classic`, and one of theirs."""

    edition: int
    tracker: str
    with_classic: bool = False

    def __str__(self) -> str:
        return f"edition-{self.edition}-{self.tracker}{'-and-one-classic' if self.with_classic else ''}"


CASES = (
    Case(1, "ours"),
    Case(2, "ours"),
    Case(1, "theirs-1"),
    Case(2, "theirs-2"),
    Case(1, "ours", with_classic=True),
)


@dataclass(slots=True)
class Running:
    cluster: Cluster
    case: Case
    ours: list[Peer] = field(default_factory=list)
    classic: list[Peer] = field(default_factory=list)

    @property
    def is_native(self) -> bool:
        """Whether peers of ours can speak native: only where the tracker is ours, too."""
        return self.case.tracker == "ours"

    def start(self) -> None:
        port = self.cluster.any_tracker(self.case.tracker).port
        for name in ("ann", "ben", "theirs", "older"):
            folders.write(self.cluster.folder(name), f"from {name}", folders.noise(30_000, seed=len(name)))
        ann = self.cluster.folder("ann")
        (ann / "folder" / "deeper").mkdir(parents=True)
        (ann / "folder" / "deeper" / "inner").write_bytes(b"only native peers know folders")
        (ann / "link").symlink_to("from ann")
        (ann / "program").write_bytes(b"#!/bin/sh\n")
        (ann / "program").chmod(0o755)
        self.ours = [self.cluster.peer(name, port, "-v") for name in ("ann", "ben")]
        self.classic = [self.cluster.reference_peer("theirs", port, edition=self.case.edition)]
        if self.case.with_classic:
            self.classic.append(self.cluster.peer("older", port, "--classic", "-v"))

    def until_all_have(self, expected: dict[str, bytes]) -> None:
        """Every peer has these files at the top, with this content."""
        for peer in (*self.ours, *self.classic):
            self.cluster.until(
                lambda peer=peer: all(_content(peer, name) == content for name, content in expected.items()),
                f"{self.case}: {sorted(expected)} in {peer.folder.name}",
            )

    def require_unharmed(self) -> None:
        for peer in (*self.ours, *self.classic):
            assert peer.code is None, peer.last_words()
            assert "Traceback" not in peer.err, peer.last_words()
        for peer in self.classic:
            assert not [path for path in peer.folder.iterdir() if path.name != folders.OWN and not path.is_file()]


def _content(peer: Peer, name: str) -> bytes | None:
    try:
        return (peer.folder / name).read_bytes()
    except FileNotFoundError:
        return None


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Case, Running]]:
    with cluster_beneath(tmp_path_factory.mktemp("mixed") / "cluster") as parent:
        swarms = {case: Running(Cluster(parent.base / str(case)), case) for case in CASES}
        try:
            for swarm in swarms.values():
                swarm.start()
            yield swarms
        finally:
            for swarm in swarms.values():
                swarm.cluster.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_everybody_gets_the_files_at_the_top_and_native_peers_the_rest(
    running: dict[Case, Running], case: Case
) -> None:
    swarm = running[case]
    ann, ben = (peer.folder for peer in swarm.ours)
    top = {peer.folder.name: f"from {peer.folder.name}" for peer in (*swarm.ours, *swarm.classic)}
    expected = {name: (swarm.cluster.folder(at) / name).read_bytes() for at, name in top.items()}
    expected["program"] = b"#!/bin/sh\n"
    swarm.until_all_have(expected)
    swarm.require_unharmed()

    if swarm.is_native:
        found = live.settle(swarm.ours)
        assert found["folder/deeper/inner"].what
        assert found["link"] == live.Thing("link", "from ann")
        assert found["program"].executable

    # An edit on either side, a deletion that only native peers can tell, and a rename.
    folders.write(ann, "from ben", b"edited by ann", mtime_s=folders.NEW)
    expected["from ben"] = b"edited by ann"
    if swarm.is_native:
        (ben / "folder").rename(ben / "renamed folder")
        (ann / "link").unlink()
        (ben / "new").mkdir()
        swarm.until_all_have(expected)
        found = live.settle(swarm.ours)
        assert found["renamed folder/deeper/inner"].what
        assert "link" not in found
        assert "folder" not in found
        assert found["new"].kind == "directory"
    swarm.require_unharmed()


@pytest.mark.parametrize("case", [case for case in CASES if case.tracker == "ours"], ids=str)
def test_what_native_peers_delete_stays_deleted_among_them_though_classic_ones_still_offer_it(
    running: dict[Case, Running], case: Case
) -> None:
    swarm = running[case]
    ann, ben = (peer.folder for peer in swarm.ours)
    swarm.until_all_have({"program": b"#!/bin/sh\n"})
    live.settle(swarm.ours)
    (ann / "program").unlink()
    swarm.cluster.until(lambda: not (ben / "program").exists(), "the deletion")
    folders.write(ben, "after the deletion", b"1")
    swarm.until_all_have({"after the deletion": b"1"})  # at least one keepalive of theirs later
    assert not (ann / "program").exists()
    assert not (ben / "program").exists()
    for peer in swarm.classic:
        assert (peer.folder / "program").read_bytes() == b"#!/bin/sh\n"
    swarm.require_unharmed()
