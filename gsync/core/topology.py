"""Who is whose neighbour: read from a file, or made from a shape over the names of all peers.

A topology is symmetric, connected and without self-links; whatever breaks that in a file is said with its line and the way to mend
it. Shapes are made over the sorted names, so every peer that knows the same names makes the same one. Pure; called by the
peer's neighbours, the command line and the lab.
"""

from __future__ import annotations

import difflib
import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import combinations, pairwise
from typing import Final

from blake3 import blake3
from msgspec import Struct

from gsync.core.names import PeerName
from gsync.errors import ConfigError, NameRefused

Topology = Mapping[PeerName, frozenset[PeerName]]

PEERS_MAX: Final = 1000
"""Peers of one shape; `random` weighs each pair of them, which takes a second."""


class ShapeKind(StrEnum):
    """What an overlay can look like without a file."""

    MESH = "mesh"
    STAR = "star"
    RING = "ring"
    LINE = "line"
    GRID = "grid"
    RANDOM = "random"


class Shape(Struct, frozen=True, kw_only=True):
    """A kind of overlay; `degree` is how many neighbours each peer chooses in a random one."""

    kind: ShapeKind
    degree: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.degree}" if self.kind is ShapeKind.RANDOM else str(self.kind)


DEFAULT_SHAPE: Final = Shape(kind=ShapeKind.RANDOM, degree=4)


def parse_shape(text: str) -> Shape | None:
    """The shape that `text` names; None where it names none and will be a file. Raises `ConfigError`."""
    word, colon, degree = text.partition(":")
    if word not in set(ShapeKind):
        return None
    kind = ShapeKind(word)
    if kind is not ShapeKind.RANDOM:
        if colon:
            raise ConfigError(f"--topology={text}: a {kind} takes no number", advice=f"write --topology={kind}")
        return Shape(kind=kind)
    if not colon:
        return DEFAULT_SHAPE
    if not (degree.isascii() and degree.isdigit() and 1 <= int(degree[:9]) < PEERS_MAX):
        raise ConfigError(
            f"--topology={text}: {degree!r} is no number of neighbours",
            advice=f"write, for example, --topology={DEFAULT_SHAPE}",
        )
    return Shape(kind=kind, degree=int(degree))


def shaped(shape: Shape, names: Iterable[PeerName]) -> Topology:
    """The overlay of this shape over `names`, in any order; the hub of a star is the first in alphabetical order."""
    ordered = sorted(set(names))
    if len(ordered) > PEERS_MAX:
        raise ConfigError(f"an overlay of more than {PEERS_MAX} peers", advice="give a file: --topology=FILE")
    return _linked(ordered, _links(shape, ordered))


def edges(topology: Topology) -> int:
    """How many links it has."""
    return sum(map(len, topology.values())) // 2


def messages_per_flood(topology: Topology) -> int:
    """How many messages carry one piece of news to everybody, if none is lost: each link twice, but once where news came first."""
    return 2 * edges(topology) - (len(topology) - 1)


def parse_topology(text: str, *, source: str) -> Topology:
    """The topology that the file `source` spells, one `name,neighbour,...` a line. Raises `ConfigError`."""
    lines: dict[PeerName, tuple[int, frozenset[PeerName]]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, neighbours = _parse_line(line, where=f"{source}:{number}")
        if name in lines:
            raise ConfigError(
                f"{source}:{number}: {name!r} has a line already, line {lines[name][0]}",
                advice="make one line of the two",
            )
        lines[name] = (number, neighbours)
    if not lines:
        raise ConfigError(f"{source}: no peer in it", advice="write a line for each peer: name,neighbour,neighbour")
    _require_symmetry(lines, source=source)
    topology = {name: neighbours for name, (_, neighbours) in lines.items()}
    first, *others = _components(topology)
    if others:
        lost = min(others[0], key=lambda name: lines[name][0])
        _require_neighbours(lines, source=source)
        raise ConfigError(
            f"{source}:{lines[lost][0]}: no way leads from {lost!r} to {min(first, key=lambda name: lines[name][0])!r}",
            advice="add a link between the two parts, in both lines",
        )
    return topology


def _parse_line(line: str, *, where: str) -> tuple[PeerName, frozenset[PeerName]]:
    words: list[PeerName] = []
    for word in line.split(","):
        try:
            words.append(PeerName.parse(word.strip()))
        except NameRefused as error:
            raise ConfigError(
                f"{where}: {word.strip()!r}: {error.reason}", advice="write name,neighbour,neighbour"
            ) from error
    name, *neighbours = words
    for neighbour in neighbours:
        if neighbour == name:
            raise ConfigError(f"{where}: {name!r} is its own neighbour", advice=f"take the second {name!r} out")
        if neighbours.count(neighbour) > 1:
            raise ConfigError(f"{where}: {neighbour!r} stands there twice", advice="take one of the two out")
    return name, frozenset(neighbours)


def _require_symmetry(lines: Mapping[PeerName, tuple[int, frozenset[PeerName]]], *, source: str) -> None:
    for name, (number, neighbours) in lines.items():
        for neighbour in sorted(neighbours):
            if neighbour not in lines:
                raise ConfigError(
                    f"{source}:{number}: {neighbour!r}, a neighbour of {name!r}, has no line",
                    advice=f"add the line {neighbour},{name}{_or_the_nearest(neighbour, lines)}",
                )
            other, theirs = lines[neighbour]
            if name not in theirs:
                raise ConfigError(
                    f"{source}:{number}: {name!r} has the neighbour {neighbour!r}, but not the other way round",
                    advice=f"add {name!r} to line {other}, or take {neighbour!r} out of line {number}",
                )


def _or_the_nearest(name: PeerName, lines: Iterable[PeerName]) -> str:
    """Another way out for whoever mistyped a name that has a line."""
    by_case = {line.casefold(): line for line in lines}
    near = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.8)
    return f", or write {by_case[near[0]]!r} where {name!r} stands" if near else ""


