"""What happens to copies, mode by mode; what a naive version gets wrong stands in `test_naive_overlay.py`."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from gsync.core.copies import NOBODY, Copy, CopyState, Heard, Mode, Ruling
from gsync.core.freshness import FALLBACKS, VOUCHED_S, Freshness
from gsync.core.model import Kind, Record
from gsync.core.names import PeerName, RelPath
from gsync.core.pausing import PAUSE_EVERY
from gsync.core.versions import Version
from gsync.errors import UnknownName

ANNA, BEN = PeerName.parse("anna"), PeerName.parse("ben")
PATH, OTHER = RelPath.parse("song"), RelPath.parse("other")
TTR_S = 10.0


def record(*, deleted: bool = False, **counters: int) -> Record:
    author = max(counters, key=lambda one: counters[one])
    version = Version.from_vector({**counters, "mtime": sum(counters.values())})
    return Record(path=PATH, kind=Kind.FILE, version=version, digest="b3:1", author=author, deleted=deleted)


ONE, TWO = record(a=1), record(a=2)
GONE = record(a=2, deleted=True)
BESIDE = record(b=1)
FOUND = Version.from_mtime(5)


def peer(mode: Mode = Mode.HYBRID, *, ttr_s: float = 60.0) -> Freshness:
    return Freshness(rng=Random(1), author="h", mode=mode, ttr_s=ttr_s, jitter=0.0)


def holder(mode: Mode = Mode.HYBRID) -> Freshness:
    freshness = peer(mode)
    freshness.fetched(PATH, ONE.version, origin=ANNA, ttr_s=TTR_S, now=0.0)
    return freshness


def expired(mode: Mode = Mode.PULL) -> Freshness:
    freshness = holder(mode)
    freshness.due(TTR_S)
    return freshness


HEEDING = [Mode.PUSH, Mode.HYBRID]
NOT_HEEDING = [Mode.PULL, Mode.LAZY, Mode.PASSIVE]


@pytest.mark.parametrize(
    ("mode", "sends", "hears", "timers", "asks"),
    [
        (Mode.PUSH, True, True, False, False),
        (Mode.PULL, False, False, True, True),
        (Mode.LAZY, False, False, True, False),
        (Mode.HYBRID, True, True, True, True),
        (Mode.PASSIVE, False, False, True, False),
    ],
)
def test_the_table_of_modes(mode: Mode, sends: bool, hears: bool, timers: bool, asks: bool) -> None:
    assert (mode.sends_push, mode.hears_push, mode.has_timers, mode.asks) == (sends, hears, timers, asks)


def test_only_owned_and_valid_copies_answer() -> None:
    assert [state for state in CopyState if state.answers] == [CopyState.OWNED, CopyState.VALID]


@pytest.mark.parametrize("mode", HEEDING)
@pytest.mark.parametrize(
    ("heard", "state", "reason"),
    [
        (TWO, CopyState.INVALID, "a made a newer version"),
        (GONE, CopyState.DELETED, "a deleted it"),
        (BESIDE, CopyState.CONFLICT, "b made another version without knowing of this one"),
    ],
)
def test_what_a_push_does_to_a_copy(mode: Mode, heard: Record, state: CopyState, reason: str) -> None:
    freshness = holder(mode)
    assert freshness.hear(heard, now=3.0) == Heard(is_news=True, changed=True, state=state)
    assert freshness.copy(PATH) == Copy(state=state, reason=reason, since=3.0, version=ONE.version, origin=ANNA)
    assert freshness.timers == freshness.polls == 0


@pytest.mark.parametrize("mode", NOT_HEEDING)
def test_a_peer_that_does_not_heed_pushes_forwards_and_remembers_them(mode: Mode) -> None:
    freshness = holder(mode)
    assert freshness.hear(TWO, now=3.0) == Heard(is_news=True, changed=False, state=CopyState.VALID)
    assert not freshness.hear(TWO, now=3.0).is_news
    assert freshness.answer(PATH, ONE.version, now=3.0) == Ruling(path=PATH, newer=TWO)


@pytest.mark.parametrize("mode", NOT_HEEDING)
def test_what_was_not_heeded_is_once_the_mode_says_so(mode: Mode) -> None:
    freshness = holder(mode)
    freshness.hear(TWO, now=3.0)
    freshness.set_mode(Mode.HYBRID, now=4.0)
    assert freshness.state(PATH) is CopyState.INVALID
    assert freshness.timers == 0


def test_news_of_what_is_not_here_is_forwarded_once() -> None:
    freshness = peer()
    assert freshness.hear(TWO, now=0.0) == Heard(is_news=True)
    assert freshness.hear(TWO, now=0.0) == freshness.hear(ONE, now=0.0) == Heard(is_news=False)
    assert freshness.known(PATH) == TWO.version


def test_two_edits_that_knew_nothing_of_each_other_are_both_forwarded_once() -> None:
    freshness = peer()
    assert [freshness.hear(one, now=0.0).is_news for one in (ONE, BESIDE, ONE, BESIDE)] == [True, True, False, False]
    both = record(a=1, b=1)
    assert freshness.fetched(PATH, both.version, origin=BEN, ttr_s=TTR_S, now=1.0) is CopyState.VALID


def test_an_owned_copy_that_somebody_edited_is_old() -> None:
    freshness = peer()
    freshness.own(PATH, record(h=1).version, now=0.0)
    assert freshness.answers(PATH)
    assert freshness.remaining_s(PATH, now=99.0) == 60.0
    assert freshness.hear(record(h=1, b=2), now=1.0).state is CopyState.INVALID


def test_a_copy_that_is_fetched_answers_nothing_and_is_what_it_was_when_the_fetch_fails() -> None:
    freshness = holder()
    freshness.fetching(PATH, now=1.0)
    assert (freshness.state(PATH), freshness.answers(PATH)) == (CopyState.FETCHING, False)
    freshness.hear(TWO, now=2.0)
    assert freshness.state(PATH) is CopyState.FETCHING
    freshness.fetch_failed(PATH)
    assert freshness.state(PATH) is CopyState.INVALID
    freshness.fetching(OTHER, now=3.0, reason="from ben")
    assert dict(freshness.copies())[OTHER] == Copy(state=CopyState.FETCHING, since=3.0, reason="from ben")
    freshness.fetch_failed(OTHER)
    assert freshness.copy(OTHER) is None


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode.has_timers])
def test_at_the_end_of_its_ttr_a_copy_expires_and_is_asked_about_where_the_mode_asks(mode: Mode) -> None:
    freshness = holder(mode)
    assert (freshness.timers, freshness.next_due()) == (1, TTR_S)
    assert len(freshness.due(TTR_S)) == mode.asks
    assert (freshness.state(PATH), freshness.timers) == (CopyState.EXPIRED, 0)


def test_in_push_mode_time_does_nothing() -> None:
    freshness = holder(Mode.PUSH)
    assert (freshness.timers, freshness.next_due(), freshness.due(9999.0)) == (0, None, ())
    assert freshness.state(PATH) is CopyState.VALID


def test_a_lazy_copy_is_asked_about_when_somebody_wants_it() -> None:
    freshness = expired(Mode.LAZY)
    freshness.refresh([PATH, OTHER], now=20.0)
    (batch,) = freshness.due(20.0)
    assert batch.source == ANNA


def test_what_was_made_here_is_asked_about_nowhere() -> None:
    freshness = peer()
    freshness.own(PATH, ONE.version, now=0.0)
    freshness.refresh([PATH], now=1.0)
    assert freshness.due(1.0) == ()


def test_a_verdict_gives_time_from_the_moment_of_the_question() -> None:
    freshness = expired()
    assert freshness.judge([Ruling(path=PATH, is_valid=True, ttr_s=TTR_S)], source=ANNA, now=13.0) == ()
    shown = freshness.copy(PATH)
    assert shown is not None
    assert (shown.state, shown.until, shown.reason) == (CopyState.VALID, 20.0, "anna says that it is the latest")
    assert freshness.timers == 1


@pytest.mark.parametrize("ttr_s", [0.0, 3.0])
def test_a_verdict_that_leaves_no_time_extends_nothing(ttr_s: float) -> None:
    freshness = expired()
    freshness.judge([Ruling(path=PATH, is_valid=True, ttr_s=ttr_s)], source=ANNA, now=13.0)
    assert freshness.state(PATH) is CopyState.EXPIRED


@pytest.mark.parametrize(
    ("newer", "state", "to_fetch"),
    [(TWO, CopyState.INVALID, (PATH,)), (GONE, CopyState.DELETED, (PATH,)), (BESIDE, CopyState.CONFLICT, ())],
)
def test_a_verdict_that_knows_of_something_newer(
    newer: Record, state: CopyState, to_fetch: tuple[RelPath, ...]
) -> None:
    freshness = expired()
    assert freshness.judge([Ruling(path=PATH, newer=newer)], source=ANNA, now=11.0) == to_fetch
    assert (freshness.state(PATH), freshness.polls) == (state, 0)
    assert [freshness.hear(newer, now=12.0).is_news for _ in range(2)] == [True, False]  # its flood goes on


@pytest.mark.parametrize(
    "ruling",
    [
        Ruling(path=PATH),
        Ruling(path=OTHER, is_valid=True, ttr_s=99.0),
        Ruling(path=PATH, newer=ONE),
        Ruling(path=PATH, newer=replace(TWO, path=OTHER)),
        Ruling(path=PATH, newer=replace(TWO, author="z")),
        Ruling(path=PATH, is_newer_here=True),
    ],
)
def test_an_unknown_outcome_never_extends_validity_and_others_are_asked(ruling: Ruling) -> None:
    freshness = expired()
    freshness.set_neighbours([BEN])
    freshness.refresh([PATH], now=10.0)
    assert freshness.judge([ruling], source=ANNA, now=11.0) == ()
    assert freshness.state(PATH) is CopyState.EXPIRED
    freshness.unanswered(ANNA, now=11.0)
    assert freshness.polls == 1


def test_any_holder_with_newer_knowledge_may_answer() -> None:
    freshness = peer(Mode.PULL)
    freshness.fetched(PATH, ONE.version, origin=ANNA, holders=[BEN], ttr_s=TTR_S, now=0.0)
    freshness.due(TTR_S)
    freshness.unanswered(ANNA, now=11.0)
    assert [batch.source for batch in freshness.due(11.0)] == [BEN]
    assert freshness.judge([Ruling(path=PATH, newer=TWO)], source=BEN, now=12.0) == (PATH,)


def test_a_copy_whose_origin_is_lost_stays_expired_and_says_why() -> None:
    freshness = expired()
    freshness.unanswered(ANNA, now=11.0)
    shown = freshness.copy(PATH)
    assert shown is not None
    assert (shown.state, shown.since) == (CopyState.EXPIRED, TTR_S)
    assert shown.reason == "its time to refresh is over, and nobody who answers knows whether it is still the latest"
    at = freshness.next_due()
    assert at is not None
    assert [batch.source for batch in freshness.due(at)] == [ANNA]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (ONE, Ruling(path=PATH, is_newer_here=True)),
        (BESIDE, Ruling(path=PATH, is_newer_here=True)),
        (TWO, Ruling(path=PATH, is_valid=True, ttr_s=60.0)),
        (record(a=3), Ruling(path=PATH)),
    ],
)
def test_what_an_origin_says_to_a_poll(asked: Record, said: Ruling) -> None:
    freshness = Freshness(rng=Random(1), author="a", ttr_s=60.0)
    freshness.own(PATH, TWO.version, now=0.0)
    assert freshness.answer(PATH, asked.version, now=5.0) == said


def test_what_a_holder_says_to_a_poll() -> None:
    freshness = holder()
    assert freshness.answer(PATH, ONE.version, now=4.0) == Ruling(path=PATH, is_valid=True, ttr_s=6.0)
    assert freshness.answer(OTHER, ONE.version, now=4.0) == Ruling(path=OTHER)
    freshness.due(TTR_S)
    assert freshness.answer(PATH, ONE.version, now=TTR_S) == Ruling(path=PATH)


def test_an_owner_who_changes_its_ttr_tells_the_new_one() -> None:
    freshness = peer()
    freshness.own(PATH, ONE.version, now=0.0)
    freshness.set_ttr(5.0)
    assert freshness.answer(PATH, ONE.version, now=0.0).ttr_s == 5.0


def test_a_deletion_ends_timers_and_polls_and_outlasts_older_news() -> None:
    freshness = expired(Mode.HYBRID)
    assert freshness.bury(PATH, TWO.version, now=11.0) is CopyState.DELETED
    assert (freshness.timers, freshness.polls) == (0, 0)
    assert not freshness.hear(TWO, now=12.0).is_news
    assert freshness.hear(record(a=3), now=13.0).state is CopyState.INVALID


def test_a_freed_copy_is_absent_and_not_deleted_and_its_version_stays_known() -> None:
    freshness = holder()
    freshness.hear(TWO, now=1.0)
    freshness.forget(PATH)
    assert (freshness.copy(PATH), freshness.known(PATH)) == (None, TWO.version)
    assert not freshness.hear(TWO, now=2.0).is_news
    assert freshness.fetched(PATH, ONE.version, origin=ANNA, ttr_s=TTR_S, now=3.0) is CopyState.INVALID


def test_what_is_older_than_what_stood_here_is_old_from_its_first_moment() -> None:
    freshness = peer()
    freshness.fetched(PATH, TWO.version, origin=ANNA, ttr_s=TTR_S, now=0.0)
    assert freshness.fetched(PATH, ONE.version, origin=ANNA, ttr_s=TTR_S, now=1.0) is CopyState.INVALID
    assert freshness.known(PATH) == TWO.version


def test_a_gap_shortens_the_ttr_of_what_its_origin_made_and_a_lost_link_that_of_all() -> None:
    freshness = holder()
    freshness.fetched(OTHER, ONE.version, origin=BEN, ttr_s=100.0, now=0.0)
    freshness.shorten(2.0, now=0.0, origin=ANNA)
    assert {path: copy.until for path, copy in freshness.copies()} == {PATH: 2.0, OTHER: 100.0}
    freshness.shorten(5.0, now=0.0)
    assert {path: copy.until for path, copy in freshness.copies()} == {PATH: 2.0, OTHER: 5.0}
    assert (freshness.timers, freshness.next_due()) == (2, 2.0)


@pytest.mark.parametrize("before", list(Mode))
@pytest.mark.parametrize("after", list(Mode))
def test_a_mode_can_be_changed_at_any_time(before: Mode, after: Mode) -> None:
    freshness = holder(before)
    freshness.fetched(OTHER, ONE.version, origin=BEN, ttr_s=50.0, now=0.0)
    freshness.due(20.0)
    freshness.set_mode(after, now=20.0)
    freshness.due(20.0)
    valid = [copy for _, copy in freshness.copies() if copy.state is CopyState.VALID]
    assert freshness.timers == (len(valid) if after.has_timers else 0)
    if after.has_timers:
        assert freshness.state(PATH) is CopyState.EXPIRED
    asked = freshness.polls
    assert asked == (freshness.state(PATH) is CopyState.EXPIRED and (after.asks or after is Mode.PUSH))


def test_few_neighbours_are_asked_besides_origin_and_holders() -> None:
    freshness = expired()
    freshness.set_neighbours(PeerName(f"n{number}") for number in range(99))
    freshness.unanswered(ANNA, now=10.0)
    freshness.refresh([PATH], now=10.5)
    asked = []
    while batches := freshness.due(10.5):
        asked += [batch.source for batch in batches]
        freshness.unanswered(asked[-1], now=10.5)
    assert len(asked) == 1 + FALLBACKS


def test_what_is_not_here_cannot_be_marked() -> None:
    with pytest.raises(UnknownName, match="no copy of song is here"):
        peer().marked(PATH, disk_mtime_s=1)


def test_a_copy_that_goes_while_a_long_change_lets_others_have_their_turn_is_passed_over() -> None:
    freshness = peer()
    paths = [RelPath(f"n{number}") for number in range(2 * PAUSE_EVERY)]
    for path in paths:
        freshness.fetched(path, ONE.version, origin=ANNA, ttr_s=TTR_S, now=0.0)
    freshness.shorten(2.0, now=0.0, pause=lambda: freshness.forget(paths[-1]))
    assert freshness.timers == len(paths) - 1
    freshness.set_mode(Mode.PULL, now=0.0, pause=lambda: freshness.forget(paths[-2]))
    assert freshness.timers == len(list(freshness.copies())) == len(paths) - 2


def test_a_copy_that_nobody_can_be_asked_about_waits_for_the_first_neighbour() -> None:
    freshness = peer(Mode.PULL)
    freshness.fetched(PATH, ONE.version, origin=None, ttr_s=TTR_S, now=0.0)
    assert freshness.due(TTR_S) == ()
    assert (freshness.state(PATH), freshness.next_due()) == (CopyState.EXPIRED, None)
    freshness.set_neighbours([BEN])
    assert [batch.source for batch in freshness.due(TTR_S)] == [BEN]


@pytest.mark.parametrize("mode", [Mode.LAZY, Mode.PASSIVE])
def test_a_copy_that_is_asked_for_at_the_end_of_its_ttr_has_expired(mode: Mode) -> None:
    freshness = holder(mode)
    freshness.refresh([PATH], now=TTR_S)
    assert (freshness.state(PATH), freshness.timers, freshness.polls) == (CopyState.EXPIRED, 0, 1)


def test_what_somebody_vouches_for_goes_on_unasked_until_he_is_gone() -> None:
    freshness = holder()
    assert freshness.due(1000.0, is_vouched=True) == ()
    assert freshness.state(PATH) is CopyState.VALID
    next_due = freshness.next_due()
    assert next_due is not None
    assert 1000.0 + 0.8 * VOUCHED_S <= next_due <= 1000.0 + VOUCHED_S
    freshness.shorten(60.0, now=1000.0)
    next_due = freshness.next_due()
    assert next_due is not None
    assert next_due <= 1060.0
    assert freshness.due(1060.0)
    assert freshness.state(PATH) is CopyState.EXPIRED


def nobodys(mode: Mode = Mode.HYBRID) -> Freshness:
    """Somebody who has what was there before gsync, after a restart."""
    freshness = peer(mode)
    freshness.fetched(PATH, FOUND, origin=NOBODY, ttr_s=TTR_S, now=0.0)
    return freshness


def test_a_version_that_nobody_made_is_owned_by_whoever_speaks_for_it() -> None:
    freshness = nobodys()
    freshness.set_elder(None, now=1.0)
    assert (freshness.state(PATH), freshness.timers) == (CopyState.VALID, 1)
    assert freshness.due(TTR_S) == ()
    assert (freshness.state(PATH), freshness.timers, freshness.polls) == (CopyState.OWNED, 0, 0)
    assert freshness.answer(PATH, FOUND, now=99.0) == Ruling(path=PATH, is_valid=True, ttr_s=60.0)
    assert freshness.copy(PATH).version == FOUND


@pytest.mark.parametrize("mode", [Mode.PULL, Mode.LAZY, Mode.PASSIVE])
def test_where_no_push_is_heeded_nobody_speaks_for_what_nobody_made(mode: Mode) -> None:
    """Else an edit of anybody would stay unknown to whoever speaks, and all would believe him."""
    freshness = nobodys(mode)
    freshness.set_elder(None, now=1.0)
    freshness.due(TTR_S)
    assert freshness.state(PATH) is CopyState.EXPIRED
    freshness.set_elder(ANNA, now=11.0)
    freshness.set_neighbours([BEN])
    freshness.refresh([PATH], now=12.0)
    assert [batch.source for batch in freshness.due(12.0)] == [BEN]
    freshness.set_elder(None, now=13.0)
    freshness.set_mode(Mode.HYBRID, now=13.0)
    freshness.set_elder(ANNA, now=14.0)
    freshness.set_elder(None, now=15.0)
    assert freshness.state(PATH) is CopyState.OWNED
    freshness.set_mode(mode, now=20.0)
    assert (freshness.state(PATH), freshness.timers) == (CopyState.VALID, 1)


def test_anybody_else_asks_whoever_speaks_for_it_first() -> None:
    freshness = nobodys()
    freshness.set_neighbours([BEN])
    freshness.set_elder(ANNA, now=1.0)
    (batch,) = freshness.due(TTR_S)
    assert (batch.source, batch.asks) == (ANNA, ((PATH, FOUND),))
    assert freshness.copy(PATH).origin is None
    freshness.judge([Ruling(path=PATH, is_valid=True, ttr_s=TTR_S)], source=ANNA, now=11.0)
    assert freshness.state(PATH) is CopyState.VALID


def test_whoever_comes_to_speak_for_it_while_it_is_in_doubt_owns_it() -> None:
    freshness = nobodys()
    freshness.due(TTR_S)
    assert freshness.state(PATH) is CopyState.EXPIRED
    freshness.set_elder(None, now=11.0)
    assert (freshness.state(PATH), freshness.polls) == (CopyState.OWNED, 0)


def test_whoever_speaks_for_it_no_more_believes_it_for_a_ttr_and_then_asks() -> None:
    freshness = nobodys()
    freshness.set_elder(None, now=0.0)
    freshness.due(TTR_S)
    freshness.set_elder(ANNA, now=20.0)
    assert (freshness.state(PATH), freshness.timers) == (CopyState.VALID, 1)
    assert freshness.due(79.0) == ()
    assert [batch.source for batch in freshness.due(80.0)] == [ANNA]


def test_an_edit_of_what_nobody_made_is_newer_wherever_it_is_owned() -> None:
    freshness = nobodys()
    freshness.set_elder(None, now=0.0)
    freshness.due(TTR_S)
    edit = replace(ONE, version=FOUND.edited_by("a", 9))
    assert freshness.hear(edit, now=11.0) == Heard(is_news=True, changed=True, state=CopyState.INVALID)


def test_who_speaks_for_what_nobody_made_speaks_for_nothing_else() -> None:
    freshness = peer()
    freshness.fetched(PATH, ONE.version, origin=None, ttr_s=TTR_S, now=0.0)
    freshness.set_elder(None, now=1.0)
    freshness.due(TTR_S)
    assert freshness.state(PATH) is CopyState.EXPIRED
