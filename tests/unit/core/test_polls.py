"""Who is asked, how much at a time, and what happens when nobody answers."""

from __future__ import annotations

from random import Random

from gsync.core.names import PeerName, RelPath
from gsync.core.polls import GATHER_S, POLL_MAX, POLL_WAIT_S, REST_CAP_S, SOURCES_MAX, PollBatch, Polls
from gsync.core.versions import Version

ANNA, BEN, CLEO = (PeerName.parse(name) for name in ("anna", "ben", "cleo"))
A, B = RelPath.parse("a"), RelPath.parse("b")
V1, V2 = Version.from_mtime(1), Version.from_mtime(2)


def polls() -> Polls:
    return Polls(rng=Random(1))


def said(batches: tuple[PollBatch, ...]) -> list[tuple[str, str]]:
    return [(batch.source, " ".join(path for path, _ in batch.asks)) for batch in batches]


def test_copies_of_one_source_are_asked_about_together_and_of_another_apart() -> None:
    asking = polls()
    asking.want(A, V1, (ANNA, BEN))
    asking.want(RelPath.parse("c"), V1, (BEN,))
    asking.want(B, V1, (ANNA,))
    assert said(asking.due(0.0)) == [("anna", "a b"), ("ben", "c")]
    assert asking.due(0.0) == ()


def test_a_batch_is_bounded_and_one_is_under_way_at_a_time() -> None:
    asking = polls()
    paths = [RelPath.parse(f"n{number}") for number in range(POLL_MAX + 1)]
    for path in paths:
        asking.want(path, V1, (ANNA,))
    (first,) = asking.due(0.0)
    assert len(first.asks) == POLL_MAX
    assert asking.due(1.0) == ()
    for path, _ in first.asks:
        asking.drop(path)
    (second,) = asking.due(2.0)
    assert len(second.asks) == 1


def test_a_source_that_was_asked_just_now_is_asked_again_a_moment_later_about_all_that_came_up_meanwhile() -> None:
    asking = polls()
    asking.want(A, V1, (ANNA,))
    asking.due(1.0)
    asking.drop(A)
    asking.want(A, V2, (ANNA,))
    assert asking.due(1.0) == ()
    assert asking.next_due() == 1.0 + GATHER_S
    asking.want(B, V1, (ANNA,))
    assert said(asking.due(1.0 + GATHER_S)) == [("anna", "a b")]


def test_what_makes_a_full_batch_does_not_wait() -> None:
    asking = polls()
    asking.want(A, V1, (ANNA,))
    asking.due(1.0)
    asking.drop(A)
    for number in range(POLL_MAX):
        asking.want(RelPath.parse(f"n{number}"), V1, (ANNA,))
    (batch,) = asking.due(1.0)
    assert len(batch.asks) == POLL_MAX


def test_what_is_wanted_twice_is_asked_once() -> None:
    asking = polls()
    for _ in range(3):
        asking.want(A, V1, (ANNA,))
    assert said(asking.due(0.0)) == [("anna", "a")]
    asking.want(A, V1, (ANNA,))
    assert asking.due(0.0) == ()


def test_another_version_is_another_question() -> None:
    asking = polls()
    asking.want(A, V1, (ANNA,))
    asking.due(0.0)
    asking.want(A, V2, (ANNA,))
    assert asking.due(1.0) == (PollBatch(source=ANNA, asks=((A, V2),)),)


def test_who_does_not_know_or_does_not_answer_is_followed_by_the_next_one() -> None:
    asking = polls()
    asking.want(A, V1, (ANNA, BEN, CLEO))
    asking.due(0.0)
    assert asking.unknown(A, now=1.0)
    assert said(asking.due(1.0)) == [("ben", "a")]
    assert asking.unanswered(BEN, now=2.0) == ()
    assert said(asking.due(2.0)) == [("cleo", "a")]
    assert asking.unanswered(CLEO, now=3.0) == (A,)
    assert asking.due(3.0) == ()
    at = asking.next_due()
    assert at is not None
    assert said(asking.due(at)) == [("anna", "a")]


def test_what_waits_for_a_source_that_is_gone_does_not_wait_on() -> None:
    asking = polls()
    asking.want(A, V1, (ANNA, BEN))
    asking.due(0.0)
    asking.want(B, V1, (ANNA, BEN))
    asking.unanswered(ANNA, now=1.0)
    assert said(asking.due(1.0)) == [("ben", "a b")]
    assert asking.unanswered(ANNA, now=2.0) == ()


def test_a_poll_without_an_answer_is_given_up() -> None:
    asking = polls()
    asking.want(A, V1, (ANNA, BEN))
    asking.due(0.0)
    assert asking.next_due() == POLL_WAIT_S
    assert said(asking.due(POLL_WAIT_S)) == [("ben", "a")]


def test_a_copy_that_nobody_knows_about_rests_longer_each_time_up_to_a_minute() -> None:
    asking, now, rests = polls(), 0.0, []
    asking.want(A, V1, (ANNA,))
    asking.due(now)
    for _ in range(12):
        asking.unanswered(ANNA, now=now)
        at = asking.next_due()
        assert at is not None
        rests.append(at - now)
        now = at
        asking.due(now)
    assert rests[:4] == sorted(rests[:4])
    assert min(rests[7:]) >= 0.75 * REST_CAP_S
    assert max(rests) <= REST_CAP_S


def test_whoever_wants_it_now_ends_the_rest() -> None:
    asking = polls()
    asking.want(A, V1, (ANNA,))
    asking.due(0.0)
    asking.unanswered(ANNA, now=0.0)
    asking.want(A, V1, (BEN,))
    assert said(asking.due(0.1)) == [("ben", "a")]


def test_dropped_and_cleared_questions_leave_nothing_behind() -> None:
    asking = polls()
    for path, fails in ((A, False), (B, True)):
        asking.want(path, V1, (ANNA,))
        asking.due(0.0)
        if fails:
            asking.unanswered(ANNA, now=0.0)
        asking.drop(path)
        asking.drop(path)
    assert (len(asking), asking.next_due(), asking.asked(ANNA)) == (0, None, ({}, 0.0))
    asking.want(A, V1, (ANNA,))
    asking.clear()
    assert (A in asking, asking.next_due()) == (False, None)


def test_of_many_holders_a_few_are_asked() -> None:
    asking = polls()
    asking.want(A, V1, (PeerName(f"p{number}") for number in range(100)))
    count = 0
    while asking.due(0.0):
        count += 1
        asking.unknown(A, now=0.0)
    assert count == SOURCES_MAX


def test_without_anybody_to_ask_nothing_is_asked() -> None:
    asking = polls()
    asking.want(A, V1, (ANNA,))
    assert not asking.want(A, V2, ())
    assert (len(asking), asking.next_due()) == (0, None)
