"""What is said while paused, and after."""

from __future__ import annotations

from collections.abc import Iterable

from gsync.core.names import RelPath
from gsync.peer.voice import Voice
from tests.unit.peer.world import path

A, B = path("a"), path("b")


class Announcer:
    def __init__(self) -> None:
        self.said: list[object] = []

    def tell(self, paths: Iterable[RelPath]) -> None:
        self.said.append(list(paths))

    def tell_news(self) -> None:
        self.said.append("news")


def a_voice() -> tuple[Voice, Announcer]:
    voice, announcer = Voice(), Announcer()
    voice.announcer = announcer  # type: ignore[assignment]
    return voice, announcer


def test_before_there_is_an_announcer_nothing_is_said_and_nothing_kept() -> None:
    voice = Voice()
    voice.tell([A])
    voice.tell_news()
    assert voice.kept == 0


def test_what_moves_is_said_at_once() -> None:
    voice, announcer = a_voice()
    voice.tell([A])
    voice.tell_news()
    assert announcer.said == [[A], "news"]


def test_a_pause_keeps_it_and_the_end_of_the_pause_tells_all_once() -> None:
    voice, announcer = a_voice()
    voice.pause()
    for paths in ([A], [B], [A]):
        voice.tell(paths)
        voice.tell_news()
    assert (announcer.said, voice.kept) == ([], 2)
    voice.resume()
    assert (announcer.said, voice.kept) == ([[A, B], "news"], 0)
    voice.tell([B])
    assert announcer.said[2:] == [[B]]


def test_the_end_of_a_pause_in_which_nothing_moved_is_silent() -> None:
    voice, announcer = a_voice()
    voice.pause()
    voice.resume()
    assert announcer.said == []