def _require_neighbours(lines: Mapping[PeerName, tuple[int, frozenset[PeerName]]], *, source: str) -> None:
    for name, (number, neighbours) in lines.items():
        if not neighbours:
            raise ConfigError(
                f"{source}:{number}: {name!r} has no neighbour",
                advice="write name,neighbour,neighbour with commas, and the link in the neighbour's line too",
            )


_Link = tuple[PeerName, PeerName]


def _links(shape: Shape, names: Sequence[PeerName]) -> Iterable[_Link]:
    match shape.kind:
        case ShapeKind.MESH:
            return combinations(names, 2)
        case ShapeKind.STAR:
            return ((names[0], name) for name in names[1:])
        case ShapeKind.LINE:
            return pairwise(names)
        case ShapeKind.RING:
            return (*pairwise(names), *([(names[-1], names[0])] if len(names) > 2 else ()))
        case ShapeKind.GRID:
            return _grid(names)
        case ShapeKind.RANDOM:
            return _random(names, shape.degree)


def _grid(names: Sequence[PeerName]) -> Iterator[_Link]:
    """Rows as long as the grid is high, or one longer; the last row may be shorter."""
    width = max(1, math.isqrt(max(len(names) - 1, 0)) + 1)
    for at, name in enumerate(names):
        if (at + 1) % width and at + 1 < len(names):
            yield name, names[at + 1]
        if at + width < len(names):
            yield name, names[at + width]


def _random(names: Sequence[PeerName], degree: int) -> Iterator[_Link]:
    """Each with the `degree` peers with which it has the highest weight, which both ends reckon alike; parts are joined up.

    So who comes or goes changes the neighbours of a few, not of everybody.
    """
    links = [(name, other) for name in names for other in _best(name, names, degree)]
    yield from links
    first, *others = _components(_linked(names, links)) or [frozenset[PeerName]()]
    for part in others:
        yield max(((a, b) for a in sorted(first) for b in sorted(part)), key=lambda pair: _weight(*pair))
        first |= part


def _best(name: PeerName, names: Sequence[PeerName], degree: int) -> list[PeerName]:
    others = (other for other in names if other != name)
    return heapq.nlargest(degree, others, key=lambda other: _weight(name, other))


def _weight(one: PeerName, other: PeerName) -> bytes:
    return blake3("\0".join(sorted((one, other))).encode()).digest(length=16)


def _linked(names: Sequence[PeerName], links: Iterable[_Link]) -> Topology:
    neighbours: dict[PeerName, set[PeerName]] = {name: set() for name in names}
    for one, other in links:
        neighbours[one].add(other)
        neighbours[other].add(one)
    return {name: frozenset(found) for name, found in neighbours.items()}


def _components(topology: Topology) -> list[frozenset[PeerName]]:
    """The parts between which no way leads, in the order of their first names."""
    parts: list[frozenset[PeerName]] = []
    left = dict.fromkeys(topology)
    while left:
        reached, edge = set[PeerName](), [next(iter(left))]
        while edge:
            name = edge.pop()
            if name not in reached:
                reached.add(name)
                edge += topology[name] - reached
        for name in reached:
            del left[name]
        parts.append(frozenset(reached))
    return parts
