"""What the loser of a conflict is called: by its own entry alone, within what a disk can store."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gsync.core.conflicts import EXTENSION_MAX_BYTES, NO_AUTHOR, conflict_name, is_conflict_copy, plain_name
from gsync.core.ignore import is_ignored
from gsync.core.names import COMPONENT_MAX_BYTES, PATH_MAX_BYTES, RelPath
from gsync.core.versions import MTIME_MAX, Version
from gsync.errors import NameRefused

DIGEST = "b3:" + "89abcdef" * 8
CLASSIC = Version.from_mtime(1_000_000_000)
MARK = ".conflict-20010909T014640Z-00000000-89abcdef"


def name_of(name: str, *, version: Version = CLASSIC, digest: str = DIGEST) -> RelPath:
    return conflict_name(RelPath.parse(name), version=version, digest=digest)


@pytest.mark.parametrize(
    ("name", "kept_as"),
    [
        pytest.param("notes.txt", f"notes{MARK}.txt", id="the extension stays last"),
        pytest.param("a.tar.gz", f"a.tar{MARK}.gz", id="only what follows the last dot"),
        pytest.param("README", f"README{MARK}", id="no extension"),
        pytest.param(".bashrc", f".bashrc{MARK}", id="a leading dot begins no extension"),
        pytest.param(".config.ini", f".config{MARK}.ini", id="a dot file with an extension"),
        pytest.param("a.", f"a{MARK}.", id="a dot at the end"),
        pytest.param("deep/er/notes.txt", f"deep/er/notes{MARK}.txt", id="beside the file"),
        pytest.param("Gr\u00fc\u00dfe.txt", f"Gr\u00fc\u00dfe{MARK}.txt", id="any script"),
        pytest.param(
            "notes.conflict-19990101T000000Z-01234567-fedcba98.txt", f"notes{MARK}.txt", id="a loser that loses again"
        ),
        pytest.param(
            "notes.conflict-yesterday.txt", f"notes.conflict-yesterday{MARK}.txt", id="a person's own name stays"
        ),
    ],
)
def test_the_table(name: str, kept_as: str) -> None:
    assert name_of(name) == kept_as


@pytest.mark.parametrize(
    ("length", "is_extension"),
    [(EXTENSION_MAX_BYTES - 1, True), (EXTENSION_MAX_BYTES, True), (EXTENSION_MAX_BYTES + 1, False)],
)
@pytest.mark.parametrize("letter", ["x", "\u00e9"])
def test_an_extension_has_at_most_16_bytes_with_its_dot(length: int, is_extension: bool, letter: str) -> None:
    letters = letter * ((length - 1) // len(letter.encode()))
    extension = "." + letters + "x" * (length - 1 - len(letters.encode()))
    kept_as = name_of("stem" + extension)
    assert kept_as == (f"stem{MARK}{extension}" if is_extension else f"stem{extension}{MARK}")


def test_the_time_is_the_losers_own() -> None:
    assert "-19700101T000000Z-" in name_of("a", version=Version.from_mtime(0)).replace(".conflict", "")
    assert "-21000101T000000Z-" in name_of("a", version=Version.from_mtime(MTIME_MAX)).replace(".conflict", "")


def test_an_author_is_named_by_eight_digits() -> None:
    version = Version.from_vector({"0123456789abcdef": 3, "fedcba9876543210": 2, "mtime": 0})
    assert "-01234567-" in name_of("a", version=version)
    assert f"-{NO_AUTHOR}-" in name_of("a", version=CLASSIC)


def test_among_authors_with_equally_many_edits_all_machines_name_the_same() -> None:
    version = Version.from_vector({"aaaaaaaaaaaaaaaa": 2, "bbbbbbbbbbbbbbbb": 2, "mtime": 0})
    assert "-bbbbbbbb-" in name_of("a", version=version)


@pytest.mark.parametrize("author", ["../../x", "a/b", "\x00\n", "Z", "\u6f22", "0123"])
def test_nothing_that_others_call_themselves_leads_elsewhere(author: str) -> None:
    kept_as = name_of("deep/a", version=Version.from_vector({author: 1, "mtime": 0}))
    assert kept_as.ancestors == ("deep",)
    assert is_conflict_copy(kept_as)


@pytest.mark.parametrize("free", [len(MARK) - 1, len(MARK), len(MARK) + 1])
def test_where_no_longer_path_can_be_the_copy_is_at_the_top(free: int) -> None:
    directory = "/".join(["d" * 200] * 20)
    directory += "/" + "e" * (PATH_MAX_BYTES - len(directory) - 2 - free)
    kept_as = name_of(f"{directory}/notes")
    assert len(kept_as) <= PATH_MAX_BYTES
    assert kept_as == (f"{directory}/n{MARK}" if free > len(MARK) else f"notes{MARK}")


def test_other_content_gets_another_name() -> None:
    assert name_of("a", digest="b3:" + "0" * 64) != name_of("a", digest="b3:" + "1" * 64)


@pytest.mark.parametrize("length", [COMPONENT_MAX_BYTES - len(MARK) + extra for extra in (-1, 0, 1)])
def test_a_stem_is_cut_where_the_name_would_be_too_long(length: int) -> None:
    kept_as = name_of("a" * length)
    assert kept_as == "a" * min(length, COMPONENT_MAX_BYTES - len(MARK)) + MARK
    assert len(kept_as) <= COMPONENT_MAX_BYTES


@pytest.mark.parametrize("letter", ["\u00e9", "\u6f22", "\U0001f389"])
def test_a_stem_is_cut_between_characters(letter: str) -> None:
    name = letter * (COMPONENT_MAX_BYTES // len(letter.encode()))
    kept_as = name_of(name)
    assert kept_as.removesuffix(MARK) == letter * ((COMPONENT_MAX_BYTES - len(MARK)) // len(letter.encode()))


def test_a_conflict_copy_is_known_by_its_name() -> None:
    assert is_conflict_copy(name_of("notes.txt"))
    assert not is_conflict_copy(RelPath.parse("notes.txt"))
    assert not is_conflict_copy(RelPath.parse("notes.conflict-of-interest.txt"))


def names() -> st.SearchStrategy[RelPath]:
    def parsed(text: str) -> RelPath | None:
        try:
            return RelPath.parse_flat(text)
        except NameRefused:
            return None

    letters = st.sampled_from(["a", ".", "\u00e9", "\u6f22", "~", "#", "swp", ".conflict-", MARK, " ", "4913", "core."])
    return st.lists(letters, min_size=1, max_size=60).map("".join).map(parsed).filter(bool)  # type: ignore[return-value]


@given(names(), st.integers(0, MTIME_MAX))
@example(RelPath.parse(MARK), 0)
@example(RelPath.parse("a" * 255), 0)
def test_any_loser_gets_a_name_that_can_be_stored_and_names_no_conflict_twice(path: RelPath, mtime_s: int) -> None:
    kept_as = conflict_name(path, version=Version.from_mtime(mtime_s), digest=DIGEST)
    assert RelPath.parse_flat(kept_as) == kept_as
    assert is_conflict_copy(kept_as)
    assert conflict_name(kept_as, version=Version.from_mtime(mtime_s), digest=DIGEST) == kept_as


@given(names())
@example(RelPath.parse("core.~a"))
def test_the_loser_of_a_synced_file_is_synced_too(path: RelPath) -> None:
    # A name like `a.~.conflict-...`, which only a person can have made, loses its mark and shows what it hid: not covered.
    if not is_ignored(path) and not is_conflict_copy(path):
        assert not is_ignored(conflict_name(path, version=CLASSIC, digest=DIGEST))


@pytest.mark.parametrize(
    "name", ["notes.txt", "deep/er/notes.txt", "README", ".bashrc", "notes.conflict-yesterday.txt"]
)
def test_the_plain_name_of_a_loser_is_that_of_its_file(name: str) -> None:
    assert plain_name(name_of(name)) == name
    assert plain_name(RelPath.parse(name)) == name


@pytest.mark.parametrize("name", [MARK, "." + MARK, ".gsync" + MARK])
def test_a_name_of_which_nothing_may_be_left_keeps_its_mark(name: str) -> None:
    assert plain_name(RelPath.parse(name)) == name
