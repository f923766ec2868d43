"""Whether a peer has an overlay, and under which name: made once, from its settings, by the peer."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from gsync.core.backoff import Random
from gsync.core.names import PeerName
from gsync.errors import NameRefused
from gsync.net.clock import Clock
from gsync.net.transport import Network
from gsync.peer.neighbours import Me
from gsync.peer.overlay import OnOffers, Overlay
from gsync.peer.settings import Settings
from gsync.peer.trees import Trees
from gsync.peer.voice import Voice

log = logging.getLogger(__name__)


def overlay_of(
    settings: Settings,
    *,
    author: str,
    trees: Trees,
    network: Network,
    clock: Clock,
    rng: Random,
    port: Callable[[], int],
    offer: OnOffers,
    voice: Voice,
    load: Callable[[], int],
) -> Overlay | None:
    """The overlay of a peer with these settings; None for one without a name, or that speaks classic, or is here only `once`."""
    if not settings.name or settings.classic or settings.once:
        return None
    try:
        name = PeerName.parse(settings.name if settings.is_named else f"{settings.name[:60]}-{author[:4]}")
    except NameRefused as error:
        log.warning("overlay.refused name=%r reason=%s", settings.name, error)
        return None
    dice = random.Random("".join(str(rng.random()) for _ in range(4)))
    overlay = Overlay(
        me=Me(name=name, author=author, life=f"{dice.getrandbits(64):016x}"),
        settings=settings,
        trees=trees,
        network=network,
        clock=clock,
        rng=dice,
        port=port,
        offer=offer,
        tells_changes=voice.tracker_tells_changes,
        nobody_will_tell=voice.no_tracker_will_tell,
        is_about_to_tell=voice.tracker_is_about_to_tell,
        load=load,
    )
    voice.neighbours_hear = overlay.changed
    return overlay
