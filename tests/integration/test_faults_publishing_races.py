"""faults.md row 2: a person edits a file at the very instant at which a newer one is published; no edit is ever lost.

The editor is a process of its own (editor.py) in one of five manners. It is told to go at a chosen call that the publisher makes of
the disk: half of the times the publisher waits until the edit is done, so that each gap is hit for sure; the other half both go on
side by side, as in life.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.storage.disk import DiskFolder
from gsync.storage.downloads import Download, Overtaken, Published
from gsync.storage.index import Index
from gsync.storage.publisher import Publisher
from tests.e2e.cluster import eventually
from tests.integration.editor import MANNERS
from tests.integration.sizes import limit_s, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300))]

INSTANTS = ("before sync", "before exchange", "after exchange", "before has_writer", "before move_to_trash")
ROUNDS = times(600) // (len(MANNERS) * len(INSTANTS) * 2)
OLD, NEW = 1_600_000_000, 1_700_000_000


class Editor:
    """The other process."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("editor.py")
        self._popen = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def tell(self, *words: str) -> None:
        """Give it a line; `done` waits for its answer."""
        assert self._popen.stdin
        self._popen.stdin.write(" ".join(words).encode() + b"\n")
        self._popen.stdin.flush()

    def done(self) -> None:
        assert self._popen.stdout
        assert self._popen.stdout.readline() == b"done\n"

    def close(self) -> None:
        with self._popen:
            pass  # its input ends, and so does it


class Watched:
    """The real folder; `hook` is called at each instant, with its name."""

    def __init__(self, folder: DiskFolder) -> None:
        self._folder = folder
        self.hook: Callable[[str], None] = lambda _: None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._folder, name)
        if f"before {name}" not in INSTANTS:
            return method

        def watched(*args: object, **kwargs: object) -> object:
            self.hook(f"before {name}")
            result = method(*args, **kwargs)
            self.hook(f"after {name}")
            return result

        return watched


@pytest.fixture
def editor() -> Iterator[Editor]:
    editor = Editor()
    yield editor
    editor.close()


def test_no_edit_is_lost_at_any_instant_of_publishing(tmp_path: Path, editor: Editor) -> None:
    root = tmp_path / "folder"
    real = DiskFolder(root)
    folder = Watched(real)
    index = Index.open(real.own_fd, root_id=real.root_id)
    publisher = Publisher(folder, index, clock=time.monotonic)  # type: ignore[arg-type]
    publisher.recover()
    marks: dict[str, str] = {}
    outcomes: list[object] = []

    for number, (manner, instant, waits, _) in enumerate(
        product(MANNERS, INSTANTS, (True, False), range(ROUNDS)),
    ):
        name, mark = f"file{number:04}", f"edit-{number:04}-{manner}-by-a-person"
        marks[name] = mark
        (root / name).write_bytes(b"what stood before".ljust(200, b"."))
        os.utime(root / name, (OLD, OLD))  # so that an edit shows whatever the tick of this disk's clock is
        editor.tell("open", manner, str(root / name), mark)
        editor.done()
        went = _at(folder, instant, editor, waits=waits)
        path = RelPath.parse(name)
        fingerprint = real.fingerprint(path)
        assert fingerprint is not None
        outcomes += publisher.publish([_download(path, fingerprint)])
        folder.hook = lambda _: None
        if not went:
            editor.tell("go")
        if not (went and waits):
            editor.done()
        editor.tell("close")
        editor.done()

    _wait_for_limbo(publisher, real)
    everything = [path.read_bytes() for path in root.rglob("*") if path.is_file() and not _may_be_purged(path)]
    lost = [mark for mark in marks.values() if not any(mark.encode() in content for content in everything)]
    assert lost == []
    assert len(marks) == len(outcomes) == ROUNDS * len(MANNERS) * len(INSTANTS) * 2
    print(f"row 2: {len(marks)} races, {len(lost)} edits lost")
    assert {type(outcome) for outcome in outcomes} == {Published, Overtaken}
    for name, mark in marks.items():
        content = (root / name).read_bytes()
        assert content == b"newer words\n" * 100 or mark.encode() in content
    assert not [name for name in real.staged_names() if name]
    index.close()
    real.close()


def _may_be_purged(path: Path) -> bool:
    """Whether it lies in the trash as a superseded version, which is no place for an edit that nobody has seen."""
    return path.parts[-3] == "trash" and not path.parent.name.endswith("-unseen")


def _at(folder: Watched, instant: str, editor: Editor, *, waits: bool) -> list[str]:
    """Have the editor go at this instant, once; the returned list has an entry once it went."""
    went: list[str] = []

    def hook(now: str) -> None:
        if now == instant and not went:
            went.append(now)
            editor.tell("go")
            if waits:
                editor.done()

    folder.hook = hook
    return went


def _download(path: RelPath, expected: Fingerprint) -> Download:
    return Download(
        path=path,
        version=Version.from_mtime(NEW),
        content=b"newer words\n" * 100,
        mtime_ns=NEW * 10**9,
        expected=expected,
        loser=FileMeta(fingerprint=expected, version=Version.from_mtime(OLD)),
    )


def _wait_for_limbo(publisher: Publisher, folder: DiskFolder) -> None:
    """Until nothing that was displaced waits any more; what was just put into the trash is looked at once more a second later."""

    def nothing_waits() -> bool:
        return not publisher.review_limbo() and not folder.staged_names()

    eventually(nothing_waits, "an empty limbo")
