"""faults.md row 16, at running programs: a tracker and a peer hear whole conversations of which some words are mutated.

What a parser takes may still make no sense where it stands: a Join in the middle, an answer that nobody asked for, a second Hello.
Whoever says such things may lose his connection and nothing else: nobody falls or grows, and honest peers are served as before.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from gevent.pool import Pool

from gsync.wire.frames import frame
from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, Peer
from tests.integration.fuzzing import mutated
from tests.integration.native_seeds import FROM_TRACKER, ON_OVERLAY, ON_PEER_LINK, PEER_MESSAGES, TO_TRACKER, headers
from tests.integration.sizes import limit_s, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300))]

CONVERSATIONS = 300
AT_ONCE = 20
PATIENCE_S = 0.5
"""Whoever is still listened to after his last word hangs up."""

RSS_MAX = 256 * 1024**2
MUTATED = 0.3

GOING_NATIVE = (b'{\t\t"port":9001,"files":[]}\n', b'{"port":9001}\n', b"\0")
ALL = headers(TO_TRACKER + FROM_TRACKER + ON_PEER_LINK + ON_OVERLAY)


def _to_a_tracker(rng: random.Random) -> bytes:
    """Classic, or through all that makes a link native to what is said there."""
    if rng.random() < 0.2:
        return b"".join(_perhaps_mutated(rng, [message]) for message in PEER_MESSAGES)
    start = b"".join(GOING_NATIVE) if rng.random() < 0.8 else mutated(rng, [b"".join(GOING_NATIVE)])
    return start + _frames(rng, headers(TO_TRACKER))


def _to_a_peer(rng: random.Random) -> bytes:
    """A request, a native link, or one between neighbours."""
    match rng.randrange(6):
        case 0:
            return mutated(rng, [b"honest 1\n", b'"honest 1"', b"deep/inner\n"])
        case 1 | 2:
            return b"\0" + _frames(rng, headers(ON_OVERLAY))
        case _:
            return b"\0" + _frames(rng, headers(ON_PEER_LINK))


def _frames(rng: random.Random, usual: Sequence[bytes]) -> bytes:
    """Ten messages: mostly the usual first, then any of those that belong here, now and then one that belongs elsewhere."""
    first = [usual[0]] if rng.random() < 0.9 else []
    messages = first + [rng.choice(usual if rng.random() < 0.9 else ALL) for _ in range(10)]
    said = b"".join(frame(_perhaps_mutated(rng, [message])) for message in messages)
    return said if rng.random() < 0.9 else mutated(rng, [said])


def _perhaps_mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    return mutated(rng, seeds) if rng.random() < MUTATED else seeds[0]


def test_a_tracker_and_a_peer_live_through_conversations_that_make_no_sense(cluster: Cluster) -> None:
    tracker = cluster.tracker()
    home = cluster.folder("honest")
    for number in range(20):
        folders.write(home, f"honest {number}", folders.noise(5000, seed=number))
    honest = cluster.peer(home, tracker.port)
    live.settles(honest)
    _talk(tracker.port, _to_a_tracker)
    _talk(int(honest.endpoint.rpartition(":")[2]), _to_a_peer)
    for program in (tracker, honest):
        assert program.code is None, program.last_words()
        assert "Traceback" not in program.err, program.last_words()
        assert program.rss_bytes() < RSS_MAX
    guest: Peer = cluster.peer("guest", tracker.port)
    expected = folders.looks(home)
    guest.until(
        lambda: {name: one for name, one in _looks(guest).items() if name in expected} == expected, "every honest file"
    )
    print(f"row 16: {times(CONVERSATIONS)} mutated conversations with a tracker, as many with a peer")


def _looks(peer: Peer) -> dict[str, folders.Look]:
    return {path.name: folders.look(path) for path in peer.folder.glob("honest *")}


def _talk(port: int, make: Callable[[random.Random], bytes]) -> None:
    """Hold the conversations, some at a time; each is named by its number."""

    def hold(number: int) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 20) as conn:
            conn.settimeout(PATIENCE_S)
            conn.sendall(make(random.Random(f"{make.__name__} {number}")))
            while conn.recv(65536):
                pass

    pool = Pool(AT_ONCE)
    for number in range(times(CONVERSATIONS)):
        pool.spawn(hold, number)
    pool.join()
