"""The folder in memory: what a power cut leaves, and what its person does. All else is in the contract suite."""

from __future__ import annotations

import pytest

from gsync.core.model import Fingerprint, Kind
from gsync.core.names import RelPath
from gsync.storage.memory import MemoryFolder

FILE = RelPath.parse("a/b/file")


@pytest.fixture
def folder() -> MemoryFolder:
    return MemoryFolder()


def publish(folder: MemoryFolder, path: RelPath, content: bytes) -> None:
    """A new file whose content is durable, but not its name."""
    staged = folder.stage()
    staged.write(content)
    folder.sync([staged])
    assert folder.put_new(staged.name, path)


def shown(folder: MemoryFolder, path: RelPath) -> Fingerprint:
    fingerprint = folder.fingerprint(path)
    assert fingerprint is not None
    return fingerprint


def test_a_directory_is_durable_once_names_were_synced(folder: MemoryFolder) -> None:
    folder.make_directory(RelPath.parse("kept/deep"))
    folder.sync_names()
    folder.make_directory(RelPath.parse("lost"))
    folder.crash()
    assert set(folder.tree()) == {"kept", "kept/deep"}


def test_a_power_cut_keeps_the_first_changes_in_their_order(folder: MemoryFolder) -> None:
    publish(folder, FILE, b"content")  # stage, two directories, the name
    seen = []
    for keep in range(5):
        other = MemoryFolder()
        publish(other, FILE, b"content")
        other.crash(keep=keep)
        seen.append((sorted(other.tree()), len(other.staged_names())))
    assert seen == [
        ([], 0),
        ([], 1),
        (["a"], 1),
        (["a", "a/b"], 1),
        (["a", "a/b", "a/b/file"], 0),
    ]


def test_a_directory_moves_as_a_whole_or_not_at_all(folder: MemoryFolder) -> None:
    folder.put(FILE, b"content")
    folder.move(RelPath.parse("a"), RelPath.parse("moved"))
    folder.crash(keep=0)
    assert set(folder.tree()) == {"a", "a/b", "a/b/file"}
    folder.move(RelPath.parse("a"), RelPath.parse("moved"))
    folder.crash(keep=1)
    assert folder.tree() == {
        "moved": (Kind.DIRECTORY, b""),
        "moved/b": (Kind.DIRECTORY, b""),
        "moved/b/file": (Kind.FILE, b"content"),
    }


def test_what_was_removed_or_taken_out_comes_back_unless_names_were_synced(folder: MemoryFolder) -> None:
    folder.put("file", b"content")
    folder.mkdir("empty")
    for synced in (False, True):
        assert folder.take_out(RelPath.parse("file")) is not None
        assert folder.remove_directory(RelPath.parse("empty"))
        if synced:
            folder.sync_names()
        folder.crash()
        assert set(folder.tree()) == (set() if synced else {"file", "empty"})


def test_what_was_adjusted_is_lost_unless_names_were_synced(folder: MemoryFolder) -> None:
    folder.put(FILE, b"content", mtime_ns=5)
    for synced in (False, True):
        seen = shown(folder, FILE)
        adjusted = folder.adjust(FILE, expected=seen, mtime_ns=77, executable=True)
        assert adjusted is not None
        if synced:
            folder.sync_names()
        folder.crash()
        now = shown(folder, FILE)
        assert (now.mtime_ns, now.is_executable) == ((77, True) if synced else (5, False))


def test_a_link_comes_whole_or_not_at_all(folder: MemoryFolder) -> None:
    folder.put_new(folder.stage_link("target"), FILE)
    folder.sync_names()
    folder.crash()
    assert folder.tree()[FILE] == (Kind.LINK, b"target")


def test_the_person_makes_the_directories_on_the_way_and_all_is_durable_at_once(folder: MemoryFolder) -> None:
    folder.put("a/file", b"x")
    folder.link("b/link", "target")
    folder.rename("a", "c/moved")
    folder.crash()
    assert set(folder.tree()) == {"b", "b/link", "c", "c/moved", "c/moved/file"}
    folder.remove("c")
    folder.crash()
    assert set(folder.tree()) == {"b", "b/link"}


def test_the_person_neither_saves_over_a_directory_nor_beneath_a_file(folder: MemoryFolder) -> None:
    folder.put("a/file", b"x")
    with pytest.raises(IsADirectoryError):
        folder.put("a", b"x")
    with pytest.raises(IsADirectoryError):
        folder.rename("a/file", "a")
    with pytest.raises(NotADirectoryError):
        folder.put("a/file/beneath", b"x")
