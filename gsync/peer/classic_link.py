"""The classic conversation with a tracker: JSON objects one way and the other, until the connection ends or becomes native.

One Initial, then a Keepalive each 5 s from its own greenlet, never behind fetches. A tracker of ours is told of changes by a
further Initial, at most each 5 s; a foreign one hears one Initial a connection. One that answers the first Initial with two
tabs speaks native, as we do: then NUL is our last word here, and the tracker's is awaited. It never dials, and never decides what
a directory means. Protocol: "Tracker link", "Towards trackers"; made by `announcer.py` for each connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

import gevent
from gevent.event import Event

from gsync.core.names import Endpoint, RelPath
from gsync.errors import ConnectionBroken, RemoteProtocolError, Stalled, TransportError
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Stream
from gsync.peer.trees import Trees
from gsync.wire.classic import NATIVE, encode_initial, encode_keepalive, parse_directory
from gsync.wire.frames import NATIVE_START
from gsync.wire.framing import DIRECTORY_LIMIT_BYTES, TRACKER_LIMIT_BYTES, JsonSplitter
from gsync.wire.messages import DirectoryResponse

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 5.0
ANSWER_S: Final = 30.0
"""Every keepalive is answered, so a tracker that says nothing for six of them is gone."""

PROBE_ABOVE_BYTES: Final = 256 * 1024
"""A longer Initial is not sent to a tracker that may speak native: it is asked with an empty one first."""

RECEIVE: Final = 256 * 1024

_NOTHING: Final[Mapping[RelPath, int]] = {}


class Opening(Enum):
    """What the first Initial has in it."""

    PLAIN = "the list, and no word of native"
    LIST = "the list"
    LIST_IF_SHORT = "the list, or nothing if it is long"
    QUESTION = "nothing: it is to show whether the tracker is native"


OnDirectory = Callable[[DirectoryResponse, Endpoint], None]


class NotNative(TransportError):
    """The tracker was asked with an empty Initial and is no native one: it is to hear the whole list, on a new connection."""


class SeeksOthers(TransportError):
    """The connection is made anew so that the tracker tells of other holders: it keeps to those that it told once."""


class ClassicLink:
    """One conversation: made, `run` once, then forgotten.

    `news` is set when a moment is good to tell of changes. `lacks_sources` is asked once the connection is `seek_after_s` old.
    """

    def __init__(
        self,
        *,
        stream: Stream,
        port: int,
        trees: Trees,
        clock: Clock,
        news: Event,
        on_directory: OnDirectory,
        lacks_sources: Callable[[], bool],
        seek_after_s: float,
        knows_gsync: bool,
        opening: Opening,
    ) -> None:
        self._stream = stream
        self._port = port
        self._trees = trees
        self._clock = clock
        self._news = news
        self._on_directory = on_directory
        self._lacks_sources = lacks_sources
        self._seek_after_s = seek_after_s
        self._knows_gsync = knows_gsync
        self._knows_native = opening is not Opening.PLAIN
        self._opening = opening
        self._announced = -1
        self._told = _NOTHING
        self._tracker_is_ours = False
        self._goes_native = False
        self._last: bytes | None = None
        self._said = 0
        self._heard = 0
        self.answers = 0
        """How many directories have come, equal ones counted."""

    @property
    def waiting(self) -> int:
        """How many files the tracker has not been told of, and does not tell of itself; one of another program hears no more on
        this connection."""
        if self._announced == self._trees.generation:
            return 0
        untold = self._trees.announced().items() - self._told.items()
        offers = self._trees.remote
        return sum((offer := offers.get(path)) is None or offer.version.mtime_s != mtime_s for path, mtime_s in untold)

    def run(self) -> bytes:
        """Speak and listen until the connection ends, which raises, or until both sides have said NUL: what came behind it."""
        self._say_first()
        with TaskGroup() as tasks:
            tasks.spawn(self._keep_alive)
            return self._listen()

    def _listen(self) -> bytes:
        splitter = JsonSplitter(DIRECTORY_LIMIT_BYTES)
        while True:
            with gevent.Timeout(ANSWER_S, Stalled(f"no answer for {ANSWER_S:.0f} s")):
                data = self._stream.receive(RECEIVE)
            if not data:
                raise ConnectionBroken("the tracker closed the connection")
            switch = frames = b""
            if self._goes_native:
                data, switch, frames = data.partition(NATIVE_START)
            for message in splitter.feed(data):
                self._hear(message)
            if switch:
                if splitter.pending:
                    raise RemoteProtocolError("native begins in the middle of a message")
                return frames

    def _hear(self, message: bytes) -> None:
        self._heard += 1
        if self._heard == 1 and self._knows_native:
            self._agree_on_dialect(message)
        if self._goes_native:  # what was outstanding says nothing that the snapshot will not say
            if self._heard > self._said:
                raise RemoteProtocolError("more answers than questions")
            return
        if message == self._last:
            self.answers += 1
            return
        directory = parse_directory(message, pause=breathe)
        self.answers += 1  # only now: one that talks nonsense has not answered
        self._tracker_is_ours = directory.from_gsync
        for refusal in directory.refused[:10]:
            log.warning(
                "directory.refused tracker=%s name=%r reason=%s", self._stream.remote, refusal.name, refusal.reason
            )
        self._last = message
        self._on_directory(directory, self._stream.local)

    def _agree_on_dialect(self, first: bytes) -> None:
        if first.startswith(NATIVE):
            self._goes_native = True
            self._news.set()  # whoever sends says NUL
        elif self._opening is Opening.QUESTION:
            raise NotNative("it does not speak native")

    def _keep_alive(self) -> None:
        """Say something each 5 s; news at once if the last Initial is 5 s old and the tracker takes further ones.

        NUL is the last word, once native is agreed on: only this greenlet sends.
        """
        began = said = initial_said = self._clock.monotonic()
        while not self._goes_native:
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
                self._say_initial(self._trees.announced())
                initial_said = now
            else:
                self._say(encode_keepalive(self._port))
            said = now
        self._send(NATIVE_START)

    def _has_news(self) -> bool:
        return self._tracker_is_ours and self._announced != self._trees.generation

    def _say_first(self) -> None:
        """The first Initial: the whole list, or an empty one where the list would mostly be for nothing."""
        files = self._trees.announced()
        if self._opening is Opening.LIST_IF_SHORT and len(self._initial(files)) > PROBE_ABOVE_BYTES:
            self._opening = Opening.QUESTION
        self._say_initial(_NOTHING if self._opening is Opening.QUESTION else files)

    def _say_initial(self, files: Mapping[RelPath, int]) -> None:
        self._announced, self._told = self._trees.generation, files
        message = self._initial(files)
        if len(message) > TRACKER_LIMIT_BYTES:
            # Trackers stop reading there: better to serve the most names that fit than none.
            fitting = dict(list(files.items())[: len(files) * TRACKER_LIMIT_BYTES // (2 * len(message))])
            log.warning("announce.cut files=%d announced=%d reason=more than 4 MiB", len(files), len(fitting))
            message = self._initial(fitting)
        self._say(message)

    def _initial(self, files: Mapping[RelPath, int]) -> bytes:
        return encode_initial(self._port, files, knows_gsync=self._knows_gsync, knows_native=self._knows_native)

    def _say(self, message: bytes) -> None:
        self._said += 1
        self._send(message)

    def _send(self, data: bytes) -> None:
        with gevent.Timeout(ANSWER_S, Stalled(f"it takes nothing for {ANSWER_S:.0f} s")):
            self._stream.send(data)
