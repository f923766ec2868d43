"""The tracker inside a peer: when it is hosted, and when it is taken over."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gsync.cli.embedded import PROBE_S, EmbeddedTracker, Record, runtime_directory
from gsync.core.names import Endpoint
from gsync.errors import ConnectFailed
from gsync.net.memory import MemoryHost, MemoryNetwork
from gsync.net.simulation import World, simulated
from gsync.net.transport import Stream

HERE = "192.0.2.1"
TRACKER = Endpoint(HERE, 9000)


class Machine:
    """One machine with a runtime directory, on which peers come and go."""

    def __init__(self, world: World, runtime: Path) -> None:
        self.world = world
        self.runtime = runtime
        self.network = MemoryNetwork(rng=random.Random(1))
        self.host: MemoryHost = self.network.host(HERE)
        self.said: list[str] = []
        self.peers: list[EmbeddedTracker] = []

    def peer(self, *, tracker: Endpoint = TRACKER, runtime: Path | None = None, network: Any = None) -> EmbeddedTracker:
        self.peers.append(
            EmbeddedTracker(
                network=network or self.host,
                clock=self.world.clock,
                endpoint=tracker,
                runtime=runtime or self.runtime,
                say=self.said.append,
            )
        )
        return self.peers[-1]

    @property
    def records(self) -> list[str]:
        return sorted(path.name for path in self.runtime.iterdir())

    def answers(self) -> bool:
        """Whether a tracker answers there."""
        try:
            with self.host.dial(TRACKER) as stream:
                stream.send(b'{"port":2000,"files":[]}\n')
                return bool(json.loads(stream.receive(1000)) == {})
        except ConnectFailed:
            return False


def leave_a_record(machine: Machine, tracker: Endpoint = TRACKER) -> None:
    """As a holder does that has ended."""
    record = Record(machine.runtime, tracker)
    assert record.hold()
    record.release()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with simulated() as world:
        machine = Machine(world, tmp_path)
        yield machine
        for peer in machine.peers:
            peer.close()


def test_where_nobody_listens_at_our_own_address_the_peer_hosts_the_tracker_and_says_so(machine: Machine) -> None:
    machine.peer().start_if_nobody_listens()
    assert machine.answers()
    assert machine.said == ["tracker 192.0.2.1:9000: no tracker answered, so this peer runs it"]
    assert machine.records == ["tracker-192.0.2.1-9000"]


def test_loopback_is_our_own_address_too(machine: Machine) -> None:
    machine.peer(tracker=Endpoint("127.0.0.1", 9000)).start_if_nobody_listens()
    assert len(machine.said) == 1


def test_a_tracker_elsewhere_is_none_of_our_business(machine: Machine) -> None:
    peer = machine.peer(tracker=Endpoint("192.0.2.2", 9000))
    leave_a_record(machine, Endpoint("192.0.2.2", 9000))
    peer.start_if_nobody_listens()
    peer.take_over()
    assert machine.said == []


def test_the_second_peer_uses_what_the_first_one_hosts(machine: Machine) -> None:
    machine.peer().start_if_nobody_listens()
    machine.peer().start_if_nobody_listens()
    assert len(machine.said) == 1
    assert machine.records == ["tracker-192.0.2.1-9000"]


def test_a_peer_that_looks_whether_somebody_listens_does_not_leave_without_a_word(machine: Machine) -> None:
    heard: list[bytes] = []

    def hear(stream: Stream) -> None:
        while data := stream.receive(1000):
            heard.append(data)

    listener = machine.host.listen(ip=HERE, port=9000, handler=hear, limit=10)
    machine.peer().start_if_nobody_listens()
    listener.close(grace_s=1.0)
    assert [json.loads(message) for message in heard] == [{"port": 9000}]
    assert machine.said == []


def test_one_who_does_not_answer_the_dial_counts_as_absent(machine: Machine) -> None:
    machine.network.silence(TRACKER)
    machine.peer().start_if_nobody_listens()
    assert machine.world.now_s == pytest.approx(PROBE_S)
    assert len(machine.said) == 1
    machine.network.unsilence(TRACKER)


def test_when_the_holder_ends_another_peer_takes_over_and_says_so(machine: Machine) -> None:
    first, second = machine.peer(), machine.peer()
    first.start_if_nobody_listens()
    second.start_if_nobody_listens()
    second.take_over()
    assert len(machine.said) == 1
    first.close()
    assert not machine.answers()
    second.take_over()
    assert machine.said[1:] == ["tracker 192.0.2.1:9000: its holder has ended, so this peer took it over"]
    assert machine.answers()


def test_only_one_of_many_takes_over(machine: Machine) -> None:
    first, *others = [machine.peer() for _ in range(4)]
    first.start_if_nobody_listens()
    first.close()
    for peer in others * 2:
        peer.take_over()
    assert len(machine.said) == 2


def test_it_is_handed_on_from_peer_to_peer(machine: Machine) -> None:
    peers = [machine.peer() for _ in range(4)]
    peers[0].start_if_nobody_listens()
    for earlier, later in pairwise(peers):
        earlier.close()
        later.take_over()
        assert machine.answers()
    assert len(machine.said) == 4


def test_without_a_record_nothing_is_taken_over(machine: Machine) -> None:
    machine.peer().take_over()
    assert machine.said == []
    assert machine.records == []


def test_a_tracker_whose_holder_lives_is_not_taken_over(machine: Machine) -> None:
    holder = Record(machine.runtime, TRACKER)
    assert holder.hold()
    machine.peer().take_over()
    assert machine.said == []
    holder.release()


def test_a_tracker_that_a_person_started_is_not_replaced_behind_his_back(machine: Machine) -> None:
    gone = machine.peer()
    gone.start_if_nobody_listens()
    gone.close()
    person = machine.host.listen(ip=HERE, port=9000, handler=lambda stream: None, limit=10)
    peer = machine.peer()
    peer.start_if_nobody_listens()
    assert machine.records == []
    person.close()
    peer.take_over()
    assert len(machine.said) == 1


def test_somebody_who_was_quicker_keeps_it_and_the_record_is_let_go(machine: Machine) -> None:
    leave_a_record(machine)
    quicker = machine.host.listen(ip=HERE, port=9000, handler=lambda stream: None, limit=10)
    machine.peer().take_over()
    assert machine.said == []
    again = Record(machine.runtime, TRACKER)
    assert again.hold_if_left()
    again.release()
    quicker.close()


def test_the_record_outlives_its_holder_unlocked(machine: Machine) -> None:
    peer = machine.peer()
    peer.start_if_nobody_listens()
    other = Record(machine.runtime, TRACKER)
    assert not other.hold()
    assert not other.hold_if_left()
    peer.close()
    assert machine.records == ["tracker-192.0.2.1-9000"]
    assert other.hold_if_left()
    other.release()


def test_closing_twice_is_closing_once(machine: Machine) -> None:
    peer = machine.peer()
    peer.close()
    peer.start_if_nobody_listens()
    peer.close()
    peer.close()
    assert not machine.answers()


def test_where_no_record_can_be_kept_the_tracker_is_hosted_but_never_taken_over(machine: Machine) -> None:
    missing = machine.runtime / "missing"
    first, second = machine.peer(runtime=missing), machine.peer(runtime=missing)
    first.start_if_nobody_listens()
    assert machine.answers()
    first.close()
    second.take_over()
    assert not machine.answers()


class Forbidding:
    """A machine on which this user may not listen at that port."""

    def __init__(self, host: MemoryHost) -> None:
        self._host = host

    def listen(self, **where: object) -> object:
        raise ConnectFailed("permission denied")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)


def test_a_port_at_which_this_user_may_not_listen_is_no_reason_to_end(machine: Machine) -> None:
    peer = machine.peer(network=Forbidding(machine.host))
    peer.start_if_nobody_listens()
    assert machine.said == []
    leave_a_record(machine)
    peer.take_over()
    assert machine.said == []


def test_a_planted_link_is_no_record(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    (runtime / "tracker-192.0.2.1-9000").symlink_to(victim)
    record = Record(runtime, TRACKER)
    assert not record.hold()
    assert not record.hold_if_left()
    record.remove_if_unheld()
    assert victim.read_text() == "mine"


def test_a_record_names_its_holder_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    record = Record(tmp_path, Endpoint("2001:db8::1", 9000))
    assert record.hold()
    (path,) = tmp_path.iterdir()
    assert path.name == "tracker-2001_db8__1-9000"
    assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert record.hold()
    record.release()
    record.release()


def test_the_runtime_directory_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    directory = runtime_directory()
    assert directory == tmp_path / "gsync"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert runtime_directory() == directory


def test_a_runtime_directory_that_others_can_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "gsync").mkdir()
    (tmp_path / "gsync").chmod(0o770)
    assert runtime_directory() is None


def test_a_runtime_directory_that_is_a_link_or_a_file_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "gsync").symlink_to(tmp_path / "elsewhere")
    assert runtime_directory() is None
    (tmp_path / "gsync").unlink()
    (tmp_path / "gsync").write_text("")
    assert runtime_directory() is None
