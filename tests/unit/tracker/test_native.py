"""What a native peer says to the tracker and is told by it: going native, joining, changes and when they come, leaving."""

from __future__ import annotations

import gevent
import msgspec.structs
import pytest

from gsync.core.blocks import digest_of_bytes
from gsync.core.model import Kind, Record
from gsync.core.names import RelPath
from gsync.core.registry import Registry
from gsync.core.versions import Version
from gsync.errors import ConnectionBroken
from gsync.net.memory_stream import PIPE_BYTES
from gsync.tracker import backlog as backlog_module
from gsync.tracker.events import PeerJoined, PeerLeft
from gsync.tracker.session import LOCATED_MAX
from gsync.tracker.telling import GATHER_S, HELD_S, HOLDERS_S, QUIET_S
from gsync.wire.frames import frame
from gsync.wire.native import (
    PIECE_BYTES,
    Ack,
    Alive,
    Announce,
    Delta,
    Join,
    Locate,
    Located,
    Peers,
    Resync,
    Same,
    Snapshot,
    Welcome,
    Withdraw,
    header,
)
from gsync.wire.records import WireRecord, wire_record
from tests.unit.tracker.world import Caller, NativeCaller, Swarm, swarm

DIGEST = digest_of_bytes(b"content")


def record(name: str = "a", *, mtime: int = 5, deleted: bool = False, **counters: int) -> Record:
    return Record(
        path=RelPath.parse(name),
        kind=Kind.FILE,
        version=Version.from_vector({**counters, "mtime": mtime}),
        digest="" if deleted else DIGEST,
        deleted=deleted,
    )


def joined(world: Swarm, number: int, *records: Record) -> NativeCaller:
    peer = world.native(number)
    peer.join(*records)
    peer.hear()
    return peer


def dead(caller: Caller) -> bool:
    try:
        return caller.is_closed()
    except ConnectionBroken:
        return True


# Going native


def test_two_tabs_are_answered_with_two_tabs_and_an_empty_directory() -> None:
    with swarm() as world:
        world.caller(3).announce({"a": 5})
        peer = world.native()
        peer.say(b'{\t\t"port":9000,"files":[{"name":"b","mtime":5}]}\n')
        assert peer.raw() == b"{\t\t}\n"
        assert world.caller(4).keepalive().keys() == {"a"}


def test_one_tab_stays_classic_whatever_comes_after_it() -> None:
    with swarm() as world:
        peer = world.native()
        peer.say(b'{\t"port":9000,"files":[]}\n')
        assert peer.raw() == b"{\t}\n"
        peer.say(b"\0")
        assert dead(peer)


def test_a_tracker_that_does_not_speak_native_takes_two_tabs_for_one() -> None:
    with swarm(speaks_native=False) as world:
        peer = world.native()
        peer.say(b'{\t\t"port":9000,"files":[{"name":"b","mtime":5}]}\n')
        assert peer.raw() == b'{\t"b":{"ip":"192.0.2.2","port":9000,"mtime":5,"gsync":1}}\n'


def test_what_was_outstanding_is_answered_before_the_nul_and_frames_may_follow_at_once() -> None:
    with swarm() as world:
        peer = world.native()
        peer.say(b'{\t\t"port":9000,"files":[]}\n')
        assert peer.answer_bytes() == b"{\t\t}"
        peer.say(b'{"port":9000}\n{"port":9000}\0' + frame(header(Join(author="x"))))
        start = b"{\t\t}\n{\t\t}\n\0" + frame(header(Welcome(epoch="epoch", seq=0)))
        assert peer.raw().startswith(start)


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_bytes_may_be_cut_anywhere(step: int) -> None:
    with swarm() as world:
        peer = world.native()
        peer.say(b'{\t\t"port":9000,"files":[]}\n')
        peer.answer_bytes()
        said = b'{"port":9000}\n\0' + b"".join(
            frame(header(message)) for message in (Join(author="x"), Announce(), Alive(seq=0, digest=""))
        )
        for start in range(0, len(said), step):
            peer.say(said[start : start + step])
            world.later(0.01)
        told = peer.raw().partition(b"\0")[2]
        assert list(dict.fromkeys(type(message) for message in peer.take(told))) == [Welcome, Peers, Snapshot, Ack]


