"""The connection to the tracker: says what is here, keeps it alive, hears what others have.

It dials, and lets `classic_link.py` speak; once both sides have shown that they know native, `tracker_link.py` goes on. A
tracker that is away is dialled again with backoff for ever; meanwhile the last good directory stays. Protocol: "Tracker link",
"Towards trackers", "Native".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Final

import gevent
from gevent.event import Event

from gsync.core.backoff import Random, backoff_s
from gsync.core.model import Offer, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.status import Dialect, TrackerSeen
from gsync.errors import ConnectFailed, ProtocolError, TransportError
from gsync.net.clock import Clock
from gsync.net.transport import Network, Stream
from gsync.peer.agreed import Agreed
from gsync.peer.classic_link import ClassicLink, NotNative, OnDirectory, Opening, SeeksOthers
from gsync.peer.events import Events, TrackerDown, TrackerUp
from gsync.peer.neighbourhood import Whereabouts
from gsync.peer.tracker_link import OnNames, OnRecords, OnSame, TrackerLink
from gsync.peer.trees import Trees
from gsync.wire.messages import DirectoryResponse

log = logging.getLogger(__name__)

CONNECT_S: Final = 5.0
RETRY_BASE_S: Final = 0.5
RETRY_CAP_S: Final = 5.0
SEEK_S: Final = 10.0
SEEK_CAP_S: Final = 960.0
"""How old a connection must be before it is made anew only to be told of other sources; twice as old each further time."""


class Announcer:
    """Keeps the conversation with `tracker` going; `on_directory` gets each classic directory that differs from the last.

    `on_records` gets what a native tracker tells: the whole directory first (then its second argument is true), and after
    that what changes; without it, native is not spoken. `on_same` gets the whole directory instead where it is what stands here.
    `author` and `name` say there who this is. `on_away` is called before each new try: whoever can bring the tracker back (the
    embedded one) does it there. While `lacks_sources`, a classic tracker of ours is dialled anew now and then: it tells a new
    connection of other holders. Without `knows_gsync` the tracker takes this peer for another program, and answers it as one.
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
        on_directory: OnDirectory,
        on_away: Callable[[], None],
        lacks_sources: Callable[[], bool] = lambda: False,
        knows_gsync: bool = True,
        on_records: OnRecords | None = None,
        on_same: OnSame | None = None,
        on_names: OnNames = lambda names: None,
        allows: Callable[[Source], bool] = lambda source: True,
        author: str = "",
        name: str = "",
    ) -> None:
        self._network = network
        self._tracker = tracker
        self._port = port
        self._trees = trees
        self._events = events
        self._clock = clock
        self._rng = rng
        self._on_directory = on_directory
        self._on_records = on_records
        self._on_same = on_same
        self._on_names = on_names
        self._allows = allows
        self._on_away = on_away
        self._lacks_sources = lacks_sources
        self._knows_gsync = knows_gsync
        self._author = author
        self._name = name
        self._news = Event()
        self._conversation: ClassicLink | TrackerLink | None = None
        self._is_up = False
        self._reason = ""
        self._knows_native = knows_gsync and on_records is not None
        self._opening = Opening.LIST_IF_SHORT if self._knows_native else Opening.PLAIN
        self._seek_after_s = SEEK_S

    @property
    def answers(self) -> int:
        """How often the tracker has told something over the present connection; directories equal to the last are counted."""
        return self._conversation.answers if self._conversation is not None else 0

    def tell_news(self) -> None:
        """The local tree has changed, and a moment is good to say so to a classic tracker."""
        self._news.set()

    def tell(self, paths: Iterable[RelPath]) -> None:
        """What stands at these paths has changed, and is durable: a native tracker hears it at once, all of it together.

        A classic one has to be told by `tell_news`; one that is away, or not agreed with yet, hears everything later.
        """
        if isinstance(self._conversation, TrackerLink):
            self._conversation.tell(paths)

    def locate(self, paths: Iterable[RelPath]) -> Mapping[RelPath, tuple[Source, ...]]:
        """Who holds these paths now, as a native tracker says; paths of which it says nothing in time are left out.

        Waits for the answer. Not to be called from `on_records`.
        """
        if isinstance(self._conversation, TrackerLink):
            return self._conversation.locate(paths)
        return {}

    @property
    def waiting(self) -> int:
        """How many paths the tracker has not been told yet."""
        return self._conversation.waiting if self._conversation is not None else 0

    @property
    def tells_changes(self) -> bool:
        """Whether a native tracker is there that tells at once what changes anywhere."""
        link = self._conversation
        return self._is_up and isinstance(link, TrackerLink) and not link.names_only

    @property
    def is_about_to_tell(self) -> bool:
        """Whether a native tracker is there that has greeted this peer, and has not told it everything yet."""
        link = self._conversation
        return not self._is_up and isinstance(link, TrackerLink) and link.is_greeted and not link.names_only

    @property
    def tells_names_only(self) -> bool:
        """Whether the tracker that is there has said that it will never tell of changes."""
        return isinstance(self._conversation, TrackerLink) and self._conversation.names_only

    def agrees(self) -> bool | None:
        """Whether a native tracker and this peer know the same directory, all that is here included; asks it, so it waits.

        None while there is none to ask.
        """
        link = self._conversation
        return link.agrees() if isinstance(link, TrackerLink) and not link.names_only else None

    @property
    def laggard(self) -> str:
        """Who does not have all that a native tracker tells, as it said last; "" where nobody, or where nobody can know."""
        return self._conversation.laggard if isinstance(self._conversation, TrackerLink) else ""

    def seen(self) -> TrackerSeen:
        """How the tracker stands now."""
        dialect = Dialect.NONE
        if self._is_up:
            dialect = Dialect.NATIVE if isinstance(self._conversation, TrackerLink) else Dialect.CLASSIC
        return TrackerSeen(
            endpoint=self._tracker, is_up=self._is_up, dialect=dialect, reason="" if self._is_up else self._reason
        )

    def run(self) -> None:
        """Talk to the tracker; never returns."""
        failures = 0
        while True:
            try:
                with self._dial() as stream:
                    try:
                        self._converse(stream)
                    finally:
                        self._conversation = None
                        stream.close()  # in order, also when this peer is stopped: the tracker sees us leave
            except NotNative as error:
                log.info("tracker.anew tracker=%s reason=%s", self._tracker, error)
                continue
            except SeeksOthers as error:
                log.info("tracker.anew tracker=%s reason=%s", self._tracker, error)
                self._seek_after_s = min(2 * self._seek_after_s, SEEK_CAP_S)
            except (TransportError, ProtocolError) as error:
                self._seek_after_s = SEEK_S
                log.info("tracker.down tracker=%s reason=%s", self._tracker, error)
                self._reason = str(error)
                failures = failures + 1 if not self._is_up else 0
                if failures:  # a connection that ends may just be made anew; only a failed try is news
                    self._events.tell(TrackerDown(tracker=self._tracker, reason=str(error), retry_s=RETRY_CAP_S))
            self._is_up = False
            gevent.sleep(backoff_s(failures, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, rng=self._rng))
            self._on_away()

    def _dial(self) -> Stream:
        with gevent.Timeout(CONNECT_S, ConnectFailed(f"no answer within {CONNECT_S:.0f} s")):
            return self._network.dial(self._tracker, alive_probes=True)

    def _converse(self, stream: Stream) -> None:
        """Speak and listen until the connection ends, which raises."""
        classic = self._conversation = self._classic(stream)
        if self._knows_native:
            # Until it shows that it is native: so one that takes no empty list, and closes, is not asked with one again.
            self._opening = Opening.LIST
        frames = classic.run()
        self._opening = Opening.QUESTION
        native = self._conversation = self._native(stream)
        native.run(frames)

    def _classic(self, stream: Stream) -> ClassicLink:
        return ClassicLink(
            stream=stream,
            port=self._port,
            trees=self._trees,
            clock=self._clock,
            news=self._news,
            on_directory=self._hear_directory,
            lacks_sources=self._lacks_sources,
            seek_after_s=self._seek_after_s,
            knows_gsync=self._knows_gsync,
            opening=self._opening,
        )

    def _native(self, stream: Stream) -> TrackerLink:
        return TrackerLink(
            stream=stream,
            author=self._author,
            name=self._name,
            whereabouts=Whereabouts(
                own=Endpoint(stream.local.ip, self._port),
                tracker_ip=stream.remote.ip,
                is_own_address=self._network.is_own_address,
                allows=self._allows,
            ),
            holdings=self._trees,
            clock=self._clock,
            on_records=self._hear_records,
            on_same=self._hear_same if self._on_same is not None else None,
            on_names=self._on_names,
            new_tree=self._trees.new_tree,
            offered=self._trees.offered,
            part=self._trees.on_demand,
        )

    def _hear_directory(self, directory: DirectoryResponse, own_end: Endpoint) -> None:
        self._note_up(len(directory.offers))
        self._on_directory(directory, own_end)

    def _hear_records(self, records: Mapping[RelPath, Offer | None], is_whole: bool) -> None:
        assert self._on_records is not None
        self._note_up(len(records))
        # One that tells names alone knows of nothing; what neighbours told of stands.
        self._on_records(records, is_whole and not self.tells_names_only)

    def _hear_same(self, records: MutableMapping[RelPath, Offer], agreed: Agreed) -> None:
        assert self._on_same is not None
        self._note_up(len(records))
        self._on_same(records, agreed)

    def _note_up(self, names: int) -> None:
        if not self._is_up:
            self._is_up = True
            self._events.tell(TrackerUp(tracker=self._tracker, names=names))
