"""The native conversation with a tracker of ours, from the first frame to the end of the connection.

It joins, announces everything, and from then on each change as it is told; it hears the directory as a snapshot and then what
changes of it, and asks for another snapshot when the two sides have drifted apart. One greenlet reads, one writes, one sees to
the time. It never dials, and never decides what the news mean. PROTOCOL.md, "Native"; made by `announcer.py` for each connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Final, NoReturn, assert_never

import gevent
from gevent.event import AsyncResult

from gsync.core.mark_table import MarkTable
from gsync.core.marks import digest_text
from gsync.core.model import Offer, Source
from gsync.core.names import PeerName, RelPath
from gsync.errors import ConnectionBroken, RemoteProtocolError, Stalled
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Stream
from gsync.peer.agreed import Agreed
from gsync.peer.locating import LOCATE_S, Locating
from gsync.peer.mirror import Mirror, News
from gsync.peer.neighbourhood import Named, Neighbourhood, Whereabouts
from gsync.peer.outbox import Holdings, Outbox
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.native import (
    Ack,
    Alive,
    Delta,
    FromTracker,
    Join,
    Located,
    Peers,
    Resync,
    Same,
    Snapshot,
    ToTracker,
    Welcome,
    header,
    parse_from_tracker,
)

log = logging.getLogger(__name__)

ALIVE_S: Final = 5.0
SILENCE_S: Final = 30.0
"""Each Alive is answered, so a tracker that says nothing for six of them is gone; so is one that takes nothing."""

RESYNC_S: Final = 10.0
RESYNC_CAP_S: Final = 320.0
"""How long a snapshot is waited for, or the last one believed, before the next is asked for; twice as long each time."""

ASK_AGAIN_S: Final = 0.06
"""A tracker gathers changes for a moment; so long after it said that more is about to come it is asked again."""

RECEIVE: Final = 256 * 1024

_LONG_HEADER_BYTES: Final = 16 * 1024
"""After one of these others have their turn."""

OnRecords = Callable[[Mapping[RelPath, Offer | None], bool], None]
"""Offers by path, and whether they are the whole directory; None: nobody offers it any more."""

OnSame = Callable[[MutableMapping[RelPath, Offer], Agreed], None]
"""The whole directory, which is what stood here as of then."""

OnNames = Callable[[Mapping[PeerName, Named]], None]
"""All other peers that have names, each time that one comes or goes."""


class TrackerLink:
    """One conversation: made, `run` once, then forgotten. `tell` and `locate` may be called at any time, from any greenlet.

    A snapshot is handed on in a tree of `new_tree`; `offered` tells what of all that was handed on stands at a path.
    `on_records` is called on the greenlet that runs the link; it must not call `locate`, whose answer would come after it.
    """

    def __init__(
        self,
        *,
        stream: Stream,
        author: str,
        name: str,
        whereabouts: Whereabouts,
        holdings: Holdings,
        clock: Clock,
        on_records: OnRecords,
        on_same: OnSame | None = None,
        on_names: OnNames = lambda names: None,
        new_tree: Callable[[], MutableMapping[RelPath, Offer]] = dict,
        offered: Callable[[RelPath], Offer | None] = lambda path: None,
        part: bool = False,
    ) -> None:
        self._stream = stream
        self._author = author
        self._name = name
        self._part = part
        self._clock = clock
        self._on_records = on_records
        self._on_same = on_same
        self._on_names = on_names
        self._neighbourhood = Neighbourhood(whereabouts)
        self._mirror = Mirror(
            self._neighbourhood, here=holdings.record, offered=offered, new_tree=new_tree, pause=breathe
        )
        self._holdings = holdings
        self._claimed: tuple[Agreed, MarkTable] | None = None  # what the tracker may say it knows just so
        self._outbox = Outbox(holdings, alive=self._alive)
        self._locating = Locating(self._outbox, self._neighbourhood)
        self.answers = 0
        """How often it has told something."""
        self.names_only = False
        """Whether it has said that it will never tell what anybody holds."""
        self._lags: int | None = None
        self._epoch = ""
        self._over = False

        self._asked_at = clock.monotonic()
        self._patience_s = RESYNC_S
        self._answered = False
        self._behind_at: int | None = None
        self._acked = AsyncResult()

    def run(self, first: bytes = b"") -> NoReturn:
        """Talk until the connection ends, which raises; `first` are bytes that have come already."""
        try:
            with TaskGroup() as tasks:
                tasks.spawn(self._speak)
                tasks.spawn(self._keep_alive)
                self._listen(first)
        finally:
            self._over = True
            self._acked.set(False)
            self._locating.close()
        raise AssertionError("a link ends by an error")

    def tell(self, paths: Iterable[RelPath]) -> None:
        """What stands at these paths has changed: announce it, together and in this order, as it is when its turn comes."""
        self._outbox.tell(paths)

    def locate(self, paths: Iterable[RelPath]) -> dict[RelPath, tuple[Source, ...]]:
        """Who else holds these paths, as far as the tracker says so within `LOCATE_S` a question."""
        return self._locating.locate(paths)

    @property
    def is_greeted(self) -> bool:
        """Whether the tracker has said who it is; then it begins to tell everything."""
        return bool(self._epoch)

    @property
    def waiting(self) -> int:
        """How much is still to be announced."""
        return self._outbox.waiting

    @property
    def laggard(self) -> str:
        """Who does not have all that the tracker tells, or something else, as it said last; "" where nobody."""
        return "" if self._lags is None else self._neighbourhood.spoken(self._lags)

    def agrees(self) -> bool:
        """Whether the tracker has heard all that was told here, and this peer all that the tracker knows; asks the tracker.

        No answer within `LOCATE_S` is a no.
        """
        with gevent.Timeout(LOCATE_S, False):
            # An answer shows that all that was said before has been understood; an Ack that comes after it is a fresh one.
            while not self._outbox.waiting and not self._over and self._locating.ask([]) is not None:
                if self._acked.ready():
                    self._acked = AsyncResult()
                self._outbox.show_life()
                verdict = self._acked.get()
                if verdict is not None:
                    return bool(verdict) and not self._outbox.waiting
                gevent.sleep(ASK_AGAIN_S)
        return False

    # Reading

    def _listen(self, first: bytes) -> NoReturn:
        splitter = FrameSplitter()
        splitter.feed(first)
        while True:
            while (header := splitter.next()) is not None:
                self._hear(parse_from_tracker(header))
                if len(header) >= _LONG_HEADER_BYTES:
                    breathe()
            with gevent.Timeout(SILENCE_S, Stalled(f"no word for {SILENCE_S:.0f} s")):
                data = self._stream.receive(RECEIVE)
            if not data:
                raise ConnectionBroken("the tracker closed the connection")
            splitter.feed(data)

    def _hear(self, message: FromTracker) -> None:
        match message:
            case Welcome():
                self._greet(message)
            case Peers():
                for refusal in self._neighbourhood.add(message.peers)[:10]:
                    log.warning("peer.refused address=%r reason=%s", refusal.name, refusal.reason)
                self._neighbourhood.part(message.gone)
                self._on_names(self._neighbourhood.named())
            case Same():
                self._take_same(message)
            case Snapshot():
                self._asked_at = self._clock.monotonic()
                if self._claimed is not None:
                    self._claimed = None
                    self._outbox.go_on(everything=True)
                self._pass_on(self._mirror.take_piece(message))
            case Delta():
                self._pass_on(self._mirror.take_delta(message))
                self._ask_for_snapshot_if_needed()
            case Ack():
                self._compare(message)
                self._ask_for_snapshot_if_needed()
            case Resync():
                self._outbox.tell_everything()
            case Located():
                self._locating.hear(message)
            case _ as unreachable:
                assert_never(unreachable)

    def _greet(self, welcome: Welcome) -> None:
        if self._epoch and welcome.epoch != self._epoch:
            raise RemoteProtocolError("a tracker that becomes another one in the middle of a connection")
        self._epoch, self.names_only = welcome.epoch, welcome.names_only
        log.info("tracker.welcome epoch=%r seq=%d", welcome.epoch, welcome.seq)

    def _pass_on(self, news: News | None) -> None:
        if news is None:
            return
        for refusal in news.refused:
            log.warning("record.refused path=%r reason=%s", refusal.name, refusal.reason)
        if news.refusals > len(news.refused):
            log.warning("records.refused count=%d", news.refusals)
        self._answered = self._answered or news.whole
        self.answers += 1
        self._on_records(news.offers, news.whole)

    def _take_same(self, same: Same) -> None:
        if self._claimed is None or self._on_same is None:
            raise RemoteProtocolError("it knows the same as nobody has told it")
        (agreed, marks), self._claimed = self._claimed, None
        tree = self._mirror.take_same(same, agreed, marks)
        self._outbox.go_on(everything=False)
        self._answered = True
        self.answers += 1
        self._on_same(tree, agreed)

    def _compare(self, ack: Ack) -> None:
        """Doubt what is known here if the tracker, which must have told all up to `ack.seq` before, knows something else."""
        mirror, self._lags = self._mirror, ack.lags
        is_equal = mirror.is_whole and (ack.seq, ack.digest) == (mirror.seq, mirror.digest)
        self._acked.set(is_equal if ack.digest else None)
        if not mirror.is_whole or not ack.digest:  # without a digest it claims nothing
            return
        if is_equal:
            self._patience_s, self._behind_at = RESYNC_S, None
            return
        if ack.seq != mirror.seq:
            # Once may be a matter of order. If nothing has come by the next Ack, it is lost.
            before, self._behind_at = self._behind_at, mirror.seq
            if before != mirror.seq:
                return
        if self._clock.monotonic() >= self._asked_at + self._patience_s:
            log.warning("directory.drifted seq=%d told=%d", mirror.seq, ack.seq)
            mirror.doubt()

    def _ask_for_snapshot_if_needed(self) -> None:
        if self._mirror.is_whole:
            return
        now = self._clock.monotonic()
        if self._answered or now >= self._asked_at + self._patience_s:
            self._asked_at, self._answered = now, False
            self._patience_s = min(2 * self._patience_s, RESYNC_CAP_S)
            self._outbox.ask_for_snapshot()

    # Writing

    def _speak(self) -> None:
        self._send(Join(author=self._author, name=self._name, part=self._part, digest=self._claim()))
        while True:
            self._send(self._outbox.next())

    def _claim(self) -> str:
        """The digest of all that is here, if all of it was agreed; then nothing is announced before the tracker has compared it."""
        agreed = self._holdings.agreed() if self._on_same is not None else None
        marks = agreed.marks(breathe) if agreed is not None else None
        if agreed is None or marks is None or not marks.count:
            return ""
        self._claimed = agreed, marks
        self._outbox.hold()
        return digest_text(marks.total)

    def _send(self, message: ToTracker) -> None:
        data = frame(header(message))
        with gevent.Timeout(SILENCE_S, Stalled(f"it takes nothing for {SILENCE_S:.0f} s")):
            self._stream.send(data)
        if len(data) >= _LONG_HEADER_BYTES:
            breathe()

    def _alive(self) -> Alive:
        return Alive(seq=self._mirror.seq, digest=self._mirror.digest)

    def _keep_alive(self) -> None:
        while True:
            gevent.sleep(ALIVE_S)
            self._outbox.show_life()
