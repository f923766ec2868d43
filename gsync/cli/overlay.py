"""The options of the main command that say who a peer's neighbours are, and how its copies are kept honest; checked once.

A topology file is read here and nowhere else. What is wrong is said with a line to paste. Called by `config`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from gsync.cli.exits import UsageError
from gsync.cli.usage import Words, choice_of, did_you_mean, number_of, port_of
from gsync.core.freshness import Mode
from gsync.core.names import Endpoint
from gsync.core.topology import DEFAULT_SHAPE, Shape, ShapeKind, Topology, parse_shape, parse_topology
from gsync.errors import ConfigError, NameRefused
from gsync.web.controls import TTR_MAX_S, TTR_MIN_S

TOPOLOGY_MAX_BYTES: Final = 1024 * 1024
"""A topology file is text that a person wrote; what is longer is another file."""

NEIGHBOURS_MAX: Final = 64
"""Addresses on one command line."""


class OverlayConfig(Struct, frozen=True, kw_only=True):
    """Who the neighbours are, by name or, without a tracker, by address; and how copies are kept."""

    topology: Topology | Shape
    neighbours: tuple[Endpoint, ...]
    mode: Mode
    ttr_s: float
    on_demand: bool


def overlay_of(words: Words, *, name: str, resolve: Callable[[str], str]) -> OverlayConfig:
    """The configuration that docopt's `words` ask of the peer `name`. Raises ConfigError; nothing was started."""
    topology, neighbours = words["--topology"], words["--neighbours"]
    if topology is not None and neighbours is not None:
        raise UsageError("--topology and --neighbours exclude each other: both say who the neighbours are")
    if words["--classic"] and (topology is not None or neighbours is not None or words["--on-demand"]):
        raise UsageError("--classic is for other people's programs, which have no neighbours; leave one of the two out")
    if words["--once"] and words["--on-demand"]:
        raise UsageError("--once fetches everything and --on-demand nothing; leave one of the two out")
    return OverlayConfig(
        topology=DEFAULT_SHAPE if topology is None else topology_of(topology, name=name),
        neighbours=() if neighbours is None else neighbours_of(neighbours, resolve=resolve),
        mode=Mode(choice_of(words["--mode"], [mode.value for mode in Mode], what="mode")),
        ttr_s=number_of(words["--ttr"], what="time to refresh in seconds", lowest=TTR_MIN_S, highest=TTR_MAX_S),
        on_demand=words["--on-demand"],
    )


def topology_of(text: str, *, name: str) -> Topology | Shape:
    """The shape that `text` names, or what the file of that name spells, where the peer `name` must have a line."""
    topology = shape_or_topology(text)
    if not isinstance(topology, Shape) and name not in topology:
        raise ConfigError(
            f"{text}: it has no line for this peer, whose name is {name!r}",
            advice=f"add one, or take a name that is there: --name={min(topology)}",
        )
    return topology


def shape_or_topology(text: str) -> Topology | Shape:
    """The shape that `text` names, or what the file of that name spells. Raises ConfigError."""
    try:
        shape = parse_shape(text)
    except ConfigError as error:
        raise UsageError(str(error), advice=error.advice) from error
    return shape if shape is not None else parse_topology(_read(text), source=text)


def neighbours_of(text: str, *, resolve: Callable[[str], str]) -> tuple[Endpoint, ...]:
    """The addresses that `text` lists, `host:port` with commas between; each once, in that order."""
    found = dict.fromkeys(_neighbour(word.strip(), resolve=resolve) for word in text.split(","))
    if len(found) > NEIGHBOURS_MAX:
        raise UsageError(
            f"more than {NEIGHBOURS_MAX} neighbours", advice="name a few: the others are reached through them"
        )
    return tuple(found)


def _neighbour(text: str, *, resolve: Callable[[str], str]) -> Endpoint:
    spelled = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})", text)
    if spelled is None:
        raise _no_neighbour(text, "it is an address, a colon and a port")
    host, port = spelled[1] or spelled[2], port_of(spelled[3], what="port of a neighbour")
    try:
        return Endpoint.parse(host, port)
    except NameRefused:
        pass
    try:
        return Endpoint.parse(resolve(host), port)
    except NameRefused as error:
        raise _no_neighbour(text, error.reason) from error


def _no_neighbour(text: str, why: str) -> UsageError:
    return UsageError(
        f"--neighbours: {text!r} is no neighbour: {why}",
        advice="write, for example, --neighbours=192.0.2.20:9001,192.0.2.30:9001",
    )


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            raw = file.read(TOPOLOGY_MAX_BYTES + 1)
        if len(raw) > TOPOLOGY_MAX_BYTES:
            raise ConfigError(
                f"--topology={path}: longer than a topology file can be ({TOPOLOGY_MAX_BYTES} bytes)",
                advice="name the file that has a line for each peer: name,neighbour,neighbour",
            )
        return raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a NUL in the name
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        kinds = [*(kind.value for kind in ShapeKind if kind is not ShapeKind.RANDOM), str(DEFAULT_SHAPE)]
        raise ConfigError(
            f"--topology={path}: no shape, and no file that can be read ({why}){did_you_mean(path, kinds)}",
            advice=f"the shapes are {', '.join(kinds)}; a file has a line for each peer: name,neighbour,neighbour",
        ) from error
