"""The tracker's directory as a peer knows it: what comes of snapshots and deltas, whole, cut, out of order or hostile."""

from __future__ import annotations

from collections.abc import Callable

import msgspec.structs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.model import Kind, Offer, Record, Source
from gsync.core.names import Endpoint, RelPath
from gsync.errors import RemoteProtocolError
from gsync.peer import mirror
from gsync.peer.mirror import DELTAS_HELD_MAX, REFUSALS_KEPT, Mirror, News
from gsync.peer.neighbourhood import Neighbourhood, Whereabouts
from gsync.wire.native import Delta, Held, Snapshot
from gsync.wire.records import WireRecord, parse_record, wire_record
from tests.unit.peer.native import classic, digest_of, held, record, row
from tests.unit.peer.world import path, v

THEM = Source(endpoint=Endpoint("192.0.2.9", 2000), speaks_gsync=True, speaks_native=True)
A, B, C, D = (record(name) for name in "abcd")


def a_mirror(
    pauses: list[int] | None = None, *, offered: Callable[[RelPath], Offer | None] = lambda name: None
) -> Mirror:
    known = Neighbourhood(
        Whereabouts(own=Endpoint("192.0.2.1", 2001), tracker_ip="192.0.2.2", is_own_address=lambda ip: False)
    )
    known.add([row(1), row(2, "192.0.2.1", 2001)])
    return Mirror(known, offered=offered, pause=(lambda: pauses.append(1)) if pauses is not None else (lambda: None))


def snapshot(*records: Record, seq: int = 1, last: bool = True) -> Snapshot:
    return Snapshot(seq=seq, held=[held(one, 1) for one in records], last=last)


def delta(prev: int, seq: int, *records: Record, lost: tuple[str, ...] = ()) -> Delta:
    return Delta(prev=prev, seq=seq, held=[held(one, 1) for one in records], lost=list(lost))


def offers(*records: Record) -> dict[RelPath, Offer | None]:
    return {one.path: Offer(version=one.version, sources=(THEM,), record=one) for one in records}


def whole(news: News | None) -> dict[RelPath, Offer | None]:
    assert news is not None
    assert news.whole
    return dict(news.offers)


def part(news: News | None) -> dict[RelPath, Offer | None]:
    assert news is not None
    assert not news.whole
    return dict(news.offers)


# Snapshots


def test_what_stands_here_just_so_is_taken_for_it_and_shares_its_parts() -> None:
    here = {A.path: A, B.path: msgspec.structs.replace(B, size=B.size + 1)}
    known = Mirror(a_mirror()._neighbourhood, here=here.get)
    told = whole(known.take_piece(snapshot(*map(parse_record, map(wire_record, (A, B, C))))))
    assert told == offers(A, B, C)
    assert (known.digest, told[A.path].record is A) == (digest_of(A, B, C), True)


def test_a_name_that_is_none_is_refused_even_if_it_is_asked_for() -> None:
    asked: list[RelPath] = []
    known = Mirror(a_mirror()._neighbourhood, here=asked.append)
    bad = Held(r=WireRecord(p="../a", v={"mtime": 5}), h=[1])
    news = known.take_piece(Snapshot(seq=1, held=[bad], last=True))
    assert (whole(news), asked) == ({}, ["../a"])


def test_before_a_snapshot_nothing_is_known() -> None:
    known = a_mirror()
    assert (known.seq, known.digest, known.is_whole) == (0, digest_of(), False)


def test_the_pieces_of_a_snapshot_are_one_piece_of_news() -> None:
    known = a_mirror()
    assert known.take_piece(snapshot(A, seq=7, last=False)) is None
    assert known.take_piece(snapshot(B, seq=7, last=False)) is None
    assert not known.is_whole
    assert whole(known.take_piece(snapshot(C, seq=7))) == offers(A, B, C)
    assert (known.seq, known.digest, known.is_whole) == (7, digest_of(A, B, C), True)


def test_an_empty_directory_is_news_too() -> None:
    known = a_mirror()
    assert whole(known.take_piece(snapshot())) == {}
    assert known.is_whole


def test_a_snapshot_replaces_all_that_was_known() -> None:
    known = a_mirror()
    known.take_piece(snapshot(A, B))
    assert whole(known.take_piece(snapshot(C, seq=2))) == offers(C)
    assert known.digest == digest_of(C)


def test_a_snapshot_that_begins_before_the_last_one_ended_takes_its_place() -> None:
    known = a_mirror()
    known.take_piece(snapshot(A, seq=1, last=False))
    assert whole(known.take_piece(snapshot(B, seq=2))) == offers(B)
    assert known.seq == 2


