"""Whom a directory may send us to."""

from __future__ import annotations

import random

import pytest

from gsync.core.model import Source
from gsync.core.names import Endpoint
from gsync.net.memory import MemoryNetwork
from gsync.peer.reach import Reach

FAR = Endpoint("192.0.2.10", 9000)
NEAR = Endpoint("127.0.0.1", 9000)


def allows(source: Endpoint, *, tracker: Endpoint | None, serving: Endpoint) -> bool:
    network = MemoryNetwork(rng=random.Random(1)).host("192.0.2.5")
    return Reach(network=network, tracker=tracker, serving=serving, own_ip=None).allows(Source(endpoint=source))


@pytest.mark.parametrize(
    ("tracker", "serving", "wanted"),
    [
        (FAR, "0.0.0.0", False),
        (NEAR, "127.0.0.1", True),
        (None, "0.0.0.0", False),
        (None, "127.0.0.1", True),
    ],
)
def test_loopback_is_dialled_only_where_all_is_on_this_machine(
    tracker: Endpoint | None, serving: str, wanted: bool
) -> None:
    assert allows(Endpoint("127.0.0.1", 22), tracker=tracker, serving=Endpoint(serving, 40001)) is wanted


@pytest.mark.parametrize("tracker", [FAR, None])
def test_others_are_dialled_and_never_ourselves(tracker: Endpoint | None) -> None:
    serving = Endpoint("0.0.0.0", 40001)
    assert allows(Endpoint("192.0.2.20", 40001), tracker=tracker, serving=serving)
    assert not allows(Endpoint("192.0.2.5", 40001), tracker=tracker, serving=serving)
