"""Responses: what they say, how they are spelt, and that keeping them changes nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.directory import Directory
from gsync.core.holders import ALSO_MAX, PeerId
from gsync.core.names import Endpoint, RelPath
from gsync.tracker import responses as responses_module
from gsync.tracker.responses import ENCODINGS_MAX, Asker, Responses
from gsync.wire.classic import READER_BLOCK_BYTES, parse_directory

FOREIGN = Asker(number=0, knows_gsync=False, reached_ip="192.0.2.1")
OURS = Asker(number=0, knows_gsync=True, reached_ip="192.0.2.1")
NAMES = [RelPath.parse(name) for name in ("a", "b", "käse")]


def announce(
    directory: Directory, number: int, files: dict[str, int], *, ip: str | None = None, ours: bool = False
) -> None:
    directory.announce(
        PeerId(number),
        endpoint=Endpoint(ip or f"192.0.2.{number + 10}", 9000 + number),
        files={RelPath.parse(name): mtime for name, mtime in files.items()},
        knows_gsync=ours,
    )


def named(response: bytes) -> dict[str, int]:
    """Which holder each name has first, by its port."""
    return {name: entry["port"] - 9000 for name, entry in json.loads(response).items()}


def test_an_empty_directory_is_an_empty_object() -> None:
    responses = Responses(Directory())
    assert responses.to(FOREIGN) == b"{}\n"
    assert responses.to(OURS) == b"{\t}\n"


def test_others_get_plain_entries_in_compact_ascii() -> None:
    directory = Directory()
    announce(directory, 1, {"käse": 5}, ours=True)
    announce(directory, 2, {"käse": 5}, ours=True)
    assert Responses(directory).to(FOREIGN) == b'{"k\\u00e4se":{"ip":"192.0.2.11","port":9001,"mtime":5}}\n'


def test_peers_of_ours_get_marks_and_further_holders_within_the_entry() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5}, ours=True)
    announce(directory, 2, {"a": 5}, ours=True)
    announce(directory, 3, {"a": 5})
    assert Responses(directory).to(OURS) == (
        b'{\t"a":{"ip":"192.0.2.11","port":9001,"mtime":5,"gsync":1,"also":"192.0.2.12:9002"}}\n'
    )


def test_a_foreign_holder_has_no_mark_but_holders_of_ours_beside_it() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5})
    announce(directory, 2, {"a": 5}, ours=True, ip="2001:db8::2")
    assert Responses(directory).to(OURS) == (
        b'{\t"a":{"ip":"192.0.2.11","port":9001,"mtime":5,"also":"[2001:db8::2]:9002"}}\n'
    )


def test_a_native_holder_is_marked_for_peers_of_ours_only() -> None:
    directory = Directory()
    directory.enter(PeerId(1), endpoint=Endpoint("192.0.2.11", 9001))
    directory.hold(PeerId(1), RelPath.parse("a"), 5)
    responses = Responses(directory)
    assert responses.to(OURS) == b'{\t"a":{"ip":"192.0.2.11","port":9001,"mtime":5,"gsync":2}}\n'
    assert responses.to(FOREIGN) == b'{"a":{"ip":"192.0.2.11","port":9001,"mtime":5}}\n'


def test_our_peer_reads_what_our_tracker_spells() -> None:
    directory = Directory()
    for number in range(ALSO_MAX + 3):
        announce(directory, number, {"a": 5}, ours=True)
    said = parse_directory(Responses(directory).to(OURS))
    assert said.from_gsync
    assert said.refused == ()
    sources = said.offers[RelPath.parse("a")].sources
    assert len(sources) == 1 + ALSO_MAX
    assert all(source.speaks_gsync for source in sources)


@pytest.mark.parametrize(
    ("reached_ip", "first", "also"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1:9002"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1:9002"),
        ("2001:db8::1", "2001:db8::1", "[2001:db8::1]:9002"),
    ],
)
def test_a_holder_on_loopback_is_named_by_the_address_at_which_the_asker_reached_the_tracker(
    reached_ip: str, first: str, also: str
) -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5}, ours=True, ip="127.0.0.1")
    announce(directory, 2, {"a": 5}, ours=True, ip="::1")
    responses = Responses(directory)
    responses.to(OURS)
    asker = Asker(number=0, knows_gsync=True, reached_ip=reached_ip)
    entry = json.loads(responses.to(asker))["a"]
    assert (entry["ip"], entry["also"]) == (first, also)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("asker", [FOREIGN, OURS])
def test_no_response_is_as_long_as_a_multiple_of_a_readers_block(asker: Asker, blocks: int) -> None:
    directory = Directory()
    announce(directory, 1, {f"{i:03}" + "f" * 100: 1 for i in range(blocks * 48)})
    bare = len(Responses(directory).to(asker))
    for over in (-1, 0, 1):
        other = Directory()
        stuffing = blocks * READER_BLOCK_BYTES + over - bare
        names = {
            f"{i:03}" + "f" * (100 + (stuffing - i + blocks * 48 - 1) // (blocks * 48)): 1 for i in range(blocks * 48)
        }
        announce(other, 1, names)
        response = Responses(other).to(asker)
        assert len(response) == blocks * READER_BLOCK_BYTES + (over or 1)
        assert response.endswith(b" \n" if over == 0 else b"}}\n")


def test_the_same_response_is_given_as_long_as_nothing_changes() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5})
    responses = Responses(directory)
    response = responses.to(FOREIGN)
    announce(directory, 1, {"a": 5})
    assert responses.to(FOREIGN) is response
    announce(directory, 2, {"a": 4})
    assert responses.to(FOREIGN) is response
    announce(directory, 2, {"a": 6})
    assert responses.to(FOREIGN) is not response


def test_one_change_spells_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = Directory()
    announce(directory, 1, {f"f{i}": 5 for i in range(100)})
    responses = Responses(directory)
    responses.to(FOREIGN)
    spelt: list[str] = []
    spell = responses_module.encode_basestring_ascii
    monkeypatch.setattr(responses_module, "encode_basestring_ascii", lambda name: spelt.append(name) or spell(name))
    announce(directory, 2, {"f7": 6, "new": 1})
    assert named(responses.to(FOREIGN)) == {f"f{i}": 2 if i == 7 else 1 for i in range(100)} | {"new": 2}
    assert sorted(spelt) == ["f7", "new"]


def test_holders_are_spread_over_the_askers() -> None:
    directory = Directory()
    for number in range(8):
        announce(directory, number, {"a": 5})
    responses = Responses(directory)
    told = [named(responses.to(Asker(number=n, knows_gsync=False, reached_ip="192.0.2.1")))["a"] for n in range(8)]
    assert told == [0, 1, 2, 3] * 2


def test_an_asker_keeps_its_holder_until_that_leaves() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5})
    announce(directory, 2, {"a": 5})
    responses = Responses(directory)
    askers = [Asker(number=n, knows_gsync=False, reached_ip="192.0.2.1") for n in range(4)]
    assert [named(responses.to(asker))["a"] for asker in askers] == [1, 2, 1, 2]
    announce(directory, 3, {"a": 5})
    assert [named(responses.to(asker))["a"] for asker in askers] == [1, 2, 1, 2]
    directory.leave(PeerId(1))
    assert [named(responses.to(asker))["a"] for asker in askers][1::2] == [2, 2]
    directory.leave(PeerId(2))
    assert [named(responses.to(asker))["a"] for asker in askers] == [3, 3, 3, 3]


def test_at_most_so_many_encodings_are_kept() -> None:
    directory = Directory()
    announce(directory, 1, {"a": 5}, ip="127.0.0.1")
    responses = Responses(directory)
    for last in range(3 * ENCODINGS_MAX):
        asker = Asker(number=last, knows_gsync=bool(last % 2), reached_ip=f"192.0.2.{last}")
        assert json.loads(responses.to(asker))["a"]["ip"] == f"192.0.2.{last}"
        assert len(responses._encoded) == min(last + 1, ENCODINGS_MAX)


def test_long_encodings_are_kept_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses_module, "ENCODINGS_MAX_BYTES", 3000)
    directory = Directory()
    announce(directory, 1, {f"f{i}": 5 for i in range(30)})
    responses = Responses(directory)
    for number in range(4):
        assert 1000 < len(responses.to(Asker(number=number, knows_gsync=False, reached_ip="192.0.2.1"))) < 1500
    assert len(responses._encoded) == 2
    monkeypatch.setattr(responses_module, "ENCODINGS_MAX_BYTES", 10)
    assert responses.to(FOREIGN) is responses.to(FOREIGN)


def test_others_may_change_the_directory_while_a_response_is_spelt(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = Directory()
    announce(directory, 1, {f"f{i}": 5 for i in range(3000)})
    responses = Responses(directory)
    pauses: list[bytes] = []

    def pause() -> None:
        if not pauses:
            pauses.append(b"")
            directory.leave(PeerId(1))
            announce(directory, 2, {"f1": 1, "late": 1})
            pauses.append(responses.to(FOREIGN))

    assert named(responses.to(FOREIGN, pause=pause)) == {"f1": 2, "late": 2}
    assert named(pauses[1]) == {"f1": 2, "late": 2}


steps = st.tuples(
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2), max_size=3),
    st.booleans(),
    st.sampled_from(["192.0.2.7", "127.0.0.1"]),
)
askers = st.builds(
    Asker, number=st.integers(0, 4), knows_gsync=st.booleans(), reached_ip=st.sampled_from(["192.0.2.1", "::1"])
)


@given(steps=st.lists(steps | st.integers(0, 3) | askers, max_size=25))
def test_a_response_says_what_the_directory_says_whatever_is_kept(steps: list[object]) -> None:
    directory = Directory()
    responses = Responses(directory)
    for step in steps:
        match step:
            case (int(number), dict(files), bool(ours), str(ip)):
                announce(directory, number, files, ours=ours, ip=ip)
            case int(number):
                directory.leave(PeerId(number))
            case Asker() as asker:
                check(directory, asker, responses.to(asker))


def check(directory: Directory, asker: Asker, response: bytes) -> None:
    said = parse_directory(response)
    assert said.refused == ()
    assert said.from_gsync is asker.knows_gsync
    assert set(said.offers) == set(directory)
    for path, offer in said.offers.items():
        offered = directory.offered(path)
        assert offered is not None
        assert offer.version.mtime_s == offered.mtime_s
        holders = {
            Endpoint(
                asker.reached_ip if holder.endpoint.is_loopback else holder.endpoint.ip, holder.endpoint.port
            ): holder
            for holder in offered.holders
        }
        for source in offer.sources:
            assert source.speaks_gsync == (asker.knows_gsync and holders[source.endpoint].speaks_gsync)
        ours = sum(holder.speaks_gsync for endpoint, holder in holders.items() if endpoint != offer.sources[0].endpoint)
        assert len(offer.sources) == 1 + (min(ours, 3) if asker.knows_gsync else 0)
