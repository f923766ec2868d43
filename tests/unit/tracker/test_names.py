"""The tracker as a naming server: who is there under which name, and, with `names_only`, nothing else."""

from __future__ import annotations

from gsync.core.blocks import digest_of_bytes
from gsync.core.model import Kind, Record
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.wire.native import Delta, Locate, Located, Snapshot, Welcome
from tests.unit.tracker.world import swarm

RECORD = Record(
    path=RelPath.parse("a"),
    kind=Kind.FILE,
    version=Version.from_vector({"x": 1, "mtime": 5}),
    digest=digest_of_bytes(b"a"),
)


def test_peers_are_told_the_names_and_the_authors_of_those_who_come() -> None:
    with swarm() as world:
        anna = world.native(2)
        anna.join(author="aa", name="anna")
        ben = world.native(3)
        ben.join(author="bb", name="ben")
        anna.hear()
        ben.hear()
        told = {("anna", "aa"), ("ben", "bb")}
        assert {(row.name, row.author) for row in anna.rows.values()} == told
        assert {(row.name, row.author) for row in ben.rows.values()} == told


def test_peers_are_told_who_has_left_and_newcomers_do_not_hear_of_them() -> None:
    with swarm() as world:
        anna, ben = world.native(2), world.native(3)
        anna.join(name="anna")
        ben.join(name="ben")
        anna.hear()
        ben.leave()
        anna.hear()
        assert [anna.rows[number].name for number in anna.gone] == ["ben"]
        cleo = world.native(4)
        cleo.join(name="cleo")
        cleo.hear()
        assert {row.name for row in cleo.rows.values()} == {"anna", "cleo"}
        assert cleo.gone == set()


def test_a_naming_tracker_tells_names_and_keeps_nothing_of_what_peers_hold() -> None:
    with swarm(names_only=True) as world:
        anna = world.native(2)
        anna.join(RECORD, name="anna")
        ben = world.native(3)
        ben.join(name="ben")
        world.caller(4).announce({"b": 5})
        anna.announce_records(RECORD)
        ben.tell(Locate(id=1, paths=["a"]))
        ben.hear()
        anna.hear()
        assert [welcome.names_only for welcome in ben.of(Welcome)] == [True]
        assert {row.name for row in ben.rows.values() if row.name} == {"anna", "ben"}
        assert [snapshot.held for snapshot in ben.of(Snapshot)] == [[]]
        assert anna.of(Delta) == ben.of(Delta) == []
        assert [located.holders for located in ben.of(Located)] == [[[]]]
        assert world.caller(5).keepalive() == {}
