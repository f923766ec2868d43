"""Shapes over names, and what is said about a file that is no topology."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.names import PeerName
from gsync.core.topology import (
    DEFAULT_SHAPE,
    PEERS_MAX,
    Shape,
    ShapeKind,
    Topology,
    edges,
    messages_per_flood,
    parse_shape,
    parse_topology,
    shaped,
)
from gsync.errors import ConfigError


def names(count: int) -> list[PeerName]:
    return [PeerName.parse(f"p{number:03}") for number in range(count)]


def shape(text: str) -> Shape:
    found = parse_shape(text)
    assert found is not None
    return found


def links_of(topology: Topology) -> str:
    return " ".join(f"{name}:{','.join(sorted(topology[name]))}" for name in sorted(topology))


@pytest.mark.parametrize(
    ("text", "count", "links"),
    [
        ("mesh", 3, "p000:p001,p002 p001:p000,p002 p002:p000,p001"),
        ("star", 4, "p000:p001,p002,p003 p001:p000 p002:p000 p003:p000"),
        ("line", 3, "p000:p001 p001:p000,p002 p002:p001"),
        ("ring", 4, "p000:p001,p003 p001:p000,p002 p002:p001,p003 p003:p000,p002"),
        ("ring", 2, "p000:p001 p001:p000"),
        ("grid", 4, "p000:p001,p002 p001:p000,p003 p002:p000,p003 p003:p001,p002"),
        ("grid", 5, "p000:p001,p003 p001:p000,p002,p004 p002:p001 p003:p000,p004 p004:p001,p003"),
        ("random:2", 3, "p000:p001,p002 p001:p000,p002 p002:p000,p001"),
        ("mesh", 1, "p000:"),
    ],
)
def test_what_a_shape_looks_like(text: str, count: int, links: str) -> None:
    assert links_of(shaped(shape(text), names(count))) == links


@pytest.mark.parametrize(
    ("text", "at_16", "at_64"),
    [("star", 15, 63), ("line", 15, 63), ("ring", 17, 65), ("grid", 33, 161), ("mesh", 225, 3969)],
)
def test_a_flood_takes_twice_the_links_less_one_for_each_peer_that_learns_of_it(
    text: str, at_16: int, at_64: int
) -> None:
    assert messages_per_flood(shaped(shape(text), names(16))) == at_16
    assert messages_per_flood(shaped(shape(text), names(64))) == at_64


def reached(topology: Topology, start: PeerName) -> set[PeerName]:
    found, edge = set[PeerName](), [start]
    while edge:
        name = edge.pop()
        if name not in found:
            found.add(name)
            edge += topology[name]
    return found


SHAPES = ["mesh", "star", "ring", "line", "grid", "random", "random:1", "random:2", "random:7"]


@pytest.mark.slow
@given(st.sampled_from(SHAPES), st.integers(1, 40))
def test_every_shape_is_symmetric_connected_without_self_links_and_the_same_for_everybody(
    text: str, count: int
) -> None:
    given_names = names(count)
    topology = shaped(shape(text), given_names)
    assert topology.keys() == set(given_names)
    for name, neighbours in topology.items():
        assert name not in neighbours
        assert all(name in topology[neighbour] for neighbour in neighbours)
    assert reached(topology, given_names[0]) == set(given_names)
    assert shaped(shape(text), [*reversed(given_names), *given_names]) == topology


@pytest.mark.parametrize("degree", [1, 2, 4])
def test_in_a_random_overlay_each_chooses_so_many_and_may_be_chosen_by_more(degree: int) -> None:
    topology = shaped(Shape(kind=ShapeKind.RANDOM, degree=degree), names(64))
    assert min(map(len, topology.values())) >= degree
    assert 64 * degree / 2 <= edges(topology) <= 64 * degree + 64


def test_a_peer_that_leaves_a_random_overlay_changes_the_neighbours_of_few() -> None:
    before = shaped(DEFAULT_SHAPE, names(64))
    gone = names(64)[17]
    after = shaped(DEFAULT_SHAPE, [name for name in names(64) if name != gone])
    changed = [name for name in after if after[name] != before[name] - {gone}]
    assert len(changed) <= 2 * len(before[gone])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mesh", Shape(kind=ShapeKind.MESH)),
        ("random", DEFAULT_SHAPE),
        ("random:12", Shape(kind=ShapeKind.RANDOM, degree=12)),
        ("Mesh", None),
        ("overlay.csv", None),
        ("./mesh", None),
    ],
)
def test_a_word_is_a_shape_or_a_file(text: str, found: Shape | None) -> None:
    assert parse_shape(text) == found


def test_a_shape_says_its_own_name() -> None:
    for text in ("mesh", "random:4", "grid"):
        assert str(shape(text)) == text


@pytest.mark.parametrize(
    "text", ["random:", "random:0", "random:x", "random:-1", "random:²", "random:99999", "mesh:3", "ring:"]
)
def test_a_shape_with_a_wrong_number_is_refused_with_advice(text: str) -> None:
    with pytest.raises(ConfigError, match="--topology=") as told:
        parse_shape(text)
    assert "write" in told.value.advice


def test_a_shape_over_too_many_is_refused() -> None:
    assert len(shaped(shape("star"), names(PEERS_MAX))) == PEERS_MAX
    with pytest.raises(ConfigError, match="more than 1000 peers"):
        shaped(shape("star"), names(PEERS_MAX + 1))


def test_a_file_names_a_peer_and_its_neighbours_in_each_line() -> None:
    text = "# the house\nanna, ben ,cleo\n\n  # upstairs\nben,anna\r\ncleo,anna\n"
    assert links_of(parse_topology(text, source="house.csv")) == "anna:ben,cleo ben:anna cleo:anna"


@pytest.mark.parametrize(
    ("lines", "what", "advice"),
    [
        (
            ["anna,ben", "ben"],
            "t:1: 'anna' has the neighbour 'ben', but not the other way round",
            "add 'anna' to line 2, or",
        ),
        (["anna,ben"], "t:1: 'ben', a neighbour of 'anna', has no line", "add the line ben,anna"),
        (["anna,ben", "ben,anna", "anna,ben"], "t:3: 'anna' has a line already, line 1", "make one line"),
        (["anna,ben,ben", "ben,anna"], "t:1: 'ben' stands there twice", "take one of the two out"),
        (["anna,ben", "ben,anna,ben"], "t:2: 'ben' is its own neighbour", "take the second 'ben' out"),
        (["a,b", "b,a", "c,d", "d,c"], "t:3: no way leads from 'c' to 'a'", "add a link between the two parts"),
        (["a,b", "b,a", "c"], "t:3: 'c' has no neighbour", "write name,neighbour"),
        (["anna;ben", "ben;anna"], "t:1: 'anna;ben' has no neighbour", "write name,neighbour,neighbour with commas"),
        (
            ["anna,ben", "Ben,anna"],
            "t:1: 'ben', a neighbour of 'anna', has no line",
            "add the line ben,anna, or write 'Ben' where 'ben' stands",
        ),
        (["anna,,ben", "ben,anna"], "t:1: '': a peer's name neither is empty", "write name,neighbour"),
        (["anna,be\x07n"], "t:1: 'be\\x07n': a control character", "write name,neighbour"),
        ([], "t: no peer in it", "write a line for each peer"),
        (["# nothing"], "t: no peer in it", "write a line for each peer"),
    ],
)
def test_a_topology_error_names_file_line_and_fix(lines: Iterable[str], what: str, advice: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse_topology("\n".join(lines), source="t")
    assert str(told.value).startswith(what)
    assert told.value.advice.startswith(advice)


@pytest.mark.slow
@given(st.integers(1, 30), st.sampled_from(SHAPES))
def test_a_shape_that_is_written_down_is_read_as_the_same(count: int, text: str) -> None:
    topology = shaped(shape(text), names(count))
    written = "\n".join(",".join([name, *sorted(topology[name])]) for name in topology)
    assert parse_topology(written, source="t") == topology
