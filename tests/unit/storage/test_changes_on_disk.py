"""Every kind of change on the real disk: the same outcomes as in memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.core.actions import Displaced, Relocated
from gsync.core.blocks import digest_of_bytes
from gsync.core.diff import Seen, diff
from gsync.core.model import FileMeta, Tombstone
from gsync.core.moves import paired
from gsync.core.names import RelPath
from gsync.storage.downloads import Adjustment, Change, Moved, Overtaken, Published, Relocation, Removed
from gsync.storage.scanner import scan
from tests.unit.storage.publishing import AUTHOR_OF_OLD, NEW_S, THEIRS, directory, download, link, removal
from tests.unit.storage.test_publisher_on_disk import LATER_NS, Desk


class Home(Desk):
    """A desk whose index knows all that is on it."""

    def learn(self) -> dict[str, FileMeta]:
        known: dict[RelPath, FileMeta] = {}
        for path, one in scan(self.folder, {}, now_ns=LATER_NS).files.items():
            whole = self.root / path
            digest = (
                digest_of_bytes(one.target.encode() if one.target else whole.read_bytes()) if whole.is_file() else ""
            )
            known[path] = FileMeta(fingerprint=one.fingerprint, version=AUTHOR_OF_OLD, digest=digest, target=one.target)
        self.index.record(entries=known, synced={path: meta.version for path, meta in known.items()}, scanned=True)
        return {str(path): meta for path, meta in known.items()}

    def publish(self, *batch: Change) -> list[object]:
        return list(self.publisher.publish(batch))

    def assert_nothing_changed(self) -> None:
        """A scan takes nothing that was published for an edit."""
        contents = self.index.load()
        found = scan(self.folder, contents.local, now_ns=LATER_NS).files
        seen = {path: Seen(fingerprint=one.fingerprint, target=one.target) for path, one in found.items()}
        changes = diff(
            contents.local,
            seen,
            author="me",
            buried=contents.buried,
            moved=paired(contents.local, seen),
            has_history=True,
        )
        assert not changes.changed
        assert not changes.buried
        assert self.folder.staged_names() == []
        assert self.index.journal() == []


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "folder")
    yield home
    home.stop()


def test_a_batch_of_every_kind(home: Home) -> None:
    root = home.root
    for name in ("old/inner", "tree/deep"):
        (root / name).mkdir(parents=True)
    for name in ("gone", "old/inner/gone", "tree/deep/file", "becomes a directory", "adjusted"):
        (root / name).write_text(name)
    (root / "link").symlink_to("old")
    known = home.learn()
    moved = {name: known[name] for name in known if name.split("/")[0] == "tree"}
    outcomes = home.publish(
        download("becomes a directory/new", b"new"),
        directory("becomes a directory", over=known["becomes a directory"]),
        removal("old", known["old"]),
        removal("old/inner", known["old/inner"]),
        removal("old/inner/gone", known["old/inner/gone"]),
        removal("gone", known["gone"]),
        link("link", "tree", over=known["link"], displaced=Displaced.CONFLICT_COPY),
        Adjustment(
            path=RelPath.parse("adjusted"),
            expected=known["adjusted"],
            version=THEIRS,
            mtime_ns=NEW_S * 10**9 + 7,
            executable=True,
        ),
        Relocation(
            path=RelPath.parse("new/tree"),
            source=RelPath.parse("tree"),
            entries={
                RelPath.parse(f"new/{name}"): Relocated(source=RelPath.parse(name), expected=meta, version=THEIRS)
                for name, meta in moved.items()
            },
            buried={RelPath.parse(name): Tombstone(version=THEIRS, kind=meta.kind) for name, meta in moved.items()},
        ),
        directory("new"),
    )
    assert [type(one) for one in outcomes] == [Published] * 2 + [Removed] * 4 + [Published] * 2 + [Moved, Published]
    assert (root / "becomes a directory" / "new").read_bytes() == b"new"
    assert not (root / "old").exists()
    assert os.readlink(root / "link") == "tree"
    (copy,) = root.glob("link.conflict-*")
    assert os.readlink(copy) == "old"
    assert (root / "new/tree/deep/file").read_text() == "tree/deep/file"
    shown = (root / "adjusted").stat()
    assert (shown.st_mtime_ns, stat.S_IMODE(shown.st_mode)) == (NEW_S * 10**9 + 7, 0o755)
    trash = {
        path.relative_to(root / ".gsync/trash").as_posix().split("/", 1)[1] for path in root.rglob("*") if is_kept(path)
    }
    assert trash == {"gone", "old/inner/gone", "becomes a directory"}
    home.assert_nothing_changed()
    home.stop()
    home.start()
    home.assert_nothing_changed()


def is_kept(path: Path) -> bool:
    return path.is_file() and "/.gsync/trash/" in str(path)


def test_a_link_is_removed_and_not_what_it_leads_to(home: Home) -> None:
    (home.root / "file").write_bytes(b"content")
    (home.root / "link").symlink_to("file")
    known = home.learn()
    (outcome,) = home.publish(removal("link", known["link"]))
    assert isinstance(outcome, Removed)
    assert os.readlink(home.root / outcome.trashed) == "file"
    assert (home.root / "file").read_bytes() == b"content"
    home.assert_nothing_changed()


def test_a_real_program_that_has_a_removed_file_open_is_waited_for(home: Home) -> None:
    (home.root / "a").write_bytes(b"old")
    known = home.learn()
    with (home.root / "a").open("r+b") as writer:
        (outcome,) = home.publish(removal("a", known["a"]))
        assert isinstance(outcome, Removed)
        assert outcome.trashed == ""
        assert home.publisher.review_limbo() == []
        writer.write(b"typed on")
    (released,) = home.publisher.review_limbo()
    assert list(home.shown().values()) == [b"typed on"]
    assert released.path == "a"


def test_a_directory_that_holds_a_fifo_stays(home: Home) -> None:
    (home.root / "d").mkdir()
    known = home.learn()
    os.mkfifo(home.root / "d/pipe")
    (outcome,) = home.publish(removal("d", known["d"]))
    assert isinstance(outcome, Removed)
    assert outcome.tombstone.leftover_inode == (home.root / "d").stat().st_ino


def test_a_directory_swapped_for_a_link_is_not_entered(home: Home) -> None:
    outside = home.root.parent / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"not ours")
    (home.root / "d").mkdir()
    (home.root / "d/file").write_bytes(b"old")
    known = home.learn()
    (home.root / "d/file").unlink()
    (home.root / "d").rmdir()
    (home.root / "d").symlink_to(outside)
    outcomes = home.publish(removal("d/file", known["d/file"]), download("d/new", b"new"), directory("d/sub"))
    assert not [one for one in outcomes if isinstance(one, Published | Removed)]
    assert [path.name for path in outside.iterdir()] == ["file"]


def test_an_interrupted_download_is_gone_on_with_after_a_restart(home: Home) -> None:
    staged = home.publisher.begin(RelPath.parse("a"), digest="b3:whole")
    staged.write_at(4, b"5678")
    staged.close()
    home.stop()
    home.start()
    again = home.publisher.partial("b3:whole")
    assert again is not None
    again.write_at(0, b"1234")
    assert again.read_at(0, 100) == b"12345678"
    change = download("a", b"")
    (outcome,) = home.publish(type(change)(path=change.path, version=THEIRS, content=again, mtime_ns=change.mtime_ns))
    assert isinstance(outcome, Published)
    assert home.shown() == {"a": b"12345678"}
    home.assert_nothing_changed()


def test_a_tree_that_was_edited_does_not_move(home: Home) -> None:
    (home.root / "d").mkdir()
    (home.root / "d/file").write_bytes(b"old")
    known = home.learn()
    (home.root / "d/file").write_bytes(b"edited")
    (outcome,) = home.publish(
        Relocation(
            path=RelPath.parse("e"),
            source=RelPath.parse("d"),
            entries={
                RelPath.parse("e" + name[1:]): Relocated(source=RelPath.parse(name), expected=meta, version=THEIRS)
                for name, meta in known.items()
            },
        )
    )
    assert isinstance(outcome, Overtaken)
    assert (home.root / "d/file").read_bytes() == b"edited"
