"""The directory against a naive model that keeps a plain list, and its promises one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core import holders as holders_module
from gsync.core import pausing
from gsync.core.directory import ENTRY_MAX_BYTES, Directory
from gsync.core.holders import FRONT, Holder, Offered, PeerId
from gsync.core.names import Endpoint, RelPath
from gsync.core.versions import MTIME_MAX

NAMES = [RelPath.parse(name) for name in ("a", "b", "c", "käse")]


def path(name: str) -> RelPath:
    return RelPath.parse(name)


def endpoint(number: int, port: int = 9000) -> Endpoint:
    return Endpoint(f"192.0.2.{number}", port)


def announce(directory: Directory, number: int, files: dict[str, int], *, ours: bool = False) -> None:
    directory.announce(
        PeerId(number),
        endpoint=endpoint(number),
        files={path(name): mtime for name, mtime in files.items()},
        knows_gsync=ours,
    )


Seen = tuple[int, tuple[tuple[PeerId, Endpoint, bool], ...]]
"""An `Offered` by its facts: holders are the same only as themselves."""


def seen(offered: Offered | None) -> Seen | None:
    if offered is None:
        return None
    return offered.mtime_s, tuple((holder.peer, holder.endpoint, holder.speaks_gsync) for holder in offered.holders)


def holders(directory: Directory, name: str) -> tuple[int, list[int]] | None:
    offered = directory.offered(path(name))
    return None if offered is None else (offered.mtime_s, [holder.peer.number for holder in offered.holders])


# The model


@dataclass
class Model:
    """All that was said, in the order in which it was first said: (peer, name, mtime)."""

    said: list[tuple[int, RelPath, int]] = field(default_factory=list)
    holders: dict[int, Holder] = field(default_factory=dict)

    def announce(self, holder: Holder, files: dict[RelPath, int]) -> None:
        number = holder.peer.number
        self.holders[number] = holder
        self.said = [(n, name, t) for n, name, t in self.said if n != number or files.get(name) == t]
        self.said += [(number, name, t) for name, t in files.items() if (number, name, t) not in self.said]

    def leave(self, number: int) -> None:
        self.said = [(n, name, t) for n, name, t in self.said if n != number]

    def offered(self, name: RelPath) -> Seen | None:
        mine = [(number, mtime) for number, said, mtime in self.said if said == name]
        if not mine:
            return None
        latest = max(mtime for _, mtime in mine)
        row = [self.holders[number] for number, mtime in mine if mtime == latest]
        return seen(Offered(mtime_s=latest, holders=tuple(row)))


announcements = st.tuples(
    st.integers(0, 4),
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), max_size=4),
    st.integers(9000, 9001),
    st.booleans(),
)
commands = st.lists(announcements | st.integers(0, 4), max_size=30)


def carry_out(command: object, directory: Directory, model: Model) -> None:
    match command:
        case (int(number), dict(files), int(port), bool(ours)):
            holder = Holder(peer=PeerId(number), endpoint=endpoint(number, port), speaks_gsync=ours)
            model.announce(holder, files)
            directory.announce(holder.peer, endpoint=holder.endpoint, files=files, knows_gsync=ours)
        case int(number):
            model.leave(number)
            directory.leave(PeerId(number))


@given(commands=commands)
def test_it_says_what_a_plain_list_would_say(commands: list[object]) -> None:
    directory, model = Directory(), Model()
    for command in commands:
        before = {name: model.offered(name) for name in NAMES}
        generation = directory.generation
        carry_out(command, directory, model)
        after = {name: model.offered(name) for name in NAMES}
        assert {name: seen(directory.offered(name)) for name in NAMES} == after
        assert len(directory) == sum(offered is not None for offered in after.values())
        changed = {name for name in NAMES if before[name] != after[name]}
        assert set(directory.take_changes()) >= changed
        assert (directory.generation > generation) or not changed


@given(commands=commands, front=st.integers(1, 3))
def test_a_front_that_is_full_keeps_its_order_and_is_filled_from_behind(commands: list[object], front: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holders_module, "FRONT", front)
        directory, model = Directory(), Model()
        for command in commands:
            before = {name: seen(directory.offered(name)) for name in NAMES}
            carry_out(command, directory, model)
            changed = directory.take_changes()
            for name in NAMES:
                now, full, was = seen(directory.offered(name)), model.offered(name), before[name]
                assert (now is None) == (full is None)
                assert now == was or name in changed
                if now is None or full is None:
                    continue
                assert now[0] == full[0]
                assert set(now[1]) <= set(full[1])
                peers = [peer for peer, _, _ in now[1]]
                assert len(peers) == len(set(peers)) == min(front, len(full[1]))
                if was is not None and was[0] == now[0]:
                    left = [peer for peer, _, _ in was[1] if peer in peers]
                    assert peers[: len(left)] == left


@given(commands=commands, data=st.data())
def test_a_pause_that_raises_leaves_it_consistent(commands: list[object], data: st.DataObject) -> None:
    """Whatever was cut short, a peer that then leaves leaves nothing behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pausing, "PAUSE_EVERY", 1)
        directory = Directory(pairs_max=8)
        for command in commands:
            left = data.draw(st.integers(0, 6))

            def pause() -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt

            try:
                match command:
                    case (int(number), dict(files), int(port), bool(ours)):
                        directory.announce(
                            PeerId(number),
                            endpoint=endpoint(number, port),
                            files=files,
                            knows_gsync=ours,
                            pause=pause,
                        )
                    case int(number):
                        directory.leave(PeerId(number), pause=pause)
            except KeyboardInterrupt:
                pass
    for number in range(5):
        directory.leave(PeerId(number))
    assert len(directory) == 0
    assert [directory.offered(name) for name in NAMES] == [None] * len(NAMES)
    announce(directory, 1, {f"{i}": i for i in range(8)})
    assert len(directory) == 8


