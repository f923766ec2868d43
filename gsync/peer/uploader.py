"""Serves the files of the folder: one request, one file, one connection.

Handed to a listener as its handler, so each connection has a greenlet of its own. It must never serve a name that is not in
the local tree, never let a stump look like a whole file (edition 1 is reset, edition 2 ends short), and never hold a place for
one who does not ask or does not read. Errors end this connection and nothing else. Protocol: "Peer link", "Serving".
"""

from __future__ import annotations

import logging
from typing import Final, assert_never

import gevent
from gevent.lock import BoundedSemaphore

from gsync.core.admission import Admission
from gsync.errors import FileChanged, Stalled, StorageError, TransportError
from gsync.net.transport import Stream
from gsync.peer.trees import Trees
from gsync.storage.filesystem import Folder, OpenFile
from gsync.wire.requests import (
    REQUEST_WAIT_S,
    SETTLE_S,
    Edition,
    Reading,
    Request,
    RequestReader,
    Unfinished,
    Unservable,
)

log = logging.getLogger(__name__)

CONNECTIONS: Final = 512
"""Connections a peer holds at a time, asking or being served."""

UPLOADS: Final = 64
"""Files that are sent at a time; further requesters wait in line."""

RECEIVE: Final = 8192

WINDOW_S: Final = 30.0
RATE_MIN: Final = 4 * 1024
"""A reader that takes fewer bytes/s than this over the window is dropped: it holds a place that others wait for."""

DRAIN_S: Final = 0.5
"""How long we go on reading after our last byte, so that a late word of the requester does not reset what it has not read."""

ONE_WRITE_BELOW: Final = 100_000
"""Anything smaller is sent in one write, in edition 2 after the header: many readers stop at the first short read."""

CAREFUL_UP_TO: Final = 8 * 1024 * 1024
CAREFUL_PIECE: Final = 8192
"""Edition 1 sends files up to 8 MiB in pieces of 8,192 bytes, each when the last has left: no reader sees a short read."""


class Uploader:
    """The handler of the serving port."""

    def __init__(self, *, folder: Folder, trees: Trees) -> None:
        self._folder = folder
        self._trees = trees
        self._places = BoundedSemaphore(UPLOADS)
        self._admission: Admission[Stream] = Admission(limit=CONNECTIONS)

    def __call__(self, stream: Stream) -> None:
        """Answer the one request of this connection, then close it."""
        for oldest in self._admission.enter(stream, stream.remote.ip, exempt=stream.remote.is_loopback):
            log.warning("upload.refused peer=%s reason=too many connections that ask nothing", oldest.remote)
            oldest.reset()
        try:
            request = self._request(stream)
            self._admission.prove(stream)
            if request is not None:
                with self._places:
                    self._answer(stream, request)
        except TransportError as error:
            log.info("upload.failed peer=%s reason=%s", stream.remote, error)
        finally:
            self._admission.leave(stream)

    def _request(self, stream: Stream) -> Request | None:
        """What is asked for; None (and a log line) where it cannot be served."""
        reader = RequestReader(self._trees.names)
        with gevent.Timeout(REQUEST_WAIT_S, Stalled(f"no request within {REQUEST_WAIT_S:.0f} s")):
            reading: Reading = Unfinished.NEED_MORE
            while True:
                match reading:
                    case Request():
                        return reading
                    case Unservable(reason=reason):
                        log.warning("upload.refused peer=%s reason=%r", stream.remote, reason)
                        return None
                    case Unfinished.NEED_MORE:
                        data = stream.receive(RECEIVE)
                        reading = reader.feed(data) if data else reader.end()
                    case Unfinished.WAIT:
                        more = _receive_within(stream, SETTLE_S)
                        reading = reader.settle() if more is None else reader.feed(more) if more else reader.end()
                    case unreachable:
                        assert_never(unreachable)

    def _answer(self, stream: Stream, request: Request) -> None:
        try:
            file = self._folder.open(request.path)
        except StorageError as error:
            log.warning("upload.refused peer=%s path=%r reason=%s", stream.remote, request.path, error)
            if request.edition is Edition.ONE:
                stream.reset()  # an end in order without a byte would be an empty file, and be stored as one
            return
        with file:
            self._send_whole(stream, file, request)

    def _send_whole(self, stream: Stream, file: OpenFile, request: Request) -> None:
        """Send the file so that the requester can tell a whole one from a stump, whatever happens on the way."""
        whole = False
        try:
            if request.edition is Edition.ONE:
                _send_raw(stream, file)
            else:
                _send_sized(stream, file)
            whole = True
        except StorageError as error:
            log.info("upload.failed peer=%s path=%r reason=%s", stream.remote, request.path, error)
        finally:
            if not whole and request.edition is Edition.ONE:
                stream.reset()
        if whole:
            _end(stream)
            log.debug("upload.done peer=%s path=%r", stream.remote, request.path)


