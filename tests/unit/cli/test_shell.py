"""The prompt: lines that become commands, what is completed, and where the history lies."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gsync.cli import main as roof
from gsync.cli.exits import Exit
from gsync.cli.shell import NOT_AT_A_PROMPT, Prompt, _History, _history_file, completed, main
from gsync.errors import GsyncError
from gsync.net.clock import HubClock
from gsync.web.control import ControlServer
from tests.unit.web.controls import FakeControls

NAMES = ["a.txt", "my notes.txt", "photos/2026/a.jpg", "photos/2026/b.jpg", "photos/c.jpg", "it's.txt"]


class World:
    """A prompt whose commands are only noted."""

    def __init__(self, *, code: int = 0) -> None:
        self.ran: list[list[str]] = []
        self.code = code
        self.prompt = Prompt(run=self.run, names=lambda: NAMES, options=["--dir=x"])

    def run(self, words: Sequence[str]) -> int:
        self.ran.append(list(words))
        return self.code

    def complete(self, line: str) -> list[str]:
        """What Tab offers at the end of `line`, as readline asks for it."""
        begin = max(line.rfind(" "), line.rfind("\t")) + 1
        if begin == 0:
            return self.prompt.completenames(line)
        return self.prompt.completedefault(line[begin:], line, begin, len(line))


def test_a_line_is_a_command_in_the_folder_of_the_prompt() -> None:
    world = World(code=5)
    assert not world.prompt.onecmd("ls 'my notes.txt' --json")
    assert not world.prompt.onecmd("why my\\ notes.txt")
    assert world.ran == [["ls", "my notes.txt", "--json", "--dir=x"], ["why", "my notes.txt", "--dir=x"]]
    assert world.prompt.ended is Exit.PARTIAL


@pytest.mark.parametrize("line", ["", "   ", "# ls", "  # x"])
def test_an_empty_line_or_a_remark_is_nothing(line: str) -> None:
    world = World()
    assert not world.prompt.onecmd(line)
    assert world.ran == []


@pytest.mark.parametrize("line", ["quit", "exit", "EOF"])
def test_the_prompt_ends_when_it_is_told_to(line: str) -> None:
    assert World().prompt.onecmd(line)


@pytest.mark.parametrize("line", ["nonsense", "ls 'a", *NOT_AT_A_PROMPT])
def test_what_is_no_command_is_said_and_the_prompt_goes_on(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    assert not world.prompt.onecmd(line)
    assert world.ran == []
    assert capsys.readouterr().err.startswith("gsync: ")
    assert world.prompt.ended is Exit.USAGE


def test_help_lists_the_commands_and_explains_one(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.prompt.onecmd("help")
    listed = capsys.readouterr().out.split()
    assert {"ls", "why", "peers"} <= set(listed)
    assert not {"run", "demo"} & set(listed)
    world.prompt.onecmd("help ls")
    assert world.ran == [["ls", "--help"]]


def test_commands_and_their_words_are_completed() -> None:
    world = World()
    assert world.complete("pau") == ["pause"]
    assert world.complete("q") == ["quit"]
    assert world.complete("mode p") == ["push", "pull", "passive"]
    assert world.complete("mark in") == ["invalid"]
    assert world.complete("mark invalid a") == ["a.txt"]
    assert "peers" in world.complete("help p")


def test_the_only_word_left_is_ended_and_a_directory_goes_on() -> None:
    prompt = World().prompt
    assert [prompt.complete("pau", state) for state in (0, 1)] == ["pause ", None]
    assert [prompt.complete("res", state) for state in (0, 1, 2)] == ["restore", "resume", None]
    assert prompt.complete("zzz", 0) is None
    prompt.completenames = lambda text, *_: ["photos/"]  # type: ignore[method-assign]
    assert prompt.complete("ph", 0) == "photos/"


def test_a_directory_is_offered_as_the_way_to_what_is_in_it() -> None:
    names = ["empty", "photos", "photos/c.jpg", "photos2"]
    assert completed("ls ph", 3, names) == ["photos/", "photos2"]
    assert completed("ls e", 3, names) == ["empty"]


def test_names_are_completed_a_directory_at_a_time() -> None:
    world = World()
    assert world.complete("ls p") == ["photos/"]
    assert world.complete("ls photos/") == ["photos/2026/", "photos/c.jpg"]
    assert world.complete("why a.txt photos/2026/b") == ["photos/2026/b.jpg"]
    assert world.complete("ls x") == []


def test_a_name_with_a_blank_stays_one_word() -> None:
    world = World()
    (end,) = world.complete("ls m")
    assert end == "my\\ notes.txt"
    assert completed("ls my\\ no", 7, NAMES) == ["notes.txt"]
    world.prompt.onecmd(f"ls {end}")
    (end,) = world.complete("ls i")
    world.prompt.onecmd(f"ls {end}")
    assert [words[1] for words in world.ran] == ["my notes.txt", "it's.txt"]


def test_without_a_peer_nothing_is_completed() -> None:
    def names() -> Iterator[str]:
        raise GsyncError("gone")
        yield ""

    prompt = Prompt(run=lambda words: 0, names=names)
    assert prompt.completedefault("a", "ls a", 3, 4) == []


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that a peer keeps."""
    folder = tmp_path / "Shared"
    (folder / ".gsync").mkdir(parents=True)
    own_fd = os.open(folder / ".gsync", os.O_RDONLY | os.O_DIRECTORY)
    server = ControlServer(FakeControls(), own_fd=own_fd, clock=HubClock())
    yield folder
    server.close()
    os.close(own_fd)


def test_a_script_of_commands_is_carried_out_in_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("# what there is\nls photos\nwhy no.txt\nls .\n"))
    assert main([f"--dir={folder}"]) is Exit.DONE
    out, err = capsys.readouterr()
    assert [line.split()[-1] for line in out.splitlines()] == ["photos/b.jpg", "a.txt", "photos/b.jpg"]
    assert err.startswith("gsync: nothing is known of no.txt")


def test_the_exit_code_is_that_of_the_last_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("ls\nwhy no.txt\n"))
    assert main([f"--dir={folder}"]) is Exit.NO_SUCH_FILE


def test_ctrl_c_gives_up_the_line_and_not_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    lines: list[str | type[BaseException]] = [KeyboardInterrupt, "ls", EOFError]

    def type_in(prompt: str = "") -> str:
        line = lines.pop(0)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr("builtins.input", type_in)
    world.prompt.use_rawinput = True
    world.prompt.cmdloop()
    assert (world.ran, lines) == ([["ls", "--dir=x"]], [])


def test_where_no_peer_runs_there_is_no_prompt(tmp_path: Path) -> None:
    assert roof.run_command(["shell", f"--dir={tmp_path}"]) == Exit.NOT_RUNNING


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"XDG_STATE_HOME": "/var/state"}, "/var/state/gsync/history"),
        ({"XDG_STATE_HOME": "relative"}, "/home/ann/.local/state/gsync/history"),
        ({}, "/home/ann/.local/state/gsync/history"),
    ],
)
def test_the_history_lies_with_other_programs_state(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], wanted: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert str(_history_file(environ)) == wanted


def test_the_history_is_kept_for_its_person_alone(tmp_path: Path) -> None:
    readline = pytest.importorskip("readline")
    file = tmp_path / "state" / "gsync" / "history"
    with _History(file):
        readline.clear_history()
        readline.add_history("ls photos")
    assert "ls photos" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    readline.clear_history()
    with _History(file):
        assert readline.get_current_history_length() == 1
