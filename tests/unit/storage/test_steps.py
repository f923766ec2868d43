"""The turn of each change in a batch."""

from __future__ import annotations

from pathlib import Path

from gsync.core.names import RelPath
from gsync.storage.downloads import Adjustment, Change, Relocation
from gsync.storage.steps import in_turn, touched
from tests.unit.storage.publishing import THEIRS, World, directory, download, link, removal


def test_each_change_has_its_turn(tmp_path: Path) -> None:
    world = World(tmp_path)
    folder, inner, file = world.save_directory("d"), world.save_directory("d/e"), world.save("f", b"old")
    relocation = Relocation(path=RelPath.parse("x"), source=RelPath.parse("y"), entries={})
    turns: list[Change] = [
        relocation,
        removal("f", file),
        directory("n"),
        directory("n/m"),
        download("n/m/o", b""),
        link("p", "q", over=file),
        removal("d/e", inner),
        removal("d", folder),
        download("d", b"", over=folder),
        Adjustment(path=RelPath.parse("f"), expected=file, version=THEIRS),
    ]
    world.end()
    for batch in (turns, turns[::-1]):
        kinds = [(type(batch[at]), batch[at].path) for at in in_turn(batch)]
        downloads = kinds[4:6]
        assert set(downloads) == {(type(turns[4]), turns[4].path), (type(turns[5]), turns[5].path)}
        assert kinds[:4] + kinds[6:] == [(type(one), one.path) for one in turns[:4] + turns[6:]]


def test_a_relocation_touches_all_that_moves() -> None:
    a, b = RelPath.parse("a"), RelPath.parse("b")
    assert set(touched(Relocation(path=b, source=a, entries={}))) == {a, b}
