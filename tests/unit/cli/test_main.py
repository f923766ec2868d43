"""The roof: which command a word picks, and which exit code and words an error becomes."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence

import pytest

import gsync
from gsync import errors
from gsync.cli import main
from gsync.cli.exits import Exit, NotRunningHere, Unreachable, UsageError
from gsync.cli.main import COMMANDS, HELP, run_command
from gsync.cli.usage import Told

Outcome = Exit | BaseException


class Commands:
    """Commands that note what they are called with, and end as the test says."""

    def __init__(self) -> None:
        self.called: list[tuple[str, list[str]]] = []
        self.outcome: Outcome = Exit.DONE

    def load(self, word: str) -> Callable[[Sequence[str]], Exit]:
        def command(argv: Sequence[str]) -> Exit:
            self.called.append((word, list(argv)))
            if isinstance(self.outcome, BaseException):
                raise self.outcome
            return self.outcome

        return command


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    commands = Commands()
    monkeypatch.setattr(main, "_load", commands.load)
    return commands


@pytest.mark.parametrize(
    ("line", "command", "rest"),
    [
        ("192.0.2.1 9000", "run", "192.0.2.1 9000"),
        ("localhost 9000", "run", "localhost 9000"),
        ("tracker.example 9000 --once", "run", "tracker.example 9000 --once"),
        ("::1 9000", "run", "::1 9000"),
        ("9000 192.0.2.1", "run", "9000 192.0.2.1"),
        ("--dir=x 192.0.2.1 9000", "run", "--dir=x 192.0.2.1 9000"),
        ("run 192.0.2.1 9000", "run", "192.0.2.1 9000"),
        ("run --help", "run", "--help"),
        ("tracker", "tracker", ""),
        ("tracker 9000", "tracker", "9000"),
        ("demo --once", "demo", "--once"),
        ("status", "status", ""),
        ("why a.txt --json", "why", "a.txt --json"),
        ("conflicts keep mine a.txt", "conflicts", "keep mine a.txt"),
    ],
)
def test_the_first_word_picks_the_command(commands: Commands, line: str, command: str, rest: str) -> None:
    assert run_command(line.split()) == Exit.DONE
    assert commands.called == [(command, rest.split())]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("trakcer 9000", "there is no command 'trakcer'; did you mean 'tracker'?"),
        ("traker", "there is no command 'traker'; did you mean 'tracker'?"),
        ("dem", "there is no command 'dem'; did you mean 'demo'?"),
        ("sync", "there is no command 'sync'"),
        ("sttaus --json", "there is no command 'sttaus'; did you mean 'status'?"),
        ("confilcts", "there is no command 'confilcts'; did you mean 'conflicts'?"),
        ("lss", "there is no command 'lss'; did you mean 'ls'?"),
    ],
)
def test_a_word_that_is_no_command_is_answered_with_the_nearest_one(
    commands: Commands, capsys: pytest.CaptureFixture[str], line: str, told: str
) -> None:
    assert run_command(line.split()) == Exit.USAGE
    assert capsys.readouterr().err == f"gsync: {told}\n  gsync --help\n"
    assert commands.called == []


@pytest.mark.parametrize("word", ["192.0.2.10", "tracker.example", "::1"])
def test_an_address_alone_is_answered_with_the_port_that_is_missing(
    commands: Commands, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    assert run_command([word]) == Exit.USAGE
    told = f"gsync: {word} is where the tracker is; its port is missing\n  gsync {word} 9000\n"
    assert capsys.readouterr().err == told
    assert commands.called == []


def test_no_word_at_all_is_answered_with_a_command_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([]) == Exit.USAGE
    assert "gsync 127.0.0.1 9000 --dir=DIR" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["-h", "--help", "help"])
def test_help_is_data(capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert run_command([word]) == Exit.DONE
    assert capsys.readouterr() == (HELP.strip() + "\n", "")


def test_the_help_names_every_command() -> None:
    assert all(f"gsync {word}" in HELP for word in COMMANDS)


def test_the_version_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--version"]) == Exit.DONE
    assert capsys.readouterr() == (f"gsync {gsync.__version__}\n", "")


@pytest.mark.parametrize("word", COMMANDS)
def test_every_command_has_its_help(capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert run_command([word, "--help"]) == Exit.DONE
    out, err = capsys.readouterr()
    assert "Usage:" in out
    assert "--version" in out
    assert err == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (errors.AddressInUse("x"), 2),
        (Unreachable("x", advice="y"), 3),
        (errors.ConnectFailed("x"), 3),
        (errors.ConnectionBroken("x"), 3),
        (errors.Stalled("x"), 3),
        (errors.NoSpace("x"), 9),
        (errors.UnknownName("x"), 4),
        (NotRunningHere("x", advice="y"), 10),
        (errors.FolderLocked("x"), 11),
        (errors.FolderUnusable("x"), 11),
        (errors.ConfigError("x"), 11),
        (errors.StorageError("x"), 1),
        (errors.IndexDamaged("x"), 1),
        (errors.RemoteProtocolError("x"), 1),
        (errors.GsyncError("x"), 1),
        (KeyboardInterrupt(), 130),
        (Told("x"), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_error_has_its_exit_code(commands: Commands, error: BaseException, code: int) -> None:
    commands.outcome = error
    assert run_command(["tracker"]) == code


@pytest.mark.parametrize("code", list(Exit))
def test_a_command_that_ends_by_itself_has_the_last_word(commands: Commands, code: Exit) -> None:
    commands.outcome = code
    assert run_command(["tracker"]) == code


def test_an_error_is_a_line_and_a_command_to_paste(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    commands.outcome = errors.FolderUnusable("the folder is gone", advice="mount it again")
    run_command(["tracker"])
    assert capsys.readouterr() == ("", "gsync: the folder is gone\n  mount it again\n")


def test_an_error_without_words_tells_what_its_kind_means(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.outcome = errors.NoSpace()
    run_command(["tracker"])
    assert "free-space floor" in capsys.readouterr().err


def test_a_hostile_name_in_an_error_is_escaped(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    commands.outcome = errors.StorageError("\x1b[2J\n: no such file")
    run_command(["tracker"])
    assert capsys.readouterr().err == "gsync: \\x1b[2J\\n: no such file\n"


def test_a_defect_says_that_it_is_one_and_where(
    commands: Commands, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    commands.outcome = ZeroDivisionError("division by zero")
    with caplog.at_level("ERROR"):
        assert run_command(["tracker"]) == Exit.ERROR
    assert "a defect of gsync" in capsys.readouterr().err
    assert "ZeroDivisionError" in caplog.text


def test_when_nobody_reads_stdout_any_more_nothing_is_said(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    commands.outcome = BrokenPipeError()
    assert run_command(["tracker"]) == Exit.ERROR
    assert err.closed


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_cannot_show_a_name_gets_it_escaped(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    commands.outcome = Told("Grüße 🎉 漢")
    assert run_command(["tracker"]) == Exit.DONE
    out.flush()
    shown = out.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert shown.encode("ascii", "backslashreplace") == b"Gr\\xfc\\xdfe \\U0001f389 \\u6f22\n"
