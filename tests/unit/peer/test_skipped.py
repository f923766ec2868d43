"""What is left alone is said once, until it is gone and comes again."""

from __future__ import annotations

from gsync.peer.events import Event, Events, NamesSkipped
from gsync.peer.skipped import SHOWN_PER_REASON, SkippedNames
from gsync.storage.filesystem import Skipped


def test_each_name_is_told_once_with_its_reason_until_it_comes_again() -> None:
    told: list[Event] = []
    events = Events()
    events.subscribe(told.append)
    names = SkippedNames(events)
    pipe, strange = Skipped(name="pipe", reason="a FIFO"), Skipped(name="x", reason="no UTF-8")
    names.tell([pipe])
    names.tell([pipe, strange])
    assert told == [
        NamesSkipped(reason="a FIFO", names=("pipe",), count=1),
        NamesSkipped(reason="no UTF-8", names=("x",), count=1),
    ]
    names.tell([])
    names.tell([pipe])
    assert told[2:] == told[:1]


def test_of_many_some_are_named_and_all_are_counted() -> None:
    told: list[Event] = []
    events = Events()
    events.subscribe(told.append)
    SkippedNames(events).tell([Skipped(name=f"pipe{n}", reason="a FIFO") for n in range(SHOWN_PER_REASON + 2)])
    (said,) = told
    assert isinstance(said, NamesSkipped)
    assert len(said.names) == SHOWN_PER_REASON
    assert said.count == SHOWN_PER_REASON + 2
