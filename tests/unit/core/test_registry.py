"""The registry against a naive model that keeps what each peer said last, and its promises one by one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec.structs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gsync.core import claims as claims_module
from gsync.core import pausing
from gsync.core.blocks import digest_of_bytes
from gsync.core.capacity import Room
from gsync.core.claims import CLAIMS_MAX, Spelling, Told
from gsync.core.directory import Directory
from gsync.core.holders import PeerId
from gsync.core.marks import digest_text, record_mark
from gsync.core.mentions import HELD_MAX
from gsync.core.model import Kind, Record
from gsync.core.names import Endpoint, RelPath
from gsync.core.records import order, winner
from gsync.core.registry import ENOUGH, Registry
from gsync.core.versions import Order, Version
from gsync.wire.records import read_record, spell_record

SPELLING = Spelling(spell_record, read_record)
DIGESTS = [digest_of_bytes(text) for text in (b"one", b"two")]
NAMES = ["a", "b", "d/c"]


def path(name: str) -> RelPath:
    return RelPath.parse(name)


def endpoint(number: int) -> Endpoint:
    return Endpoint(f"192.0.2.{number}", 9000)


def record(
    name: str = "a", *, mtime: int = 5, deleted: bool = False, digest: str = DIGESTS[0], **counters: int
) -> Record:
    return Record(
        path=path(name),
        kind=Kind.FILE,
        version=Version.from_vector({**counters, "mtime": mtime}),
        digest=digest,
        deleted=deleted,
    )


class Swarm:
    """A directory and a registry as a tracker keeps them, and somebody who hears all changes."""

    def __init__(self, *, room: Room | None = None) -> None:
        self.directory = Directory()
        self.registry = Registry(spelling=SPELLING, shown=self.directory, room=room)
        self.heard: dict[RelPath, Told] = {}
        self.words = 0

    def enter(self, *numbers: int) -> None:
        for number in numbers:
            self.directory.enter(PeerId(number), endpoint=endpoint(number))
            self.registry.enter(PeerId(number))

    def says(self, number: int, *records: Record) -> str:
        return self.registry.announce(PeerId(number), records).reason

    def classic(self, number: int, **files: int) -> None:
        listed = {path(name): mtime for name, mtime in files.items()}
        self.directory.announce(PeerId(number), endpoint=endpoint(number), files=listed, knows_gsync=False)
        self.feed()

    def leave(self, number: int) -> None:
        self.registry.leave(PeerId(number))
        self.directory.leave(PeerId(number))
        self.feed()

    def feed(self) -> None:
        for name in self.directory.take_classic_changes():
            self.registry.note_classic(name, self.directory.classic(name))

    def hear(self) -> list[RelPath]:
        """Take all that is to be told; the paths of which something was said."""
        said: list[Told] = []
        while self.registry.changes:
            said += self.registry.take_changes(100)
        while self.registry.better_known:
            said += self.registry.take_better_known(100)
        for told in said:
            if told.spelled:
                self.heard[told.path] = told
            else:
                self.heard.pop(told.path, None)
        self.words += len(said)
        return [told.path for told in said]

    def everything(self) -> dict[RelPath, Told]:
        """What one who comes now is told."""
        found: dict[RelPath, Told] = {}
        row: int | None = 0
        while row is not None:
            said, row = self.registry.piece(row, 100)
            assert not found.keys() & {told.path for told in said}
            found |= {told.path: told for told in said}
        return found

    def wins(self, name: str = "a") -> Record | None:
        told = self.everything().get(path(name))
        return read_record(told.spelled) if told else None

    def told_holders(self, name: str = "a") -> tuple[int, ...]:
        return self.heard[path(name)].holders

    def offered(self, name: str = "a") -> tuple[int, set[int]] | None:
        offered = self.directory.offered(path(name))
        return offered and (offered.mtime_s, {holder.peer.number for holder in offered.holders})


# The model


@dataclass
class Model:
    """What each peer said last: records of natives, mtimes of classic peers."""

    native: dict[int, dict[RelPath, Record]] = field(default_factory=dict)
    classic: dict[int, dict[RelPath, int]] = field(default_factory=dict)

    def held(self, name: RelPath) -> dict[int, Record]:
        return {number: said[name] for number, said in self.native.items() if name in said}

    def native_winner(self, name: RelPath) -> Record | None:
        held = self.held(name)
        return winner(held.values()) if held else None

    def latest(self, name: RelPath) -> int | None:
        return max((said[name] for said in self.classic.values() if name in said), default=None)

    def told(self, name: RelPath) -> Record | None:
        native, latest = self.native_winner(name), self.latest(name)
        if latest is None or (native is not None and native.version.mtime_s >= latest):
            return native
        if native is not None and not native.deleted and native.kind is not Kind.FILE:
            return native
        return Record(path=name, kind=Kind.FILE, version=Version.from_mtime(latest))

    def lag(self) -> set[int]:
        """Who would not find the same in its folder as what is told."""
        told = {path(name): self.told(path(name)) for name in NAMES}
        alive = {name: plain(one) for name, one in told.items() if one is not None and not one.deleted}
        return {
            number
            for number, said in self.native.items()
            if {name: plain(one) for name, one in said.items() if not one.deleted} != alive
        }

    def shown(self, name: RelPath) -> tuple[int, set[int]] | None:
        native = self.native_winner(name)
        mine = {number: said[name] for number, said in self.classic.items() if name in said}
        if native is not None and is_shown(native):
            mine |= {number: held.version.mtime_s for number, held in self.held(name).items() if is_shown(held)}
        if not mine:
            return None
        latest = max(mine.values())
        return latest, {number for number, mtime in mine.items() if mtime == latest}


def is_shown(said: Record) -> bool:
    return said.kind is Kind.FILE and not said.deleted and "/" not in said.path


KINDS = [
    {"kind": Kind.FILE, "digest": DIGESTS[0]},
    {"kind": Kind.FILE, "digest": DIGESTS[0], "executable": True, "author": "y"},
    {"kind": Kind.FILE, "digest": DIGESTS[1]},
    {"kind": Kind.FILE, "digest": DIGESTS[0], "author": "x"},
    {"kind": Kind.DIRECTORY},
    {"kind": Kind.LINK, "digest": DIGESTS[0], "target": "x"},
    {"kind": Kind.FILE, "deleted": True},
]
records = st.builds(
    lambda name, facts, mtime, counters: Record(
        path=path(name), version=Version.from_vector({**counters, "mtime": mtime}), **facts
    ),
    st.sampled_from(NAMES),
    st.sampled_from(KINDS),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from("xy"), st.integers(1, 2), max_size=2),
)
commands = st.lists(
    st.one_of(
        st.tuples(st.just("announce"), st.integers(0, 5), st.lists(records, max_size=4)),
        st.tuples(st.just("withdraw"), st.integers(0, 5), st.sampled_from(NAMES)),
        st.tuples(st.just("classic"), st.integers(6, 8), st.dictionaries(st.sampled_from("ab"), st.integers(0, 4))),
        st.tuples(st.just("leave"), st.integers(0, 8), st.none()),
        st.tuples(st.just("hear"), st.just(0), st.none()),
        st.tuples(st.just("hold all"), st.integers(0, 5), st.none()),
    ),
    max_size=25,
)


def carry_out(command: tuple[str, int, object], swarm: Swarm, model: Model) -> None:
    match command:
        case "announce", number, list(said):
            if number not in model.native:
                model.native[number] = {}
                swarm.enter(number)
            model.native[number] |= {one.path: one for one in said}
            assert swarm.says(number, *said) == ""
        case "withdraw", number, str(name) if number in model.native:
            model.native[number].pop(path(name), None)
            swarm.registry.withdraw(PeerId(number), [path(name)])
        case "classic", number, dict(files):
            model.classic[number] = {path(name): mtime for name, mtime in files.items()}
            swarm.classic(number, **files)
        case "leave", number, None:
            model.native.pop(number, None)
            model.classic.pop(number, None)
            swarm.leave(number)
        case "hear", 0, None:
            swarm.hear()
        case "hold all", number, None if number not in model.native:
            told = {path(name): told for name in NAMES if (told := model.told(path(name))) is not None}
            if all(one == model.native_winner(name) for name, one in told.items()):
                model.native[number] = told
                swarm.enter(number)
                assert swarm.registry.hold_all(PeerId(number)) == len(told)


@pytest.mark.slow
@settings(max_examples=300)
@given(commands=commands)
def test_it_says_what_the_model_says(commands: list[tuple[str, int, object]]) -> None:
    swarm, model = Swarm(), Model()
    swarm.feed()  # the first taking of changes names everything
    for command in commands:
        carry_out(command, swarm, model)
        wins = {name: model.told(path(name)) for name in NAMES}
        won = {name: swarm.wins(name) for name in NAMES}
        assert {name: plain(one) for name, one in won.items()} == {name: plain(one) for name, one in wins.items()}
        marks = 0
        for one in filter(None, won.values()):
            marks ^= record_mark(one)
        assert swarm.registry.digest == digest_text(marks)
        assert {name: swarm.offered(name) for name in "ab"} == {name: model.shown(path(name)) for name in "ab"}
        assert len(swarm.registry) == sum(win is not None for win in wins.values())
        laggard, lag = swarm.registry.laggard, model.lag()
        assert (laggard is None and not lag) or (laggard is not None and laggard.number in lag)
    swarm.hear()
    assert {name: told.spelled for name, told in swarm.heard.items()} == {
        name: told.spelled for name, told in swarm.everything().items()
    }
    for told in swarm.everything().values():
        assert set(told.holders) <= holders_of(told, model)
    for told in [
        *swarm.heard.values(),
        *swarm.everything().values(),
    ]:  # one who left may still be named, if enough are left
        holders = holders_of(told, model)
        assert len(set(told.holders) & holders) >= min(ENOUGH, len(holders))


def holders_of(told: Told, model: Model) -> set[int]:
    """Who can give what is told."""
    said = read_record(told.spelled)
    if said.kind is not Kind.FILE or said.deleted:
        return set()
    if not said.digest:
        return {number for number, files in model.classic.items() if files.get(said.path) == said.version.mtime_s}
    return {number for number, other in model.held(said.path).items() if same(other, said)}


def same(a: Record, b: Record) -> bool:
    return plain(a) == plain(b)


def plain(said: Record | None) -> Record | None:
    """Without what has no order: of two records that differ in nothing else, one stands for both, even when its author left."""
    return said and msgspec.structs.replace(said, author="", moved_from=None)


@given(said=st.lists(st.tuples(st.integers(0, 5), records), max_size=12), seed=st.integers(0, 100))
def test_order_and_repetition_cannot_matter(said: list[tuple[int, Record]], seed: int) -> None:
    once = {(number, one.path): one for number, one in said}  # each peer holds one record of a path
    told = []
    for turn in range(2):
        again = [(number, one) for (number, _), one in once.items()] * 2
        random.Random(seed + turn).shuffle(again)
        swarm = Swarm()
        swarm.enter(*range(6))
        for number, one in again:
            swarm.says(number, one)
        told.append(({name: swarm.wins(name) for name in NAMES}, swarm.registry.digest))
    assert told[0] == told[1]


@given(commands=commands, data=st.data())
def test_a_pause_that_raises_leaves_it_consistent(commands: list[tuple[str, int, object]], data: st.DataObject) -> None:
    """Whatever was cut short, peers that then leave leave nothing behind."""
    swarm, present = Swarm(), set[int]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pausing, "PAUSE_EVERY", 1)
        for verb, number, said in commands:
            left = data.draw(st.integers(0, 4))

            def pause() -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt

            try:
                if verb == "announce" and isinstance(said, list):
                    if number not in present:
                        present.add(number)
                        swarm.enter(number)
                    swarm.registry.announce(PeerId(number), said, pause=pause)
                elif verb == "leave" and number in present:
                    swarm.registry.leave(PeerId(number), pause=pause)
                    swarm.directory.leave(PeerId(number))
                    present.discard(number)
            except KeyboardInterrupt:
                pass
    for number in present:
        swarm.leave(number)
    swarm.hear()
    assert (len(swarm.registry), swarm.registry.digest, swarm.heard) == (0, "0" * 16, {})
    assert len(swarm.directory) == 0
    assert swarm.registry._used.records == swarm.registry._used.spelled_bytes == 0


# Its promises


def test_who_holds_all_that_is_told_is_a_holder_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausing, "PAUSE_EVERY", 1)
    swarm = Swarm()
    swarm.enter(1, 2, 3)
    assert swarm.registry.holders_of_all() == [1, 2, 3]
    swarm.says(1, record("a", x=1), record("d/c", x=1, deleted=True, digest=""))
    swarm.says(2, record("a", x=2), record("b", x=1))
    assert swarm.registry.holders_of_all() == [2]
    assert swarm.registry.hold_all(PeerId(3)) == 3
    assert swarm.registry.holders_of_all() == [2, 3]
    assert {name: swarm.everything()[path(name)].holders for name in "ab"} == {"a": (2, 3), "b": (2, 3)}
    assert swarm.offered() == (5, {1, 2, 3})
    swarm.leave(2)
    assert swarm.wins("b") == record("b", x=1)


def test_nobody_holds_all_that_changes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausing, "PAUSE_EVERY", 1)
    swarm = Swarm()
    swarm.enter(1, 2)
    swarm.says(1, record("a", x=1), record("b", x=1))
    assert swarm.registry.hold_all(PeerId(2), pause=lambda: swarm.says(1, record("b", x=2)) and None) == 0
    assert swarm.everything()[path("b")].holders == (1,)


def test_nobody_holds_more_than_there_is_room_for() -> None:
    swarm = Swarm(room=Room(records_per_peer=1))
    swarm.enter(1, 2, 3)
    swarm.says(1, record("a"))
    swarm.says(2, record("b"))
    assert swarm.registry.hold_all(PeerId(3)) == 0


def test_one_record_wins_and_the_others_are_remembered() -> None:
    swarm = Swarm()
    swarm.enter(1, 2)
    first, second = record(x=1), record(x=2, mtime=6)
    swarm.says(1, first)
    swarm.says(2, second)
    assert swarm.wins() == second
    swarm.leave(2)
    assert swarm.wins() == first
    swarm.leave(1)
    assert swarm.wins() is None


def test_a_deletion_wins_over_what_it_had_seen_and_goes_with_its_last_holder() -> None:
    swarm = Swarm()
    swarm.enter(1, 2)
    swarm.says(1, record(x=1))
    swarm.says(2, buried := record(x=2, mtime=6, deleted=True, digest=""))
    assert swarm.wins() == buried
    swarm.says(1, buried)
    swarm.leave(2)
    assert swarm.wins() == buried
    swarm.hear()
    swarm.leave(1)
    assert swarm.hear() == ["a"]
    assert swarm.heard == {}


def test_who_has_not_all_that_is_told_is_named() -> None:
    swarm = Swarm()
    swarm.enter(1, 2, 3)
    assert swarm.registry.laggard is None
    for number in (1, 3):
        swarm.says(number, record("a", x=1))
    assert swarm.registry.laggard == PeerId(2)
    swarm.says(2, record("a", x=1))
    assert swarm.registry.laggard is None
    swarm.says(3, record("a", x=2, mtime=9))
    assert swarm.registry.laggard == PeerId(1)
    for number in (1, 2):
        swarm.says(number, record("a", x=2, mtime=9))
    swarm.classic(7, a=20)
    assert swarm.registry.laggard == PeerId(1)
    swarm.leave(7)
    assert swarm.registry.laggard is None


def test_who_keeps_its_folder_on_demand_lags_only_with_something_else() -> None:
    swarm = Swarm()
    swarm.enter(1, 2)
    swarm.says(1, record("a", x=1), record("b", x=1))
    assert swarm.registry.laggard == PeerId(2)
    swarm.registry.hold_a_part(PeerId(2))
    assert swarm.registry.laggard is None
    swarm.says(1, record("a", x=2, mtime=9))
    swarm.says(2, record("a", x=1))
    assert swarm.registry.laggard == PeerId(2)


def test_a_deletion_need_not_be_known_to_whoever_has_nothing_there() -> None:
    swarm = Swarm()
    swarm.enter(1, 2)
    swarm.says(1, record(deleted=True, x=2, mtime=9))
    assert swarm.registry.laggard is None
    swarm.says(2, record(x=1))
    assert swarm.registry.laggard == PeerId(2)
    swarm.says(2, record(deleted=True, x=2, mtime=9))
    assert swarm.registry.laggard is None


def test_a_peer_holds_what_it_announced_last() -> None:
    swarm = Swarm()
    swarm.enter(1, 2)
    swarm.says(1, record(x=2, mtime=6))
    swarm.says(2, record(x=1))
    swarm.says(1, older := record(x=1))
    assert swarm.wins() == older
    swarm.hear()
    assert set(swarm.told_holders()) == {1, 2}


def test_withdrawing_says_nothing_about_deletion() -> None:
    swarm = Swarm()
    swarm.enter(1)
    swarm.says(1, record("a"), record("d/c"))
    swarm.registry.withdraw(PeerId(1), [path("a"), path("b")])
    assert swarm.everything().keys() == {"d/c"}


def test_repetition_is_not_told() -> None:
    swarm = Swarm()
    swarm.enter(1)
    swarm.says(1, record())
    assert swarm.hear() == ["a"]
    swarm.says(1, record())
    assert swarm.hear() == []


def test_the_second_third_and_fourth_holder_are_told_and_no_further_one() -> None:
    swarm = Swarm()
    swarm.enter(*range(10))
    told = []
    for number in range(10):
        swarm.says(number, record(), record("d", deleted=True, digest=""))
        told.append("a" in swarm.hear())
    assert told == [True] * ENOUGH + [False] * (10 - ENOUGH)
    assert swarm.told_holders() == (0, 1, 2, 3)
    assert len(swarm.everything()[path("a")].holders) == HELD_MAX
    assert set(swarm.everything()[path("a")].holders) >= {0, 1, 2, 3}


def test_a_further_holder_is_named_as_the_newcomer_where_nothing_else_is_news() -> None:
    swarm = Swarm()
    swarm.enter(1, 2, 3, 4)
    newcomers = []
    for numbers in ([1], [2], [3, 4]):
        for number in numbers:
            swarm.says(number, record())
        swarm.hear()
        newcomers.append(swarm.heard[path("a")].newcomer)
    assert newcomers == [None, 2, None]


def test_nobody_is_a_newcomer_where_all_others_who_were_told_are_gone() -> None:
    swarm = Swarm()
    swarm.enter(*range(HELD_MAX + 1))
    for number in range(HELD_MAX + 1):
        swarm.says(number, record())
    swarm.hear()
    for number in swarm.told_holders():
        swarm.leave(number)
    assert swarm.hear() == ["a"]
    assert swarm.told_holders() == (HELD_MAX,)
    assert swarm.heard[path("a")].newcomer is None


def test_further_holders_of_what_has_no_content_are_not_told() -> None:
    swarm = Swarm()
    swarm.enter(1, 2)
    for number in (1, 2):
        swarm.says(number, record(deleted=True, digest=""))
        assert swarm.hear() == (["a"] if number == 1 else [])


def test_when_those_who_were_told_leave_others_are() -> None:
    swarm = Swarm()
    swarm.enter(*range(10))
    for number in range(10):
        swarm.says(number, record())
    swarm.hear()
    known = swarm.told_holders()
    assert len(known) == HELD_MAX
    for number in known[:ENOUGH]:
        swarm.leave(number)
        assert swarm.hear() == []
    swarm.leave(known[ENOUGH])
    assert swarm.hear() == ["a"]
    assert len(swarm.told_holders()) == 5


def test_changes_come_in_the_order_in_which_they_were_said_and_in_pieces() -> None:
    swarm = Swarm()
    swarm.enter(1)
    names = [f"{number}" for number in range(100)]
    swarm.says(1, *[record(name) for name in names])
    taken: list[str] = []
    pieces = 0
    while swarm.registry.changes:
        taken += [told.path for told in swarm.registry.take_changes(1000)]
        pieces += 1
    assert taken == names
    assert pieces == 15


def test_who_asks_is_told_of_others_and_each_of_different_ones() -> None:
    swarm = Swarm()
    swarm.enter(*range(20))
    for number in range(20):
        swarm.says(number, record())
    told = [swarm.registry.holders(path("a"), asker=PeerId(number), most=4) for number in range(20)]
    assert all(len(set(others)) == 4 and number not in others for number, others in enumerate(told))
    assert {other for others in told for other in others} == set(range(20))
    assert swarm.registry.holders(path("b"), asker=PeerId(1), most=4) == ()


# Classic peers in the same swarm


def test_a_classic_entry_as_old_as_the_winner_is_the_same_version() -> None:
    swarm = Swarm()
    swarm.enter(1)
    swarm.says(1, native := record(mtime=5, x=1))
    swarm.hear()
    swarm.classic(7, a=5)
    assert swarm.hear() == []
    assert swarm.wins() == native
    assert swarm.registry.holders(path("a"), asker=PeerId(1), most=4) == ()
    swarm.classic(7, a=4)
    assert (swarm.hear(), swarm.wins()) == ([], native)
    swarm.classic(7, a=6)
    assert swarm.hear() == ["a"]
    assert swarm.wins() == Record(path=path("a"), kind=Kind.FILE, version=Version.from_mtime(6))
    assert swarm.told_holders() == (7,)
    swarm.leave(7)
    assert (swarm.hear(), swarm.wins()) == (["a"], native)


def test_classic_peers_are_found_when_the_first_native_one_comes() -> None:
    directory = Directory()
    directory.announce(PeerId(7), endpoint=endpoint(7), files={path("a"): 5}, knows_gsync=False)
    assert directory.take_classic_changes() == ("a",)
    assert directory.take_classic_changes() == ()
    directory.announce(PeerId(8), endpoint=endpoint(8), files={path("a"): 5}, knows_gsync=False)
    assert directory.take_classic_changes() == ("a",)


def test_another_classic_holder_is_worth_telling() -> None:
    swarm = Swarm()
    swarm.classic(6, a=5)
    swarm.hear()
    swarm.classic(7, a=5)
    assert swarm.hear() == ["a"]
    assert set(swarm.told_holders()) == {6, 7}
    assert swarm.registry.holders(path("a"), asker=PeerId(1), most=1) == (6,)


def test_classic_askers_see_the_files_of_native_peers_at_the_top_of_the_folder() -> None:
    swarm = Swarm()
    swarm.enter(1, 2)
    swarm.says(1, record(mtime=5, x=1), record("d/c"))
    assert swarm.offered() == (5, {1})
    assert len(swarm.directory) == 1
    swarm.says(2, record(mtime=5, x=1))
    assert swarm.offered() == (5, {1, 2})
    swarm.says(2, record(mtime=6, x=2))
    assert swarm.offered() == (6, {2})
    swarm.leave(2)
    assert swarm.offered() == (5, {1})


def test_classic_askers_are_not_told_of_what_is_deleted_but_of_what_classic_peers_have() -> None:
    swarm = Swarm()
    swarm.enter(1, 2)
    swarm.says(1, record(mtime=5, x=1))
    swarm.says(2, record(mtime=6, x=2, deleted=True, digest=""))
    assert swarm.offered() is None
    swarm.classic(7, a=5)
    assert swarm.offered() == (5, {7})
    buried = swarm.wins()
    assert buried is not None
    assert buried.deleted
    swarm.says(2, record(mtime=7, x=3))
    assert swarm.offered() == (7, {2})


def test_a_classic_file_later_than_the_deletion_stands() -> None:
    swarm = Swarm()
    swarm.enter(1)
    swarm.says(1, record(mtime=5, x=1, deleted=True, digest=""))
    swarm.classic(7, a=6)
    stands = swarm.wins()
    assert stands is not None
    assert (stands.deleted, stands.version) == (False, Version.from_mtime(6))


@pytest.mark.parametrize("facts", [{"kind": Kind.DIRECTORY}, {"kind": Kind.LINK, "digest": DIGESTS[0], "target": "x"}])
def test_a_classic_file_is_nothing_where_natives_have_a_directory_or_a_link(facts: dict[str, object]) -> None:
    """Whoever has that refuses the file; a newcomer who only heard of the file would have another folder than all others."""
    swarm = Swarm()
    swarm.enter(1)
    stands = msgspec.structs.replace(record(mtime=5, digest="", x=1), **facts)
    swarm.says(1, stands)
    swarm.classic(7, a=6)
    assert swarm.wins() == stands


# Limits


def held(swarm: Swarm) -> set[str]:
    return set(swarm.everything())


@pytest.mark.parametrize(
    ("room", "reason"),
    [
        (Room(records=3), "the tracker holds as many records as it may"),
        (Room(records_per_peer=3), "one peer may not hold more records"),
        (Room(spelled_bytes=3 * len(spell_record(record()))), "the tracker holds as many records as it may"),
    ],
)
def test_there_is_room_for_so_many_records(room: Room, reason: str) -> None:
    swarm = Swarm(room=room)
    swarm.enter(1)
    assert swarm.says(1, record("a"), record("b")) == ""
    assert swarm.says(1, record("c")) == ""
    assert swarm.says(1, record("d")) == reason
    assert held(swarm) == {"a", "b", "c"}
    swarm.registry.withdraw(PeerId(1), [path("a")])
    assert swarm.says(1, record("d")) == ""


def test_an_edit_needs_no_further_room_for_records() -> None:
    swarm = Swarm(room=Room(records=1, records_per_peer=1))
    swarm.enter(1)
    swarm.says(1, record(x=1))
    assert swarm.says(1, edited := record(x=2, mtime=6)) == ""
    assert swarm.wins() == edited


def test_what_there_is_no_room_for_is_not_held_in_its_older_version_either() -> None:
    swarm = Swarm(room=Room(spelled_bytes=len(spell_record(record()))))
    swarm.enter(1)
    swarm.says(1, record(x=1))
    assert swarm.says(1, record(**{"x" * 80: 2}))
    assert swarm.wins() is None


@pytest.mark.parametrize("count", [CLAIMS_MAX - 1, CLAIMS_MAX, CLAIMS_MAX + 1])
def test_of_too_many_records_of_one_path_the_winner_is_kept(count: int) -> None:
    swarm = Swarm()
    numbers = range(count)
    swarm.enter(*numbers)
    for number in numbers:
        swarm.says(number, record(**{f"x{number}": 1}, mtime=10 + number * 5 % count))
    best = swarm.wins()
    assert best is not None
    assert best.version.mtime_s == 10 + count - 1
    assert swarm.registry._used.records == min(count, CLAIMS_MAX)
    for number in numbers:
        swarm.leave(number)
    assert swarm.registry._used.records == 0


@given(said=st.lists(records.filter(lambda one: one.path == "a"), min_size=1, max_size=9))
def test_dropping_what_is_dominated_never_changes_who_wins(said: list[Record]) -> None:
    for count in range(3, len(said) + 1):
        known = said[:count]
        undominated = [one for one in known if not any(order(one, other) is Order.OLDER for other in known)]
        assume(len({plain(one) for one in undominated}) <= 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims_module, "CLAIMS_MAX", 2)
        swarm = Swarm()
        swarm.enter(*range(len(said)))
        for number, one in enumerate(said):
            swarm.says(number, one)
        assert swarm.wins() == winner(said)


def test_a_peer_that_comes_later_gets_the_bit_of_one_that_left() -> None:
    swarm = Swarm()
    for number in range(100):
        swarm.enter(number)
        swarm.says(number, record())
        swarm.hear()
        assert swarm.told_holders() == (number,)
        swarm.leave(number)
    assert len(swarm.registry._members._by_place) == 1


def test_a_record_takes_less_than_a_kilobyte() -> None:
    import tracemalloc

    def announced() -> Iterator[Record]:
        for number in range(2000):
            name = f"folder-{number % 7}/a-name-of-a-usual-length-{number:05}.txt"
            yield msgspec.structs.replace(
                record(name, x=1), digest=digest_of_bytes(name.encode()), size=number, mtime_ns=number << 40
            )

    swarm = Swarm()
    swarm.enter(1, 2, 3)
    tracemalloc.start()
    try:
        for number in (1, 2, 3):
            swarm.registry.announce(PeerId(number), announced())
        while swarm.registry.changes:
            swarm.registry.take_changes(64 * 1024)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes / 2000 < 1000
