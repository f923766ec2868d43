"""The main command's words become one frozen value, or one line that says what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import gsync
from gsync.cli.config import LONGEST_NAME, LONGEST_TIMEOUT_S, MOST_FETCHES, RunConfig, folder_of, run_config
from gsync.cli.exits import UsageError
from gsync.cli.run import TEXT
from gsync.cli.usage import parse
from gsync.core.copies import Mode
from gsync.core.freshness import TTR_S
from gsync.core.names import Endpoint
from gsync.core.topology import DEFAULT_SHAPE, Shape, ShapeKind
from gsync.errors import FolderUnusable


def config(*options: str, folder: str = "/tmp/Shared") -> RunConfig:
    words = parse(TEXT, ["192.0.2.1", "9000", f"--dir={folder}", *options], command="run")
    return run_config(words, resolve=lambda host: "192.0.2.2")


def test_the_defaults_are_those_of_the_text() -> None:
    got = config()
    assert (got.tracker, got.folder, got.port) == (Endpoint("192.0.2.1", 9000), Path("/tmp/Shared"), 0)
    assert (got.once, got.may_start_tracker, got.verify_twice) == (False, True, False)
    assert (got.stall_s, got.fetches) == (10.0, 16)
    assert (got.sends, got.receives, got.limit_up, got.limit_down, got.max_delete) == (True, True, None, None, 0.25)
    assert got.name == os.uname().nodename[:LONGEST_NAME]
    assert (got.output.json, got.output.quiet, got.output.color) == (False, False, True)
    assert (got.output.log_level, got.output.log_file) == ("warning", None)


def test_the_default_folder_is_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = parse(TEXT, ["192.0.2.1", "9000"], command="run")
    assert run_config(words, resolve=str).folder == tmp_path


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("--port=2001", "port", 2001),
        ("--port=0", "port", 0),
        ("--port=1024", "port", 1024),
        ("--once", "once", True),
        ("--once", "may_start_tracker", False),
        ("--no-tracker", "may_start_tracker", False),
        ("--timeout=0.1", "stall_s", 0.1),
        (f"--timeout={LONGEST_TIMEOUT_S}", "stall_s", float(LONGEST_TIMEOUT_S)),
        ("--fetches=1", "fetches", 1),
        (f"--fetches={MOST_FETCHES}", "fetches", MOST_FETCHES),
        ("--verify-classic=twice", "verify_twice", True),
        ("--verify-classic=once", "verify_twice", False),
        ("--name=ann's laptop", "name", "ann's laptop"),
        (f"--name={'n' * LONGEST_NAME}", "name", "n" * LONGEST_NAME),
        ("--send-only", "receives", False),
        ("--send-only", "sends", True),
        ("--receive-only", "sends", False),
        ("--receive-only", "receives", True),
        ("--limit-up=500K", "limit_up", 500 * 1024),
        ("--limit-down=1.5M", "limit_down", 1536 * 1024),
        ("--max-delete=0", "max_delete", 0.0),
        ("--max-delete=100", "max_delete", 1.0),
        ("--neighbours=192.0.2.20:9001", "tracker", Endpoint("192.0.2.1", 9000)),
    ],
)
def test_an_option_sets_its_field(option: str, field: str, value: object) -> None:
    assert getattr(config(option), field) == value


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("--json", "json", True),
        ("-q", "quiet", True),
        ("--no-color", "color", False),
        ("-v", "log_level", "info"),
        ("--log-level=debug", "log_level", "debug"),
        ("--log-file=x.log", "log_file", "x.log"),
    ],
)
def test_an_option_sets_how_to_talk(option: str, field: str, value: object) -> None:
    assert getattr(config(option).output, field) == value


def test_a_level_that_was_asked_for_is_not_lowered_by_verbose() -> None:
    assert config("-v", "--log-level=debug").output.log_level == "debug"
    assert config("-v", "--log-level=error").output.log_level == "error"


@pytest.mark.parametrize(
    "option",
    [
        *["--port=80", "--port=1023", "--port=65536", "--port=-1", "--port=x", "--port=", "--port=1.5"],
        *["--timeout=0", "--timeout=0.09", f"--timeout={LONGEST_TIMEOUT_S + 1}", "--timeout=nan", "--timeout=soon"],
        *[
            "--name=",
            "--name= ",
            "--name=a\nb",
            "--name=a,b",
            "--name=#a",
            "--name= a",
            "--name=\x1b[2J",
            f"--name={'n' * (LONGEST_NAME + 1)}",
        ],
        *[
            "--limit-up=0",
            "--limit-up=fast",
            "--limit-down=-1K",
            "--max-delete=-1",
            "--max-delete=101",
            "--max-delete=x",
        ],
        *["--fetches=0", f"--fetches={MOST_FETCHES + 1}", "--fetches=all", "--verify-classic=thrice"],
    ],
)
def test_a_value_beyond_its_limits_is_refused_in_one_line(option: str) -> None:
    with pytest.raises(UsageError) as error:
        config(option)
    assert "\n" not in str(error.value)


def test_the_two_roles_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        config("--send-only", "--receive-only")


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("--topology=grid", "topology", Shape(kind=ShapeKind.GRID)),
        ("--neighbours=192.0.2.20:9001", "neighbours", (Endpoint("192.0.2.20", 9001),)),
        ("--mode=push", "mode", Mode.PUSH),
        ("--ttr=5", "ttr_s", 5.0),
        ("--json", "on_demand", False),
        ("--json", "topology", DEFAULT_SHAPE),
        ("--json", "ttr_s", TTR_S),
        ("--json", "mode", Mode.HYBRID),
    ],
)
def test_an_option_says_who_the_neighbours_are_or_how_copies_are_kept(option: str, field: str, value: object) -> None:
    assert getattr(config(option).overlay, field) == value


def test_a_peer_that_knows_neighbours_needs_no_tracker() -> None:
    words = parse(TEXT, ["--neighbours=ben.example:9001", "--dir=/tmp/Shared"], command="run")
    got = run_config(words, resolve=lambda host: "192.0.2.20")
    assert (got.tracker, got.overlay.neighbours) == (None, (Endpoint("192.0.2.20", 9001),))


@pytest.mark.parametrize("argv", [[], ["--topology=ring"], ["--neighbours=192.0.2.20:9001", "--once"]])
def test_without_a_tracker_neighbours_are_named_by_address_and_once_is_refused(argv: list[str]) -> None:
    with pytest.raises(UsageError):
        run_config(parse(TEXT, argv, command="run"), resolve=str)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        config().port = 5  # type: ignore[misc]


@pytest.mark.parametrize("inside", [".", "..", "../..", "../../..", "cli", "peer/../cli"])
def test_the_folder_that_holds_the_running_code_is_refused_with_advice(inside: str) -> None:
    with pytest.raises(FolderUnusable, match="holds the running gsync") as error:
        folder_of(str(Path(gsync.__file__).parent / inside))
    assert "--dir=" in error.value.advice


def test_a_folder_above_the_running_code_is_refused_too_because_subfolders_travel() -> None:
    with pytest.raises(FolderUnusable, match="holds the running gsync"):
        folder_of("/")


@pytest.mark.parametrize("inside", ["", "lib/python3/site-packages", ".."])
def test_the_environment_that_the_code_runs_in_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path / "venv"))
    with pytest.raises(FolderUnusable, match="holds the running gsync"):
        folder_of(str(tmp_path / "venv" / inside))


def test_without_an_environment_a_folder_beneath_the_systems_prefix_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setattr("sys.base_prefix", str(tmp_path))
    assert folder_of(str(tmp_path / "Shared")) == tmp_path / "Shared"


def test_an_empty_folder_is_no_folder_and_not_the_working_directory() -> None:
    with pytest.raises(UsageError, match="--dir names no folder"):
        folder_of("")


def test_a_link_to_the_running_code_is_refused_too(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(Path(gsync.__file__).parent)
    with pytest.raises(FolderUnusable):
        folder_of(str(link))


def test_a_folder_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    assert folder_of(str(tmp_path / "new")) == tmp_path / "new"


def test_a_tilde_means_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_of("~/Shared") == tmp_path / "Shared"


def test_the_home_of_nobody_is_refused_in_words() -> None:
    with pytest.raises(FolderUnusable, match="~nobody-of-this-name"):
        folder_of("~nobody-of-this-name/Shared")


def test_a_link_that_leads_to_itself_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FolderUnusable, match="loop"):
        folder_of(str(tmp_path / "loop"))