def test_the_order_of_a_directory_does_not_change_its_digest() -> None:
    one, other = a_mirror(), a_mirror()
    one.take_piece(snapshot(A, B, C))
    other.take_piece(snapshot(C, A, B))
    assert one.digest == other.digest != digest_of(A, B)


# Deltas


def test_a_delta_tells_what_changed_and_what_nobody_offers_any_more() -> None:
    known = a_mirror()
    known.take_piece(snapshot(A, B))
    newer = record("b", version=v(9, a=2))
    assert part(known.take_delta(delta(1, 4, newer, C, lost=("a",)))) == {**offers(newer, C), path("a"): None}
    assert (known.seq, known.digest, known.is_whole) == (4, digest_of(newer, C), True)


def test_a_path_that_was_never_there_may_be_lost() -> None:
    known = a_mirror()
    known.take_piece(snapshot(A))
    assert part(known.take_delta(delta(1, 2, lost=("z", "../x")))) == {path("z"): None}
    assert known.digest == digest_of(A)


def test_a_delta_without_a_snapshot_says_nothing() -> None:
    known = a_mirror()
    assert known.take_delta(delta(0, 1, A)) is None
    assert not known.is_whole


@pytest.mark.parametrize("prev", [0, 2, 100])
def test_a_delta_that_does_not_follow_shows_that_a_snapshot_is_needed(prev: int) -> None:
    known = a_mirror()
    known.take_piece(snapshot(A))
    assert known.take_delta(delta(prev, prev + 1, B)) is None
    assert not known.is_whole
    assert (known.seq, known.digest) == (1, digest_of(A))
    assert known.take_delta(delta(1, 2, B)) is None  # not even one that would have
    assert whole(known.take_piece(snapshot(A, B, seq=9))) == offers(A, B)
    assert part(known.take_delta(delta(9, 10, C))) == offers(C)


def test_deltas_between_the_pieces_of_a_snapshot_count_from_its_seq_on() -> None:
    known = a_mirror()
    known.take_piece(snapshot(A, B, seq=5, last=False))
    known.take_delta(delta(4, 5, D))
    known.take_delta(delta(5, 6, D, lost=("a",)))
    known.take_delta(delta(6, 8, record("d", version=v(9, a=2))))
    assert whole(known.take_piece(snapshot(C, seq=5))) == offers(B, C, record("d", version=v(9, a=2)))
    assert (known.seq, known.is_whole) == (8, True)
    assert known.digest == digest_of(B, C, record("d", version=v(9, a=2)))


def test_deltas_go_on_being_news_while_another_snapshot_comes() -> None:
    known = a_mirror()
    known.take_piece(snapshot(A, seq=1))
    known.take_piece(snapshot(A, seq=2, last=False))
    assert part(known.take_delta(delta(1, 2, B))) == offers(B)
    assert part(known.take_delta(delta(2, 3, C))) == offers(C)
    assert whole(known.take_piece(snapshot(B, seq=2))) == offers(A, B, C)
    assert known.seq == 3


def test_more_deltas_than_can_wait_make_another_snapshot_needed() -> None:
    known = a_mirror()
    known.take_piece(snapshot(A, seq=1, last=False))
    for seq in range(1, DELTAS_HELD_MAX + 1):
        known.take_delta(delta(seq, seq + 1, B))
    assert whole(known.take_piece(snapshot(seq=1))) == offers(A, B)
    assert known.is_whole
    known.take_piece(snapshot(A, seq=1, last=False))
    for seq in range(1, DELTAS_HELD_MAX + 2):
        known.take_delta(delta(seq, seq + 1, B))
    assert whole(known.take_piece(snapshot(seq=1))) == offers(A, B)
    assert not known.is_whole


def test_what_is_doubted_needs_a_snapshot_but_is_not_forgotten() -> None:
    known = a_mirror()
    known.take_piece(snapshot(A))
    known.doubt()
    assert not known.is_whole
    assert (known.seq, known.digest) == (1, digest_of(A))


# What is told again


def told_again(*deltas: Delta) -> tuple[Mirror, list[dict[RelPath, Offer | None]]]:
    """A mirror after A and B were offered and these deltas came, and the news that each of them was."""
    remote, told = dict[RelPath, Offer | None](), []
    known = a_mirror(offered=remote.get)
    remote |= whole(known.take_piece(snapshot(A, B)))
    for one in deltas:
        news = known.take_delta(one)
        told.append({} if news is None else dict(news.offers))
        remote |= told[-1]
    return known, told


def test_a_record_that_is_told_again_is_no_news() -> None:
    known, told = told_again(delta(1, 2, A, C), delta(2, 3, C, B))
    assert told == [offers(C), {}]
    assert (known.seq, known.digest) == (3, digest_of(A, B, C))


