"""A line of a gitignore file means here what it means to git, and costs little whatever it says."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from gsync.core.patterns import parse_line


def means(line: str, path: str, *, is_directory: bool = False) -> bool:
    """Whether the line names the path or a directory around it."""
    pattern = parse_line(line)
    assert pattern is not None
    names = path.split("/")
    around = any(pattern.matches(names[:count]) for count in range(1, len(names)))
    return around or (pattern.matches(names) and (is_directory or not pattern.directory_only))


@pytest.mark.parametrize(
    ("line", "named", "others"),
    [
        ("a", ["a", "x/a", "a/x", "x/a/y"], ["ab", "A"]),
        ("/a", ["a", "a/x"], ["x/a"]),
        ("a/b", ["a/b", "a/b/c"], ["x/a/b", "a/x/b"]),
        ("*.o", ["x.o", ".o", "d/x.o"], ["x.oo", "x"]),
        ("a/*.o", ["a/x.o"], ["a/b/x.o", "x.o"]),
        ("**/a", ["a", "x/y/a"], ["ax"]),
        ("a/**", ["a/x", "a/x/y"], ["a", "xa/x"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a", "ab"]),
        ("a/**/b/**/c", ["a/b/c", "a/b/b/x/c"], ["a/c", "b/c"]),
        ("a/***/b", ["a/b", "a/x/b"], ["b"]),
        ("a**b", ["ab", "axb"], ["a/b"]),
        ("?", ["x", "d/y"], ["xx"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "-x"]),
        ("[!a-c]x", ["dx"], ["ax"]),
        ("[^a]x", ["dx"], ["ax"]),
        ("[]]x", ["]x"], ["x"]),
        ("[[:digit:]_]x", ["1x", "_x"], ["ax", ":x"]),
        (r"[\]]x", ["]x"], ["\\x"]),
        (r"\#a", ["#a"], ["a"]),
        (r"\!a", ["!a"], ["a"]),
        (r"a\ ", ["a "], ["a"]),
        ("a   ", ["a"], ["a   "]),
        ("a\r", ["a"], ["a\r"]),
        (r"a\*", ["a*"], ["ab"]),
        ("a.b", ["a.b"], ["axb"]),
        ("**", ["a", "a/b"], []),
        ("ä*", ["äb"], ["ab"]),
    ],
)
def test_a_line_names_what_it_names_to_git(line: str, named: list[str], others: list[str]) -> None:
    assert [path for path in named if not means(line, path)] == []
    assert [path for path in others if means(line, path)] == []


def test_a_slash_at_the_end_names_directories_alone() -> None:
    assert means("a/", "a", is_directory=True)
    assert means("a/", "a/x")
    assert not means("a/", "a")


@pytest.mark.parametrize("line", ["", "   ", "#a", "/", "!", "a[b", "[", "a\\", "a//b", "[[:nonsense:]]"])
def test_what_is_no_pattern_is_passed_over(line: str) -> None:
    assert parse_line(line) is None


def test_an_exclamation_mark_takes_back() -> None:
    pattern = parse_line("!a")
    assert pattern is not None
    assert pattern.negated
    assert pattern.matches(["a"])


# Without [!a]: there the library takes a slash for a character, and git does not.
PARTS = st.lists(st.sampled_from(["a", "b", "*", "?", "[ab]", "**", "c", "."]), min_size=1, max_size=4).map("".join)
LINES = st.builds(
    lambda start, parts, end: start + "/".join(parts) + end,
    st.sampled_from(["", "/"]),
    st.lists(PARTS, min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
).filter(lambda line: "***" not in line)  # there the library differs from git
NAMES = st.text("abc.", min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)


@given(LINES, PATHS, st.booleans())
@example("a/**/b", "a/b", False)
@example("*a*b", "aab", False)
def test_it_agrees_with_the_library_that_may_take_for_ever(line: str, path: str, is_directory: bool) -> None:
    assume(not line.endswith("**/"))  # to git that names the directories in it,
    assume(not (is_directory and line.endswith("**")))  # and that what is in it; to the library both name it as well
    spec = GitIgnoreSpec.from_lines([line])
    assert means(line, path, is_directory=is_directory) == spec.match_file(path + "/" * is_directory)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("*" + "a*" * 100 + "b", "a" * 255),
        ("a/" + "**/a/" * 100 + "b", "a/" * 2000 + "c"),
        ("*a" * 100 + "/" + "**/*a*a*b/" * 50 + "b", "/".join(["a" * 60] * 60)),
    ],
)
def test_no_line_takes_for_ever(line: str, path: str) -> None:
    pattern = parse_line(line)
    assert pattern is not None
    assert not pattern.matches(path.split("/"))  # it ends at all: the library would take longer than anybody lives
