"""What a look makes of what it sees; how it all comes together is in test_indexer_live.py."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from gsync.core.blocks import digest_of_bytes
from gsync.core.ignore import IGNORE_FILE, is_ignored
from gsync.core.model import FileMeta, Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import FolderUnusable, StorageError
from gsync.peer.look import Answer, Question, known_at, look
from gsync.peer.reading import read_piece
from gsync.storage.memory import MemoryFolder
from tests.unit.peer.world import meta, path

A = path("a")
NOW_NS = 1_700_000_100 * 10**9


@pytest.fixture
def folder() -> MemoryFolder:
    return MemoryFolder(wall_clock=lambda: 1_700_000_000.0)


def known(folder: MemoryFolder, *, digest: str = "") -> dict[RelPath, FileMeta]:
    shown = folder.fingerprint(A)
    assert shown is not None
    return {A: FileMeta(fingerprint=shown, version=Version.from_mtime(5), digest=digest)}


def asked(local: dict[RelPath, FileMeta], *, paths: Iterable[RelPath] | None = None, reads: bool = True) -> Question:
    return Question(
        paths=None if paths is None else frozenset(paths),
        vanished=frozenset(),
        local=local,
        buried={},
        author="me",
        has_history=True,
        now_ns=NOW_NS,
        skip=is_ignored,
        reads_everything=reads,
    )


def after_a_save_under_the_old_mtime(folder: MemoryFolder, content: bytes, *, digest: str, reads: bool) -> Answer:
    folder.put("a", b"content", mtime_ns=77)
    before = known(folder, digest=digest)
    folder.put("a", content, mtime_ns=77)
    return look(folder, asked(before, reads=reads))


@pytest.mark.parametrize("reads", [True, False])
def test_a_restored_file_is_read_and_found_to_be_the_same(folder: MemoryFolder, reads: bool) -> None:
    digest = digest_of_bytes(b"content")
    changes = after_a_save_under_the_old_mtime(folder, b"content", digest=digest, reads=reads).changes
    assert changes.changed[A].version == Version.from_mtime(5)


@pytest.mark.parametrize("reads", [True, False])
def test_other_content_under_the_old_size_and_mtime_is_found_out(folder: MemoryFolder, reads: bool) -> None:
    digest = digest_of_bytes(b"content")
    changes = after_a_save_under_the_old_mtime(folder, b"CONTENT", digest=digest, reads=reads).changes
    assert changes.changed[A].version == Version.from_mtime(5).edited_by("me", 0)


def test_a_classic_peer_reads_nothing_else(folder: MemoryFolder) -> None:
    calls: list[str] = []
    folder.put("b", b"new")
    folder.on_call = calls.append
    answer = after_a_save_under_the_old_mtime(folder, b"CONTENT", digest="", reads=False)
    assert set(answer.changes.changed) == {A, path("b")}
    assert answer.changes.changed[A].version == Version.from_mtime(5)
    assert "open" not in calls


def test_a_file_whose_digest_nobody_knows_is_read_though_it_did_not_change(folder: MemoryFolder) -> None:
    folder.put("a", b"content")
    changes = look(folder, asked(known(folder))).changes
    assert changes.changed[A].digest == digest_of_bytes(b"content")
    assert changes.changed[A].version == Version.from_mtime(5)


def test_a_file_that_cannot_be_read_stays_as_it_was_known(folder: MemoryFolder) -> None:
    def fail(method: str) -> None:
        if method == "open":
            raise StorageError("permission denied")

    folder.on_call = fail
    answer = after_a_save_under_the_old_mtime(folder, b"other", digest="b3:1", reads=True)
    assert not answer.changes.changed
    assert not answer.changes.buried
    assert not answer.moving
    assert not answer.unread


def test_a_rename_of_what_must_be_read_first_is_as_if_it_had_not_happened_yet(folder: MemoryFolder) -> None:
    folder.put("a", bytes(5 * 1024 * 1024))
    before = known(folder)
    folder.rename("a", "b")
    answer = look(folder, asked(before))
    assert not answer.changes.changed
    assert not answer.changes.buried
    assert set(answer.unread) == {path("b")}


def read_a_moment_ago(folder: MemoryFolder, *names: str, **how: object) -> tuple[Question, list[str]]:
    """What is asked when these files were read, and the calls that the answer makes of the folder."""
    files = [(path(name), folder.fingerprint(path(name))) for name in names]
    piece = read_piece(folder, [(name, shown) for name, shown in files if shown is not None])
    calls: list[str] = []
    folder.on_call = calls.append
    return replace(asked({}, paths=map(path, names)), digests=piece.read, **how), calls


def test_new_files_that_were_just_read_are_told_without_one_more_look(folder: MemoryFolder) -> None:
    folder.put("a", b"content")
    folder.put("a~", b"what an editor left")
    question, calls = read_a_moment_ago(folder, "a", "a~")
    answer = look(folder, question)
    assert calls == ["check_root"]
    assert {name: meta.digest for name, meta in answer.changes.changed.items()} == {A: digest_of_bytes(b"content")}
    assert answer == Answer(
        changes=answer.changes, unread={}, moving=frozenset(), ignored=frozenset(), back=frozenset(), skipped=()
    )


def test_rules_that_were_just_read_are_rules(folder: MemoryFolder) -> None:
    folder.put(IGNORE_FILE, b"*.o")
    question, _ = read_a_moment_ago(folder, IGNORE_FILE, rules={})
    assert look(folder, question).rules == {IGNORE_FILE: folder.fingerprint(path(IGNORE_FILE))}


@pytest.mark.parametrize(
    "doubt",
    [
        pytest.param({"hinted": frozenset({A})}, id="something happens to it just now"),
        pytest.param({"buried": {A: Tombstone(version=Version.from_mtime(5))}}, id="it was deleted once"),
        pytest.param({"vanished": frozenset({path("old")})}, id="it may be what has just vanished elsewhere"),
        pytest.param({"local": {path("old"): meta()}}, id="something is known"),
        pytest.param({"paths": frozenset({A, path("b")})}, id="more was asked for than was read"),
    ],
)
def test_what_was_just_read_is_looked_at_once_more_where_there_is_a_doubt(
    folder: MemoryFolder, doubt: dict[str, object]
) -> None:
    folder.put("a", b"content")
    question, _ = read_a_moment_ago(folder, "a", **doubt)
    folder.remove("a")
    assert not look(folder, question).changes.changed


def both(folder: MemoryFolder) -> dict[RelPath, FileMeta]:
    """Two known files, `a` and `b`, which show the same but for their inode."""
    entries = {}
    for name in ("a", "b"):
        folder.put(name, name.encode(), mtime_ns=77)
        shown = folder.fingerprint(path(name))
        assert shown is not None
        digest = digest_of_bytes(name.encode())
        entries[path(name)] = FileMeta(fingerprint=shown, version=Version.from_mtime(5), digest=digest)
    return entries


def test_what_was_renamed_over_another_file_needs_no_reading(folder: MemoryFolder) -> None:
    before = both(folder)
    folder.rename("b", "a")
    calls: list[str] = []
    folder.on_call = calls.append
    changes = look(folder, asked(before)).changes
    assert "open" not in calls
    assert (changes.changed[A].digest, changes.changed[A].moved_from) == (digest_of_bytes(b"b"), "b")
    assert changes.gone == {path("b")}


def test_where_the_old_name_has_something_unread_only_the_rename_is_not_said(folder: MemoryFolder) -> None:
    before = both(folder)
    folder.rename("a", "b")
    folder.put("a", bytes(5 * 1024 * 1024))
    answer = look(folder, asked(before))
    assert set(answer.unread) == {A}
    assert answer.changes.changed.keys() == {path("b")}
    assert (answer.changes.changed[path("b")].digest, answer.changes.changed[path("b")].moved_from) == (
        digest_of_bytes(b"a"),
        None,
    )
    assert not answer.changes.gone


def test_nothing_is_concluded_from_a_folder_that_is_gone(folder: MemoryFolder) -> None:
    folder.root_stands = False
    with pytest.raises(FolderUnusable):
        look(folder, asked({A: meta()}))


def test_what_is_known_in_directories_is_found_by_their_names() -> None:
    directory = meta()
    directory = replace(directory, fingerprint=replace(directory.fingerprint, kind=Kind.DIRECTORY))
    names = ["d", "d/a", "d/e", "d/e/b", "d-x", "da", "f", "f/a"]
    local = {path(name): directory if name in {"d", "d/e", "f"} else meta() for name in names}
    assert known_at(frozenset({path("d"), path("d/e"), path("x")}), local) == {path(name) for name in names[:4]}
    assert known_at(frozenset({path("da")}), local) == {path("da")}
    assert known_at(frozenset(map(path, ("d", "d-x", "f"))), local) == {path(name) for name in names if name != "da"}


def test_a_save_in_the_midst_of_a_long_look_is_left_for_the_next_one(folder: MemoryFolder) -> None:
    folder.put("a", b"whole")
    before = known(folder, digest=digest_of_bytes(b"whole"))
    folder.put("a", b"")  # emptied, to be written anew
    saved_ns = folder.disk.names["a"].ctime_ns
    question = replace(asked(before), now_ns=saved_ns - 10**9, clock_ns=lambda: saved_ns + 10**9)
    answer = look(folder, question)
    assert (answer.moving, answer.changes.changed) == ({A}, {})
