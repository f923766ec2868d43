"""faults.md row 16: what comes over a wire comes in any pieces. Each reader of a stream is fed mutated input, whole and cut in two
at every offset, and must say the same; and an index file is damaged anywhere, and is told to be, or read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gsync.core.names import RelPath
from gsync.errors import ConfigError, RemoteProtocolError, StorageError
from gsync.storage.index import FILE, Index
from gsync.wire.answers import AnswerReader
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.framing import TRACKER_LIMIT_BYTES, JsonSplitter
from gsync.wire.requests import Edition, NativeStart, Request, RequestReader, SortedNames, Unfinished, Unservable
from tests.integration.fuzzing import mutated
from tests.integration.native_seeds import (
    DIRECTORY,
    JOURNAL,
    META,
    ON_PEER_LINK,
    PATH,
    PEER_MESSAGES,
    TO_TRACKER,
    VERSION,
    headers,
)
from tests.integration.sizes import limit_s, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300))]

INPUTS = 100
"""Each of these is read as often as it has bytes; and an index is a file, which takes its time."""

INPUT_MAX = 600

NAMES = SortedNames()
for _name in ("a", "a b", "ab", "\u00fcber", "quoted", "x.txt"):
    NAMES.add(RelPath.parse(_name))


def _frames(splitter: FrameSplitter, data: bytes) -> list[bytes]:
    splitter.feed(data)
    found: list[bytes] = []
    while (head := splitter.next()) is not None:
        found.append(head)
    return found


def _split_objects(pieces: Sequence[bytes]) -> object:
    splitter = JsonSplitter(TRACKER_LIMIT_BYTES)
    return [found for piece in pieces for found in splitter.feed(piece)], splitter.pending


def _split_frames(pieces: Sequence[bytes]) -> object:
    splitter = FrameSplitter()
    return [found for piece in pieces for found in _frames(splitter, piece)], splitter.pending


def _split_request(pieces: Sequence[bytes]) -> object:
    """Nothing to be compared: a name that no newline follows *yet* is a request of edition 1 (PROTOCOL.md, "Requests")."""
    reader = RequestReader(NAMES)
    for piece in pieces:
        reading = reader.feed(piece)
        assert isinstance(reading, Request | Unservable | NativeStart | Unfinished)
        if not isinstance(reading, Unfinished):
            return None
    assert isinstance(reader.settle(), Request | Unfinished)
    assert isinstance(reader.end(), Request | Unservable)
    return None


def _split_answer(make: Callable[[], AnswerReader]) -> Callable[[Sequence[bytes]], object]:
    def read(pieces: Sequence[bytes]) -> object:
        reader = make()
        body = b"".join(bytes(reader.body(memoryview(piece))) for piece in pieces if piece)
        ending, rest = reader.finish()
        return body + bytes(rest), ending, reader.expected

    return read


STREAMS: dict[str, tuple[Sequence[bytes], Callable[[Sequence[bytes]], object]]] = {
    "objects": ((*PEER_MESSAGES, *DIRECTORY, b"".join(PEER_MESSAGES)), _split_objects),
    "frames": ([frame(h) for h in headers(TO_TRACKER + ON_PEER_LINK)], _split_frames),
    "requests": ((b"a b\n", b"\xc3\xbcber\r\n", b'"quoted"\n', b"nothing\n"), _split_request),
    "answers of edition 1": (
        (b"some bytes", b"Content-Length: 5\nhello"),
        _split_answer(lambda: AnswerReader(Edition.ONE)),
    ),
    "answers of edition 2": (
        (b"Content-Length: 5\nhello", b"content-length:0\r\n"),
        _split_answer(lambda: AnswerReader(Edition.TWO)),
    ),
    "answers of either": (
        (b"Content-Length: 5\nhello", b"Content-Leng", b"bytes"),
        _split_answer(AnswerReader.undecided),
    ),
}
"""How a stream is read that comes in these pieces: what it says, which must not depend on them."""


@pytest.mark.parametrize("name", STREAMS)
def test_no_reader_cares_where_its_input_is_cut(name: str) -> None:
    seeds, read = STREAMS[name]
    cuts = 0
    for number in range(times(INPUTS)):
        data = mutated(random.Random(f"{name} {number}"), seeds)[:INPUT_MAX]
        whole = _outcome(read, [data])
        for at in range(1, len(data)):
            assert _outcome(read, [data[:at], data[at:]]) == whole, f"{name}, input {number} at {at}: {data!r}"
            cuts += 1
    print(f"row 16: {name}: {times(INPUTS)} inputs, cut at {cuts} offsets")


def _outcome(read: Callable[[Sequence[bytes]], object], pieces: Sequence[bytes]) -> object:
    try:
        return read(pieces)
    except RemoteProtocolError:
        return "refused"


def test_a_damaged_index_file_is_told_and_never_trips_us(tmp_path: Path) -> None:
    place = tmp_path / "own"
    place.mkdir()
    index = Index.open(place, root_id="root")
    index.record(
        entries={RelPath.parse(f"file {number}"): META for number in range(50)},
        synced={PATH: VERSION},
        journal=[JOURNAL],
        scanned=True,
    )
    index.close()
    good = (place / FILE).read_bytes()
    told = 0
    for number in range(times(INPUTS)):
        for path in place.iterdir():
            path.unlink()
        rng = random.Random(number)
        damaged = bytearray(good)
        for _ in range(rng.choice((1, 4, 64))):
            damaged[rng.randrange(len(good))] = rng.randrange(256)
        (place / FILE).write_bytes(damaged[: rng.choice((len(good), rng.randrange(len(good))))])
        try:
            index = Index.open(place, root_id="root")
            try:
                index.load()
                index.journal()
            finally:
                index.close()
        except (StorageError, ConfigError):
            told += 1
        except Exception as error:
            raise AssertionError(f"damaged index {number}") from error
    print(f"row 16: {times(INPUTS)} damaged index files, {told} of them refused, the others set aside or read")
