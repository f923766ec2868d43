"""The connection to the tracker: says what is here, keeps it alive, hears what others have.

One Initial, then a Keepalive each 5 s on the same connection from its own greenlet, never behind fetches. A tracker of ours is
told of changes by a further Initial, at most each 5 s; a foreign one hears one Initial a connection. A tracker that is away
is dialled again with backoff for ever; meanwhile the last good directory stays. Protocol: "Tracker link", "Towards trackers".
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import gevent
from gevent.event import Event

from gsync.core.backoff import Random, backoff_s
from gsync.core.names import Endpoint
from gsync.errors import ConnectFailed, ConnectionBroken, ProtocolError, Stalled, TransportError
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Network, Stream
from gsync.peer.events import Events, TrackerDown, TrackerUp
from gsync.peer.trees import Trees
from gsync.wire.classic import encode_initial, encode_keepalive, parse_directory
from gsync.wire.framing import DIRECTORY_LIMIT_BYTES, TRACKER_LIMIT_BYTES, JsonSplitter
from gsync.wire.messages import DirectoryResponse

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 5.0
CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0
"""Every keepalive is answered, so a tracker that says nothing for six of them is gone."""

RETRY_BASE_S: Final = 0.5
RETRY_CAP_S: Final = 5.0
SEEK_S: Final = 10.0
SEEK_CAP_S: Final = 960.0
"""How old a connection must be before it is made anew only to be told of other sources; twice as old each further time."""

RECEIVE: Final = 256 * 1024


class SeeksOthers(TransportError):
    """The connection is made anew so that the tracker tells of other holders: it keeps to those that it told once."""


class Announcer:
    """Keeps the conversation with `tracker` going; `on_directory` gets each directory that differs from the last.

    `on_away` is called before each new try: whoever can bring the tracker back (the embedded one) does it there. While
    `lacks_sources`, a tracker of ours is dialled anew now and then: it tells a new connection of other holders. Without
    `knows_gsync` the tracker takes this peer for another program, and answers it as one.
    """

    def __init__(
        self,
        *,
        network: Network,
        tracker: Endpoint,
        port: int,
        trees: Trees,
        events: Events,
        clock: Clock,
        rng: Random,
        on_directory: Callable[[DirectoryResponse, Endpoint], None],
        on_away: Callable[[], None],
        lacks_sources: Callable[[], bool] = lambda: False,
        knows_gsync: bool = True,
    ) -> None:
        self._network = network
        self._tracker = tracker
        self._port = port
        self._trees = trees
        self._events = events
        self._clock = clock
        self._rng = rng
        self._on_directory = on_directory
        self._on_away = on_away
        self._lacks_sources = lacks_sources
        self._knows_gsync = knows_gsync
        self._news = Event()
        self._announced = -1
        self._tracker_is_ours = False
        self._last: bytes | None = None
        self._answers = 0
        self._seek_after_s = SEEK_S

    @property
    def answers(self) -> int:
        """How many directories have come over the present connection, equal ones counted."""
        return self._answers

    def tell_news(self) -> None:
        """The local tree has changed, and a moment is good to say so."""
        self._news.set()

    def run(self) -> None:
        """Talk to the tracker; never returns."""
        failures = 0
        while True:
            self._answers = 0
            try:
                with self._dial() as stream:
                    try:
                        self._converse(stream)
                    finally:
                        stream.close()  # in order, also when this peer is stopped: the tracker sees us leave
            except SeeksOthers as error:
                log.info("tracker.anew tracker=%s reason=%s", self._tracker, error)
                self._seek_after_s = min(2 * self._seek_after_s, SEEK_CAP_S)
            except (TransportError, ProtocolError) as error:
                self._seek_after_s = SEEK_S
                log.info("tracker.down tracker=%s reason=%s", self._tracker, error)
                failures = failures + 1 if not self._answers else 0
                if failures:  # a connection that ends may just be made anew; only a failed try is news
                    self._events.tell(TrackerDown(tracker=self._tracker, reason=str(error), retry_s=RETRY_CAP_S))
            gevent.sleep(backoff_s(failures, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, rng=self._rng))
            self._on_away()

    def _dial(self) -> Stream:
        with gevent.Timeout(CONNECT_S, ConnectFailed(f"no answer within {CONNECT_S:.0f} s")):
            return self._network.dial(self._tracker, alive_probes=True)

    def _converse(self, stream: Stream) -> None:
        """Speak and listen until the connection ends, which raises."""
        self._tracker_is_ours = False
        self._say_initial(stream)
        with TaskGroup() as tasks:
            tasks.spawn(self._keep_alive, stream)
            self._listen(stream)

    def _listen(self, stream: Stream) -> None:
        splitter = JsonSplitter(DIRECTORY_LIMIT_BYTES)
        while True:
            with gevent.Timeout(ANSWER_S, Stalled(f"no answer for {ANSWER_S:.0f} s")):
                data = stream.receive(RECEIVE)
            if not data:
                raise ConnectionBroken("the tracker closed the connection")
            for message in splitter.feed(data):
                self._hear(message, stream)

    def _hear(self, message: bytes, stream: Stream) -> None:
        if message == self._last and self._answers:
            self._answers += 1
            return
        directory = parse_directory(message, pause=breathe)
        self._answers += 1  # only now: one that talks nonsense has not answered
        self._tracker_is_ours = directory.from_gsync
        for refusal in directory.refused[:10]:
            log.warning("directory.refused tracker=%s name=%r reason=%s", self._tracker, refusal.name, refusal.reason)
        if self._answers == 1:
            self._events.tell(TrackerUp(tracker=self._tracker, names=len(directory.offers)))
        self._last = message
        self._on_directory(directory, stream.local)

    def _keep_alive(self, stream: Stream) -> None:
        """Say something each 5 s; news at once if the last Initial is 5 s old and the tracker takes further ones."""
        began = said = initial_said = self._clock.monotonic()
        while True:
            if (
                self._clock.monotonic() >= began + self._seek_after_s
                and self._tracker_is_ours
                and self._lacks_sources()
            ):
                raise SeeksOthers("none of its sources gives a file")
            if self._has_news():
                due = min(said, initial_said) + KEEPALIVE_S
            else:
                self._news.clear()
                due = said + KEEPALIVE_S
            now = self._clock.monotonic()
            if now < due:
                self._news.wait(due - now) if not self._has_news() else gevent.sleep(due - now)
                continue
            if self._has_news() and now >= initial_said + KEEPALIVE_S:
                self._say_initial(stream)
                initial_said = now
            else:
                _send(stream, encode_keepalive(self._port))
            said = now

    def _has_news(self) -> bool:
        return self._tracker_is_ours and self._announced != self._trees.generation

    def _say_initial(self, stream: Stream) -> None:
        self._announced = self._trees.generation
        files = self._trees.announced()
        message = encode_initial(self._port, files, knows_gsync=self._knows_gsync)
        if len(message) > TRACKER_LIMIT_BYTES:
            # Trackers stop reading there: better to serve the most names that fit than none.
            fitting = dict(list(files.items())[: len(files) * TRACKER_LIMIT_BYTES // (2 * len(message))])
            log.warning("announce.cut files=%d announced=%d reason=more than 4 MiB", len(files), len(fitting))
            message = encode_initial(self._port, fitting, knows_gsync=self._knows_gsync)
        _send(stream, message)


def _send(stream: Stream, message: bytes) -> None:
    with gevent.Timeout(ANSWER_S, Stalled(f"it takes nothing for {ANSWER_S:.0f} s")):
        stream.send(message)
