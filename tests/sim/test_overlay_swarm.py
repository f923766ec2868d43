"""Whole peers and their overlays, in virtual time: links, searches, invalidations, and what happens when something is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from gsync.core.copies import CopyState, Mode
from gsync.core.model import Source
from gsync.core.names import Endpoint, PeerName, RelPath
from gsync.core.topology import Topology, edges, messages_per_flood, parse_shape, shaped
from gsync.errors import ConfigError, UnknownName
from gsync.peer.overlay import SOUGHT_EACH_S, SOUGHT_S
from gsync.peer.searches import HeardOf
from tests.sim.cluster import Cluster, Machine, cluster, orders

SHAPES = ["mesh", "star", "ring", "line", "grid", "random:4"]
SIXTY_FOUR = [pytest.param(shape, 64, marks=pytest.mark.slow) for shape in ["star", "line", "grid", "random:4"]]
SWARMS = [*[pytest.param(shape, 16, marks=pytest.mark.slow) for shape in SHAPES], *SIXTY_FOUR]


def name(number: int) -> PeerName:
    return PeerName.parse(f"p{number:02}")


def topology(shape: str, count: int) -> Topology:
    parsed = parse_shape(shape)
    assert parsed is not None
    return shaped(parsed, map(name, range(count)))


@contextmanager
def linked(
    base: Path, shape: str, count: int, *, seed: int = 1, mode: Mode = Mode.PASSIVE
) -> Iterator[tuple[Cluster, list[Machine], Topology]]:
    """`count` peers around a tracker that tells names only, with all their links and no other; the first has a song.

    While they are passive nobody takes it of himself.
    """
    with cluster(base, seed=seed, watches=True, names_only=True, latency_s=(0.002, 0.002)) as swarm:
        machines = [swarm.machine({"song.mp3": b"la"} if not number else {}) for number in range(count)]
        for number, machine in enumerate(machines):
            machine.start(name=name(number), topology=parse_shape(shape), mode=mode)
        laid = topology(shape, count)
        swarm.wait_until(lambda: all(links(m) == laid[name(n)] for n, m in enumerate(machines)), within_s=120)
        yield swarm, machines, laid


def links(machine: Machine) -> frozenset[PeerName]:
    return frozenset(machine.overlay.neighbours.names)


def place_of(machine: Machine, other: PeerName) -> Endpoint:
    """Where `machine` reaches the other one."""
    place = machine.overlay.arrangement.place(other)
    assert place is not None
    return place


def sent(machines: list[Machine], kind: str) -> int:
    return sum(machine.overlay.neighbours.counts[f"{kind} sent"] for machine in machines)


def search(machine: Machine, question: str, *, ttl: int = 255, wait_s: float = 5.0) -> list[HeardOf]:
    return list(machine.overlay.searches.search(question, ttl=ttl, wait_s=wait_s))


@pytest.mark.parametrize(("shape", "count"), SWARMS)
def test_a_search_reaches_everybody_with_exactly_2e_less_n_minus_1_messages(
    tmp_path: Path, shape: str, count: int
) -> None:
    with linked(tmp_path, shape, count) as (_, machines, laid):
        assert sum(len(links(machine)) for machine in machines) == 2 * edges(laid)
        (hit,) = search(machines[-1], "song.mp3")
        assert (hit.holder, hit.record.size, hit.is_origin) == (name(0), 2, True)
        assert sent(machines, "query") == messages_per_flood(laid)
        assert sent(machines, "hit") == hit.hops


@pytest.mark.slow
def test_a_search_finds_without_a_tracker_what_it_found_with_one(tmp_path: Path) -> None:
    with linked(tmp_path, "grid", 16) as (swarm, machines, _):
        swarm.stop_tracker()
        swarm.rest(60)
        assert [hit.holder for hit in search(machines[-1], "*.mp3")] == [name(0)]


@pytest.mark.parametrize(("shape", "count"), SWARMS)
def test_an_update_reaches_the_last_with_exactly_2e_less_n_minus_1_messages(
    tmp_path: Path, shape: str, count: int
) -> None:
    with linked(tmp_path, shape, count, mode=Mode.HYBRID) as (swarm, machines, laid):
        swarm.wait_until(lambda: all(m.files() == {"song.mp3": b"la"} for m in machines), within_s=60)
        swarm.rest(10)
        before = sent(machines, "invalidate")
        machines[0].folder.edit("song.mp3", b"lala")
        swarm.wait_until(lambda: all(m.files() == {"song.mp3": b"lala"} for m in machines), within_s=30)
        assert sent(machines, "invalidate") - before == messages_per_flood(laid)


@pytest.mark.slow
def test_the_overlay_heals_after_a_partition(tmp_path: Path) -> None:
    with linked(tmp_path, "ring", 16) as (swarm, machines, laid):
        swarm.network.partition({machine.ip for machine in machines[:8]})
        swarm.rest(60)
        assert all(links(m) < laid[name(n)] for n, m in enumerate(machines) if n in (0, 7, 8, 15))
        swarm.network.heal()
        swarm.wait_until(lambda: all(links(m) == laid[name(n)] for n, m in enumerate(machines)), within_s=30)
        assert [hit.holder for hit in search(machines[8], "song.mp3")] == [name(0)]


@pytest.mark.parametrize("mode", [Mode.PUSH, Mode.HYBRID])
def test_who_was_cut_off_while_others_edited_learns_of_it_when_a_link_is_back(tmp_path: Path, mode: Mode) -> None:
    with linked(tmp_path, "line", 4, mode=mode) as (swarm, machines, _):
        swarm.wait_until(lambda: all(m.files() == {"song.mp3": b"la"} for m in machines), within_s=60)
        swarm.network.partition({machine.ip for machine in machines[2:]})
        swarm.rest(60)
        machines[0].folder.edit("song.mp3", b"lala")
        machines[3].folder.put("poem.txt", b"oh")
        swarm.rest(60)
        assert machines[3].files() == {"song.mp3": b"la", "poem.txt": b"oh"}
        swarm.network.heal()
        both = {"song.mp3": b"lala", "poem.txt": b"oh"}
        swarm.wait_until(lambda: all(m.files() == both for m in machines), within_s=20)


def test_what_a_poll_tells_before_any_push_is_told_on(tmp_path: Path) -> None:
    """Who lost a link asks the origin. Those behind lost none; nobody else would tell them, not even when it is back."""
    with linked(tmp_path, "line", 5, mode=Mode.HYBRID) as (swarm, machines, _):
        swarm.wait_until(lambda: all(m.files() == {"song.mp3": b"la"} for m in machines), within_s=60)
        swarm.rest(10)
        machines[1].stop()
        machines[0].folder.edit("song.mp3", b"lala")
        swarm.wait_until(lambda: all(m.files() == {"song.mp3": b"lala"} for m in machines[2:]), within_s=15)


@pytest.mark.parametrize("has_tracker", [True, False])
def test_what_cannot_be_had_from_its_origin_comes_from_whoever_has_it(tmp_path: Path, has_tracker: bool) -> None:
    """The flood told of the origin alone, which this peer cannot reach: a firewall, or it is gone by now."""
    with linked(tmp_path, "line", 3, mode=Mode.PUSH) as (swarm, machines, _):
        swarm.wait_until(lambda: machines[2].files() == {"song.mp3": b"la"}, within_s=60)
        if not has_tracker:
            swarm.stop_tracker()
        swarm.network.silence(place_of(machines[1], name(0)))
        swarm.network.cut(machines[0].ip, machines[2].ip)
        machines[0].folder.edit("song.mp3", b"lala")
        swarm.wait_until(lambda: machines[1].files() == {"song.mp3": b"lala"}, within_s=10)
        swarm.wait_until(lambda: machines[2].files() == {"song.mp3": b"lala"}, within_s=60)


def test_who_is_looked_for_in_vain_does_not_stand_in_the_way_of_others(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 2) as (swarm, machines, _):
        asker = machines[1].overlay
        song = machines[0].overlay._trees.record(SONG)
        nobodys = [RelPath.parse(f"lost-{number:02}") for number in range(30)]
        nowhere = (Source(endpoint=Endpoint("192.0.2.99", 2000), speaks_gsync=True, speaks_native=True),)
        for path in (*nobodys, SONG):
            asker.offer(replace(song, path=path), nowhere)
        began, rounds = swarm.world.now_s, 0
        while SONG not in (found := asker.locate([*nobodys, SONG])):
            rounds += 1
            assert rounds < 4
        assert [source.endpoint for source in found[SONG]] == [place_of(machines[1], name(0))]
        assert swarm.world.now_s - began < 4 * (SOUGHT_S + SOUGHT_EACH_S)


def test_what_is_got_of_an_origin_that_is_gone_comes_from_the_next_who_has_it(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True, names_only=True) as swarm:
        machines = [swarm.machine({"song.mp3": b"la"} if not number else {}) for number in range(3)]
        for number, machine in enumerate(machines):
            machine.start(name=name(number), topology=parse_shape("mesh"), on_demand=number == 2)
        swarm.wait_until(lambda: machines[1].files() == {"song.mp3": b"la"}, within_s=60)
        swarm.wait_until(lambda: SONG in machines[2].overlay._trees.remote, within_s=60)
        machines[0].stop()
        (got,) = orders(machines[2]).get([SONG])
        assert (got.holder, got.size, got.reason) == (name(1), 2, "")
        assert machines[2].files() == {"song.mp3": b"la"}


def test_who_comes_later_gets_all_that_there_is_without_a_tracker_that_tells(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 3, mode=Mode.PUSH) as (swarm, machines, _):
        swarm.wait_until(lambda: machines[2].files() == {"song.mp3": b"la"}, within_s=10)
        assert machines[2].overlay.fresh.copy(SONG).origin == name(0)
        machines[0].folder.remove("song.mp3")
        machines[0].folder.put("poem.txt", b"oh")
        swarm.wait_until(lambda: all(m.files() == {"poem.txt": b"oh"} for m in machines), within_s=10)
        machines[2].stop()
        late = swarm.machine({"song.mp3": b"la"})
        late.start(name=name(2), topology=parse_shape("line"), mode=Mode.PUSH)
        swarm.wait_until(lambda: set(late.files()) == {"poem.txt"}, within_s=60)


def test_who_heeds_no_push_takes_nothing_but_passes_on_what_was_missed(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True, names_only=True) as swarm:
        machines = [swarm.machine({"song.mp3": b"la"} if not number else {}) for number in range(3)]
        for number, mode in enumerate((Mode.PUSH, Mode.PULL, Mode.PUSH)):
            machines[number].start(name=name(number), topology=parse_shape("line"), mode=mode)
        swarm.wait_until(lambda: machines[2].files() == {"song.mp3": b"la"}, within_s=60)
        swarm.network.partition({machines[2].ip})
        swarm.rest(60)
        machines[0].folder.edit("song.mp3", b"lala")
        swarm.rest(10)
        swarm.network.heal()
        swarm.wait_until(lambda: machines[2].files() == {"song.mp3": b"lala"}, within_s=20)
        assert machines[1].files() == {}


def test_who_sees_a_gap_in_what_an_origin_said_finds_out_what_was_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with linked(tmp_path, "line", 3, mode=Mode.PUSH) as (swarm, machines, _):
        swarm.wait_until(lambda: all(m.files() == {"song.mp3": b"la"} for m in machines), within_s=60)
        swarm.rest(10)
        link = machines[0].overlay.neighbours.link(name(1))
        with monkeypatch.context() as patch:
            patch.setattr(link, "say", lambda message, spelled=None: None)
            machines[0].folder.edit("song.mp3", b"lala")
            swarm.rest(5)
        assert machines[2].files() == {"song.mp3": b"la"}
        machines[0].folder.put("poem.txt", b"oh")
        both = {"song.mp3": b"lala", "poem.txt": b"oh"}
        swarm.wait_until(lambda: all(m.files() == both for m in machines), within_s=10)


SONG = RelPath.parse("song.mp3")


def test_what_is_searched_is_got_from_its_origin_and_then_found_twice(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 4) as (_, machines, _):
        last = orders(machines[-1])
        (found,) = last.search("*.mp3", ttl=16, wait_s=1.0)
        assert (found.path, found.holder, found.hops, found.state, found.is_here) == (
            "song.mp3",
            name(0),
            3,
            CopyState.OWNED,
            False,
        )
        (got,) = last.get([SONG])
        assert (got.holder, got.size, got.reason) == (name(0), 2, "")
        assert machines[-1].files() == {"song.mp3": b"la"}
        (seen,) = last.copies()
        assert (seen.state, seen.origin) == (CopyState.VALID, name(0))
        first, second = orders(machines[1]).search("song.mp3", wait_s=1.0)
        assert {first.holder, second.holder} == {name(0), name(3)}
        assert {first.origin, second.origin} == {name(0)}


def test_a_ttl_of_one_reaches_the_neighbours_alone(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 4) as (_, machines, _):
        assert [hit.holder for hit in search(machines[1], "song.mp3", ttl=1)] == [name(0)]
        assert search(machines[2], "song.mp3", ttl=1) == []
        assert [hit.holder for hit in search(machines[2], "song.mp3", ttl=2)] == [name(0)]


def test_nobody_gets_what_nobody_has_and_the_reason_is_told(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 2) as (_, machines, _):
        (got,) = orders(machines[1]).get([RelPath.parse("nothing")])
        assert got.reason == "nobody who answers has it"
        (got,) = orders(machines[1]).get([SONG], holder=name(7))
        assert got.reason == "p07 does not answer with it"


def test_what_is_here_already_is_not_fetched_again(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 2) as (_, machines, _):
        (first,), (second,) = list(orders(machines[1]).get([SONG])), list(orders(machines[1]).get([SONG]))
        assert (first.holder, first.reason) == (name(0), "")
        assert (second.holder, second.size, second.reason) == (None, 2, "")


def test_a_name_that_could_be_a_pattern_is_found_as_it_is_spelled_too(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 2) as (swarm, machines, _):
        machines[0].folder.put("a[1].txt", b"odd")
        machines[0].folder.put("a1.txt", b"even")
        swarm.rest(5)
        assert {hit.record.path for hit in search(machines[1], "a[1].txt")} == {"a[1].txt", "a1.txt"}
        assert {hit.record.path for hit in search(machines[1], "a[1].txt") if hit.record.size == 3} == {"a[1].txt"}
        here = orders(machines[1])
        assert [got.path for got in here.get([RelPath.parse("a[1].txt")])] == ["a1.txt", "a[1].txt"]
        assert machines[1].files() == {"a[1].txt": b"odd", "a1.txt": b"even"}


def test_a_pattern_gets_all_that_it_matches_and_a_directory_is_not_written_elsewhere(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 2) as (swarm, machines, _):
        for path in ("photos/1.jpg", "photos/2.jpg", "photos/b/3.jpg"):
            machines[0].folder.put(path, b"pic")
        swarm.rest(5)
        here = orders(machines[1])
        jpgs = RelPath.parse("photos/*.jpg")
        (tmp_path / "out").mkdir()
        got = list(here.get([jpgs], output=str(tmp_path / "out")))
        assert [(one.path, one.reason) for one in got] == [(f"photos/{n}.jpg", "") for n in ("1", "2", "b/3")]
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.jpg", "2.jpg", "3.jpg"]
        with pytest.raises(ConfigError, match="no directory, and there are 3 names"):
            here.get([jpgs], output=str(tmp_path / "one"))
        assert [one.holder for one in here.get([jpgs])] == [name(0)] * 3
        assert set(machines[1].files()) == {"photos/1.jpg", "photos/2.jpg", "photos/b/3.jpg"}
        again = list(here.get([RelPath.parse("photos")]))
        assert [(one.path, one.holder, one.reason) for one in again] == [(one.path, None, "") for one in got]
        (refused,) = here.get([RelPath.parse("photos")], output=str(tmp_path / "out"))
        assert refused.reason == "it is a directory: name the files in it"


def test_a_neighbour_who_made_what_he_tells_of_is_one_holder_not_two(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 2, mode=Mode.HYBRID) as (swarm, machines, _):
        swarm.wait_until(lambda: machines[1].files() == {"song.mp3": b"la"}, within_s=60)
        offer = machines[1].overlay._trees.remote[SONG]
        assert len(offer.sources) == len({source.endpoint for source in offer.sources})


def test_what_is_got_elsewhere_does_not_come_into_the_folder(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 2) as (_, machines, _):
        (got,) = orders(machines[1]).get([SONG], output=str(tmp_path / "mine.mp3"))
        assert (got.reason, got.output) == ("", str(tmp_path / "mine.mp3"))
        assert (tmp_path / "mine.mp3").read_bytes() == b"la"
        assert machines[1].files() == {}
        with pytest.raises(ConfigError, match="no directory"):
            orders(machines[1]).get([SONG], output=str(tmp_path / "nowhere" / "mine.mp3"))


def test_a_mark_at_the_origin_is_a_version_step_and_elsewhere_it_is_refused(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 2) as (swarm, machines, _):
        here, there = map(orders, machines)
        list(there.get([SONG]))
        with pytest.raises(ConfigError, match="was not made here"):
            there.mark(SONG, valid=False)
        with pytest.raises(UnknownName):
            here.mark(RelPath.parse("nothing"), valid=True)
        here.set_mode(Mode.PUSH)
        version = here.mark(SONG, valid=False)
        swarm.rest(1)
        assert machines[1].overlay.fresh.known(SONG) == version
        assert sent(machines, "invalidate") == 1


def test_a_copy_of_which_the_push_was_lost_is_found_out_by_a_refresh(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 2) as (swarm, machines, _):
        there = orders(machines[1])
        list(there.get([SONG]))
        orders(machines[0]).set_mode(Mode.PASSIVE)
        there.set_mode(Mode.PASSIVE)
        machines[0].folder.edit("song.mp3", b"lala")
        swarm.rest(10)
        assert machines[1].files() == {"song.mp3": b"la"}
        (refreshed,) = there.refresh([SONG])
        assert refreshed.state in {CopyState.INVALID, CopyState.VALID}
        swarm.wait_until(lambda: machines[1].files() == {"song.mp3": b"lala"}, within_s=5)


def test_a_lazy_copy_whose_time_is_over_is_asked_about_when_somebody_wants_it(tmp_path: Path) -> None:
    """Not before, and the answer comes late, but to whoever asked: a neighbour, or this peer itself."""
    with linked(tmp_path, "line", 3) as (swarm, machines, _):
        there = orders(machines[1])
        list(there.get([SONG]))
        there.set_mode(Mode.LAZY)
        swarm.rest(200)
        assert sent(machines, "poll") == 0
        assert machines[1].overlay.fresh.state(SONG) is CopyState.EXPIRED
        assert {hit.holder for hit in search(machines[2], "song.mp3")} == {name(0), name(1)}
        swarm.rest(200)
        assert {hit.holder for hit in search(machines[1], "*.mp3")} == {name(0), name(1)}
        assert sent(machines, "poll") == 2


def test_a_lazy_copy_that_is_old_answers_with_what_is_new(tmp_path: Path) -> None:
    with linked(tmp_path, "line", 2) as (swarm, machines, _):
        there = orders(machines[1])
        list(there.get([SONG]))
        there.set_mode(Mode.LAZY)
        machines[0].folder.edit("song.mp3", b"lala")
        swarm.rest(200)
        assert machines[1].files() == {"song.mp3": b"la"}
        assert {(hit.holder, hit.record.size) for hit in search(machines[1], "song.mp3")} == {
            (name(0), 4),
            (name(1), 4),
        }


def test_a_peer_without_an_overlay_says_so(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        machine = swarm.machine()
        machine.start()
        swarm.rest(1)
        nothing = orders(machine)
        for ask in (
            *[
                lambda: nothing.search("a"),
                lambda: nothing.get([]),
                lambda: nothing.refresh([]),
            ],
            *[lambda: nothing.mark(SONG, valid=True), lambda: nothing.set_mode(Mode.PUSH)],
            *[lambda: nothing.set_ttr(1.0), nothing.overlay],
        ):
            with pytest.raises(ConfigError, match="no neighbours"):
                ask()
        assert list(nothing.copies()) == []


@pytest.mark.slow
def test_with_a_tracker_that_tells_all_nothing_is_flooded_and_searches_work(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True) as swarm:
        machines = [swarm.machine({"a.txt": b"a"} if not number else {}) for number in range(4)]
        for number, machine in enumerate(machines):
            machine.start(name=name(number))
        swarm.wait_until(lambda: all(m.files() == {"a.txt": b"a"} for m in machines), within_s=60)
        machines[1].folder.put("b.txt", b"b")
        swarm.wait_until(lambda: all(len(m.files()) == 2 for m in machines), within_s=60)
        assert sent(machines, "invalidate") == sent(machines, "poll") == 0
        assert not any(list(machine.overlay.fresh.copies()) for machine in machines)
        states = {hit.holder: hit.state for hit in search(machines[0], "b.txt")}
        assert states == {name(n): CopyState.OWNED if n == 1 else CopyState.VALID for n in range(4)}
        swarm.stop_tracker()
        swarm.rest(30)
        machines[1].folder.edit("b.txt", b"edited")
        swarm.wait_until(lambda: all(m.files()["b.txt"] == b"edited" for m in machines), within_s=30)


def test_whoever_keeps_no_neighbours_is_nobodys(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True) as swarm:
        lasting, guest = swarm.machine({"song.mp3": b"la"}), swarm.machine()
        lasting.start(name=name(0), topology=parse_shape("mesh"), is_named=True)
        swarm.rest(1)
        guest.start(name=name(1), is_named=True, once=True)
        swarm.wait_until(lambda: not guest.is_running)
        swarm.rest(1)
        assert guest.files() == {"song.mp3": b"la"}
        assert lasting.overlay.arrangement.place(name(1)) is None


def test_files_that_were_there_before_gsync_are_vouched_for_by_the_lowest_author_after_a_restart(
    tmp_path: Path,
) -> None:
    """Nobody made them, so nobody could be asked: all copies were EXPIRED for ever, and their holders polled each other."""
    with cluster(tmp_path, watches=True, latency_s=(0.002, 0.002)) as swarm:
        machines = [swarm.machine({"song.mp3": b"la"} if not number else {}) for number in range(3)]
        for number, machine in enumerate(machines):
            machine.start(name=name(number))
        swarm.wait_until(lambda: all(m.files() == {"song.mp3": b"la"} for m in machines), within_s=60)
        swarm.rest(10)
        before = machines[2].overlay.standings.of(SONG).record.version
        for machine in machines:
            machine.stop()
        swarm.stop_tracker()
        swarm.start_tracker(names_only=True)
        for number, machine in enumerate(machines):
            machine.start(name=name(number), topology=parse_shape("line"), mode=Mode.HYBRID)
        swarm.rest(600)
        assert [machine.overlay.fresh.copy(SONG).version for machine in machines] == [before] * 3
        lowest = min(machines, key=lambda machine: machine.overlay.me.author)
        states = {machine.overlay.me.name: machine.overlay.fresh.state(SONG) for machine in machines}
        assert states == {
            machine.overlay.me.name: CopyState.OWNED if machine is lowest else CopyState.VALID for machine in machines
        }
        other = next(machine for machine in machines if machine is not lowest)
        other.folder.edit("song.mp3", b"lala")
        swarm.wait_until(lambda: all(m.files() == {"song.mp3": b"lala"} for m in machines), within_s=200)
