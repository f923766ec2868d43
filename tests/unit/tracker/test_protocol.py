"""Each sentence of PROTOCOL.md's "Tracker" is a test here, in its order."""

from __future__ import annotations

import json
from typing import Any

import gevent
import pytest

from gsync.core.names import Endpoint
from gsync.net.memory import MemoryHost
from gsync.net.transport import Listener, Stream, StreamHandler
from gsync.tracker import responses as responses_module
from gsync.tracker.responses import ENCODINGS_MAX
from tests.unit.tracker.world import Caller, swarm


def entry(number: int, mtime: int, *, port: int = 9000) -> dict[str, object]:
    return {"ip": f"192.0.2.{number}", "port": port, "mtime": mtime}


class Recorder:
    """A network that writes down how it was asked to listen, and each write of the tracker."""

    def __init__(self, host: MemoryHost) -> None:
        self.host = host
        self.writes: list[bytes] = []
        self.options: dict[str, Any] = {}

    def listen(self, *, handler: StreamHandler, **options: Any) -> Listener:
        self.options = options
        return self.host.listen(handler=lambda stream: handler(self.recorded(stream)), **options)

    def recorded(self, stream: Stream) -> Any:
        recorder = self

        class Recorded:
            def __getattr__(self, name: str) -> Any:
                return getattr(stream, name)

            def send(self, data: bytes) -> None:
                recorder.writes.append(bytes(data))
                stream.send(data)

        return Recorded()


@pytest.fixture
def recorders() -> list[Recorder]:
    return []


def test_json_arrives_in_any_pieces() -> None:
    with swarm() as world:
        peer = world.caller()
        message = json.dumps({"port": 9000, "files": [{"name": 'q"{[\\é😀', "mtime": 5}]}, ensure_ascii=False).encode()
        for place in range(len(message)):
            peer.say(message[place : place + 1])
            world.later(0.01)
        assert peer.answer() == {'q"{[\\é😀': entry(2, 5)}


def test_several_objects_come_glued() -> None:
    with swarm() as world:
        peer = world.caller()
        peer.say(b'{"port":9000}{"port":9000,"files":[{"name":"a","mtime":5}]}\n\n {"port":9000}')
        assert [peer.answer() for _ in range(3)] == [{}, {"a": entry(2, 5)}, {"a": entry(2, 5)}]


def test_one_answer_per_message_and_none_unasked() -> None:
    with swarm() as world:
        listening, speaking = world.caller(2), world.caller(3)
        listening.announce({"a": 5})
        speaking.announce({"b": 5})
        speaking.leave()
        assert listening.hears_nothing()
        assert listening.keepalive() == {"a": entry(2, 5)}
        assert listening.hears_nothing()


def test_an_answer_is_one_write(recorders: list[Recorder]) -> None:
    with swarm(through=lambda host: recorders.append(Recorder(host)) or recorders[0]) as world:
        peer = world.caller()
        peer.announce({f"file {number}": 5 for number in range(300)})
        peer.keepalive()
        assert len(recorders[0].writes) == 2
        assert all(len(json.loads(write)) == 300 for write in recorders[0].writes)


def test_answers_are_compact_ascii_json_and_end_in_a_newline() -> None:
    with swarm() as world:
        peer = world.caller()
        peer.say({"port": 9000, "files": [{"name": "käse", "mtime": 5}]})
        assert peer.raw() == b'{"k\\u00e4se":{"ip":"192.0.2.2","port":9000,"mtime":5}}\n'


def test_no_top_level_key_is_anything_but_a_file() -> None:
    with swarm() as world:
        peer = world.caller()
        assert peer.keepalive() == {}
        peer.say(b'{\t"port":9000,"files":[{"name":"a","mtime":5}]}')
        assert peer.answer().keys() == {"a"}


def test_extra_keys_inside_an_entry_are_numbers_and_strings_only() -> None:
    with swarm() as world:
        peers = [world.caller(number) for number in (2, 3, 4)]
        for peer in peers:
            peer.say(b'{\t"port":9000,"files":[{"name":"a","mtime":5}]}')
            said = peer.answer()
        assert said["a"].keys() == {"ip", "port", "mtime", "gsync", "also"}
        assert all(isinstance(value, int | str) for value in said["a"].values())


def test_only_peers_that_began_with_a_tab_are_answered_with_one() -> None:
    with swarm() as world:
        ours, other = world.caller(2), world.caller(3)
        ours.say(b'{\t"port":9000,"files":[]}')
        other.say(b'{"port":9000,"files":[]}')
        assert ours.raw() == b"{\t}\n"
        assert other.raw() == b"{}\n"
        ours.say(b'{"port":9000}')
        assert ours.raw() == b"{\t}\n"


