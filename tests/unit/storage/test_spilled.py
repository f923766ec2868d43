"""A tree that outgrew its memory: a mapping like any other, whatever is rows and whatever is not."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gsync.core.names import RelPath
from gsync.errors import StorageError
from gsync.storage.spilled import FILE, HOT_MAX, WARM_MAX, Spilled, in_folder, in_memory

HOT = 4
NAMES = [
    RelPath.parse(name)
    for name in ("a", "a.b", "a/b", "a/c", "ab", "b", "Grüße", "zz", *(f"n{i:02}" for i in range(20)))
]


class Numbers:
    """Numbers, of which those that divide by ten are labelled with their tens."""

    def label(self, value: int) -> str:
        return "" if value % 10 else f"tens/{value // 10}"

    def spell(self, value: int) -> bytes:
        return str(value).encode()

    def read(self, path: RelPath, spelled: bytes) -> int:
        return int(spelled)


def tree(connect: Any = in_memory) -> Spilled[int]:
    return Spilled(Numbers(), connect, hot_max=HOT)


def full(count: int = len(NAMES)) -> Spilled[int]:
    spilled = tree()
    spilled.update({path: number for number, path in enumerate(NAMES[:count], start=1)})
    return spilled


@pytest.fixture
def own_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


names = st.sampled_from(NAMES)
numbers = st.integers(1, 40)


class LikeADict(RuleBasedStateMachine):
    """Whatever is done to it, it says what a dict says, and walks in path order."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[RelPath, int] = {}
        self.spilled = tree()

    @rule(path=names, number=numbers)
    def put(self, path: RelPath, number: int) -> None:
        self.model[path] = self.spilled[path] = number

    @rule(several=st.dictionaries(names, numbers))
    def put_several(self, several: dict[RelPath, int]) -> None:
        self.model.update(several)
        self.spilled.update(several)

    @rule(path=names)
    def drop(self, path: RelPath) -> None:
        assert self.spilled.pop(path, None) == self.model.pop(path, None)

    @rule(path=names)
    def ask(self, path: RelPath) -> None:
        assert self.spilled.get(path) == self.model.get(path)
        assert self.spilled.get(path, 99) == self.model.get(path, 99)
        assert (path in self.spilled) == (path in self.model)

    @rule(tens=st.integers(1, 4))
    def ask_for_a_label(self, tens: int) -> None:
        assert sorted(self.spilled.labelled(f"tens/{tens}")) == sorted(
            p for p, n in self.model.items() if n == tens * 10
        )
        assert sorted(self.spilled.labelled()) == sorted(p for p, n in self.model.items() if not n % 10)

    @invariant()
    def is_the_same(self) -> None:
        assert len(self.spilled) == len(self.model)
        assert list(self.spilled.items()) == sorted(self.model.items())
        assert list(self.spilled) == sorted(self.model)
        assert sorted(self.spilled.values()) == sorted(self.model.values())


TestLikeADict = LikeADict.TestCase
TestLikeADict.settings = settings(max_examples=40, stateful_step_count=30)

Change = tuple[RelPath, int | None]


@given(st.dictionaries(names, numbers), st.lists(st.lists(st.tuples(names, st.none() | numbers), max_size=6)))
def test_what_is_there_all_the_time_is_walked_past_once_whatever_changes_meanwhile(
    before: dict[RelPath, int], changes: list[list[Change]]
) -> None:
    spilled, model = tree(), dict(before)
    spilled.update(before)
    stayed, walked = set(before), list[RelPath]()
    todo = iter(changes)
    for path, number in spilled.walk():
        assert number == model[path]
        walked.append(path)
        for changed, value in next(todo, []):
            if value is None:
                spilled.pop(changed, None)
                model.pop(changed, None)
                stayed.discard(changed)
            else:
                spilled[changed] = model[changed] = value
    assert walked == sorted(set(walked))
    assert stayed <= set(walked)


