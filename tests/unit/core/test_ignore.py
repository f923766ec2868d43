"""Which names are left alone: the short list, as gitignore would read it, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gsync.core.ignore import DEFAULT_PATTERNS, RULES_MAX, RULES_MAX_BYTES, IgnoreRules, RuleFile, is_ignored
from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.errors import NameRefused


@pytest.mark.parametrize(
    "name",
    [
        "core.1",
        "core.12345",
        "core.0x",
        "notes.txt~",
        "~",
        ".notes.txt.swp",
        ".a.swx",
        ".#notes",
        ".#",
        "4913",
        "a/b~",
        "a/.#b",
    ],
)
def test_what_editors_and_crashes_leave_behind_is_left_alone(name: str) -> None:
    assert is_ignored(RelPath.parse(name))


@pytest.mark.parametrize(
    "name",
    [
        *[
            "core",
            "core.",
            "core.c",
            "core.txt",
            "score.1",
            "Core.1",
            "a/core.1",
            "~a",
            "a~b",
            "a.swp",
            ".swp",
            ".a.sw",
        ],
        *[".a.swpx", "#a", "#a#", ".a#", "49130", "14913", "4913.txt", ".bashrc", ".DS_Store", "a.tmp", ".gsyncignore"],
    ],
)
def test_nothing_else_is(name: str) -> None:
    assert not is_ignored(RelPath.parse(name))


@given(
    st.lists(
        st.sampled_from(["core", ".", "1", "~", ".sw", "p", "#", "4913", "a", "\u2028"]), min_size=1, max_size=8
    ).map("".join)
)
@example("core.1")
@example("..swp")
def test_the_list_means_what_it_says(name: str) -> None:
    try:
        path = RelPath.parse_flat(name)
    except NameRefused:
        return
    patterns = [pattern.partition(" ")[0] for pattern in DEFAULT_PATTERNS]
    assert is_ignored(path) == any(fnmatchcase(name, pattern) for pattern in patterns)


# A person's own rules


def rules(shared: str = "", local: str = "") -> IgnoreRules:
    return IgnoreRules(RuleFile.parse(shared.encode()), RuleFile.parse(local.encode()))


def left_alone(given: IgnoreRules, *names: str) -> list[str]:
    """Those of `names` that are ignored; a name with a slash at its end is a directory."""
    kinds = [(name, Kind.DIRECTORY if name.endswith("/") else Kind.FILE) for name in names]
    return [name for name, kind in kinds if given.is_ignored(RelPath.parse(name.rstrip("/")), kind)]


def test_without_rules_the_short_list_stands() -> None:
    assert left_alone(IgnoreRules(), "a~", "core.1", "a") == ["a~", "core.1"]


def test_the_short_list_never_names_a_directory() -> None:
    assert left_alone(IgnoreRules(), "a~/", "core.1/", "4913/", "a~/b") == []


def test_what_a_crash_leaves_is_a_file() -> None:
    assert not is_ignored(RelPath.parse("core.1"), Kind.LINK)
    assert is_ignored(RelPath.parse(".#a"), Kind.LINK)  # emacs locks with a link


def test_the_last_word_counts() -> None:
    assert left_alone(rules("*.o\n!keep.o\n"), "a.o", "keep.o") == ["a.o"]
    assert left_alone(rules("!keep.o\n*.o\n"), "a.o", "keep.o") == ["a.o", "keep.o"]


def test_this_machines_own_rules_come_after_the_shared_ones() -> None:
    assert left_alone(rules("*.o\n", "!a.o\nb\n"), "a.o", "b.o", "b") == ["b.o", "b"]


def test_rules_can_take_back_the_short_list() -> None:
    assert left_alone(rules("!*~\n"), "a~", "4913") == ["4913"]


def test_what_stands_in_an_ignored_directory_is_ignored_whatever_is_said_of_it() -> None:
    given = rules("build/\n!build/keep\n")
    assert left_alone(given, "build/", "build/keep", "build/x/y", "build", "x/build/") == [
        "build/",
        "build/keep",
        "build/x/y",
        "x/build/",
    ]


def test_all_but_one_thing_in_a_directory_can_be_ignored() -> None:
    assert left_alone(rules("a/*\n!a/keep\n"), "a/", "a/x", "a/keep") == ["a/x"]


def test_the_rules_themselves_are_always_synced() -> None:
    assert left_alone(rules("*\n"), ".gsyncignore", "a", "d/.gsyncignore") == ["a", "d/.gsyncignore"]


def test_rules_of_a_subfolder_speak_of_what_is_in_it() -> None:
    given = IgnoreRules(None, None, {RelPath("d"): RuleFile.parse(b"/x\n*.o\n")})
    assert left_alone(given, "x", "d/x", "d/e/x", "e/x", "a.o", "d/a.o", "d/e/a.o") == ["d/x", "d/a.o", "d/e/a.o"]


def test_the_deeper_file_has_the_last_word_and_this_machine_the_very_last() -> None:
    nested = {RelPath("d"): RuleFile.parse(b"!*.o\n"), RelPath("d/e"): RuleFile.parse(b"a.o\n!own\n")}
    given = IgnoreRules(RuleFile.parse(b"*.o\n"), RuleFile.parse(b"own\n"), nested)
    assert left_alone(given, "a.o", "d/a.o", "d/e/a.o", "d/e/b.o", "d/e/own") == ["a.o", "d/e/a.o", "d/e/own"]


def test_no_file_of_rules_is_ignored_but_in_an_ignored_directory() -> None:
    nested = {RelPath("d"): RuleFile.parse(b"*\n"), RelPath("e"): RuleFile.parse(b"!*\n")}
    given = IgnoreRules(RuleFile.parse(b".gsyncignore\n/e/\n"), None, nested)
    assert left_alone(given, "d/.gsyncignore", "d/x/.gsyncignore", "e/.gsyncignore", "e/x") == [
        "d/x/.gsyncignore",
        "e/.gsyncignore",
        "e/x",
    ]


DIRECTORIES = ("", "a/", "b/", "a/a/", "a/b/", "b/a/", "a/b/c/")
PATHS = tuple(directory + name for directory in DIRECTORIES for name in ("x", "y.o", "c", "")[: 4 if directory else 3])


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with PATHS that git looks at."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    top = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", str(top)], check=True, env=GIT)
    for directory in DIRECTORIES:
        (top / directory).mkdir(exist_ok=True)
    for name in PATHS:
        if not name.endswith("/") and name not in {"a/b/c"}:
            (top / name).write_bytes(b"")
    return top


GIT = {"PATH": os.environ.get("PATH", ""), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

NAMES = ["a", "b", "c", "x", "*", "**", "?", "[ab]", "*.o", "y*"]
LINES = st.builds(
    lambda start, parts, end: start + "/".join(parts) + end,
    st.sampled_from(["", "", "/", "!", "!", "!/", "**/"]),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3),
    st.sampled_from(["", "", "/", "/**"]),
)


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(st.sampled_from(DIRECTORIES), st.lists(LINES, min_size=1, max_size=4), max_size=4))
@example({"": ["a/"], "a/": ["!x"]})
@example({"": ["a/*", "!a/b"], "a/b/": ["*", "!c"]})
def test_files_of_rules_mean_what_they_mean_to_git(git: Path, files: dict[str, list[str]]) -> None:
    for directory in DIRECTORIES:
        (git / directory / ".gitignore").unlink(missing_ok=True)
    for directory, lines in files.items():
        (git / directory / ".gitignore").write_text("\n".join(lines))
    asked = [name for name in PATHS if name != "a/b/c"]
    answer = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin", "-z"],
        input="\0".join(name.rstrip("/") for name in asked).encode(),
        stdout=subprocess.PIPE,
        check=False,
        cwd=git,
        env=GIT,
    )
    parsed = {directory: RuleFile.parse("\n".join(lines).encode()) for directory, lines in files.items()}
    nested = {RelPath(directory.rstrip("/")): file for directory, file in parsed.items() if directory}
    found = left_alone(IgnoreRules(parsed.get(""), None, nested), *asked)
    assert [name.rstrip("/") for name in found] == answer.stdout.decode().split("\0")[:-1]


def test_a_very_deep_path_is_decided_too() -> None:
    deep = "/".join(["a"] * 2000)
    assert left_alone(rules("x\n"), deep) == []
    assert left_alone(rules("a\n"), deep) == [deep]


def test_decisions_about_directories_do_not_pile_up() -> None:
    given = rules("x\n")
    for number in range(10_001):
        assert not given.is_ignored(RelPath.parse(f"{number}/a"))
    assert len(given._directories) == 1
    assert left_alone(given, "x/a") == ["x/a"]


@pytest.mark.parametrize(
    ("size", "last", "trouble"),
    [
        (RULES_MAX_BYTES - 1, True, False),
        (RULES_MAX_BYTES, True, False),
        (RULES_MAX_BYTES + 1, False, True),
    ],
)
def test_too_long_a_file_is_cut_at_a_line_and_that_is_said(size: int, last: bool, trouble: bool) -> None:
    raw = b"first\n" + b"#" * (size - len(b"first\n\nlast")) + b"\nlast"
    assert len(raw) == size
    found = RuleFile.parse(raw)
    assert left_alone(IgnoreRules(found), "first", "last") == ["first", "last"][: 1 + last]
    assert bool(found.trouble) == trouble


@pytest.mark.parametrize(("count", "trouble"), [(RULES_MAX - 1, False), (RULES_MAX, False), (RULES_MAX + 1, True)])
def test_too_many_patterns_are_cut_and_that_is_said(count: int, trouble: bool) -> None:
    found = RuleFile.parse("".join(f"{number}\n" for number in range(count)).encode())
    assert len(found.patterns) == min(count, RULES_MAX)
    assert bool(found.trouble) == trouble


def test_bytes_that_are_no_text_spoil_only_their_line() -> None:
    found = RuleFile.parse(b"\xef\xbb\xbfa\n\xff\xfe\nb\n")
    assert left_alone(IgnoreRules(found), "a", "b", "c") == ["a", "b"]


def test_rules_are_equal_when_they_decide_alike() -> None:
    assert rules("a\n# why\n") == rules("a\n")
    assert rules("a\n") != rules("b\n")
    assert rules("a\n") != rules("", "a\n")


SHARED = RuleFile.parse(b"*.o\nbuild/\n!keep.o\n/only-top \n\xff.x\n")
OWN = RuleFile.parse(b"secret*\n!secret.pub\n")


@pytest.mark.parametrize(
    ("path", "kind", "rule"),
    [
        ("a.o", Kind.FILE, "*.o in .gsyncignore"),
        ("deep/a.o", Kind.LINK, "*.o in .gsyncignore"),
        ("keep.o", Kind.FILE, ""),
        ("build", Kind.DIRECTORY, "build/ in .gsyncignore"),
        ("build", Kind.FILE, ""),
        ("x/build/deep/keep.o", Kind.FILE, "build/ in .gsyncignore, which names x/build/"),
        ("only-top", Kind.FILE, "/only-top in .gsyncignore"),
        ("x/only-top", Kind.FILE, ""),
        ("secret.key", Kind.FILE, "secret* in .gsync/ignore"),
        ("secret.pub", Kind.FILE, ""),
        ("a~", Kind.FILE, "*~, which is never synced"),
        (".a.swp", Kind.FILE, ".*.sw?, which is never synced"),
        ("core.1", Kind.FILE, "core.[0-9]* (at the top), which is never synced"),
        ("x/core.1", Kind.FILE, ""),
        (".gsyncignore", Kind.FILE, ""),
        ("a.txt", Kind.FILE, ""),
    ],
)
def test_the_rule_that_leaves_something_alone_is_told_with_its_file(path: str, kind: Kind, rule: str) -> None:
    rules = IgnoreRules(SHARED, OWN)
    assert rules.rule_for(RelPath.parse(path), kind) == rule
    assert rules.is_ignored(RelPath.parse(path), kind) is bool(rule)