GARBAGE = [
    b'{"port":\0',
    b"\0\0\0\0\0",
    b"\0\xff\xff\xff\xff",
    b"\0" + frame(b"{}"),
    b"\0" + frame(b'{"t":"welcome","epoch":"","seq":0}'),
    b"\0" + frame(header(Alive(seq=0, digest=""))),
    b"\0" + frame(header(Join(author="x"))) * 2,
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_nonsense_costs_its_sender_the_connection_and_nobody_else_anything(garbage: bytes) -> None:
    with swarm() as world:
        honest = joined(world, 2, record())
        stranger = world.native(3)
        stranger.say(b'{\t\t"port":9000,"files":[]}\n')
        stranger.answer_bytes()
        stranger.say(garbage)
        world.later(0.1)
        stranger.raw()
        assert dead(stranger)
        honest.tell(Alive(seq=0, digest=""))
        honest.hear()
        assert honest.of(Ack)


def test_a_native_peer_tells_where_it_serves() -> None:
    with swarm() as world:
        peer = world.native()
        peer.say(b'{\t\t"port":"x","files":[]}\n')
        assert peer.answer_bytes() == b"{\t\t}"
        peer.say(b"\0")
        peer.raw()
        assert dead(peer)


# Joining


def test_who_joins_is_welcomed_told_who_is_who_and_told_everything() -> None:
    with swarm() as world:
        joined(world, 2, record("a", x=1), record("d/b", x=1))
        peer = joined(world, 3)
        (welcome, peers, *_), (snapshot,) = peer.heard, peer.of(Snapshot)
        assert welcome == Welcome(epoch="epoch", seq=1)
        assert isinstance(peers, Peers)
        assert {row.ip: (row.port, row.speaks) for row in peers.peers} == {
            "192.0.2.2": (9000, 2),
            "192.0.2.3": (9000, 2),
        }
        assert snapshot.last
        assert peer.records().keys() == {"a", "d/b"}
        assert peer.holders("a") == {"192.0.2.2"}


def test_an_empty_directory_is_a_snapshot_too() -> None:
    with swarm() as world:
        peer = world.native()
        peer.join()
        peer.hear()
        assert peer.is_whole
        assert peer.of(Snapshot) == [Snapshot(seq=0, held=[], last=True)]


def test_a_large_directory_comes_in_pieces_that_are_not_too_long() -> None:
    with swarm() as world:
        names = [f"folder-{number % 7}/{number:06}-{'x' * 40}" for number in range(1500)]
        joined(world, 2, *[record(name) for name in names])
        peer = joined(world, 3)
        pieces = peer.of(Snapshot)
        assert len(pieces) > 3
        assert all(PIECE_BYTES / 2 < len(header(piece)) <= PIECE_BYTES for piece in pieces[:-1])
        assert {piece.seq for piece in pieces} == {pieces[0].seq}
        assert peer.records().keys() == set(names)


@pytest.mark.parametrize("is_top", [True, False])
def test_who_claims_just_what_is_told_is_told_so_and_holds_it(is_top: bool) -> None:
    with swarm() as world:
        name = "a" if is_top else "d/a"
        other = joined(world, 2, record(name, x=1), record("gone", x=1, deleted=True))
        peer = world.native(3)
        peer.negotiate()
        peer.tell(Join(author="x", digest=other.digest))
        came = peer.hear()
        assert [type(one) for one in came[:3]] == [Welcome, Peers, Same]
        assert not peer.of(Snapshot)
        assert came[2] == Same(
            seq=other.seq, holders=[next(row.n for row in other.rows.values() if row.ip == "192.0.2.2")]
        )
        other.hear()
        assert other.holders(name) == {"192.0.2.2", "192.0.2.3"}
        assert [type(event) for event in world.events] == [PeerJoined, PeerJoined]
        assert isinstance(world.events[1], PeerJoined)
        assert world.events[1].files == 2
        other.leave()
        assert joined(world, 4).records().keys() == {name, "gone"}


@pytest.mark.parametrize("others", [0, 1])
def test_who_claims_something_else_is_told_everything(others: int) -> None:
    with swarm() as world:
        for number in range(others):
            joined(world, 2 + number, record("a", x=1))
        peer = world.native(9)
        peer.negotiate()
        peer.tell(Join(author="x", digest="0123456789abcdef"))
        peer.hear()
        assert peer.is_whole
        assert not peer.of(Same)


def test_nobody_is_told_the_same_while_nobody_else_has_it_all() -> None:
    with swarm() as world:
        joined(world, 2, record("a", x=1))
        other = joined(world, 3, record("b", x=1))
        peer = world.native(4)
        peer.negotiate()
        peer.tell(Join(author="x", digest=other.digest))
        peer.hear()
        assert peer.is_whole
        assert not peer.of(Same)


def test_what_changes_while_it_is_noted_who_holds_all_is_to_be_announced_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with swarm() as world:
        other = joined(world, 2, record("a", x=1))
        peer = world.native(3)
        peer.negotiate()
        monkeypatch.setattr(Registry, "hold_all", lambda *_, **__: 0)
        peer.tell(Join(author="x", digest=other.digest))
        assert [type(one) for one in peer.hear()] == [Welcome, Peers, Same, Resync]
        assert len(world.events) == 1
        peer.announce_records(record("a", x=1), is_all=True)
        other.hear()
        assert other.holders("a") == {"192.0.2.2", "192.0.2.3"}
        assert len(world.events) == 2


def test_its_name_is_told_to_others() -> None:
    with swarm() as world:
        other = joined(world, 2)
        peer = world.native(3, port=9003)
        peer.join(author="x", name="anna")
        other.hear()
        assert [(row.ip, row.port, row.name) for row in other.rows.values()] == [
            ("192.0.2.2", 9000, ""),
            ("192.0.2.3", 9003, "anna"),
        ]


def test_a_peer_on_the_trackers_machine_is_told_without_address() -> None:
    with swarm() as world:
        here = world.native_neighbour()
        here.join(record("a"))
        peer = joined(world, 2)
        assert peer.holders("a") == {""}


def test_people_are_told_who_joins_when_it_has_told_everything() -> None:
    with swarm() as world:
        peer = world.native(2)
        peer.negotiate({"classic": 5})
        peer.tell(Join(author="x"))
        peer.announce_records(record("a"), record("b"))
        world.later(0.1)
        assert world.events == []
        peer.announce_records(record("c"), is_all=True)
        peer.announce_records(is_all=True)
        peer.hear()
        remote = peer.stream.local
        told = PeerJoined(remote=remote, port=9000, files=3, knows_gsync=True, speaks_native=True)
        assert world.events == [told]
        peer.leave()
        world.later(0.1)
        assert world.events[1:] == [PeerLeft(remote=remote, reason="it closed the connection")]


# Telling


def test_a_change_after_a_quiet_time_is_told_at_once() -> None:
    with swarm() as world:
        author, other = joined(world, 2, record("a", x=1)), joined(world, 3)
        world.later(QUIET_S)
        before = world.world.now_s
        author.announce_records(record("a", x=2, mtime=6))
        other.stream.receive(1)
        assert world.world.now_s - before < 0.005


def test_changes_that_come_thick_are_gathered() -> None:
    with swarm() as world:
        author, other = joined(world, 2), joined(world, 3)
        other.heard.clear()
        for number in range(100):
            author.announce_records(record(f"{number}", x=1))
            world.later(0.01)
        other.hear()
        deltas = other.of(Delta)
        assert 1.0 / GATHER_S * 0.7 <= len(deltas) <= 1.0 / GATHER_S + 2
        assert len(other.records()) == 100
        assert [held.r.p for delta in deltas for held in delta.held] == [f"{number}" for number in range(100)]


def test_what_was_announced_together_is_told_together() -> None:
    with swarm() as world:
        author, other = joined(world, 2, record("old", x=1)), joined(world, 3)
        other.heard.clear()
        moved = msgspec.structs.replace(record("new", x=1), moved_from=RelPath.parse("old"))
        author.announce_records(record("old", x=2, mtime=6, deleted=True), moved)
        other.hear()
        (delta,) = other.of(Delta)
        assert [held.r.p for held in delta.held] == ["old", "new"]


def test_a_change_in_several_pieces_is_told_when_the_last_one_is_here() -> None:
    with swarm() as world:
        author, other = joined(world, 2, record("old", x=1)), joined(world, 3)
        other.heard.clear()
        author.tell(Announce(records=[wire_record(record("old", x=2, mtime=6, deleted=True))], more=True))
        other.hear(within_s=HELD_S / 2)
        assert other.of(Delta) == []
        author.tell(Announce(records=[wire_record(record("new", x=1))]))
        other.hear()
        (delta,) = other.of(Delta)
        assert [held.r.p for held in delta.held] == ["old", "new"]


def test_a_change_that_takes_minutes_to_come_is_told_whole_and_holds_nobody_else_up() -> None:
    with swarm() as world:
        author, editor, other = joined(world, 2, record("old", x=1)), joined(world, 3), joined(world, 4)
        other.heard.clear()
        author.tell(Announce(records=[wire_record(record("old", x=2, mtime=6, deleted=True))], more=True))
        for turn in range(4):
            world.later(0.9 * HELD_S)
            editor.announce_records(record(f"edit-{turn}", y=1))
            other.hear(within_s=2 * GATHER_S)
            assert [held.r.p for delta in other.of(Delta) for held in delta.held] == [f"edit-{turn}"]
            other.heard.clear()
            author.tell(Announce(records=[wire_record(record(f"new-{turn}", x=1))], more=True))
        author.tell(Announce(records=[wire_record(record("new", x=1))]))
        other.hear()
        (delta,) = other.of(Delta)
        assert [held.r.p for held in delta.held] == ["old", *(f"new-{turn}" for turn in range(4)), "new"]


def test_what_waits_for_the_rest_of_a_change_is_told_at_once_when_somebody_else_changes_it() -> None:
    with swarm() as world:
        author, editor, other = joined(world, 2), joined(world, 3), joined(world, 4)
        author.tell(Announce(records=[wire_record(record("a", x=1)), wire_record(record("b", x=1))], more=True))
        editor.announce_records(record("a", x=1, y=1, mtime=6))
        other.hear(within_s=2 * GATHER_S)
        assert other.records().keys() == {"a"}
        author.tell(Announce())
        other.hear()
        assert other.records().keys() == {"a", "b"}


def test_a_change_whose_rest_does_not_come_is_told_as_it_is_after_half_a_minute() -> None:
    with swarm() as world:
        author, other = joined(world, 2), joined(world, 3)
        other.heard.clear()
        author.tell(Announce(records=[wire_record(record("a", x=1))], more=True))
        world.later(HELD_S - QUIET_S)
        other.hear(within_s=QUIET_S / 2)
        assert other.of(Delta) == []
        world.later(2 * QUIET_S)
        other.hear(within_s=QUIET_S)
        assert other.records().keys() == {"a"}


def test_nobody_is_called_equal_while_a_part_of_a_change_waits_for_the_rest() -> None:
    with swarm() as world:
        author, other = joined(world, 2), joined(world, 3)
        author.tell(Announce(records=[wire_record(record("a", x=1))], more=True))
        world.later(QUIET_S)
        other.tell(Alive(seq=0, digest=""))
        other.hear(within_s=QUIET_S)
        assert [ack.digest for ack in other.of(Ack)] == [""]


def test_of_all_that_one_has_what_may_be_half_of_a_rename_is_told_with_the_end_and_the_rest_at_once() -> None:
    with swarm() as world:
        other, author = joined(world, 3), world.native(2)
        author.negotiate()
        author.tell(Join(author="x"))
        moved = msgspec.structs.replace(record("new", x=1), moved_from=RelPath.parse("old"))
        author.tell(Announce(records=[wire_record(one) for one in (record("other", x=1), moved)]))
        other.hear(within_s=2 * GATHER_S)
        assert other.records().keys() == {"other"}
        author.tell(Announce(records=[wire_record(record("old", x=2, mtime=6, deleted=True))], all=True))
        other.heard.clear()
        other.hear()
        (delta,) = other.of(Delta)
        assert [held.r.p for held in delta.held] == ["new", "old"]


def test_one_who_leaves_in_the_middle_of_a_change_holds_nobody_up() -> None:
    with swarm() as world:
        author, other = joined(world, 2), joined(world, 3)
        author.tell(Announce(records=[wire_record(record("a", x=1))], more=True))
        world.later(GATHER_S)
        other.announce_records(record("b", x=1))
        author.leave()
        other.hear(within_s=2 * QUIET_S)
        assert other.records().keys() == {"b"}


def test_a_long_change_is_told_in_deltas_that_say_that_more_comes() -> None:
    with swarm() as world:
        author, other = joined(world, 2), joined(world, 3)
        other.heard.clear()
        long = [wire_record(record(f"{number:04}".ljust(200, "x"), x=1)) for number in range(600)]
        author.tell(Announce(records=long[:300], more=True))
        author.tell(Announce(records=long[300:]))
        world.later(QUIET_S)
        other.hear()
        told = [delta.more for delta in other.of(Delta)]
        assert len(told) > 1
        assert told == [True] * (len(told) - 1) + [False]


def test_the_second_holder_is_told_and_the_author_hears_of_its_own_announcement() -> None:
    with swarm() as world:
        author, other = joined(world, 2, record("a", x=1)), joined(world, 3)
        other.announce_records(record("a", x=1))
        author.hear()
        assert author.holders("a") == {"192.0.2.2", "192.0.2.3"}


def test_a_further_holder_hears_nothing_of_itself_but_that_something_was_told() -> None:
    with swarm() as world:
        author, other = joined(world, 2, record("a")), joined(world, 3, record("b"))
        other.heard.clear()
        other.announce_records(record("a"))
        author.hear()
        assert author.holders("a") == {"192.0.2.2", "192.0.2.3"}
        other.hear()
        assert [(delta.held, delta.lost) for delta in other.of(Delta)] == [([], [])]
        assert (other.seq, other.digest) == (author.seq, author.digest)
        author.announce_records(record("b"))
        world.later(HOLDERS_S)
        joined(world, 4, record("a"), record("b"))
        other.hear()
        assert other.holders("a") == other.holders("b") == {"192.0.2.2", "192.0.2.3", "192.0.2.4"}


def test_further_holders_are_no_hurry() -> None:
    with swarm() as world:
        author = joined(world, 2, *[record(f"{number}") for number in range(20)])
        others = [joined(world, number) for number in (3, 4, 5)]
        author.heard.clear()
        began = world.world.now_s
        for number in range(20):
            for other in others:
                other.announce_records(record(f"{number}"))
                world.later(0.02)
        author.hear()
        took = world.world.now_s - began
        assert len(author.of(Delta)) <= took / HOLDERS_S + 2
        assert all(len(author.holders(f"{number}")) == 4 for number in range(20))


def test_withdrawing_the_last_one_loses_the_path_and_deletes_nothing() -> None:
    with swarm() as world:
        author, other = joined(world, 2, record("a"), record("b")), joined(world, 3)
        author.tell(Withdraw(paths=["a", "../x", "nothing"]))
        other.hear()
        assert other.records().keys() == {"b"}
        assert other.of(Delta)[-1].lost == ["a"]


def test_when_a_peer_leaves_what_only_it_had_is_lost_and_the_rest_stays() -> None:
    with swarm() as world:
        author, other = joined(world, 2, record("a", x=2, mtime=6), record("b")), joined(world, 3, record("a", x=1))
        third = joined(world, 4)
        author.leave()
        third.hear()
        assert third.records() == {"a": record("a", x=1)}
        assert third.holders("a") == {"192.0.2.3"}
        other.leave()
        third.hear()
        assert third.records() == {}


def test_a_peer_that_is_silent_for_too_long_is_forgotten() -> None:
    with swarm(expire_s=20.0) as world:
        silent, other = joined(world, 2, record("a")), joined(world, 3)
        for _ in range(5):
            other.tell(Alive(seq=other.seq, digest=other.digest))
            world.later(5.0)
        silent.raw()
        assert dead(silent)
        other.hear()
        assert other.records() == {}
        assert [event.reason for event in world.events if isinstance(event, PeerLeft)] == ["no message for 20 s"]


def test_a_tracker_that_starts_empty_deletes_nothing() -> None:
    with swarm() as world:
        joined(world, 2, record("a"), record("b", deleted=True))
        world.listener.close()
        world.listener = world.tracker.listen(ip="0.0.0.0", port=9000)
        peer = joined(world, 3)
        assert peer.records() == {}
        again = joined(world, 2, record("a"), record("b", deleted=True))
        peer.hear()
        assert peer.records() == again.records() == {"a": record("a"), "b": record("b", deleted=True)}


# Asking


def test_alive_is_answered_with_what_the_tracker_knows() -> None:
    with swarm() as world:
        peer = joined(world, 2, record("a"), record("d/b", x=1))
        peer.tell(Alive(seq=0, digest=""))
        peer.hear()
        assert peer.of(Ack) == [Ack(seq=peer.seq, digest=peer.digest)]
        assert peer.seq == 1


def test_a_digest_is_not_told_while_changes_are_about_to_be() -> None:
    with swarm() as world:
        peer, other = joined(world, 2, record("a", x=1)), joined(world, 3)
        other.announce_records(record("b"))
        world.later(0.01)
        other.announce_records(record("c"))
        peer.hear(within_s=0.02)
        peer.tell(Alive(seq=0, digest=""))
        peer.hear()
        assert peer.of(Ack) == [Ack(seq=2, digest="")]
        peer.tell(Alive(seq=0, digest=""))
        peer.hear()
        assert peer.of(Ack)[1:] == [Ack(seq=3, digest=peer.digest, lags=0)]


def test_who_asks_is_told_everything_again() -> None:
    with swarm() as world:
        peer = joined(world, 2, record("a"))
        peer.known = {}
        peer.tell(Resync())
        peer.hear()
        assert peer.records().keys() == {"a"}


def test_holders_are_told_to_who_asks() -> None:
    with swarm() as world:
        peers = [joined(world, number, record("a"), record("d/b")) for number in range(2, LOCATED_MAX + 10)]
        asker = peers[3]
        asker.tell(Locate(id=7, paths=["a", "../x", "nothing", "d/b"]))
        asker.hear()
        (located,) = asker.of(Located)
        assert located.id == 7
        assert [len(holders) for holders in located.holders] == [LOCATED_MAX, 0, 0, LOCATED_MAX]
        assert "192.0.2.5" not in {asker.rows[number].ip for number in located.holders[0]}


def test_a_question_is_not_longer_than_a_piece() -> None:
    with swarm() as world:
        peer = joined(world, 2)
        peer.tell(Locate(id=7, paths=["x" * 1000] * 64))
        peer.hear()
        peer.tell(Locate(id=7, paths=["x" * 1000] * 66))
        world.later(0.1)
        assert dead(peer)


# Bad records


def test_a_bad_record_costs_that_record(caplog: pytest.LogCaptureFixture) -> None:
    with swarm() as world:
        peer = joined(world, 2)
        peer.tell(
            Announce(
                records=[
                    WireRecord(p="good", v={"mtime": 5}, d=DIGEST),
                    WireRecord(p="../bad", v={"mtime": 5}, d=DIGEST),
                    WireRecord(p="hollow", v={"mtime": 5}),
                    WireRecord(p="gone", v={"mtime": 5}, gone=True),
                    WireRecord(p="dir", v={"mtime": 5}, k="directory"),
                ]
            )
        )
        peer.hear()
        assert peer.records().keys() == {"good", "gone", "dir"}
    assert "path='../bad' reason='..' is not a name" in caplog.text
    assert "path='hollow' reason=a file without a digest" in caplog.text


def test_bad_records_are_logged_one_by_one_up_to_a_few(caplog: pytest.LogCaptureFixture) -> None:
    with swarm() as world:
        peer = joined(world, 2)
        peer.tell(Announce(records=[WireRecord(p="../bad", v={})] * 100))
        peer.hear()
    lines = [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]
    assert len(lines) == 6
    assert lines[-1].endswith("count=100")


# Classic peers in the same swarm


def test_classic_askers_see_native_files_and_native_peers_see_classic_ones() -> None:
    with swarm() as world:
        classic = world.caller(7)
        classic.announce({"c": 5})
        peer = joined(world, 2, record("a", x=1), record("d/b", x=1), record("dead", deleted=True))
        assert peer.records()["c"] == Record(path=RelPath.parse("c"), kind=Kind.FILE, version=Version.from_mtime(5))
        assert peer.holders("c") == {"192.0.2.7"}
        assert classic.keepalive() == {
            "a": {"ip": "192.0.2.2", "port": 9000, "mtime": 5},
            "c": {"ip": "192.0.2.7", "port": 9000, "mtime": 5},
        }
        ours = world.caller(8)
        ours.say(b'{\t"port":9000,"files":[]}')
        assert ours.answer()["a"]["gsync"] == 2
        classic.announce({"a": 9})
        peer.hear()
        assert peer.records()["a"].version == Version.from_mtime(9)
        assert "c" not in peer.records()
        classic.leave()
        peer.hear()
        assert peer.records()["a"] == record("a", x=1)


def test_a_classic_peer_is_introduced_with_what_it_speaks() -> None:
    with swarm() as world:
        world.caller(7).announce({"a": 5})
        world.caller(8).say(b'{\t"port":9001,"files":[{"name":"b","mtime":5}]}')
        peer = joined(world, 2)
        assert {row.ip: (row.port, row.speaks) for row in peer.rows.values()} == {
            "192.0.2.7": (9000, 0),
            "192.0.2.8": (9001, 1),
            "192.0.2.2": (9000, 2),
        }


def test_a_classic_peer_that_moves_to_another_port_is_introduced_again() -> None:
    with swarm() as world:
        classic = world.caller(7)
        classic.announce({"a": 5})
        peer = joined(world, 2)
        classic.announce({"a": 5}, port=9001)
        peer.hear()
        assert [row.port for row in peer.rows.values() if row.ip == "192.0.2.7"] == [9001]


# Slow readers, and many


def test_a_slow_reader_is_told_everything_anew_when_it_reads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "CHANGES_MAX_BYTES", 50_000)
    with swarm() as world:
        author, slow = joined(world, 2), joined(world, 3)
        slow.heard.clear()
        told = 0
        for turn in range(40):
            author.announce_records(*[record(f"{number}", x=turn + 1, mtime=turn) for number in range(100)])
            author.hear(within_s=0.2)
            told += 100 * 150
        assert told > PIPE_BYTES + 200_000
        slow.hear()
        assert slow.of(Snapshot)
        assert slow.records() == author.records()
        assert sum(len(header(message)) for message in slow.heard) < told
        slow.tell(Alive(seq=0, digest=""))
        slow.hear()
        assert slow.of(Ack) == [Ack(seq=slow.seq, digest=slow.digest, lags=1)]