def test_a_small_tree_opens_no_file() -> None:
    def connect() -> sqlite3.Connection:
        raise AssertionError("it is small")

    spilled = tree(connect)
    spilled.update(dict.fromkeys(NAMES[:HOT], 1))
    assert len(list(spilled.items())) == HOT
    del spilled[NAMES[0]]
    assert NAMES[0] not in spilled


def test_no_more_than_so_many_are_held_in_memory() -> None:
    spilled = Spilled(Numbers())
    spilled.update((RelPath(f"n{i}"), i) for i in range(HOT_MAX + 5000))
    for i in range(WARM_MAX + 10):
        assert spilled[RelPath(f"n{i}")] == i
    assert len(spilled._hot) <= HOT_MAX
    assert len(spilled._warm) <= WARM_MAX
    assert len(spilled) == HOT_MAX + 5000


def test_its_file_is_gone_from_the_folder_as_soon_as_it_is_open(own_fd: int, tmp_path: Path) -> None:
    spilled = tree(in_folder(own_fd))
    spilled.update(dict.fromkeys(NAMES, 7))
    assert spilled == dict.fromkeys(NAMES, 7)
    assert list(tmp_path.iterdir()) == []
    other = tree(in_folder(own_fd))
    other.update(dict.fromkeys(NAMES, 8))
    assert set(spilled.values()) == {7}


def test_what_lies_in_its_place_is_not_followed_and_not_used(own_fd: int, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    (tmp_path / FILE).symlink_to(elsewhere)
    spilled = tree(in_folder(own_fd))
    spilled.update(dict.fromkeys(NAMES, 7))
    assert elsewhere.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [elsewhere]


def test_while_the_disk_takes_nothing_all_stays_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    spilled = full()
    spilled._open().execute("PRAGMA max_page_count=1")
    more = {RelPath(f"more/{i:04}"): i + 1 for i in range(3000)}
    with caplog.at_level(logging.WARNING):
        spilled.update(more)
    assert spilled == {**{path: number for number, path in enumerate(NAMES, start=1)}, **more}
    assert 1 <= sum("tree.kept_in_memory" in message for message in caplog.messages) <= 12
    spilled._open().execute("PRAGMA max_page_count=100000")
    spilled.update({RelPath(f"last/{i:04}"): 1 for i in range(6000)})
    assert len(spilled._hot) <= HOT


def test_a_row_that_cannot_be_read_is_an_error_of_the_disk() -> None:
    spilled = full()
    spilled._open().close()
    with pytest.raises(StorageError):
        spilled.get(NAMES[0])
    with pytest.raises(StorageError):
        list(spilled)


def test_the_file_is_hardly_ever_asked_for_what_has_no_row() -> None:
    asked: list[str] = []

    def connect() -> sqlite3.Connection:
        database = in_memory()
        database.set_trace_callback(asked.append)
        return database

    spilled = tree(connect)
    spilled.update({path: number for number, path in enumerate(NAMES, start=1)})
    asked.clear()
    absent = [RelPath.parse(f"absent {number}") for number in range(1000)]
    assert [spilled.get(path) for path in absent] == [None] * 1000
    assert len(asked) < 100
    assert all(path in spilled for path in NAMES)


def test_nobody_can_ask_for_what_is_not_there() -> None:
    spilled = full()
    for missing in (RelPath("missing"), RelPath("zzz")):
        with pytest.raises(KeyError):
            spilled[missing]
        with pytest.raises(KeyError):
            del spilled[missing]
    assert 5 not in spilled


def test_its_file_goes_with_the_last_who_holds_it(own_fd: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    spilled = tree(in_folder(own_fd))
    spilled.update(dict.fromkeys(NAMES, 7))
    walk = spilled.walk()
    next(walk)
    del spilled
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert len(list(walk)) == len(NAMES) - 1
    assert len(os.listdir("/proc/self/fd")) == before
