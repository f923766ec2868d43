"""A crash at every call of a batch with every kind of change, with every state of the disk that a power cut can leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from gsync.core.actions import Displaced, Relocated
from gsync.core.conflicts import is_conflict_copy
from gsync.core.model import FileMeta, Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import join
from gsync.storage.downloads import Adjustment, Change, Moved, Published, Relocation, Removed
from tests.unit.storage.crashing import Story, assert_what_is_remembered_is_agreed, crash_again
from tests.unit.storage.publishing import NEW_S, THEIRS, World, directory, download, link, removal

MTIME_NS = NEW_S * 10**9 + 5

KNOWN = {
    "adjusted",
    "file to directory",
    "gone",
    "gone link",
    "gone d",
    "gone d/file",
    "held",
    "lost",
    "link",
    "m",
    "m/x",
}
CONTENTS = {b"adjusted", b"file to directory", b"gone", b"gone d/file", b"held", b"lost", b"m/x"}
TARGETS = {"gone link", "link"}

AFTER = {
    "adjusted": (Kind.FILE, b"adjusted"),
    "file to directory": (Kind.DIRECTORY, b""),
    "file to directory/new": (Kind.FILE, b"new"),
    "link": (Kind.LINK, b"new"),
    "lost": (Kind.LINK, b"won"),
    "n": (Kind.DIRECTORY, b""),
    "n/m": (Kind.DIRECTORY, b""),
    "n/m/x": (Kind.FILE, b"m/x"),
}


def saved(world: World) -> None:
    for name in ("m", "gone d"):
        world.save_directory(name)
    for name in ("adjusted", "file to directory", "gone", "gone d/file", "held", "lost", "m/x"):
        world.save(name, name.encode())
    for name in ("gone link", "link"):
        world.save_link(name, name)
    world.folder.hold_open("held")
    world.index.record(entries=world.changes().changed)


def missing(world: World) -> list[Change]:
    """What is still to be done, as far as the index knows: all of it at first."""
    contents = world.index.load()
    known = {str(path): meta for path, meta in contents.local.items()}
    shown = world.folder.tree()
    changes: list[Change] = [
        removal(name, known[name])
        for name in ("gone", "gone link", "gone d", "gone d/file", "held")
        if RelPath.parse(name) not in contents.buried
    ]
    changes += [directory(name, over=known.get(name)) for name in ("n", "file to directory") if _differs(name, known)]
    if shown.get("file to directory/new") is None:
        changes.append(download("file to directory/new", b"new"))
    if known["link"].target != "new":
        changes.append(link("link", "new", over=known["link"]))
    if known["lost"].target != "won":
        changes.append(link("lost", "won", over=known["lost"], displaced=Displaced.CONFLICT_COPY))
    if known["adjusted"].fingerprint.mtime_ns != MTIME_NS:
        changes.append(adjustment(known["adjusted"]))
    if "m" in known:
        changes.append(relocation(known))
    return changes


def _differs(name: str, known: dict[str, FileMeta]) -> bool:
    return name not in known or known[name].kind is not Kind.DIRECTORY


def adjustment(meta: FileMeta) -> Adjustment:
    return Adjustment(path=RelPath.parse("adjusted"), expected=meta, version=THEIRS, mtime_ns=MTIME_NS, executable=True)


def relocation(known: dict[str, FileMeta]) -> Relocation:
    names = {RelPath.parse(name): known[name] for name in ("m", "m/x")}
    entries = {
        RelPath.parse(f"n/{name}"): Relocated(source=name, expected=meta, version=THEIRS)
        for name, meta in names.items()
    }
    buried = {
        name: Tombstone(version=join([meta.version, THEIRS]), kind=meta.kind, digest=meta.digest)
        for name, meta in names.items()
    }
    return Relocation(path=RelPath.parse("n/m"), source=RelPath.parse("m"), entries=entries, buried=buried)


def begun(world: World) -> list[Change]:
    """The world of before, and the batch."""
    saved(world)
    return missing(world)


def assert_nothing_is_lost(world: World) -> None:
    assert set(world.everything()) >= CONTENTS
    assert {node.target for node in world.folder.disk.names.values()} >= TARGETS
    shown = world.folder.tree()
    for name, what in AFTER.items():
        if name in KNOWN:
            before = (Kind.LINK if name == "link" else Kind.FILE, name.encode())
            assert shown.get(name, what) in {before, what}, "a name holds the whole old or the whole new content"
        elif name in shown:
            assert shown[name] == what
    changes = world.changes()
    moved = {path for path, meta in changes.changed.items() if meta.moved_from is not None}
    assert moved <= {"n/m", "n/m/x"}
    assert changes.buried.keys() <= {"m", "m/x"}, "no deletion is invented but that of a rename"
    others = {path for path in _stepped(world) if path not in moved and not is_conflict_copy(path)}
    assert others <= {"n", "file to directory"}, "only a directory that was made on the way is new to the index"
    assert_what_is_remembered_is_agreed(world)


def _stepped(world: World) -> set[RelPath]:
    """The paths to which a scan would give another version."""
    known = world.index.load().local
    changed = world.changes().changed.items()
    return {path for path, meta in changed if path not in known or known[path].version != meta.version}


def assert_the_rest_can_follow(world: World) -> None:
    """Look again at what stands there, plan again, publish again: now everything is in place."""
    for node in world.folder.disk.names.values():
        node.writers = 0
    world.publisher.review_limbo()
    changes = world.changes()
    world.index.record(entries={**changes.changed, **changes.buried})
    outcomes = world.publish(*missing(world))
    assert all(isinstance(one, Published | Removed | Moved) for one in outcomes)
    shown = dict(world.folder.tree())
    copies = {name: shown.pop(name) for name in list(shown) if is_conflict_copy(RelPath.parse(name))}
    assert shown == AFTER
    assert list(copies.values()) == [(Kind.FILE, b"lost")]
    contents = world.index.load()
    assert {str(path) for path in contents.local if not is_conflict_copy(path)} == AFTER.keys()
    assert {"gone", "gone link", "gone d", "gone d/file", "held", "m", "m/x"} == contents.buried.keys()
    assert world.folder.disk.names["adjusted"].mode == 0o755
    assert {b"gone", b"gone d/file", b"held", b"file to directory"} <= set(world.in_trash())
    assert world.folder.staged_names() == []
    assert world.index.journal() == []
    assert not world.changes().buried
    assert not {path for path in _stepped(world) if not is_conflict_copy(path)}


STORY = Story(begin=begun, nothing_is_lost=assert_nothing_is_lost, the_rest_can_follow=assert_the_rest_can_follow)


@pytest.mark.slow
def test_the_process_may_be_killed_at_any_call(tmp_path: Path) -> None:
    assert STORY.crash_at_each(tmp_path, World.kill_and_start) > 60


@pytest.mark.slow
@pytest.mark.parametrize("keep", [0, 1, 2, 4, 7, 11, 15])
def test_the_power_may_be_cut_at_any_call_with_any_renames_on_the_disk(tmp_path: Path, keep: int) -> None:
    assert STORY.crash_at_each(tmp_path, lambda world: world.crash_and_start(keep=keep)) > 60


@pytest.mark.slow
def test_the_look_at_start_may_itself_be_cut_short_at_any_call(tmp_path: Path) -> None:
    for first in range(20, 72, 6):
        for second in range(0, 40, 3):
            assert STORY.crash_at(
                tmp_path / f"{first}-{second}", first, lambda world, at=second: crash_again(world, at)
            )
