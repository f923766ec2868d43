"""What a rename looks like to two scans."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from gsync.core.diff import Seen
from gsync.core.model import FileMeta, Fingerprint, Kind
from gsync.core.moves import paired
from gsync.core.names import RelPath
from gsync.core.versions import Version


def path(text: str) -> RelPath:
    return RelPath.parse(text)


def shown(inode: int, *, kind: Kind = Kind.FILE, size: int = 5, mtime_ns: int = 7, ctime_ns: int = 0) -> Fingerprint:
    return Fingerprint(size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns, inode=inode, mode=0o644, kind=kind)


def pairs(before: Mapping[str, Fingerprint], after: Mapping[str, Fingerprint]) -> dict[str, str]:
    known = {path(p): FileMeta(fingerprint=f, version=Version.from_mtime(1)) for p, f in before.items()}
    found = {path(p): Seen(fingerprint=f) for p, f in after.items()}
    return {str(new): str(old) for new, old in paired(known, found).items()}


def test_a_renamed_file_has_the_inode_size_and_mtime_that_it_had() -> None:
    assert pairs({"old": shown(1)}, {"new": shown(1, ctime_ns=9)}) == {"new": "old"}


def test_an_inode_that_was_used_again_is_another_file() -> None:
    assert not pairs({"old": shown(1)}, {"new": shown(1, mtime_ns=8)})
    assert not pairs({"old": shown(1)}, {"new": shown(1, size=6)})
    assert not pairs({"old": shown(1)}, {"new": shown(1, kind=Kind.LINK)})


def test_a_second_name_for_a_file_is_no_rename() -> None:
    assert not pairs({"old": shown(1)}, {"old": shown(1), "new": shown(1)})


def test_a_rename_over_a_known_name_says_from_where() -> None:
    assert pairs({"temp": shown(1), "notes": shown(2)}, {"notes": shown(1)}) == {"notes": "temp"}


def test_an_edit_in_place_or_by_a_file_that_nobody_knew_is_no_rename() -> None:
    assert not pairs({"notes": shown(1), "other": shown(2)}, {"notes": shown(1, mtime_ns=8), "other": shown(2)})
    assert not pairs({"notes": shown(1), "other": shown(2)}, {"notes": shown(3), "other": shown(2)})


def test_two_files_that_were_swapped_say_so() -> None:
    assert pairs({"a": shown(1), "b": shown(2)}, {"a": shown(2), "b": shown(1)}) == {"a": "b", "b": "a"}


def test_of_what_was_replaced_the_new_name_comes_first() -> None:
    """`a` went to `c`, and `b` to `a`."""
    assert pairs({"a": shown(1), "b": shown(2)}, {"a": shown(2), "c": shown(1)}) == {"a": "b", "c": "a"}


def test_swapped_directories_are_only_what_is_in_them() -> None:
    before = {"d": shown(1, kind=Kind.DIRECTORY), "e": shown(2, kind=Kind.DIRECTORY)}
    assert not pairs(before, {"d": before["e"], "e": before["d"]})


def test_a_renamed_directory_carries_all_that_is_in_it() -> None:
    before = {
        "old": shown(1, kind=Kind.DIRECTORY),
        "old/deep": shown(2, kind=Kind.DIRECTORY),
        "old/deep/file": shown(3),
        "old/link": shown(4, kind=Kind.LINK),
    }
    after = {p.replace("old", "elsewhere/new"): f for p, f in before.items()}
    after["elsewhere"] = shown(9, kind=Kind.DIRECTORY)
    assert pairs(before, after) == {p.replace("old", "elsewhere/new"): p for p in before}


def test_a_directory_is_known_by_its_inode_alone() -> None:
    before = {"old": shown(1, kind=Kind.DIRECTORY)}
    assert pairs(before, {"new": shown(1, kind=Kind.DIRECTORY, size=9, mtime_ns=9)}) == {"new": "old"}


def test_hard_links_pair_up_in_path_order() -> None:
    before = {"a/1": shown(1), "a/2": shown(1)}
    assert pairs(before, {"b/1": shown(1), "b/2": shown(1)}) == {"b/1": "a/1", "b/2": "a/2"}


names = st.sampled_from([path(name) for name in "abcdef"])
prints = st.builds(shown, st.integers(1, 3), kind=st.sampled_from(Kind), size=st.integers(1, 2))


@given(known=st.dictionaries(names, prints), found=st.dictionaries(names, prints))
def test_each_gone_name_goes_to_one_new_name_at_most(
    known: Mapping[RelPath, Fingerprint], found: Mapping[RelPath, Fingerprint]
) -> None:
    moved = pairs(known, found)
    assert moved.keys() <= found.keys()
    assert set(moved.values()) <= known.keys()
    assert not any(new == old for new, old in moved.items())
    assert not any(found.get(path(old)) == known[path(old)] for old in moved.values())
    assert len(set(moved.values())) == len(moved)
