"""One order of the records of a path: its table, and the laws without which joins would depend on who spoke first."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gsync.core.model import Entry, FileMeta, Fingerprint, Kind, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.records import (
    MTIME_NS_MAX,
    beats,
    looks_like,
    looks_the_same,
    order,
    record_of,
    same_content,
    tombstone_of,
    winner,
)
from gsync.core.versions import Order, Version

PATH = RelPath.parse("notes.txt")
D1, D2 = "b3:" + "1" * 64, "b3:" + "2" * 64
MIRRORED = {Order.NEWER: Order.OLDER, Order.OLDER: Order.NEWER}


def v(mtime_s: int, **counters: int) -> Version:
    return Version.from_vector({**counters, "mtime": mtime_s})


def file(version: Version, digest: str = D1, *, mtime_ns: int = 5, executable: bool = False) -> Record:
    return Record(path=PATH, kind=Kind.FILE, version=version, digest=digest, mtime_ns=mtime_ns, executable=executable)


def directory(version: Version) -> Record:
    return Record(path=PATH, kind=Kind.DIRECTORY, version=version)


def gone(version: Version, digest: str = D1) -> Record:
    return Record(path=PATH, kind=Kind.FILE, version=version, digest=digest, deleted=True)


LINK = Record(path=PATH, kind=Kind.LINK, version=v(9, b=1), digest=D2, target="elsewhere")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param(file(v(5, a=1)), file(v(5, a=1)), Order.SAME, id="version and content are the same"),
        pytest.param(file(v(6, a=2), D2), file(v(5, a=1)), Order.NEWER, id="it dominates"),
        pytest.param(gone(v(6, a=2)), file(v(5, a=1)), Order.NEWER, id="a deletion by someone who had seen it"),
        pytest.param(file(v(5, a=1)), file(v(5, a=1), D2), Order.CONCURRENT, id="one version, two contents"),
        pytest.param(file(v(5, a=1)), gone(v(5, a=1)), Order.CONCURRENT, id="one version, here and gone"),
        pytest.param(file(v(6, a=2)), file(v(6, b=1)), Order.CONCURRENT, id="neither knew the other, same content"),
        pytest.param(file(v(9)), file(v(5)), Order.NEWER, id="both known by mtime only: the later one"),
        pytest.param(file(v(5)), file(v(5, a=1)), Order.OLDER, id="known by mtime only, the other edited since"),
        pytest.param(file(v(9)), file(v(5, a=1)), Order.CONCURRENT, id="known by a later mtime only: nobody knows"),
        pytest.param(
            file(v(5), mtime_ns=5_000_000_000),
            file(v(5), mtime_ns=5_000_000_001),
            Order.NEWER,
            id="the same but for the mtime: the earlier one, which every disk can hold",
        ),
        pytest.param(file(v(5), executable=True), file(v(5)), Order.NEWER, id="the same but for the exec bit"),
        pytest.param(
            directory(v(0)), replace(directory(v(0)), mtime_ns=7), Order.SAME, id="of directories no mtime counts"
        ),
    ],
)
def test_the_order(a: Record, b: Record, expected: Order) -> None:
    assert order(a, b) is expected
    assert order(b, a) is MIRRORED.get(expected, expected)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(file(v(1, a=1)), gone(v(9, b=1)), id="live beats deleted"),
        pytest.param(directory(v(1, a=1)), file(v(9, b=1)), id="a directory beats a file"),
        pytest.param(directory(v(1, a=1)), LINK, id="a directory beats a link"),
        pytest.param(file(v(9, a=1)), file(v(8, b=1), D2), id="then the later mtime of the version"),
        pytest.param(file(v(9, b=1)), file(v(9, a=1), D2), id="then the counters"),
        pytest.param(file(v(9, a=1), D2), file(v(9, a=1), D1), id="then the digest"),
    ],
)
def test_which_of_two_concurrent_records_wins(a: Record, b: Record) -> None:
    assert order(a, b) is Order.CONCURRENT
    assert beats(a, b)
    assert not beats(b, a)
    assert winner([a, b]) == winner([b, a]) == a


def test_the_winner_is_never_a_dominated_one_however_it_would_rank() -> None:
    live, deletion, edit = file(v(5, a=1)), gone(v(6, a=2)), file(v(4, b=1), D2)
    assert beats(live, deletion)
    for records in permutations([live, deletion]):
        assert winner(records) == deletion
    for records in permutations([live, deletion, edit]):
        assert winner(records) == edit


def test_a_classic_mtime_between_two_of_ours_makes_no_circle() -> None:
    """By mtime alone the classic one would be later than the edit, the deletion later than the classic one, and the edit would
    win over the deletion: whoever joined them in another order would have had another winner."""
    edit, deletion, classic = file(v(5, a=1)), gone(v(9, b=1)), file(v(7), D2)
    assert {winner(records) for records in permutations([edit, deletion, classic])} == {edit}


versions = st.builds(
    lambda mtime_s, counters: Version.from_vector({**{a: n for a, n in counters.items() if n}, "mtime": mtime_s}),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 2)),
)
records = st.builds(
    Record,
    path=st.just(PATH),
    kind=st.sampled_from(Kind),
    version=versions,
    digest=st.sampled_from(["", D1, D2]),
    mtime_ns=st.integers(0, 1),
    executable=st.booleans(),
    target=st.sampled_from(["", "x"]),
    author=st.sampled_from("ab"),
    deleted=st.booleans(),
)


@given(records, records)
def test_the_order_looks_the_same_from_both_sides(a: Record, b: Record) -> None:
    assert order(b, a) is MIRRORED.get(order(a, b), order(a, b))
    assert beats(a, b) or beats(b, a) or (a.author, order(a, b)) == (b.author, Order.SAME)


@given(records, records, records)
def test_newer_than_newer_is_newer_in_every_mixture_of_kinds_and_dialects(a: Record, b: Record, c: Record) -> None:
    if order(a, b) is Order.NEWER and order(b, c) is Order.NEWER:
        assert order(a, c) is Order.NEWER


@given(st.lists(records, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_winner_does_not_depend_on_the_order_in_which_records_came(found: list[Record], rng: object) -> None:
    shuffled = list(found)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert order(winner(found), winner(shuffled)) is Order.SAME
    assert same_content(winner(found), winner(shuffled))
    assert not any(order(other, winner(found)) is Order.NEWER for other in found)


@given(records, records, records)
def test_a_winner_of_winners_wins(a: Record, b: Record, c: Record) -> None:
    """Only among records that are all kept: a winner alone forgets what it won over."""
    assert winner([a, b, c]) in {a, b, c}
    if order(a, b) is order(b, c) is order(a, c) is Order.CONCURRENT:
        assert winner([winner([a, b]), c]) == winner([a, winner([b, c])]) == winner([a, b, c])


def meta(kind: Kind, *, mtime_ns: int = 7, mode: int = 0o755, target: str = "") -> FileMeta:
    print_ = Fingerprint(size=3, mtime_ns=mtime_ns, ctime_ns=1, inode=2, mode=mode, kind=kind)
    return FileMeta(
        fingerprint=print_, version=v(5, a=1), digest=D1, target=target, author="a", moved_from=RelPath.parse("old")
    )


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("how", [{"mtime_ns": -1}, {"mode": 0o644}, {"target": "x"}, {"mtime_ns": MTIME_NS_MAX + 5}])
@given(other=records)
def test_what_looks_like_a_record_is_what_looks_the_same_once_it_is_told(
    kind: Kind, how: dict[str, Any], other: Record
) -> None:
    for entry in (meta(kind), meta(kind, **how)):
        mine = record_of(PATH, entry)
        for record in (other, mine, replace(mine, mtime_ns=0), replace(mine, executable=False)):
            assert looks_like(record, entry) is looks_the_same(mine, record)


def test_a_record_says_of_a_file_all_that_travels() -> None:
    assert record_of(PATH, meta(Kind.FILE)) == Record(
        path=PATH,
        kind=Kind.FILE,
        version=v(5, a=1),
        digest=D1,
        size=3,
        mtime_ns=7,
        executable=True,
        author="a",
        moved_from=RelPath.parse("old"),
    )


@pytest.mark.parametrize("kind", [Kind.DIRECTORY, Kind.LINK])
def test_of_directories_and_links_no_size_mtime_or_exec_bit_travels(kind: Kind) -> None:
    record = record_of(PATH, meta(kind))
    assert (record.size, record.mtime_ns, record.executable) == (0, 0, False)


@pytest.mark.parametrize(
    ("mtime_ns", "said"), [(-1, 0), (0, 0), (MTIME_NS_MAX, MTIME_NS_MAX), (MTIME_NS_MAX + 1, MTIME_NS_MAX)]
)
def test_an_mtime_that_no_record_can_say_is_moved_into_range(mtime_ns: int, said: int) -> None:
    assert record_of(PATH, meta(Kind.FILE, mtime_ns=mtime_ns)).mtime_ns == said


def test_a_tombstone_and_its_record_say_the_same() -> None:
    tombstone = Tombstone(version=v(5, a=1), kind=Kind.LINK, digest=D1, author="a", leftover_inode=3)
    record = record_of(PATH, tombstone)
    assert record.deleted
    assert tombstone_of(record) == replace(tombstone, leftover_inode=0)
    assert tombstone_of(record, version=v(6, a=2)).version == v(6, a=2)


entries = st.one_of(
    st.builds(
        FileMeta,
        fingerprint=st.builds(
            Fingerprint,
            size=st.just(5),
            mtime_ns=st.sampled_from([-1, 0, 5, MTIME_NS_MAX, MTIME_NS_MAX + 1]),
            ctime_ns=st.just(0),
            inode=st.just(7),
            mode=st.sampled_from([0o644, 0o755]),
            kind=st.sampled_from(list(Kind)),
        ),
        version=st.just(v(5, a=1)),
        digest=st.sampled_from(["", D1, D2]),
        target=st.sampled_from(["", "elsewhere"]),
    ),
    st.builds(
        Tombstone, version=st.just(v(5, a=1)), kind=st.sampled_from(list(Kind)), digest=st.sampled_from(["", D1, D2])
    ),
)


@given(entries, entries)
def test_a_record_looks_like_an_entry_if_it_looks_the_same_as_that_of_the_entry(entry: Entry, other: Entry) -> None:
    assert looks_like(record_of(PATH, entry), entry)
    theirs = record_of(PATH, other)
    assert looks_like(theirs, entry) == looks_the_same(record_of(PATH, entry), theirs)
