"""How what a peer has is cut into messages."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gsync.core.model import Kind, Record
from gsync.core.names import RelPath
from gsync.peer.announcement import PIECE_RECORDS, changes, everything, withdrawals
from gsync.wire.frames import HEADER_MAX_BYTES
from gsync.wire.native import PIECE_BYTES, Announce, header, parse_to_tracker
from gsync.wire.records import MTIME_NS_MAX, parse_records
from tests.unit.peer.native import record
from tests.unit.peer.world import path, v


def many(count: int, *, length: int = 8) -> list[Record]:
    return [record(f"{number:08}".ljust(length, "x")) for number in range(count)]


def names(pieces: list[Announce]) -> list[str]:
    return [one.p for piece in pieces for one in piece.records]


def test_nothing_is_everything_too() -> None:
    assert list(everything([])) == [Announce(all=True)]
    assert list(changes([])) == []
    assert list(withdrawals([])) == []


def test_what_fits_into_one_piece_stands_together() -> None:
    (piece,) = changes(many(PIECE_RECORDS // 2))
    assert len(piece.records) == PIECE_RECORDS // 2
    assert not piece.all
    (only,) = everything(many(PIECE_RECORDS // 2))
    assert only.all


@pytest.mark.parametrize("count", [1, PIECE_RECORDS - 1, PIECE_RECORDS, PIECE_RECORDS + 1, 5 * PIECE_RECORDS])
def test_the_order_is_kept_and_only_the_last_piece_of_everything_says_so(count: int) -> None:
    records = many(count)
    pieces = list(everything(records))
    assert names(pieces) == [one.path for one in records]
    assert [piece.all for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert names(list(changes(records))) == names(pieces)


@pytest.mark.parametrize("length", [10, 250])
def test_a_piece_has_its_bounds_in_bytes_and_in_records(length: int) -> None:
    pieces = list(changes(many(3 * PIECE_RECORDS, length=length)))
    assert max(len(header(piece)) for piece in pieces) <= PIECE_BYTES + PIECE_RECORDS + 100
    assert max(len(piece.records) for piece in pieces) <= PIECE_RECORDS
    assert min(len(header(piece)) for piece in pieces[:-1]) > PIECE_BYTES / 2


def test_a_record_longer_than_a_piece_goes_alone_and_fits_into_a_frame() -> None:
    authors = {f"{number:080}": 2**53 for number in range(1023)}
    long = replace(record("/".join(['"' * 255] * 15)), version=v(5, **authors))
    pieces = list(changes([record("a"), long, record("b")]))
    assert [len(piece.records) for piece in pieces] == [1, 1, 1]
    assert PIECE_BYTES < len(header(pieces[1])) <= HEADER_MAX_BYTES
    assert parse_to_tracker(header(pieces[1])) == pieces[1]


def test_pieces_are_made_one_at_a_time() -> None:
    asked = 0

    def records() -> object:
        nonlocal asked
        for one in many(4 * PIECE_RECORDS):
            asked += 1
            yield one

    pieces = everything(records())  # type: ignore[arg-type]
    assert asked == 0
    next(pieces)
    assert asked <= 2 * PIECE_RECORDS + 1


BEYOND_THE_WIRE = [
    pytest.param(replace(record("x"), version=v(5, **{"a" * 81: 1})), id="an author too long"),
    pytest.param(replace(record("x"), version=v(5, a=2**53 + 1)), id="a counter too high"),
    pytest.param(replace(record("x"), size=2**62 + 1), id="a size too large"),
    pytest.param(Record(path=path("x"), kind=Kind.LINK, version=v(5, a=1), target="\udcff"), id="no UTF-8"),
    pytest.param(Record(path=path("x"), kind=Kind.LINK, version=v(5, a=1), target="t" * 5000), id="a target too long"),
]


@pytest.mark.parametrize("beyond", BEYOND_THE_WIRE)
def test_what_the_wire_cannot_carry_is_left_out_with_a_word_and_the_others_go(
    beyond: Record, caplog: pytest.LogCaptureFixture
) -> None:
    assert names(list(everything([record("a"), beyond, record("b")]))) == ["a", "b"]
    assert "announce.left_out path='x'" in caplog.text
    assert list(changes([beyond])) == []
    assert list(everything([beyond])) == [Announce(all=True)]


@pytest.mark.parametrize(
    ("disk", "told"), [(-1, 0), (-(10**18), 0), (MTIME_NS_MAX + 1, MTIME_NS_MAX), (2**63, MTIME_NS_MAX)]
)
def test_a_time_that_the_wire_does_not_know_is_told_as_the_nearest_one(disk: int, told: int) -> None:
    (piece,) = changes([replace(record("a"), mtime_ns=disk)])
    assert piece.records[0].mtime_ns == told


def test_withdrawals_are_cut_likewise() -> None:
    few = [path(f"{number:04}") for number in range(PIECE_RECORDS)]
    assert [len(piece.paths) for piece in withdrawals([*few, path("one more")])] == [PIECE_RECORDS, 1]
    long = [path("/".join([f"{number:03}" + '"' * 250] * 15)) for number in range(100)]
    pieces = list(withdrawals(long))
    assert [name for piece in pieces for name in piece.paths] == long
    assert max(len(header(piece)) for piece in pieces) <= HEADER_MAX_BYTES
    assert len(pieces) > 3


components = st.text(st.characters(codec="utf-8", exclude_characters="/\\"), min_size=1, max_size=40)


@pytest.mark.slow
@given(st.lists(components.map(lambda name: f"f{name}"), max_size=50))
def test_whatever_is_a_name_arrives_as_it_is(texts: list[str]) -> None:
    good: list[RelPath] = []
    for text in texts:
        try:
            good.append(RelPath.parse(text))
        except ValueError:
            continue
    pieces = [parse_to_tracker(header(piece)) for piece in everything([record(name) for name in good])]
    arrived = [one for piece in pieces if isinstance(piece, Announce) for one in parse_records(piece.records)[0]]
    assert [one.path for one in arrived] == good
    assert msgspec.json.decode(header(Announce(all=True))) == {"t": "announce", "all": True}


def test_the_pieces_of_one_change_say_that_more_comes() -> None:
    pieces = list(changes(many(2 * PIECE_RECORDS + 1)))
    assert [piece.more for piece in pieces] == [True, True, False]
    assert [piece.more for piece in everything(many(2 * PIECE_RECORDS + 1))] == [False, False, False]
