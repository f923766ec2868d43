"""The rules as they stand on the disk; a doubt leaves them as they were."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gsync.core.ignore import NESTED_RULES_MAX, RULE_FILES_MAX, RULES_MAX, RULES_MAX_BYTES, IgnoreRules, RuleFile
from gsync.core.model import Fingerprint
from gsync.errors import StorageError
from gsync.peer.rules import RulesRead, read_rules
from gsync.storage.memory import MemoryFolder
from gsync.storage.scanner import SETTLED_NS
from tests.unit.peer.world import path

LATER_NS = 1_800_000_000 * 10**9
RULES = IgnoreRules(RuleFile.parse(b"before\n"))
BEFORE = RulesRead(rules=RULES)


@pytest.fixture
def folder() -> MemoryFolder:
    return MemoryFolder()


def found_print(folder: MemoryFolder, name: str) -> Fingerprint:
    fingerprint = folder.fingerprint(path(name))
    assert fingerprint is not None
    return fingerprint


def read(folder: MemoryFolder, *names: str, before: RulesRead = BEFORE, now_ns: int = LATER_NS) -> RulesRead:
    """The rules, where the files with these names were found too."""
    return read_rules(folder, before, {path(name): found_print(folder, name) for name in names}, now_ns=now_ns)


def test_both_files_are_read(folder: MemoryFolder) -> None:
    folder.put(".gsyncignore", b"*.o\n")
    found = read_rules(folder, BEFORE, {}, now_ns=LATER_NS, local=lambda: b"!a.o\n")
    assert not found.moving
    assert found.rules.is_ignored(path("b.o"))
    assert not found.rules.is_ignored(path("a.o"))
    assert not found.rules.is_ignored(path("before"))


def test_the_same_rules_are_the_same_value(folder: MemoryFolder) -> None:
    folder.put(".gsyncignore", b"# with a comment\nbefore\n")
    assert read(folder).rules is RULES


def test_no_file_means_no_rules(folder: MemoryFolder) -> None:
    assert read(folder) == RulesRead()


@pytest.mark.parametrize("obstacle", ["a link", "a FIFO"])
def test_what_is_no_file_holds_no_rules(folder: MemoryFolder, obstacle: str) -> None:
    folder.obstruct(".gsyncignore", obstacle)
    assert read(folder) == RulesRead()


@pytest.mark.parametrize("name", [".gsyncignore", "d/.gsyncignore"])
def test_a_file_that_was_just_saved_is_read_a_little_later(folder: MemoryFolder, name: str) -> None:
    folder.put(name, b"*.o\n")
    saved_ns = folder.disk.names[name].ctime_ns
    found = read(folder, name, now_ns=saved_ns + SETTLED_NS - 1)
    assert found.moving == {path(name)}
    while_it_was_read = read_rules(
        folder,
        RulesRead(),
        {path(name): found_print(folder, name)},
        now_ns=saved_ns - 10**9,
        clock_ns=lambda: saved_ns + 10**9,
    )
    assert while_it_was_read.moving == {path(name)}
    assert not found.rules.is_ignored(path("d/a.o"))
    assert read(folder, name, now_ns=saved_ns + SETTLED_NS).rules.is_ignored(path("d/a.o"))


@pytest.mark.parametrize("broken", ["shared", "nested", "local"])
def test_rules_that_cannot_be_read_now_stay(folder: MemoryFolder, broken: str) -> None:
    folder.put(".gsyncignore", b"*.o\n")
    folder.put("d/.gsyncignore", b"x\n")

    def fail(*_: object) -> bytes:
        raise StorageError("input/output error")

    if broken == "local":
        before = RulesRead(rules=IgnoreRules(None, RuleFile.parse(b"mine\n")))
        rules = read_rules(folder, before, {}, now_ns=LATER_NS, local=fail).rules
        assert rules.is_ignored(path("mine"))
        assert rules.is_ignored(path("a.o"))
        return
    before = BEFORE if broken == "shared" else read(folder, "d/.gsyncignore")
    folder.on_call = fail
    assert read_rules(folder, before, {}, now_ns=LATER_NS).rules is before.rules


@pytest.mark.parametrize("name", [".gsyncignore", "d/.gsyncignore"])
def test_no_more_is_read_than_can_be_used(folder: MemoryFolder, name: str) -> None:
    folder.put(name, b"a\n" + b"#" * RULES_MAX_BYTES)
    found = read(folder, name)
    assert repr(name) in found.trouble
    assert found.rules.is_ignored(path("d/a"))


def test_rules_of_a_subfolder_are_read_where_they_are_found(folder: MemoryFolder) -> None:
    folder.put("d/e/.gsyncignore", b"x\n")
    found = read(folder, "d/e/.gsyncignore")
    assert found.rules.rule_for(path("d/e/f/x")) == "x in d/e/.gsyncignore"
    assert not found.rules.is_ignored(path("d/x"))


def test_a_file_of_rules_is_read_again_only_when_it_shows_another_fingerprint(folder: MemoryFolder) -> None:
    folder.put("d/.gsyncignore", b"x\n")
    first = read(folder, "d/.gsyncignore")
    lying = replace(first, rules=IgnoreRules(None, None, {path("d"): RuleFile.parse(b"y\n")}))
    assert read(folder, before=lying).rules is lying.rules
    folder.edit("d/.gsyncignore", b"z\n")
    assert read(folder, before=lying).rules.is_ignored(path("d/z"))


def test_rules_that_are_gone_hold_no_more(folder: MemoryFolder) -> None:
    folder.put("d/.gsyncignore", b"x\n")
    first = read(folder, "d/.gsyncignore")
    folder.remove("d/.gsyncignore")
    assert read(folder, before=first) == RulesRead()


def test_rules_in_an_ignored_directory_say_nothing(folder: MemoryFolder) -> None:
    folder.put(".gsyncignore", b"d/\n")
    folder.put("d/.gsyncignore", b"!x\n")
    folder.put("d/e/.gsyncignore", b"y\n")
    found = read(folder, "d/.gsyncignore", "d/e/.gsyncignore")
    assert found.rules.nested == {}
    assert found.shown.keys() == {path(".gsyncignore")}


@pytest.mark.parametrize("files", [RULE_FILES_MAX, RULE_FILES_MAX + 1])
def test_the_files_of_rules_are_bounded_and_those_nearest_to_the_top_count(folder: MemoryFolder, files: int) -> None:
    names = [f"d/{number:04}/.gsyncignore" for number in range(files - 1)] + ["last/.gsyncignore"]
    for name in names:
        folder.put(name, b"x\n")
    found = read(folder, *names)
    assert len(found.rules.nested) == RULE_FILES_MAX
    assert found.rules.is_ignored(path("last/x"))
    assert found.rules.is_ignored(path("d/0999/x")) == (files == RULE_FILES_MAX - 1)
    assert bool(found.trouble) == (files > RULE_FILES_MAX)
    assert found.shown.keys() == {path(name) for name in names}  # else they were found to be other ones with each look


@pytest.mark.parametrize("more", [0, 1])
def test_the_patterns_in_subfolders_are_bounded_together(folder: MemoryFolder, more: int) -> None:
    full = "".join(f"{number}\n" for number in range(RULES_MAX)).encode()
    names = [f"{number}/.gsyncignore" for number in range(NESTED_RULES_MAX // RULES_MAX + more)]
    for name in names:
        folder.put(name, full)
    found = read(folder, *names)
    assert sum(len(file.patterns) for file in found.rules.nested.values()) == NESTED_RULES_MAX
    assert bool(found.trouble) == bool(more)
