"""Offers as rows: the same offers come back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gsync.core.model import Kind, Offer, Record, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.versions import Version
from gsync.storage.offer_rows import OfferRows, offer_tree
from gsync.storage.spilled import in_memory

A, B = RelPath.parse("a/Grüße"), RelPath.parse("b")

versions = st.builds(
    Version.from_vector,
    st.dictionaries(st.sampled_from(["mtime", "0123456789abcdef", "ann"]), st.integers(1, 2**53), max_size=3),
)
sources = st.lists(
    st.builds(
        Source,
        endpoint=st.builds(Endpoint, st.sampled_from(["192.0.2.1", "2001:db8::1"]), st.integers(1, 65535)),
        speaks_gsync=st.booleans(),
        speaks_native=st.booleans(),
    ),
    max_size=3,
).map(tuple)
records = st.builds(
    Record,
    path=st.just(A),
    kind=st.sampled_from(Kind),
    version=versions,
    digest=st.just("") | st.binary(min_size=32, max_size=32).map(lambda raw: f"b3:{raw.hex()}"),
    size=st.integers(0, 2**62),
    mtime_ns=st.integers(0, 4_102_444_800 * 10**9),
    executable=st.booleans(),
    target=st.sampled_from(["", "../there"]),
    author=st.sampled_from(["", "0123456789abcdef"]),
    deleted=st.booleans(),
    moved_from=st.sampled_from([None, B]),
)
offers = st.builds(Offer, version=versions, sources=sources, record=st.none() | records)


@given(st.lists(offers, max_size=5))
def test_offers_come_back_as_they_were(several: list[Offer]) -> None:
    rows = OfferRows()
    for offer in several:
        assert rows.read(A, rows.spell(offer)) == offer


@given(records, sources)
def test_so_does_one_whose_version_is_that_of_its_record(record: Record, from_whom: tuple[Source, ...]) -> None:
    offer = Offer(version=record.version, sources=from_whom, record=record)
    rows = OfferRows()
    assert rows.read(A, rows.spell(offer)) == offer


def test_sources_are_shared_by_the_offers_that_name_them() -> None:
    rows = OfferRows()
    offer = Offer(version=Version(1), sources=(Source(endpoint=Endpoint("192.0.2.1", 7)),))
    spelled = rows.spell(offer)
    assert rows.read(A, spelled).sources is rows.read(B, spelled).sources


def test_a_tree_of_offers_finds_what_was_renamed_from_a_path() -> None:
    tree = offer_tree(in_memory, hot_max=2)
    for number in range(10):
        path = RelPath(f"n{number}")
        moved_from = B if number == 3 else None
        record = Record(path=path, kind=Kind.FILE, version=Version(1), moved_from=moved_from)
        tree[path] = Offer(version=Version(1), sources=(), record=record)
    tree[A] = Offer(version=Version(1), sources=())
    assert tree.labelled(B) == tree.labelled() == [RelPath("n3")]