def _send_sized(stream: Stream, file: OpenFile) -> None:
    size = file.fingerprint.size
    _send(stream, b"Content-Length: %d\n" % size)
    if size < ONE_WRITE_BELOW:
        _send_at_once(stream, file, size)
    else:
        _send_file(stream, file, size)


def _send_raw(stream: Stream, file: OpenFile) -> None:
    size = file.fingerprint.size
    if size < ONE_WRITE_BELOW:
        _send_at_once(stream, file, size)
    elif size <= CAREFUL_UP_TO:
        _send_carefully(stream, file, size)
    else:
        _send_file(stream, file, size)


def _send_at_once(stream: Stream, file: OpenFile, size: int) -> None:
    body = file.read_at(0, size)
    _require_unchanged(file, len(body) == size)
    _send(stream, body)


def _send_carefully(stream: Stream, file: OpenFile, size: int) -> None:
    window = int(RATE_MIN * WINDOW_S)
    for start in range(0, size, window):
        with gevent.Timeout(WINDOW_S, Stalled(f"the reader takes less than {RATE_MIN} bytes/s")):
            for offset in range(start, min(start + window, size), CAREFUL_PIECE):
                _send_careful_piece(stream, file, offset, min(CAREFUL_PIECE, size - offset))


def _send_careful_piece(stream: Stream, file: OpenFile, offset: int, due: int) -> None:
    piece = file.read_at(offset, due)
    if len(piece) < due or offset + due == file.fingerprint.size:  # before the last: it can still end as a stump
        _require_unchanged(file, len(piece) == due)
    stream.send(piece)
    stream.wait_sent()


def _send_file(stream: Stream, file: OpenFile, size: int) -> None:
    """Send at full speed, holding back the last byte until the file is known not to have changed meanwhile."""
    offset, sent = 0, 0
    while offset < size - 1:
        before, in_time = stream.bytes_sent, False
        with gevent.Timeout(WINDOW_S, False):
            stream.send_file(file, offset=offset, count=size - 1 - offset)
            in_time = True
        sent = stream.bytes_sent - before
        offset += sent
        if in_time and offset < size - 1:
            _require_unchanged(file, False)
        if not in_time and sent < RATE_MIN * WINDOW_S:
            raise Stalled(f"the reader takes less than {RATE_MIN} bytes/s")
    last = file.read_at(size - 1, 1)
    _require_unchanged(file, len(last) == 1)
    _send(stream, last)


def _require_unchanged(file: OpenFile, as_long_as_promised: bool) -> None:
    if not as_long_as_promised or file.changed():
        raise FileChanged("it was changed while it was sent")


def _send(stream: Stream, data: bytes) -> None:
    with gevent.Timeout(WINDOW_S, Stalled("the reader takes nothing")):
        stream.send(data)


def _end(stream: Stream) -> None:
    """Say that this was all, and read on for a moment."""
    stream.end_sending()
    with gevent.Timeout(DRAIN_S, False):
        while stream.receive(RECEIVE):
            pass


def _receive_within(stream: Stream, seconds: float) -> bytes | None:
    """What comes in that time, b"" at the end; None when nothing does."""
    came: bytes | None = None
    with gevent.Timeout(seconds, False):
        came = stream.receive(RECEIVE)
    return came