def test_others_who_have_what_is_told_again_are_news() -> None:
    known, told = told_again(Delta(prev=1, seq=2, held=[held(A, 2)]))
    assert told == [{A.path: Offer(version=A.version, sources=(), record=A)}]
    assert known.digest == digest_of(A, B)


@pytest.mark.parametrize("together", [True, False], ids=["in one delta", "in two deltas that go on"])
def test_what_was_changed_there_and_back_is_news_again(together: bool) -> None:
    newer = record("a", version=v(9, a=2))
    there_and_back = [delta(1, 2, newer, A)] if together else [more(1, 2, newer), delta(2, 3, A)]
    known, told = told_again(*there_and_back)
    assert told[-1] == offers(A)
    assert known.digest == digest_of(A, B)


def test_once_a_record_was_left_out_what_is_offered_is_not_taken_for_what_was_told() -> None:
    without = msgspec.structs.replace(A, version=v(9, a=2), digest="")
    known, told = told_again(Delta(prev=1, seq=2, held=[held(without, 1)]), delta(2, 3, A))
    assert told == [{}, offers(A)]
    assert known.digest == digest_of(A, B)


# Offers


def test_a_record_that_nobody_who_can_be_reached_holds_is_passed_on_without_sources() -> None:
    known = a_mirror()
    news = known.take_piece(Snapshot(seq=1, held=[held(A, 2, 99), held(B)], last=True))
    assert whole(news) == {
        A.path: Offer(version=A.version, sources=(), record=A),
        B.path: Offer(version=B.version, sources=(), record=B),
    }


def test_what_a_classic_peer_announced_comes_without_a_record() -> None:
    known = a_mirror()
    news = known.take_piece(Snapshot(seq=1, held=[held(classic("k", 7), 1)], last=True))
    assert whole(news) == {path("k"): Offer(version=v(7), sources=(THEM,), record=None)}
    assert known.digest == digest_of(classic("k", 7))


@pytest.mark.parametrize(
    "one",
    [
        record("t", deleted=True),
        Record(path=path("t"), kind=Kind.FILE, version=v(5), deleted=True),
        Record(path=path("d/e"), kind=Kind.DIRECTORY, version=v(5, a=1)),
        Record(path=path("d/e"), kind=Kind.DIRECTORY, version=v(5)),
        Record(path=path("l"), kind=Kind.LINK, version=v(5, a=1), target="a", digest=A.digest),
        record("deep/er/file"),
    ],
    ids=lambda one: f"{one.kind} {one.path}",
)
def test_all_other_records_are_passed_on_as_they_are(one: Record) -> None:
    known = a_mirror()
    assert whole(known.take_piece(snapshot(one))) == offers(one)


BAD = [
    pytest.param(WireRecord(p="../x", v={"a": 1}), "is not a name", id="a path out of the folder"),
    pytest.param(WireRecord(p="/etc/passwd", v={"a": 1}), "an empty component", id="an absolute path"),
    pytest.param(WireRecord(p=".gsync/index", v={"a": 1}), "gsync's own folder", id="our own folder"),
    pytest.param(WireRecord(p="x", v={"a": 1}), "without a digest", id="a file without a digest"),
    pytest.param(WireRecord(p="x/y", v={"mtime": 1}), "separator", id="a classic name in a subfolder"),
    pytest.param(WireRecord(p="x", v={"a": 1}, d="md5:0"), "digest", id="a digest that is none"),
    pytest.param(WireRecord(p="x", v={"a": 1}, k="link"), "nowhere", id="a link that leads nowhere"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_record_is_refused_with_a_reason_and_the_others_are_taken(bad: WireRecord, reason: str) -> None:
    known = a_mirror()
    news = known.take_piece(Snapshot(seq=1, held=[held(A, 1), Held(r=bad, h=[1]), held(B, 1)], last=True))
    assert news is not None
    assert news.offers == offers(A, B)
    assert news.refusals == 1
    assert news.refused[0].name == bad.p
    assert reason in news.refused[0].reason


def test_a_bad_record_in_a_delta_leaves_what_was_known_of_the_path() -> None:
    known = a_mirror()
    known.take_piece(snapshot(A))
    bad = WireRecord(p="a", v={"a": 2})
    assert part(known.take_delta(Delta(prev=1, seq=2, held=[Held(r=bad)]))) == {}
    assert known.seq == 2


def test_of_many_bad_records_only_the_first_reasons_are_kept() -> None:
    known = a_mirror()
    many = [Held(r=WireRecord(p="../" + "x" * 200, v={})) for _ in range(10 * REFUSALS_KEPT)]
    news = known.take_piece(Snapshot(seq=1, held=many, last=True))
    assert news is not None
    assert (len(news.refused), news.refusals) == (REFUSALS_KEPT, 10 * REFUSALS_KEPT)
    assert {len(refusal.name) for refusal in news.refused} == {80}


# Bounds and pauses


def test_one_path_more_than_there_may_be_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "RECORDS_MAX", 3)
    known = a_mirror()
    known.take_piece(snapshot(A, B, C))
    known.take_delta(delta(1, 2, D, lost=("a",)))
    with pytest.raises(RemoteProtocolError, match="more than 3 paths"):
        known.take_delta(delta(2, 3, A))
    gathering = a_mirror()
    gathering.take_piece(snapshot(A, B, last=False))
    with pytest.raises(RemoteProtocolError, match="more than 3 paths"):
        gathering.take_piece(snapshot(C, D, last=False))


def test_a_long_piece_lets_others_have_their_turn() -> None:
    pauses: list[int] = []
    known = a_mirror(pauses)
    known.take_piece(snapshot(*(record(f"{number:05}") for number in range(3000))))
    assert len(pauses) >= 6


def test_seq_and_digest_fit_each_other_at_every_pause() -> None:
    known = a_mirror()
    seen: set[tuple[int, str]] = set()
    many = [record(f"{number:05}") for number in range(1200)]
    known._pause = lambda: seen.add((known.seq, known.digest))
    known.take_piece(snapshot(*many, seq=5))
    known.take_delta(delta(5, 6, *(record(one.path, version=v(9, a=2)) for one in many)))
    assert seen == {(0, digest_of()), (5, digest_of(*many))}


# The digest follows the directory through any history.

changes = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 5)),  # 0: lost
    max_size=6,
)


