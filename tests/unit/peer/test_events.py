"""Whoever subscribed hears everything, in order; each event has a name of its own."""

from __future__ import annotations

from typing import get_args

import pytest

from gsync.peer import events as ev
from gsync.peer.events import Events, Trouble


def test_every_observer_hears_every_event_in_order() -> None:
    events, first, second = Events(), list[ev.Event](), list[ev.Event]()
    events.subscribe(first.append)
    events.tell(Trouble(what="1"))
    events.subscribe(second.append)
    events.tell(Trouble(what="2"))
    assert first == [Trouble(what="1"), Trouble(what="2")]
    assert second == [Trouble(what="2")]


def test_observers_are_called_in_the_order_in_which_they_came() -> None:
    events, heard = Events(), list[str]()
    for name in "abc":
        events.subscribe(lambda event, name=name: heard.append(name))  # type: ignore[misc]
    events.tell(Trouble(what="x"))
    assert heard == ["a", "b", "c"]


def test_an_observer_is_not_told_of_what_it_does_not_want_to_hear() -> None:
    events, heard = Events(), list[ev.Event]()
    events.subscribe(heard.append, but=(ev.SyncDone,))
    events.tell(ev.SyncDone(fetched=1, bytes=1, seconds=1.0))
    events.tell(Trouble(what="x"))
    assert heard == [Trouble(what="x")]


def test_nobody_need_listen() -> None:
    Events().tell(Trouble(what="x"))


def test_each_kind_of_event_has_a_name_of_its_own() -> None:
    names = [kind.name for kind in get_args(ev.Event)]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and " " not in name for name in names)


def test_an_event_cannot_be_changed() -> None:
    event = Trouble(what="x")
    with pytest.raises(AttributeError):
        event.what = "y"  # type: ignore[misc]


def test_who_asks_hears_when_much_is_told_together_and_when_it_is_over() -> None:
    events, heard, done = Events(), list[object](), ev.SyncDone(fetched=1, bytes=1, seconds=1.0)
    events.subscribe(heard.append, hold=heard.append)
    events.subscribe(lambda event: None)
    with events.together():
        events.tell(done)
    events.tell(done)
    assert heard == [True, done, False, done]