def test_a_length_that_is_a_multiple_of_8192_is_padded_with_one_blank_before_the_newline() -> None:
    with swarm() as world:
        peer = world.caller()
        one = len(b'"":{"ip":"192.0.2.2","port":9000,"mtime":5},')
        names = [f"{number:03}" + "n" * (201 - one) for number in range(40)]  # 204 bytes an entry, 8162 in all
        peer.announce(dict.fromkeys(names, 5))
        missing = 8191 - len(peer_raw(peer))
        names[-1] += "n" * missing
        peer.announce(dict.fromkeys(names, 5))
        assert len(peer_raw(peer)) == 8191
        names[-1] += "n"
        peer.announce(dict.fromkeys(names, 5))
        padded = peer_raw(peer)
        assert len(padded) == 8193
        assert padded.endswith(b"}} \n")


def peer_raw(peer: Caller) -> bytes:
    peer.say({"port": 9000})
    return peer.raw()


def test_a_reader_of_2048_bytes_gets_as_many_entries_as_compactness_allows() -> None:
    with swarm() as world:
        peer = world.caller()
        peer.announce({f"file-{number:02}.txt": 1_700_000_000 for number in range(30)})
        assert len(peer_raw(peer)) <= 2048


def test_mtimes_are_floored_and_never_rounded() -> None:
    with swarm() as world:
        assert world.caller().announce({"a": 5.999, "b": 5.0}) == {"a": entry(2, 5), "b": entry(2, 5)}


def test_the_larger_mtime_wins() -> None:
    with swarm() as world:
        older, newer, oldest = world.caller(2), world.caller(3), world.caller(4)
        older.announce({"a": 5})
        assert newer.announce({"a": 6}) == {"a": entry(3, 6)}
        assert oldest.announce({"a": 4}) == {"a": entry(3, 6)}


def test_an_equal_mtime_does_not_replace_but_counts_as_one_more_holder() -> None:
    with swarm() as world:
        first, second = world.caller(2), world.caller(3)
        first.announce({"a": 5})
        second.announce({"a": 5})
        assert first.keepalive() == {"a": entry(2, 5)}
        first.leave()
        world.later(0.1)
        assert second.keepalive() == {"a": entry(3, 5)}


def test_a_second_initial_on_a_connection_replaces_the_peers_list() -> None:
    with swarm() as world:
        peer = world.caller()
        peer.announce({"a": 5, "b": 5})
        assert peer.announce({"b": 6, "c": 5}, port=9001) == {"b": entry(2, 6, port=9001), "c": entry(2, 5, port=9001)}


def test_the_port_of_a_keepalive_says_nothing() -> None:
    with swarm() as world:
        peer = world.caller()
        peer.announce({"a": 5})
        for port in (12345, 0, -1, "x", None, [], 1e308):
            assert peer.ask({"port": port}) == {"a": entry(2, 5)}
        assert peer.ask({}) == {"a": entry(2, 5)}


def test_a_peer_is_dropped_as_soon_as_its_connection_closes() -> None:
    with swarm() as world:
        leaving, staying = world.caller(2), world.caller(3)
        leaving.announce({"a": 5})
        leaving.leave()
        world.later(0.01)
        assert staying.keepalive() == {}


def test_a_peer_is_dropped_as_soon_as_its_connection_breaks() -> None:
    with swarm() as world:
        leaving, staying = world.caller(2), world.caller(3)
        leaving.announce({"a": 5})
        leaving.stream.reset()
        world.later(0.01)
        assert staying.keepalive() == {}


@pytest.mark.parametrize(("age_s", "there"), [(179.0, True), (181.0, False)])
def test_a_peer_is_dropped_180_s_after_its_last_word(age_s: float, there: bool) -> None:
    with swarm() as world:
        silent = world.caller(2)
        silent.announce({"a": 5})
        world.later(100.0)
        silent.keepalive()
        world.later(age_s)
        assert world.caller(3).keepalive() == ({"a": entry(2, 5)} if there else {})
        assert silent.is_closed() is not there


def test_a_live_peer_may_be_silent_for_minutes_while_it_fetches() -> None:
    with swarm() as world:
        peer = world.caller()
        peer.announce({"a": 5})
        world.later(170.0)
        assert peer.keepalive() == {"a": entry(2, 5)}


def test_pieces_of_a_message_are_not_a_word() -> None:
    with swarm() as world:
        peer = world.caller()
        peer.announce({"a": 5})
        peer.say(b'{"port"')
        for _ in range(20):
            world.later(10.0)
            if peer.stream.is_readable():
                break
            peer.say(b" ")
        assert peer.is_closed()
        assert world.world.now_s == pytest.approx(180.0, abs=11.0)


