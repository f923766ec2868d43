"""How two peers find out, in few words, on which records they differ: digests of ranges of paths first, then marks path by path.

    a range of theirs, against ours    answer
    ---------------------------------  --------------------------------------------------------------------
    the same digest and count          nothing
    differs, and ours is short         our marks in it, path by path: `listed`
    differs, and ours is long          our digests of 16 parts of it: `spans`, to be answered in the same way

Whoever is given marks tells the records that the other one lacks or has otherwise, and wants those that he lacks or has otherwise;
which of two is newer the records say themselves. One side asks, in steps of which each waits for the answer to the last, so no more
is ever on its way than a step makes; the other side only answers, and remembers nothing. Nothing here is trusted: a lie costs a few
messages. Pure; called by the peer's overlay when a link came about or healed, or when something was missed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import accumulate, pairwise
from operator import xor
from typing import Final

from msgspec import Struct

from gsync.core.marks import digest_text
from gsync.core.names import RelPath
from gsync.core.pausing import Pause, no_pause, paused
from gsync.errors import RemoteProtocolError

LIST_MAX: Final = 1000
"""Paths of a range that is listed rather than divided."""

PARTS: Final = 16
"""Into so many parts a longer one is divided."""

SPANS_MAX: Final = 64
"""Ranges in one answer; `wire.overlay.RANGES_MAX`."""

STEP_PATHS: Final = 500
"""Records that are told in one step of a comparison, and as many that are asked for."""

STEP_LONG_SPANS: Final = SPANS_MAX // PARTS
"""Ranges of one step that will be divided: so their parts come in one message."""

WAITING_MAX: Final = 1024
"""Ranges that wait for their step. Honest answers come to `SPANS_MAX` for each level of dividing, 384 for 16 million paths."""

STEPS_MAX: Final = 20_000
"""Steps of one comparison; two peers with 2 million different records need 8,000."""

_RUN: Final = 20_000
"""Paths that are put in order in one go: 10 ms."""


class Span(Struct, frozen=True, kw_only=True):
    """The paths from `start` up to, not including, `end` ("" for no end): how many are known, and the digest of their records."""

    start: str = ""
    end: str = ""
    digest: str = ""
    count: int = 0


class Answer(Struct, frozen=True, kw_only=True):
    """What is said of ranges that differ, as much as one message takes: `marks` are all paths of the ranges that are `listed`."""

    spans: tuple[Span, ...] = ()
    listed: tuple[Span, ...] = ()
    marks: tuple[tuple[RelPath, str], ...] = ()


class Difference(Struct, frozen=True, kw_only=True):
    """Paths whose records we tell them, and paths whose records we want, in order; a path that both have otherwise is in both."""

    tell: tuple[RelPath, ...] = ()
    want: tuple[RelPath, ...] = ()


class Step(Struct, frozen=True, kw_only=True):
    """What the side that asks says next, in this order: our records of `tell`, then what of `wants` and `spans` it asks about."""

    tell: tuple[RelPath, ...] = ()
    wants: tuple[RelPath, ...] = ()
    spans: tuple[Span, ...] = ()


class Ledger:
    """The marks of all records of a peer at one moment, ready to be compared; to put 100,000 in order takes a tenth of a second."""

    __slots__ = ("_digests", "_marks", "_paths")

    def __init__(self, marks: Mapping[RelPath, int], *, pause: Pause = no_pause) -> None:
        self._marks = marks
        self._paths = list(paused(_in_order(list(marks), pause), pause))
        self._digests = list(paused(accumulate((marks[path] for path in self._paths), xor, initial=0), pause))

    def whole(self) -> Span:
        """Everything, in short: what a comparison begins with."""
        return self.span("", "")

    def span(self, start: str, end: str) -> Span:
        """The paths from `start` up to, not including, `end`, in short."""
        first, last = self._range(start, end)
        digest = self._digests[last] ^ self._digests[first]
        return Span(start=start, end=end, digest=digest_text(digest), count=last - first)

    def answers(self, theirs: Iterable[Span]) -> tuple[Answer, ...]:
        """What to say to ranges of theirs, a message each; nothing where nothing differs."""
        spans: list[Span] = []
        lists: list[Answer] = []
        for their in theirs:
            mine = self.span(their.start, their.end)
            if mine == their:
                continue
            if mine.count > LIST_MAX:
                spans += self._parts(mine)
            elif lists and len(lists[-1].marks) + mine.count <= LIST_MAX and len(lists[-1].listed) < SPANS_MAX:
                lists[-1] = self._list([*lists[-1].listed, mine])
            else:
                lists.append(self._list([mine]))
        divided = (Answer(spans=tuple(spans[at : at + SPANS_MAX])) for at in range(0, len(spans), SPANS_MAX))
        return (*divided, *lists)

    def difference(self, listed: Iterable[Span], marks: Iterable[tuple[RelPath, str]]) -> Difference:
        """What follows from ranges that they listed, and the marks in them."""
        theirs = dict(marks)
        tell: list[RelPath] = []
        done = 0  # ranges that overlap are looked at once
        for first, last in sorted(self._range(span.start, span.end) for span in listed):
            tell += (path for path in self._paths[max(first, done) : last] if theirs.get(path) != self._mark(path))
            done = max(done, last)
        want = [path for path, mark in theirs.items() if self._mark(path) != mark]
        return Difference(tell=tuple(tell), want=tuple(want))

    def _mark(self, path: RelPath) -> str:
        mark = self._marks.get(path)
        return "" if mark is None else digest_text(mark)

    def _range(self, start: str, end: str) -> tuple[int, int]:
        first = bisect_left(self._paths, start)
        return first, max(first, bisect_left(self._paths, end) if end else len(self._paths))

    def _between(self, span: Span) -> list[RelPath]:
        first, last = self._range(span.start, span.end)
        return self._paths[first:last]

    def _parts(self, span: Span) -> Iterator[Span]:
        first, last = self._range(span.start, span.end)
        cuts = [str(self._paths[first + (last - first) * part // PARTS]) for part in range(1, PARTS)]
        bounds = [span.start, *cuts, span.end]
        for start, end in pairwise(bounds):
            yield self.span(start, end)

    def _list(self, spans: list[Span]) -> Answer:
        paths = dict.fromkeys(path for span in spans for path in self._between(span))
        return Answer(listed=tuple(spans), marks=tuple((path, self._mark(path)) for path in paths))


class Comparison:
    """The side that asks: what was not asked, told and wanted yet. Any of the ledgers of this peer does for any step."""

    __slots__ = ("_steps", "_tell", "_waiting", "_want")

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str, int]] = [("", "", LIST_MAX + 1)]
        self._tell: deque[RelPath] = deque()
        self._want: deque[RelPath] = deque()
        self._steps = 0

    def next(self, ledger: Ledger) -> Step | None:
        """The next step, once all that came of the last one was heard; None when there is none."""
        self._steps += 1
        if self._steps > STEPS_MAX:
            raise RemoteProtocolError("a comparison of records that does not end")
        tell, wants = _taken(self._tell), _taken(self._want)
        spans = () if self._tell or self._want else tuple(ledger.span(start, end) for start, end in self._asked())
        return Step(tell=tell, wants=wants, spans=spans) if tell or wants or spans else None

    def hear(self, ledger: Ledger, answer: Answer) -> None:
        """What came of the last step. Raises `RemoteProtocolError` if that is more than there can be."""
        self._waiting += [
            (span.start, span.end, span.count) for span in answer.spans if ledger.span(span.start, span.end) != span
        ]
        if len(self._waiting) > WAITING_MAX:
            raise RemoteProtocolError("a comparison of records that only grows")
        difference = ledger.difference(answer.listed, answer.marks)
        self._tell.extend(difference.tell)
        self._want.extend(difference.want)

    def _asked(self) -> Iterator[tuple[str, str]]:
        """Ranges whose answers fit into about one message, the last ones first: so few wait."""
        room, long_ones, number = LIST_MAX, STEP_LONG_SPANS, SPANS_MAX
        while self._waiting and number:
            start, end, count = self._waiting[-1]
            if count > LIST_MAX:
                long_ones -= 1
            else:
                room -= count
            if room < 0 or long_ones < 0:
                return
            number -= 1
            self._waiting.pop()
            yield start, end


def _taken(paths: deque[RelPath]) -> tuple[RelPath, ...]:
    return tuple(paths.popleft() for _ in range(min(STEP_PATHS, len(paths))))


def _in_order(paths: list[RelPath], pause: Pause) -> Iterable[RelPath]:
    """`sorted`, in bites: who sorts a million names at once holds up everything for a second."""
    runs = list[list[RelPath]]()
    for start in range(0, len(paths), _RUN):
        runs.append(sorted(paths[start : start + _RUN]))
        pause()
    return merge(*runs)
