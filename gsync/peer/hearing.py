"""What trackers tell comes in here: cut down to whom we may dial, into the remote tree, and on to be planned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from gsync.core.model import Offer, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.pausing import paused
from gsync.net.breathing import breathe
from gsync.net.transport import Network
from gsync.peer.agreed import Agreed
from gsync.peer.reach import Reach
from gsync.peer.sweep import Sweep
from gsync.peer.trees import Trees
from gsync.wire.messages import DirectoryResponse, Refusal


class Hearing:
    """The ears of one peer that serves at `serving()`; `on_first` is called before the first plan, `replan` gets what changed,
    `sweep` what finds out what a whole directory has changed."""

    def __init__(
        self,
        *,
        network: Network,
        tracker: Endpoint | None,
        serving: Callable[[], Endpoint],
        trees: Trees,
        on_first: Callable[[], None],
        replan: Callable[[Iterable[RelPath]], None],
        sweep: Callable[[Sweep], None],
    ) -> None:
        self._network = network
        self._tracker = tracker
        self._serving = serving
        self._trees = trees
        self._on_first = on_first
        self._replan = replan
        self._sweep = sweep
        self._is_hearing = False
        self.has_heard = False
        self.unusable: tuple[Refusal, ...] = ()
        """Names of the last classic directory that no file may have here, and why."""

    @property
    def is_up_to_date(self) -> bool:
        """Whether something was heard, and all of it is in the remote tree."""
        return self.has_heard and not self._is_hearing

    def directory_came(self, directory: DirectoryResponse, own_end: Endpoint) -> None:
        """A classic tracker told all that it knows."""
        self._is_hearing, self.unusable = True, directory.refused
        reach, offers = self._reach(own_end.ip), dict[RelPath, Offer]()
        for path, offer in paused(directory.offers.items(), breathe):
            reachable = reach.cut(offer)
            if reachable is not None:
                offers[path] = reachable
        sweep = self._trees.note_remote(offers)
        self._heard()
        self._sweep(sweep)

    def records_came(self, changes: Mapping[RelPath, Offer | None], is_everything: bool) -> None:
        """Our own tracker told what it knows, whose sources `allows` was asked about, or what changed in it."""
        self._is_hearing, self.unusable = True, ()
        if is_everything:
            sweep = self._trees.note_remote(changes)
            self._heard()
            self._sweep(sweep)
            return
        reach, offers = self._reach(None), dict[RelPath, Offer | None]()
        for path, offer in paused(changes.items(), breathe):
            offers[path] = reach.cut(offer) if offer is not None else None
        changed = self._trees.note_offers(offers)
        self._heard()
        self._replan(changed)

    def same_came(self, offers: Mapping[RelPath, Offer], agreed: Agreed) -> None:
        """Our own tracker knows just what stood here a moment ago, all of it agreed: no plan would do anything there."""
        self._is_hearing, self.unusable = True, ()
        is_first = not self._trees.remote
        sweep = self._trees.note_remote(offers)
        self._heard()
        if is_first:
            self._replan(agreed.changed(self._trees.entry))
        else:
            self._sweep(sweep)

    def cut(self, offer: Offer) -> Offer | None:
        """`offer` with those of its sources that may be dialled."""
        return self._reach(None).cut(offer)

    def allows(self, source: Source) -> bool:
        """Whether a source of which our own tracker tells may be dialled."""
        return self._reach(None).allows(source)

    def _reach(self, own_ip: str | None) -> Reach:
        return Reach(network=self._network, tracker=self._tracker, serving=self._serving(), own_ip=own_ip)

    def _heard(self) -> None:
        self._is_hearing = False
        if not self.has_heard:
            self.has_heard = True
            self._on_first()