# Its promises


def test_the_larger_mtime_wins() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5})
    announce(directory, 2, {"a": 6})
    announce(directory, 3, {"a": 4})
    assert holders(directory, "a") == (6, [2])


def test_an_equal_mtime_is_one_more_holder() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5})
    announce(directory, 2, {"a": 5})
    assert holders(directory, "a") == (5, [1, 2])


def test_the_next_holder_takes_the_place_of_one_that_leaves() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5})
    announce(directory, 2, {"a": 5})
    directory.leave(PeerId(1))
    assert holders(directory, "a") == (5, [2])


def test_the_next_lower_mtime_comes_back_with_all_its_holders() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5})
    announce(directory, 2, {"a": 5})
    announce(directory, 3, {"a": 7})
    announce(directory, 4, {"a": 3})
    directory.leave(PeerId(3))
    assert holders(directory, "a") == (5, [1, 2])
    directory.leave(PeerId(1))
    directory.leave(PeerId(2))
    assert holders(directory, "a") == (3, [4])
    directory.leave(PeerId(4))
    assert holders(directory, "a") is None


def test_a_second_announcement_replaces_the_first_and_keeps_the_place() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5, "b": 5})
    announce(directory, 2, {"a": 5})
    announce(directory, 1, {"a": 5, "c": 1})
    assert holders(directory, "a") == (5, [1, 2])
    assert holders(directory, "b") is None
    assert holders(directory, "c") == (1, [1])


def test_an_older_version_of_ones_own_replaces_the_newer() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 9})
    announce(directory, 1, {"a": 2})
    assert holders(directory, "a") == (2, [1])


def test_a_peer_without_a_port_holds_nothing() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5})
    admission = directory.announce(PeerId(1), endpoint=None, files={path("a"): 6}, knows_gsync=False)
    assert (admission.taken, admission.refused) == (0, 1)
    assert "no port" in admission.reason
    assert len(directory) == 0


def test_a_peer_that_moves_changes_its_entries() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5})
    directory.take_changes()
    directory.announce(PeerId(1), endpoint=endpoint(1, 9001), files={path("a"): 5}, knows_gsync=False)
    assert directory.take_changes() == ("a",)
    offered = directory.offered(path("a"))
    assert offered is not None
    assert offered.holders[0].endpoint == endpoint(1, 9001)


def test_the_same_announcement_again_changes_nothing() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5, "b": 6})
    generation = directory.generation
    announce(directory, 1, {"a": 5, "b": 6})
    assert directory.generation == generation


def test_holders_behind_the_front_change_nothing() -> None:
    directory = Directory()
    for number in range(FRONT):
        announce(directory, number, {"a": 5})
    generation = directory.generation
    announce(directory, 100, {"a": 5})
    assert directory.generation == generation
    directory.leave(PeerId(100))
    assert directory.generation == generation
    announce(directory, 100, {"a": 5})
    directory.leave(PeerId(0))
    assert directory.generation > generation
    assert holders(directory, "a") == (5, [*range(1, FRONT), 100])


@pytest.mark.parametrize(("room", "taken"), [(-1, 2), (0, 3), (1, 3)])
def test_names_are_taken_while_a_response_can_hold_them(room: int, taken: int) -> None:
    directory = Directory(response_max_bytes=3 * (len('"a"') + ENTRY_MAX_BYTES) + room)
    files = {path(name): 1 for name in "abc"}
    admission = directory.announce(PeerId(1), endpoint=endpoint(1), files=files, knows_gsync=False)
    assert (admission.taken, admission.refused, len(directory)) == (taken, 3 - taken, taken)
    assert ("as long as peers accept" in admission.reason) == (taken < 3)
    announce(directory, 1, {})
    announce(directory, 1, {"a": 1, "b": 1})
    assert len(directory) == 2


