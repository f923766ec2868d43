"""The rules as they stand on the disk; a doubt leaves them as they were."""

from __future__ import annotations

import pytest

from gsync.core.ignore import RULES_MAX_BYTES, IgnoreRules, RuleFile
from gsync.errors import StorageError
from gsync.peer.rules import read_rules
from gsync.storage.memory import MemoryFolder
from gsync.storage.scanner import SETTLED_NS
from tests.unit.peer.world import path

LATER_NS = 1_800_000_000 * 10**9
BEFORE = IgnoreRules(RuleFile.parse(b"before\n"))


@pytest.fixture
def folder() -> MemoryFolder:
    return MemoryFolder()


def test_both_files_are_read(folder: MemoryFolder) -> None:
    folder.put(".gsyncignore", b"*.o\n")
    rules, is_moving = read_rules(folder, BEFORE, now_ns=LATER_NS, local=lambda: b"!a.o\n")
    assert not is_moving
    assert rules.is_ignored(path("b.o"))
    assert not rules.is_ignored(path("a.o"))
    assert not rules.is_ignored(path("before"))


def test_the_same_rules_are_the_same_value(folder: MemoryFolder) -> None:
    folder.put(".gsyncignore", b"# with a comment\nbefore\n")
    assert read_rules(folder, BEFORE, now_ns=LATER_NS)[0] is BEFORE


def test_no_file_means_no_rules(folder: MemoryFolder) -> None:
    assert read_rules(folder, BEFORE, now_ns=LATER_NS) == (IgnoreRules(), False)


@pytest.mark.parametrize("obstacle", ["a link", "a FIFO"])
def test_what_is_no_file_holds_no_rules(folder: MemoryFolder, obstacle: str) -> None:
    folder.obstruct(".gsyncignore", obstacle)
    assert read_rules(folder, BEFORE, now_ns=LATER_NS) == (IgnoreRules(), False)


def test_a_file_that_was_just_saved_is_read_a_little_later(folder: MemoryFolder) -> None:
    folder.put(".gsyncignore", b"*.o\n")
    saved_ns = folder.disk.names[".gsyncignore"].ctime_ns
    assert read_rules(folder, BEFORE, now_ns=saved_ns + SETTLED_NS - 1) == (BEFORE, True)
    assert read_rules(folder, BEFORE, now_ns=saved_ns + SETTLED_NS)[0].is_ignored(path("a.o"))


@pytest.mark.parametrize("broken", ["shared", "local"])
def test_rules_that_cannot_be_read_now_stay(folder: MemoryFolder, broken: str) -> None:
    folder.put(".gsyncignore", b"*.o\n")

    def fail(*_: object) -> bytes:
        raise StorageError("input/output error")

    if broken == "shared":
        folder.on_call = fail
        assert read_rules(folder, BEFORE, now_ns=LATER_NS) == (BEFORE, False)
    else:
        before = IgnoreRules(None, RuleFile.parse(b"mine\n"))
        rules, _ = read_rules(folder, before, now_ns=LATER_NS, local=fail)
        assert rules.is_ignored(path("mine"))
        assert rules.is_ignored(path("a.o"))


def test_no_more_is_read_than_can_be_used(folder: MemoryFolder) -> None:
    folder.put(".gsyncignore", b"a\n" + b"#" * RULES_MAX_BYTES)
    rules, _ = read_rules(folder, BEFORE, now_ns=LATER_NS)
    assert rules.shared.trouble
    assert rules.is_ignored(path("a"))
