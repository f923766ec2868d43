"""Files are read in pieces, and a digest belongs to what stood there from the first byte to the last."""

from __future__ import annotations

import pytest

from gsync.core.blocks import BLOCK_BYTES, digest_of_bytes
from gsync.core.model import Fingerprint
from gsync.core.names import RelPath
from gsync.errors import StorageError
from gsync.peer.reading import PIECE_FILES, Begun, Piece, Read, Unread, read_piece
from gsync.storage.memory import MemoryFolder
from tests.unit.peer.world import path

A, B, C = path("a"), path("b"), path("c")


@pytest.fixture
def folder() -> MemoryFolder:
    return MemoryFolder()


def shown(folder: MemoryFolder, *names: RelPath) -> list[tuple[RelPath, Fingerprint]]:
    files = []
    for name in names:
        fingerprint = folder.fingerprint(name)
        assert fingerprint is not None
        files.append((name, fingerprint))
    return files


def test_each_file_gets_its_digest(folder: MemoryFolder) -> None:
    folder.put("a", b"")
    folder.put("b", b"x" * (3 * BLOCK_BYTES))
    files = shown(folder, A, B)
    piece = read_piece(folder, files)
    assert {path: (read.fingerprint, read.digest) for path, read in piece.read.items()} == {
        A: (files[0][1], digest_of_bytes(b"")),
        B: (files[1][1], digest_of_bytes(b"x" * (3 * BLOCK_BYTES))),
    }
    assert piece.begun is None


@pytest.mark.parametrize("size", [BLOCK_BYTES - 1, BLOCK_BYTES, 5 * BLOCK_BYTES, 5 * BLOCK_BYTES + 1])
def test_a_large_file_is_read_over_several_pieces(folder: MemoryFolder, size: int) -> None:
    content = bytes(number % 251 for number in range(1000)) * (size // 1000 + 1)
    folder.put("a", content[:size])
    files = shown(folder, A)
    begun, pieces = None, 0
    while True:
        piece = read_piece(folder, files, begun, bytes_max=2 * BLOCK_BYTES)
        begun, pieces = piece.begun, pieces + 1
        if begun is None:
            break
    assert pieces == max(1, -(-size // (2 * BLOCK_BYTES)))
    assert piece.read[A].digest == digest_of_bytes(content[:size])


def test_a_piece_ends_when_enough_was_read(folder: MemoryFolder) -> None:
    for name in ("a", "b", "c"):
        folder.put(name, b"x" * 1000)
    assert list(read_piece(folder, shown(folder, A, B, C), bytes_max=1500).read) == [A, B]


def test_a_file_that_is_another_one_now_has_no_digest(folder: MemoryFolder) -> None:
    folder.put("a", b"1")
    files = shown(folder, A)
    folder.edit("a", b"2")
    assert read_piece(folder, files) == Piece(moved=frozenset({A}))
    folder.remove("a")
    assert read_piece(folder, files) == Piece(moved=frozenset({A}))


def test_a_large_file_that_is_written_is_given_up_at_once(folder: MemoryFolder) -> None:
    folder.put("a", bytes(9 * BLOCK_BYTES))
    files = shown(folder, A)
    begun = read_piece(folder, files, bytes_max=2 * BLOCK_BYTES).begun
    assert begun is not None
    folder.edit("a", bytes(9 * BLOCK_BYTES))
    assert read_piece(folder, files, begun, bytes_max=2 * BLOCK_BYTES) == Piece(moved=frozenset({A}))


def test_a_file_that_cannot_be_read_does_not_stop_the_others(folder: MemoryFolder) -> None:
    folder.put("a", b"1")
    folder.put("b", b"2")
    files = shown(folder, A, B)
    errors = iter([StorageError("input/output error"), None])

    def fail(method: str) -> None:
        if method == "open" and (error := next(errors)) is not None:
            raise error

    folder.on_call = fail
    piece = read_piece(folder, files)
    assert piece.refused == {A}
    assert set(piece.read) == {B}


def test_what_was_begun_and_is_no_longer_wanted_is_closed(folder: MemoryFolder) -> None:
    folder.put("a", bytes(5 * BLOCK_BYTES))
    folder.put("b", b"x")
    begun = read_piece(folder, shown(folder, A), bytes_max=BLOCK_BYTES).begun
    assert begun is not None
    closed: list[bool] = []
    begun.close = lambda: closed.append(True)  # type: ignore[method-assign]
    assert set(read_piece(folder, shown(folder, B), begun).read) == {B}
    assert closed == [True]


# What is to be read


def print_of(inode: int) -> Fingerprint:
    return Fingerprint(size=1, mtime_ns=1, ctime_ns=1, inode=inode, mode=0o644)


def test_files_are_read_in_the_order_of_asking_so_many_at_a_time() -> None:
    unread = Unread()
    unread.want({RelPath(str(number)): print_of(number) for number in range(PIECE_FILES + 1)})
    batch = unread.next_files(None)
    assert len(batch) == PIECE_FILES
    unread.take_in(batch, Piece(read={name: Read(fingerprint=seen, digest="x") for name, seen in batch}))
    assert unread.next_files(None) == [(RelPath(str(PIECE_FILES)), print_of(PIECE_FILES))]
    assert len(unread) == 1
    assert len(unread.digests) == PIECE_FILES
    unread.forget(name for name, _ in batch)
    assert unread.digests == {}


def test_what_was_begun_comes_first(folder: MemoryFolder) -> None:
    folder.put("b", b"x")
    (_, seen), *_ = shown(folder, B)
    unread = Unread()
    unread.want({A: print_of(1), B: seen})
    begun = Begun(B, seen, folder.open(B))
    assert [name for name, _ in unread.next_files(begun)] == [B, A]
    unread.want({B: print_of(9)})
    assert unread.next_files(begun) == [(A, print_of(1)), (B, print_of(9))]


def test_what_changed_while_it_was_read_stays_to_be_read() -> None:
    unread = Unread()
    unread.want({A: print_of(1), B: print_of(2)})
    batch = unread.next_files(None)
    unread.want({A: print_of(3)})
    unread.take_in(batch, Piece(moved=frozenset({A}), refused=frozenset({B})))
    assert unread.next_files(None) == [(A, print_of(3))]
