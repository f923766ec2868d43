"""Which sources may be dialled: a directory aims our connections, so it is not believed blindly.

Never ourselves; and loopback only where the tracker is there too, so that a forged directory cannot send us to local services
(without a tracker: only where we serve there).
Called by the peer for each source of a directory.
"""

from __future__ import annotations

from gsync.core.model import Offer, Source
from gsync.core.names import Endpoint
from gsync.net.transport import Network

_EVERYWHERE = ("0.0.0.0", "::")


class Reach:
    """Judges sources, each once for a directory: thousands of entries name a handful of them."""

    def __init__(self, *, network: Network, tracker: Endpoint | None, serving: Endpoint, own_ip: str | None) -> None:
        self._network = network
        self._tracker = tracker
        self._serving = serving
        self._own_ip = own_ip
        self._judged: dict[Source, bool] = {}
        self._last: tuple[Source, ...] = ()
        self._left: tuple[Source, ...] = ()  # what was left of the last sources

    def cut(self, offer: Offer) -> Offer | None:
        """The offer with those sources that may be dialled; None where that leaves a classic offer without any."""
        if offer.sources is not self._last:  # offers mostly share them
            self._last, self._left = offer.sources, tuple(filter(self.allows, offer.sources))
        sources = self._left
        if sources == offer.sources:
            return offer
        if not sources and offer.record is None:
            return None
        return Offer(version=offer.version, sources=sources, record=offer.record)

    def allows(self, source: Source) -> bool:
        """Whether this source may be dialled."""
        if source not in self._judged:
            self._judged[source] = self._judge(source.endpoint)
        return self._judged[source]

    def _judge(self, endpoint: Endpoint) -> bool:
        near = self._tracker or self._serving
        if endpoint.is_loopback and not near.is_loopback and not self._is_loopback(self._own_ip):
            return False
        if endpoint.port != self._serving.port:
            return True
        if self._serving.ip not in _EVERYWHERE:
            return endpoint.ip not in (self._serving.ip, self._own_ip)
        return endpoint.ip != self._own_ip and not self._network.is_own_address(endpoint.ip)

    def _is_loopback(self, ip: str | None) -> bool:
        return ip is not None and Endpoint(ip, self._serving.port).is_loopback