@pytest.mark.parametrize(("room", "taken"), [(-1, 1), (0, 2), (1, 2)])
def test_pairs_are_taken_up_to_their_limit(room: int, taken: int) -> None:
    directory = Directory(pairs_max=4 + room)
    announce(directory, 1, {"a": 1, "b": 1})
    files = {path("a"): 1, path("b"): 2}
    admission = directory.announce(PeerId(2), endpoint=endpoint(2), files=files, knows_gsync=False)
    assert (admission.taken, admission.refused) == (taken, 2 - taken)
    assert ("as many announcements" in admission.reason) == (taken < 2)
    announce(directory, 1, {"a": 7, "b": 7})
    assert holders(directory, "b") == (7, [1])


def test_the_longest_entry_is_no_longer_than_was_reckoned() -> None:
    ip = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"
    also = " ".join([f"[{ip}]:65535"] * 3)
    assert len(f':{{"ip":"{ip}","port":65535,"mtime":{MTIME_MAX},"gsync":1,"also":"{also}"}},') <= ENTRY_MAX_BYTES


@pytest.mark.slow
def test_a_pair_costs_a_few_dozen_bytes() -> None:
    import tracemalloc

    directory = Directory()
    files = {path(f"file-{i:05d}.txt"): i for i in range(2000)}
    for number in range(8):
        directory.announce(PeerId(number), endpoint=endpoint(number), files=files, knows_gsync=True)
    tracemalloc.start()
    try:
        for number in range(8, 40):
            directory.announce(PeerId(number), endpoint=endpoint(number), files=files, knows_gsync=True)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown / (32 * len(files)) < 48


# Native peers


def test_a_native_peer_holds_and_withdraws_name_by_name() -> None:
    directory = Directory()
    directory.enter(PeerId(1), endpoint=endpoint(1))
    announce(directory, 2, {"a": 5})
    assert directory.hold(PeerId(1), path("a"), 5)
    assert directory.hold(PeerId(1), path("b"), 6)
    assert holders(directory, "a") == (5, [2, 1])
    offered = directory.offered(path("b"))
    assert offered is not None
    assert [(holder.speaks_gsync, holder.speaks_native) for holder in offered.holders] == [(True, True)]
    assert directory.hold(PeerId(1), path("a"), 7)  # the new version before the old one is withdrawn
    directory.withdraw(PeerId(1), path("a"), 5)
    assert holders(directory, "a") == (7, [1])
    directory.withdraw(PeerId(1), path("a"), 7)
    assert holders(directory, "a") == (5, [2])
    directory.withdraw(PeerId(1), path("b"), 6)
    directory.leave(PeerId(1))
    assert len(directory) == 1


def test_what_a_native_peer_could_not_hold_is_withdrawn_without_harm() -> None:
    directory = Directory(pairs_max=1)
    directory.enter(PeerId(1), endpoint=endpoint(1))
    assert directory.hold(PeerId(1), path("a"), 5)
    assert not directory.hold(PeerId(1), path("b"), 5)
    assert not directory.hold(PeerId(1), path("a"), 6)
    for name, mtime in (("b", 5), ("a", 6), ("a", 5), ("a", 5)):
        directory.withdraw(PeerId(1), path(name), mtime)
    assert directory.hold(PeerId(1), path("c"), 5)
    assert not directory.hold(PeerId(1), path("d"), 5)


def test_a_native_peer_is_refused_a_name_for_which_the_directory_has_no_room() -> None:
    directory = Directory(response_max_bytes=2 * (ENTRY_MAX_BYTES + 3))
    directory.enter(PeerId(1), endpoint=endpoint(1))
    assert [directory.hold(PeerId(1), path(name), 5) for name in ("a", "b", "c", "a")] == [True, True, False, True]


def test_what_classic_peers_offer_is_told_without_the_natives() -> None:
    directory = Directory()
    directory.enter(PeerId(1), endpoint=endpoint(1))
    assert directory.take_classic_changes() == ()
    announce(directory, 2, {"a": 5})
    announce(directory, 3, {"a": 4})
    assert directory.take_classic_changes() == ("a",)
    directory.hold(PeerId(1), path("a"), 9)
    directory.hold(PeerId(1), path("b"), 9)
    assert directory.take_classic_changes() == ()
    classic = directory.classic(path("a"))
    assert classic is not None
    assert (classic.mtime_s, [holder.peer.number for holder in classic.holders]) == (5, [2])
    assert directory.classic(path("b")) is directory.classic(path("c")) is None
    directory.leave(PeerId(2))
    assert directory.take_classic_changes() == ("a",)
    classic = directory.classic(path("a"))
    assert classic is not None
    assert classic.mtime_s == 4
