"""Whole swarms on fakes, in virtual time: everything ends equal, whatever comes between, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import gevent
import pytest

from gsync.core.holders import ALSO_MAX
from gsync.net.transport import Stream
from gsync.peer.due import PLANNED_AT_A_TIME
from gsync.peer.events import FileConflict, FileFetched, SyncDone
from tests.sim.cluster import TRACKER, Cluster, Machine, cluster


def own_files(number: int) -> dict[str, bytes]:
    return {f"{number}-{i}.txt": b"%d %d" % (number, i) * (i + 1) for i in range(5)} | {f"empty-{number}": b""}


def fetched(machine: Machine) -> int:
    return sum(isinstance(event, FileFetched) for event in machine.events)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_every_machine_ends_with_every_file(tmp_path: Path, count: int) -> None:
    with cluster(tmp_path) as swarm:
        swarm.started(count, own_files)
        files = swarm.wait_until_equal(within_s=30)
        assert files == {name: content for n in range(count) for name, content in own_files(n).items()}


def test_the_latest_mtime_wins_everywhere_and_the_older_one_is_in_the_trash(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        old = swarm.machine({"plan.txt": b"older"}, mtime_s=100)
        new = swarm.machine({"plan.txt": b"newer"}, mtime_s=200)
        old.start(), new.start()
        assert swarm.wait_until_equal() == {"plan.txt": b"newer"}
        assert any(content == b"older" for name, content in old.folder.contents().items() if "/trash/" in f"/{name}")


def test_a_large_file_goes_through_staging_and_arrives_whole(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        big = bytes(range(256)) * 20_000
        first, second = swarm.machine({"big.bin": big}), swarm.machine()
        first.start(), second.start()
        assert swarm.wait_until_equal() == {"big.bin": big}


def test_a_machine_that_joins_late_gets_everything(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        swarm.started(2, own_files)
        swarm.wait_until_equal()
        late = swarm.machine(own_files(9))
        late.start()
        swarm.wait_until(lambda: len(late.files()) == 18)
        assert len(swarm.wait_until_equal()) == 18


def test_fetched_files_are_served_on_when_their_origin_has_left(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        origin, second = swarm.machine({"a.txt": b"hello"}), swarm.machine()
        origin.start(), second.start()
        swarm.wait_until_equal()
        swarm.rest(6)  # the second tells the tracker what it has now
        origin.stop()
        third = swarm.machine()
        third.start()
        swarm.wait_until(lambda: third.files() == {"a.txt": b"hello"})


def test_a_restart_refetches_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        machines = swarm.started(3, own_files)
        swarm.wait_until_equal()
        machines[0].stop()
        before = fetched(machines[0])
        machines[0].start()
        swarm.rest(30)
        assert fetched(machines[0]) == before
        swarm.wait_until_equal()


def test_a_disk_that_clamps_mtimes_never_causes_a_refetch(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        origin, stick = swarm.machine({"a.txt": b"hello"}, mtime_s=1_000_001), swarm.machine()
        stick.folder.disk.mtime_step_ns = 2_000_000_000
        origin.start(), stick.start()
        swarm.wait_until_equal()
        swarm.rest(60)
        stick.stop()
        stick.start()
        swarm.rest(60)
        assert fetched(stick) == 1
        assert fetched(origin) == 0


def test_the_tracker_may_be_killed_and_restarted_empty(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        swarm.started(2, own_files)
        swarm.wait_until_equal()
        swarm.stop_tracker()
        swarm.rest(20)
        late = swarm.machine(own_files(7))
        late.start()
        swarm.rest(20)
        swarm.start_tracker()
        files = swarm.wait_until_equal(within_s=30)
        assert len(files) == 18


def test_an_edit_of_a_running_folder_reaches_the_others_and_deletes_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        first, second = swarm.started(2, lambda n: {"shared.txt": b"one"} if n == 0 else {})
        swarm.wait_until_equal()
        second.folder.edit("shared.txt", b"two, by the second")
        swarm.wait_until(lambda: first.files() == {"shared.txt": b"two, by the second"}, within_s=40)
        assert not any(isinstance(event, FileConflict) for event in first.events + second.events)


def test_edits_on_both_sides_of_a_partition_are_both_kept(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        first, second = swarm.started(2, lambda n: {"shared.txt": b"one"} if n == 0 else {})
        swarm.wait_until_equal()
        swarm.rest(10)
        swarm.network.partition({first.ip}, {second.ip})
        first.folder.edit("shared.txt", b"by the first")
        second.folder.edit("shared.txt", b"by the second!!", mtime_ns=int(swarm.world.clock.wall() * 1e9) + 3 * 10**9)
        swarm.rest(30)
        swarm.network.heal()
        swarm.wait_until(lambda: len(first.files()) == 2 and first.files() == second.files(), within_s=90)
        assert sorted(first.files().values()) == [b"by the first", b"by the second!!"]
        assert first.files()["shared.txt"] == b"by the second!!"


def test_a_power_cut_at_any_moment_leaves_whole_files_and_heals(tmp_path: Path) -> None:
    files = {f"f{i}": bytes([i]) * (i * 40_000 + 1) for i in range(12)}
    for moment in range(8):
        base = tmp_path / str(moment)
        base.mkdir()
        with cluster(base, seed=moment) as swarm:
            origin, victim = swarm.machine(files), swarm.machine()
            origin.start(), victim.start()
            swarm.rest(5 + 0.02 * moment)
            victim.kill()
            assert all(content == files[name] for name, content in victim.files().items())
            victim.start()
            assert swarm.wait_until_equal() == files


def test_once_fetches_what_is_missing_and_ends(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        origin, guest = swarm.machine(own_files(0)), swarm.machine()
        origin.start()
        swarm.rest(1)
        guest.start(once=True)
        swarm.wait_until(lambda: not guest.is_running)
        assert guest.files() == own_files(0)
        assert guest.summary is not None
        assert (guest.summary.fetched, guest.summary.left) == (6, 0)


def test_nothing_happens_any_more_once_all_is_equal(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        machines = swarm.started(3, own_files)
        swarm.wait_until_equal()
        swarm.rest(15)
        said = [len(machine.events) for machine in machines]
        swarm.rest(300)
        assert [len(machine.events) for machine in machines] == said
        assert all(isinstance(machine.events[-1], SyncDone) for machine in machines)


@pytest.mark.parametrize("seed", range(12))
def test_random_histories_end_equal_and_lose_nothing(tmp_path: Path, seed: int) -> None:
    with cluster(tmp_path, seed=seed) as swarm:
        written, editors = _random_history(swarm)
        swarm.network.heal()
        for machine in swarm.machines:
            if not machine.is_running:
                machine.start()
        swarm.rest(40)
        swarm.wait_until_agreed(excused={name for name, ips in editors.items() if len(ips) > 1}, within_s=200)
        kept = {content for machine in swarm.machines for content in machine.folder.contents().values()}
        assert written <= kept, written - kept


def _random_history(swarm: Cluster) -> tuple[set[bytes], dict[str, set[str]]]:
    """Edits, new files, kills and partitions on three machines.

    Returns every content that a person wrote and did not overwrite himself, and which machines edited each name.
    """
    machines, rng, written = swarm.started(3, own_files), swarm.rng, set[bytes]()
    editors: dict[str, set[str]] = {}
    for n in range(3):
        written.update(own_files(n).values())
    for step in range(25):
        machine = rng.choice(machines)
        match rng.randrange(6):
            case 0 | 1:
                content = b"edit %d" % step
                name = rng.choice(["shared.txt", *sorted(machine.files())[:3]])
                if name in machine.files():
                    written.discard(machine.files()[name])  # overwritten by a person who had seen it
                    machine.folder.edit(name, content)
                else:
                    machine.folder.put(name, content)
                written.add(content)
                editors.setdefault(name, set()).add(machine.ip)
            case 2:
                if machine.is_running:
                    machine.kill()
            case 3:
                if not machine.is_running:
                    machine.start()
            case 4:
                swarm.network.partition({machine.ip})
            case _:
                swarm.network.heal()
        swarm.rest(rng.choice([0.05, 1.0, 7.0]))
    return written, editors


def test_a_good_source_is_found_behind_more_dead_ones_than_a_tracker_tells(tmp_path: Path) -> None:
    with cluster(tmp_path) as swarm:
        host = swarm.network.host("10.0.0.99")
        for number in range(3 * ALSO_MAX):  # they came first, announce the file, and are there no more
            gevent.spawn(_pretend, host.dial(TRACKER), 3000 + number)
        swarm.rest(1)
        good, guest = swarm.machine({"a.txt": b"hello"}), swarm.machine()
        good.start(), guest.start()
        swarm.wait_until(lambda: guest.files() == {"a.txt": b"hello"}, within_s=600)


def _pretend(stream: Stream, port: int) -> None:
    """Announce a file, keep the connection, and serve nothing."""
    with stream:
        stream.send(b'{\t"port":%d,"files":[{"name":"a.txt","mtime":1000000}]}\n' % port)
        while stream.receive(65536):
            gevent.sleep(5)
            stream.send(b'{"port":%d}\n' % port)


def test_once_does_not_end_between_two_parts_of_a_long_plan(tmp_path: Path) -> None:
    files = {f"{number:04}.txt": b"%d" % number for number in range(3 * PLANNED_AT_A_TIME)}
    already_here = dict(sorted(files.items())[: 2 * PLANNED_AT_A_TIME])
    with cluster(tmp_path) as swarm:
        origin, guest = swarm.machine(files), swarm.machine(already_here)
        origin.start()
        swarm.rest(1)
        guest.start(once=True)
        swarm.wait_until(lambda: not guest.is_running)
        assert guest.files() == files
        assert guest.summary is not None
        assert (guest.summary.fetched, guest.summary.left) == (PLANNED_AT_A_TIME, 0)