def test_hosts_that_are_gone_are_found_by_tcp_keepalive(recorders: list[Recorder]) -> None:
    with swarm(through=lambda host: recorders.append(Recorder(host)) or recorders[0]):
        assert recorders[0].options["alive_probes"] is True


@pytest.mark.parametrize(
    "bad",
    [
        b'{"name":"\\ud800","mtime":5}',
        b'{"name":"b","mtime":NaN}',
        b'{"name":"b","mtime":true}',
        b'{"name":"b","mtime":"5"}',
        b'{"name":"../b","mtime":5}',
        b'{"name":"k\xe4se","mtime":5}',
        b'{"name":5}',
        b"7",
    ],
)
def test_a_bad_entry_is_skipped_with_a_reason_and_never_closed_for(
    bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with swarm() as world:
        peer = world.caller()
        peer.say(b'{"port":9000,"files":[{"name":"a","mtime":5},' + bad + b"]}")
        assert peer.answer() == {"a": entry(2, 5)}
        assert peer.keepalive() == {"a": entry(2, 5)}
    [line] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("entry.refused remote=192.0.2.2:")
    assert " name=" in line
    assert " reason=" in line


def test_an_encoding_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with swarm() as world:
        peer = world.caller()
        peer.announce({"a": 5})
        monkeypatch.setattr(responses_module, "ended", None)  # nothing is encoded from here on
        assert peer.keepalive() == {"a": entry(2, 5)}


def test_holders_of_one_version_are_spread_over_the_askers_and_each_keeps_its_own_until_that_leaves() -> None:
    with swarm() as world:
        holders = [world.caller(number) for number in (2, 3)]
        for holder in holders:
            holder.announce({"a": 5})
        askers = [world.caller(number) for number in range(10, 18)]
        told = [asker.keepalive()["a"]["ip"] for asker in askers]
        assert set(told) == {"192.0.2.2", "192.0.2.3"}
        world.caller(4).announce({"a": 5})
        assert [asker.keepalive()["a"]["ip"] for asker in askers] == told
        holders[0].leave()
        world.later(0.01)
        again = [asker.keepalive()["a"]["ip"] for asker in askers]
        assert all(new == old for new, old in zip(again, told, strict=True) if old == "192.0.2.3")
        assert "192.0.2.2" not in again


def test_at_most_eight_encodings_are_kept() -> None:
    with swarm() as world:
        for number in range(20):
            world.caller(number + 2).say(b'{\t"port":9000,"files":[]}' if number // 4 % 2 else b'{"port":9000}')
        world.later(1.0)
        assert len(world.tracker._responses._encoded) == ENCODINGS_MAX == 8


def test_a_response_equals_the_last_when_nothing_has_changed() -> None:
    with swarm() as world:
        peer = world.caller()
        peer.announce({"a": 5, "b": 6})
        assert peer_raw(peer) == peer_raw(peer)


# From "Tracker link"


def test_a_peers_ip_is_what_its_connection_shows() -> None:
    with swarm() as world:
        peer = world.caller(7)
        peer.say({"ip": "203.0.113.1", "port": 9000, "files": [{"name": "a", "mtime": 5, "ip": "203.0.113.1"}]})
        assert peer.answer() == {"a": entry(7, 5)}


def test_a_peer_over_loopback_is_named_by_the_address_at_which_the_others_reached_the_tracker() -> None:
    with swarm() as world:
        neighbour, other = world.neighbour(), world.caller(2)
        assert neighbour.announce({"a": 5}) == {"a": {"ip": "127.0.0.1", "port": 9000, "mtime": 5}}
        assert other.keepalive() == {"a": {"ip": "192.0.2.1", "port": 9000, "mtime": 5}}
        assert world.neighbour().keepalive() == {"a": {"ip": "127.0.0.1", "port": 9000, "mtime": 5}}


def test_a_keepalive_before_an_initial_is_answered() -> None:
    with swarm() as world:
        world.caller(2).announce({"a": 5})
        assert world.caller(3).keepalive() == {"a": entry(2, 5)}


def test_messages_are_taken_with_and_without_a_newline() -> None:
    with swarm() as world:
        peer = world.caller()
        for end in (b"\n", b"", b"\r\n", b" \n"):
            assert peer.ask(b'{"port":9000}' + end) == {}


def test_every_peer_of_a_crowd_is_told_everything() -> None:
    with swarm() as world:
        crowd = [world.caller(number) for number in range(2, 52)]
        gevent.joinall([gevent.spawn(peer.announce, {f"f{number}": 5}) for number, peer in enumerate(crowd)])
        assert all(len(peer.keepalive()) == 50 for peer in crowd)
        assert world.listener.endpoint == Endpoint("0.0.0.0", 9000)
