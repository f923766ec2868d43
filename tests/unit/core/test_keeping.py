"""Which conflicts a person means, and under which plain names both versions can stay."""

from __future__ import annotations

from itertools import islice

import pytest

from gsync.core.conflicts import conflict_name, is_conflict_copy
from gsync.core.keeping import NAMES_TRIED, copies_meant, free_names, original_of, waiting
from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import COMPONENT_MAX_BYTES, RelPath
from gsync.core.versions import Version
from gsync.errors import UnknownName

DIGEST = "b3:" + "89abcdef" * 8


def name(text: str) -> RelPath:
    return RelPath.parse(text)


def copy_of(path: str, second: int = 1) -> RelPath:
    return conflict_name(name(path), version=Version.from_mtime(second), digest=DIGEST)


def tree(*paths: RelPath) -> dict[RelPath, FileMeta]:
    return {
        path: FileMeta(
            fingerprint=Fingerprint(size=size, mtime_ns=size * 10, ctime_ns=1, inode=1, mode=0o644),
            version=Version.from_mtime(1),
        )
        for size, path in enumerate(paths, start=1)
    }


@pytest.mark.parametrize("path", ["a.txt", "deep/er/a.txt", "README", ".bashrc", "a.tar.gz", "Grüße.txt"])
def test_a_copy_tells_its_file(path: str) -> None:
    assert original_of(copy_of(path), ()) == path


@pytest.mark.parametrize("path", ["n" * 240 + ".txt", "ü" * 120 + ".jpeg", "d/" + "n" * 255, "x" * 250])
def test_the_file_of_a_copy_whose_name_was_cut_is_found_beside_it(path: str) -> None:
    assert original_of(copy_of(path), [name("n.txt"), name(path), copy_of(path), name("e/" + "n" * 255)]) == path


def test_where_two_files_could_be_meant_neither_is() -> None:
    one, other = name("n" * 250 + "1.md"), name("n" * 250 + "2.md")
    assert original_of(copy_of(one), [one, other]) not in (one, other)


def test_a_name_that_is_nothing_but_a_mark_has_no_file_to_go_to() -> None:
    odd = name(".conflict-20010909T014640Z-00000000-89abcdef")
    assert is_conflict_copy(odd)
    assert original_of(odd, ()) == odd


def test_what_waits_is_told_with_what_it_lost_against() -> None:
    copy, lone = copy_of("a.txt"), copy_of("gone.txt")
    first, second = waiting([copy, lone], tree(name("a.txt"), copy, lone))
    assert (first.path, first.stands, first.size, first.against_size) == ("a.txt", True, 2, 1)
    assert (second.path, second.stands, second.size, second.against_size) == ("gone.txt", False, 3, 0)


def test_a_copy_means_itself_and_a_file_means_all_its_copies() -> None:
    one, two, other = copy_of("a.txt", 1), copy_of("a.txt", 2), copy_of("b.txt")
    local = tree(name("a.txt"), one, two, other)
    assert copies_meant([two], local) == [two]
    assert copies_meant([name("a.txt")], local) == [one, two]
    assert copies_meant([two, name("a.txt"), other], local) == [two, one, other]


@pytest.mark.parametrize("path", ["b.txt", "nowhere.txt"])
def test_a_name_without_a_conflict_is_told(path: str) -> None:
    with pytest.raises(UnknownName, match="has no conflict copy here") as unknown:
        copies_meant([name(path)], tree(name("b.txt"), copy_of("a.txt")))
    assert unknown.value.advice == "gsync conflicts"


def test_the_plain_names_for_a_second_version_go_up() -> None:
    assert list(islice(free_names(name("d/a.tar.gz")), 3)) == [
        *["d/a.tar (copy).gz", "d/a.tar (copy 2).gz", "d/a.tar (copy 3).gz"],
    ]
    assert next(free_names(name("README"))) == "README (copy)"
    assert next(free_names(name(".bashrc"))) == ".bashrc (copy)"
    assert next(free_names(name("a.txt"), taken={name("a (copy).txt")})) == "a (copy 2).txt"


def test_after_many_taken_names_there_are_no_more() -> None:
    assert len(list(free_names(name("a.txt")))) == NAMES_TRIED


@pytest.mark.parametrize(
    "path", ["n" * 255, "ü" * 127 + "x", "漢" * 85, "a." + "x" * 200, "d/" * 50 + "n" * 255, "." * 3]
)
def test_any_name_has_a_plain_second_one_that_a_disk_can_hold(path: str) -> None:
    second = next(free_names(name(path)))
    assert second != path
    assert " (copy)" in second
    assert len(second.name.encode()) <= COMPONENT_MAX_BYTES
