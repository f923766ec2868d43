"""Names that some machine could not tell apart are warned of, once."""

from __future__ import annotations

from gsync.peer.events import Trouble
from gsync.peer.namesakes import NameWarner
from gsync.peer.trees import Trees
from tests.unit.peer.world import Heard, meta, path

LOWER, UPPER, ELSEWHERE = path("d/readme.txt"), path("d/README.txt"), path("e/README.txt")


def test_a_name_that_differs_only_in_case_is_warned_of_once() -> None:
    heard, trees = Heard(), Trees({LOWER: meta()}, {})
    warner = NameWarner(trees, heard.events)
    warner.look([LOWER])
    trees.note_local({ELSEWHERE: meta()})
    warner.look([ELSEWHERE])
    assert heard.all == []
    trees.note_local({UPPER: meta()})
    warner.look([UPPER])
    warner.look([UPPER])
    (told,) = heard.all
    assert isinstance(told, Trouble)
    assert "README" in told.what


def test_composition_counts_like_case() -> None:
    heard, trees = Heard(), Trees({path("Gr\u00fc\u00dfe"): meta(), path("Gru\u0308\u00dfe"): meta()}, {})
    NameWarner(trees, heard.events).look(trees.local)
    assert len(heard.all) == 1


def test_a_name_that_is_gone_collides_with_nothing() -> None:
    heard, trees = Heard(), Trees({LOWER: meta()}, {})
    warner = NameWarner(trees, heard.events)
    warner.look([LOWER])
    trees.note_local({}, [LOWER])
    warner.look([LOWER])
    trees.note_local({UPPER: meta()})
    warner.look([UPPER])
    assert heard.all == []
