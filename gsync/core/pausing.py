"""Long loops that let others have their turn, without knowing who the others are.

Pure code must not sleep, but 100,000 entries judged in one go would hold up every timer of the program. So a long loop
takes a `pause` from its caller: greenlets give their breath, tests and tools give `no_pause`. Whatever the loop has in
hand must be consistent at each pause, because everything else may run there, and the pause may raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

Pause = Callable[[], None]

PAUSE_EVERY: Final = 500
"""Turns of a loop between two pauses: at 2-5 us each a millisecond or two of work."""


def no_pause() -> None:
    """For callers that have nothing else to do meanwhile."""


def paused(things: Iterable[T], pause: Pause) -> Iterator[T]:
    """The same `things`, with a call of `pause` after each `PAUSE_EVERY` of them."""
    for count, thing in enumerate(things, start=1):
        yield thing
        if not count % PAUSE_EVERY:
            pause()