def test_changes_during_a_snapshot_come_after_it() -> None:
    with swarm() as world:
        names = [f"{number:06}" for number in range(4000)]
        author = joined(world, 2, *[record(name, x=1) for name in names])
        slow = world.native(3)
        slow.join()
        world.later(0.5)
        author.announce_records(*[record(name, x=2, mtime=6) for name in names[::500]], record("new"))
        author.tell(Withdraw(paths=names[1:3]))
        author.hear()
        slow.hear()
        kinds = [type(message) for message in slow.heard if isinstance(message, Snapshot | Delta)]
        assert kinds.index(Delta) == kinds.count(Snapshot) > 3
        assert slow.records() == author.records()


def test_one_who_reads_nothing_is_dropped_after_30_s(caplog: pytest.LogCaptureFixture) -> None:
    with swarm() as world:
        names = [f"{number:06}" for number in range(4000)]
        joined(world, 2, *[record(name, x=1) for name in names])
        deaf = world.native(3)
        deaf.join()
        world.later(29.0)
        assert len(world.tracker._connections) == 2
        world.later(2.0)
        assert len(world.tracker._connections) == 1
    assert "it does not read what it is told" in caplog.text


def test_one_who_asks_and_reads_nothing_is_asked_to_wait() -> None:
    with swarm() as world:
        [joined(world, number, record("a")) for number in range(2, 20)]
        greedy = joined(world, 20)
        question = Locate(id=1, paths=["a"] * 1000)
        with gevent.Timeout(20.0, False):
            for _ in range(10_000):
                greedy.tell(question)
            pytest.fail("it took all questions")
        backlog = greedy_backlog(world)
        assert backlog < 64 * 1024 + 1000 * 80


