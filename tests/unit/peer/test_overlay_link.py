"""One link to a neighbour: who listens may be silent, who answers nothing is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import gevent
import pytest

from gsync.core.names import PeerName
from gsync.errors import ConnectionBroken, GsyncError, Stalled
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Stream
from gsync.peer.overlay_link import PING_S, SILENCE_S, OverlayLink
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.native import Ping, Pong, header
from gsync.wire.overlay import Hello, Query, parse_on_overlay_link
from tests.unit.peer.world import THERE, Lan

QUERY = Query(id="0" * 32, ttl=1, q="a")
HELLO = Hello(author="0" * 16, name="ben", port=2000, life="a")


@pytest.fixture
def world() -> Iterator[World]:
    with simulated() as world:
        yield world


class Listener:
    """A neighbour that answers each Ping, until it is to `answer` no more, and says nothing else."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.answers = True

    def __call__(self, stream: Stream) -> None:
        frames = FrameSplitter()
        while data := stream.receive(65536):
            frames.feed(data)
            while (head := frames.next()) is not None:
                message = parse_on_overlay_link(head)
                self.heard.append(message)
                if isinstance(message, Ping) and self.answers:
                    stream.send(frame(header(Pong(id=message.id))))


def ends(link: OverlayLink, stream: Stream) -> GsyncError | None:
    """Why the link has ended."""
    try:
        with stream:
            link.run(FrameSplitter(), lambda link, message: None)
    except GsyncError as error:
        return error


@pytest.mark.parametrize("talks_each_s", [None, 1.0])
def test_a_neighbour_that_only_listens_is_kept_and_one_that_answers_nothing_is_gone(
    world: World, talks_each_s: float | None
) -> None:
    lan, listener = Lan(world), Listener()
    with lan.serving(listener), TaskGroup() as tasks:
        stream = lan.here.dial(THERE)
        link = OverlayLink(stream, HELLO, dialled_by=PeerName("anna"), counts=Counter())
        end = gevent.spawn(ends, link, stream)
        if talks_each_s is not None:
            tasks.spawn(talk, link, talks_each_s)
        gevent.sleep(10 * SILENCE_S)
        assert not end.dead
        assert sum(isinstance(message, Ping) for message in listener.heard) >= 10 * SILENCE_S / PING_S - 1
        listener.answers = False
        gevent.sleep(SILENCE_S + 1)
        assert isinstance(end.get(block=False), Stalled)
        tasks.cancel()


def talk(link: OverlayLink, each_s: float) -> None:
    while True:
        link.say(QUERY)
        gevent.sleep(each_s)


def test_a_neighbour_that_ends_the_link_has_ended_it(world: World) -> None:
    lan = Lan(world)
    with lan.serving(lambda stream: None):
        stream = lan.here.dial(THERE)
        link = OverlayLink(stream, HELLO, dialled_by=PeerName("anna"), counts=Counter())
        error = ends(link, stream)
        assert isinstance(error, ConnectionBroken)
        assert "it ended the link" in str(error)
