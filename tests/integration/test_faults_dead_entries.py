"""faults.md row 17: a directory full of dead entries keeps nobody from the good ones."""

from __future__ import annotations

import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e import folders
from tests.e2e.cluster import Cluster
from tests.e2e.pretenders import PretendedSource, PretendedTracker, contents
from tests.integration.sizes import limit_s, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300))]

DEAD = 500
FOUND_S = 10.0
"""How long the good files may take, whatever stands beside them."""

FILES = {f"good {number}": folders.noise(1000 + number, seed=number) for number in range(10)}


@pytest.fixture
def dead_ports() -> Iterator[list[int]]:
    """Ports that are taken, so that nobody else gets them meanwhile, but at which nobody listens: dials are refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(times(DEAD))]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        yield [sock.getsockname()[1] for sock in sockets]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "others"])
def test_dead_entries_do_not_hold_up_the_good_ones(cluster: Cluster, dead_ports: list[int], ours: bool) -> None:
    with PretendedSource(contents(FILES)) as source:
        dead = {f"dead {number}": _entry(port, ours=ours) for number, port in enumerate(dead_ports)}
        good = {name: _entry(source.port, ours=ours) for name in FILES}
        _all_good_ones_come(cluster, dead | good)
    print(f"row 17: {len(dead)} dead entries, {len(good)} good ones")


def test_dead_holders_of_the_same_file_do_not_hide_the_living_one(cluster: Cluster, dead_ports: list[int]) -> None:
    """Each good file is said to be at a dead place first, and at two more, and only then where it is."""
    with PretendedSource(contents(FILES)) as source:
        dead = {f"dead {number}": _entry(port, ours=True) for number, port in enumerate(dead_ports)}
        places = [dead_ports[3 * number : 3 * number + 3] for number in range(len(FILES))]
        good = {
            name: _entry(first, ours=True, also=(second, third, source.port))
            for name, (first, second, third) in zip(FILES, places, strict=True)
        }
        _all_good_ones_come(cluster, dead | good)


def _entry(port: int, *, ours: bool, also: tuple[int, ...] = ()) -> dict[str, object]:
    mark: dict[str, object] = {"gsync": 1} if ours else {}
    further = {"also": " ".join(f"127.0.0.1:{other}" for other in also)} if also else {}
    return {"ip": "127.0.0.1", "port": port, "mtime": folders.OLD, **mark, **further}


def _all_good_ones_come(cluster: Cluster, entries: dict[str, dict[str, object]]) -> None:
    with PretendedTracker() as tracker:
        peer = cluster.peer("alice", tracker.port)
        cluster.all_in_sync([peer])
        tracker.push((json.dumps(entries) + "\n").encode())
        peer.until(lambda: folders.names(peer.folder) == FILES.keys(), "the good files", within_s=FOUND_S)
        assert {name: (peer.folder / name).read_bytes() for name in FILES} == FILES
        assert "Traceback" not in peer.err
