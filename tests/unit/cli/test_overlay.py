"""The options that say who the neighbours are: one frozen value, or one line that says what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from gsync.cli.exits import UsageError
from gsync.cli.overlay import NEIGHBOURS_MAX, TOPOLOGY_MAX_BYTES, OverlayConfig, neighbours_of, overlay_of, topology_of
from gsync.core.freshness import Mode
from gsync.core.names import Endpoint
from gsync.core.topology import DEFAULT_SHAPE, Shape, ShapeKind
from gsync.errors import ConfigError

PLAIN = {
    "--topology": None,
    "--neighbours": None,
    "--mode": "hybrid",
    "--ttr": "120",
    "--on-demand": False,
    "--classic": False,
    "--once": False,
}


def config(**words: object) -> OverlayConfig:
    asked = {f"--{word.replace('_', '-')}": value for word, value in words.items()}
    return overlay_of({**PLAIN, **asked}, name="ann", resolve=lambda host: "192.0.2.2")


def test_without_options_a_peer_is_hybrid_with_four_neighbours_and_mirrors_everything() -> None:
    assert config() == OverlayConfig(
        topology=DEFAULT_SHAPE, neighbours=(), mode=Mode.HYBRID, ttr_s=120.0, on_demand=False
    )


def test_each_option_sets_its_field() -> None:
    assert config(topology="ring").topology == Shape(kind=ShapeKind.RING)
    assert config(neighbours="192.0.2.20:9001").neighbours == (Endpoint("192.0.2.20", 9001),)
    assert config(mode="lazy").mode is Mode.LAZY
    assert config(ttr="0.5").ttr_s == 0.5
    assert config(on_demand=True).on_demand


@pytest.mark.parametrize(
    "words",
    [
        {"topology": "ring", "neighbours": "192.0.2.20:9001"},
        {"classic": True, "topology": "ring"},
        {"classic": True, "neighbours": "192.0.2.20:9001"},
        {"classic": True, "on_demand": True},
        {"once": True, "on_demand": True},
        {"mode": "pushy"},
        {"ttr": "0"},
        {"ttr": "soon"},
        {"ttr": "86401"},
        {"topology": "random:0"},
        {"topology": "ring:2"},
    ],
)
def test_what_cannot_be_together_or_at_all_is_refused_in_one_line(words: dict[str, object]) -> None:
    with pytest.raises(UsageError) as error:
        config(**words)
    assert "\n" not in str(error.value)


def test_a_topology_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "peers.txt"
    file.write_text("\ufeff# three\nann,ben\nben,ann,cleo\ncleo,ben\n", encoding="utf-8")
    assert topology_of(str(file), name="ann") == {"ann": {"ben"}, "ben": {"ann", "cleo"}, "cleo": {"ben"}}


def test_a_mistake_in_a_topology_file_is_said_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "peers.txt"
    file.write_text("ann,ben\nben\n")
    with pytest.raises(ConfigError) as error:
        topology_of(str(file), name="ann")
    assert f"{file}:1" in str(error.value)
    assert error.value.advice


def test_a_topology_file_without_this_peer_says_which_name_to_take(tmp_path: Path) -> None:
    file = tmp_path / "peers.txt"
    file.write_text("ben,cleo\ncleo,ben\n")
    with pytest.raises(ConfigError, match="whose name is 'ann'") as error:
        topology_of(str(file), name="ann")
    assert error.value.advice.endswith("--name=ben")


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"\xff\xfe", "no text"), ("dir", "directory")])
def test_a_file_that_cannot_be_read_is_answered_with_the_shapes(
    tmp_path: Path, content: bytes | str | None, why: str
) -> None:
    file = tmp_path / "peers.txt"
    if content == "dir":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=why) as error:
        topology_of(str(file), name="ann")
    assert "mesh, star, ring, line, grid, random:4" in error.value.advice


def test_a_shape_that_is_mistyped_is_guessed() -> None:
    with pytest.raises(ConfigError, match="did you mean 'grid'"):
        topology_of("gird", name="ann")
    with pytest.raises(ConfigError, match="no shape"):
        topology_of("a\0b", name="ann")


def test_a_file_that_is_too_long_is_none(tmp_path: Path) -> None:
    file = tmp_path / "peers.txt"
    file.write_bytes(b"#" * TOPOLOGY_MAX_BYTES)
    with pytest.raises(ConfigError, match="no peer"):
        topology_of(str(file), name="ann")
    file.write_bytes(b"#" * (TOPOLOGY_MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="longer than"):
        topology_of(str(file), name="ann")


def test_neighbours_are_addresses_each_once() -> None:
    listed = neighbours_of("192.0.2.20:9001, ben.example:9002,[::1]:9003,192.0.2.20:9001", resolve=lambda host: "::5")
    assert listed == (Endpoint("192.0.2.20", 9001), Endpoint("::5", 9002), Endpoint("::1", 9003))


@pytest.mark.parametrize("text", ["", "ben", "192.0.2.20", ":9001", "::1:9", "a:1,", "ben:x"])
def test_what_is_no_address_is_answered_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as error:
        neighbours_of(text, resolve=lambda host: "192.0.2.2")
    assert "--neighbours=" in error.value.advice


@pytest.mark.parametrize("text", ["192.0.2.20:0", "192.0.2.20:99999"])
def test_a_port_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no port of a neighbour"):
        neighbours_of(text, resolve=str)


def test_the_number_of_neighbours_is_bounded() -> None:
    listed = [f"192.0.2.1:{port}" for port in range(1, NEIGHBOURS_MAX + 2)]
    assert len(neighbours_of(",".join(listed[:-1]), resolve=str)) == NEIGHBOURS_MAX
    with pytest.raises(UsageError, match="more than"):
        neighbours_of(",".join(listed), resolve=str)
