"""A peer that was given no tracker: it keeps an eye on its folder, serves, takes orders, and ends in order."""

from __future__ import annotations

from pathlib import Path

from gsync.core.names import RelPath
from gsync.peer.events import TrackerDown
from tests.sim.cluster import cluster


def test_a_peer_without_a_tracker_looks_after_its_folder_and_dials_nobody(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True) as swarm:
        alone = swarm.machine({"a.txt": b"here"})
        alone.start(tracker=None)
        swarm.rest(30)
        alone.folder.put("b.txt", b"new")
        swarm.rest(5)
        assert alone._peer is not None
        assert {RelPath("a.txt"), RelPath("b.txt")} <= alone._peer._trees.local.keys()
        assert alone.is_at_rest
        assert not [event for event in alone.events if isinstance(event, TrackerDown)]
        alone.stop()
        assert alone.summary is not None
        assert (alone.summary.left, alone.summary.heard_tracker) == (0, False)


def test_a_peer_that_lost_its_tracker_may_go_on_without_one(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True) as swarm:
        first, second = swarm.machine({"a.txt": b"1"}), swarm.machine()
        first.start()
        second.start()
        swarm.wait_until(lambda: second.files() == {"a.txt": b"1"}, within_s=60)
        second.stop()
        second.start(tracker=None)
        swarm.rest(30)
        assert second.files() == {"a.txt": b"1"}
        assert second.is_at_rest
