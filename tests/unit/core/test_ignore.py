"""Which names are left alone: the short list, as gitignore would read it, and nothing else."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gsync.core.ignore import DEFAULT_PATTERNS, is_ignored
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