def greedy_backlog(world: Swarm) -> int:
    listeners = world.tracker._natives._telling._listeners.values()
    return max(listener._words_bytes for listener in listeners if isinstance(listener, backlog_module.Backlog))


@pytest.mark.slow
def test_a_thousand_native_peers_join_and_a_change_reaches_all() -> None:
    with swarm() as world:
        files = [record(f"{number}", x=1) for number in range(20)]
        peers: list[NativeCaller] = []
        for number in range(1000):
            peer = world.native(number % 250 + 2)
            peer.join(*files, author=f"{number}")
            peers.append(peer)
        world.later(1.0)
        for peer in peers:
            peer.hear(within_s=0.001)
            peer.heard.clear()
        peers[0].announce_records(changed := record("0", x=2, mtime=6))
        world.later(0.1)
        for peer in peers:
            peer.hear(within_s=0.001)
            assert [held.r.p for delta in peer.of(Delta) for held in delta.held] == ["0"]
            assert peer.records()["0"] == changed
        assert len({peer.digest for peer in peers}) == 1
        assert len(world.tracker._connections) == len(peers[0].rows) == 1000


def test_one_waiting_native_peer_costs_little() -> None:
    with swarm() as world:
        peer = joined(world, 2, *[record(f"{number}") for number in range(100)])
        other = joined(world, 3)
        assert peer.records() == other.records()
        listeners = list(world.tracker._natives._telling._listeners.values())
        assert len(listeners) == 2
        for listener in listeners:
            assert isinstance(listener, backlog_module.Backlog)
            assert (len(listener._words), len(listener._changes), listener._row) == (0, 0, None)