@pytest.mark.slow
@pytest.mark.parametrize("is_asked", [False, True], ids=["", "what is offered is asked for"])
@given(first=changes, steps=st.lists(changes, max_size=6), inside=st.integers(0, 6))
def test_snapshot_and_deltas_come_to_the_same_as_a_later_snapshot(
    first: list[tuple[str, int]], steps: list[list[tuple[str, int]]], inside: int, is_asked: bool
) -> None:
    def after(state: dict[str, int], step: list[tuple[str, int]]) -> dict[str, int]:
        return {name: number for name, number in {**state, **dict(step)}.items() if number}

    def of(state: dict[str, int]) -> list[Record]:
        return [record(name, version=v(5, a=number)) for name, number in state.items()]

    state = after({}, first)
    begun = list(of(state))
    remote = dict[RelPath, Offer | None]()
    known = a_mirror(offered=lambda name: remote.get(name) if is_asked else None)
    middle = len(begun) // 2
    known.take_piece(snapshot(*begun[:middle], seq=1, last=False))
    for number, step in enumerate(steps):
        if number == inside:
            remote = whole(known.take_piece(snapshot(*begun[middle:], seq=1)))
        state = after(state, step)
        told = dict(step)
        lost = tuple(name for name, count in told.items() if not count)
        news = known.take_delta(
            delta(number + 1, number + 2, *of({name: count for name, count in told.items() if count}), lost=lost)
        )
        for name, one in (news.offers if news else {}).items():
            remote[name] = one
    if inside >= len(steps):
        remote = whole(known.take_piece(snapshot(*begun[middle:], seq=1)))
    assert {name: one for name, one in remote.items() if one is not None} == offers(*of(state))
    assert known.digest == digest_of(*of(state))
    assert known.is_whole
    assert known.seq == len(steps) + 1


# Changes that come in several deltas


def more(prev: int, seq: int, *records: Record) -> Delta:
    return Delta(prev=prev, seq=seq, held=[held(one, 1) for one in records], more=True)


def test_a_change_that_comes_in_several_deltas_is_one_piece_of_news() -> None:
    known = a_mirror()
    known.take_piece(snapshot(A))
    assert known.take_delta(more(1, 2, B)) is None
    assert known.take_delta(more(2, 3, C)) is None
    assert (known.seq, known.digest, known.is_whole) == (3, digest_of(A, B, C), True)
    assert part(known.take_delta(delta(3, 4, D, lost=("a",)))) == {**offers(B, C, D), path("a"): None}


def test_a_snapshot_in_the_middle_of_a_change_has_all_of_it() -> None:
    known = a_mirror()
    known.take_piece(snapshot(A))
    known.take_delta(more(1, 2, B))
    assert whole(known.take_piece(snapshot(A, B, C, seq=3))) == offers(A, B, C)
    assert part(known.take_delta(delta(3, 4, D))) == offers(D)


def test_a_change_that_never_ends_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "RECORDS_MAX", 3)
    known = a_mirror()
    known.take_piece(snapshot(seq=1))
    for number in range(4):
        lost = Delta(prev=number + 1, seq=number + 2, lost=[f"gone {number}"], more=True)
        if number < 3:
            assert known.take_delta(lost) is None
        else:
            with pytest.raises(RemoteProtocolError, match="more than 3"):
                known.take_delta(lost)
