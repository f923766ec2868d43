"""What `gsync lab staleness` understands, and what it leaves behind."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from gsync.cli import lab
from gsync.cli.exits import UsageError
from gsync.cli.lab import EXAMPLES, TEXT, Plan, plan_of, share_of
from gsync.cli.main import run_command
from gsync.cli.usage import parse
from gsync.core.copies import Mode
from gsync.errors import ConfigError
from gsync.lab.grid import COLUMNS, Outcome, Point


def plan(*words: str) -> Plan:
    return plan_of(parse(TEXT, ["lab", "staleness", "--simulated", *words], command="lab"))


def real(*words: str) -> Plan:
    return plan_of(parse(TEXT, ["lab", "staleness", *words], command="lab"))


def test_without_options_it_compares_push_pull_and_hybrid() -> None:
    default = plan()
    assert {point.mode for point in default.points} == {Mode.PUSH, Mode.PULL, Mode.HYBRID}
    assert {point.ttr_s for point in default.points} == {5, 30, 120}
    assert {(point.gap_s, point.peers, point.overlay.name, point.loss, point.jitter) for point in default.points} == {
        (60, 16, "grid", 0, 0)
    }
    assert default.seeds == 10


def test_several_values_make_a_grid() -> None:
    grid = plan("--mode=pull", "--ttr=1, 2", "--peers=4,9", "--topology=star,random:3", "--loss=0,10%", "--jitter=20%")
    assert len(grid.points) == 16
    assert {point.overlay.name for point in grid.points} == {"star", "random:3"}
    assert {point.loss for point in grid.points} == {0, 0.1}
    assert {point.jitter for point in grid.points} == {0.2}


def test_a_file_says_who_is_there(tmp_path: Path) -> None:
    file = tmp_path / "triangle.txt"
    file.write_text("a,b,c\nb,a,c\nc,a,b\n")
    points = plan("--mode=push", f"--topology={file}", "--ttr=5", "--peers=4,9").points
    assert [(point.overlay.name, point.peers) for point in points] == [("triangle.txt", 3)]


@pytest.mark.parametrize(
    ("text", "share"), [("0", 0), ("0.01", 0.01), ("1", 0.01), ("1%", 0.01), ("0.5%", 0.005), ("10", 0.1)]
)
def test_a_share_is_below_1_or_per_cent(text: str, share: float) -> None:
    assert share_of(text) == pytest.approx(share)


@pytest.mark.parametrize(
    "word",
    [
        "--mode=pul",
        "--ttr=",
        "--ttr=0",
        "--gap=x",
        "--peers=1",
        "--peers=257",
        "--topology=circle",
        "--topology=star:3",
        "--loss=100",
        "--loss=-1",
        "--jitter=0.1,0.2",
        "--seeds=0",
        "--seeds=1.5",
        "--seeds=1,2",
        "--peers=2.5",
        "--gap=",
        "--topology=",
        "--topology=/",
        "--topology=grid,random:0",
        "--out=",
    ],
)
def test_what_it_cannot_do_is_said_with_the_option_and_a_right_one(word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(word)
    option = word.partition("=")[0]
    assert str(caught.value).startswith(option)
    assert caught.value.advice


def test_the_advice_of_each_option_can_be_taken() -> None:
    for option, example in EXAMPLES.items():
        assert example.startswith(f"{option}=")
        assert plan(example).points


def test_a_mistyped_mode_is_answered_with_the_nearest_one_as_it_is_typed() -> None:
    with pytest.raises(UsageError, match="did you mean 'pull'"):
        plan("--mode=pul")


def test_a_topology_file_of_one_peer_or_too_many_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "many.txt"
    file.write_text("hub," + ",".join(f"p{n}" for n in range(256)) + "\n" + "".join(f"p{n},hub\n" for n in range(256)))
    with pytest.raises(ConfigError, match=r"many.txt: 257 peers"):
        plan(f"--topology={file}")


def test_without_another_word_peers_are_real() -> None:
    assert not real().is_simulated
    assert plan().is_simulated


@pytest.mark.parametrize("word", ["--peers=17", "--loss=0.1"])
def test_what_only_the_twin_can_do_is_refused(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        real(word)
    assert caught.value.advice == "add --simulated"
    assert plan(word).points


def test_a_topology_with_a_mistake_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "lame.txt"
    file.write_text("a,b\nb\n")
    with pytest.raises(ConfigError, match=r"lame.txt:1"):
        plan(f"--topology={file}")


def run(out: Path, *words: str) -> int:
    setting = ("--simulated", "--ttr=120,300", "--peers=2", "--topology=line", "--seeds=2")
    return run_command(["lab", "staleness", *setting, *words, f"--out={out}"])


@pytest.mark.slow
def test_it_leaves_a_row_for_each_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made" / "there"
    assert run(out, "--mode=push,pull") == 0
    with (out / "staleness.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == list(COLUMNS)
    assert [row[:7] for row in rows] == [
        [mode, ttr, "60", "2", "line", "0", "2"] for mode in ("push", "pull") for ttr in ("120", "300")
    ]
    assert rows[0][-1] == "1"
    printed = capsys.readouterr()
    assert "4 points" in printed.out
    assert "4/4  pull, TTR 300 s" in printed.err


@pytest.mark.slow
def test_real_peers_are_compared_with_the_twin_on_the_same_points(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Point] = []

    def on_sockets(point: Point, seed: int) -> Outcome:
        asked.append(point)
        return Outcome(reads=100, stale=80 if point.ttr_s == 300 else 0, updates=10, messages=10)

    monkeypatch.setattr(lab, "on_sockets", on_sockets)
    monkeypatch.setattr(lab.logs, "configure", lambda **chosen: None)  # it is for the whole process
    monkeypatch.setattr(lab.queries, "ask", lambda overlay, seed: iter(()))
    setting = ("--mode=pull", "--ttr=120,300", "--peers=2", "--topology=line", "--seeds=2", f"--out={tmp_path}")
    assert run_command(["lab", "staleness", *setting]) == 0
    assert [point.ttr_s for point in asked] == [120, 120, 300, 300]
    real, twin = (
        [line.split(",") for line in (tmp_path / name).read_text().splitlines()]
        for name in ("staleness.csv", "twin.csv")
    )
    assert [row[:7] for row in real] == [row[:7] for row in twin]
    assert float(twin[1][7]) > 30
    assert "real against simulated: 1 of 2 within" in capsys.readouterr().out


@pytest.mark.slow
def test_without_matplotlib_it_says_so_and_the_table_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "can_draw", lambda: False)
    assert run(tmp_path, "--mode=pull") == 0
    assert "matplotlib is not installed" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["staleness.csv"]


def test_a_folder_that_cannot_be_made_is_said_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(tmp_path / "file" / "out") == 2
    assert "no folder can be made" in capsys.readouterr().err


def test_an_experiment_that_is_none_is_told_how_it_is_used() -> None:
    with pytest.raises(UsageError, match="gsync lab staleness"):
        parse(TEXT, ["lab", "freshness"], command="lab")
