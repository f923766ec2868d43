"""Serves the files of the folder: one request, one file, one connection; native links are handed to the native server.

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
from gsync.errors import FileChanged, ProtocolError, Stalled, StorageError, TransportError
from gsync.net.throttle import Throttle
from gsync.net.transport import Stream
from gsync.peer.native_server import NativeServer
from gsync.peer.sending import RATE_MIN, WINDOW_BYTES, WINDOW_S, send, send_file
from gsync.peer.trees import Trees
from gsync.storage.filesystem import Folder, OpenFile
from gsync.wire.requests import (
    REQUEST_WAIT_S,
    SETTLE_S,
    Edition,
    NativeStart,
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

DRAIN_S: Final = 0.5
"""How long we go on reading after our last byte, so that a late word of the requester does not reset what it has not read."""

ONE_WRITE_BELOW: Final = 100_000
"""Anything smaller is sent in one write, in edition 2 after the header: many readers stop at the first short read."""

CAREFUL_UP_TO: Final = 8 * 1024 * 1024
CAREFUL_PIECE: Final = 8192
"""Edition 1 sends files up to 8 MiB in pieces of 8,192 bytes, each when the last has left: no reader sees a short read."""


class Uploader:
    """The handler of the serving port. Without a `native` server every native link is refused; `uplink` slows all of it."""

    def __init__(
        self, *, folder: Folder, trees: Trees, native: NativeServer | None = None, uplink: Throttle | None = None
    ) -> None:
        self._folder = folder
        self._trees = trees
        self._native = native
        self._uplink = uplink
        self._places = BoundedSemaphore(UPLOADS)
        self._admission: Admission[Stream] = Admission(limit=CONNECTIONS)

    @property
    def serving(self) -> int:
        """How many are being served now."""
        return UPLOADS - int(self._places.counter)

    def __call__(self, stream: Stream) -> None:
        """Answer the one request of this connection, or all of a native link, then close it."""
        for oldest in self._admission.enter(stream, stream.remote.ip, exempt=stream.remote.is_loopback):
            log.warning("upload.refused peer=%s reason=too many connections that ask nothing", oldest.remote)
            oldest.reset()
        try:
            request = self._request(stream)
            if isinstance(request, NativeStart):
                self._hand_over(stream, request)
                return
            self._admission.prove(stream)
            if request is not None:
                with self._places:
                    self._answer(stream, request)
        except TransportError as error:
            log.info("upload.failed peer=%s reason=%s", stream.remote, error)
        finally:
            self._admission.leave(stream)

    def _hand_over(self, stream: Stream, start: NativeStart) -> None:
        if self._native is None:
            log.warning("upload.refused peer=%s reason=native is not spoken here", stream.remote)
            return
        try:
            self._native.serve(
                stream, start.rest, places=self._places, on_first_word=lambda: self._admission.prove(stream)
            )
        except ProtocolError as error:
            log.warning("upload.refused peer=%s reason=%r", stream.remote, error)
        except StorageError as error:
            log.info("upload.failed peer=%s reason=%s", stream.remote, error)
            stream.reset()  # in the middle of a body: what has come of it is worth nothing

    def _request(self, stream: Stream) -> Request | NativeStart | None:
        """What is asked for; None (and a log line) where it cannot be served."""
        reader = RequestReader(self._trees.names)
        with gevent.Timeout(REQUEST_WAIT_S, Stalled(f"no request within {REQUEST_WAIT_S:.0f} s")):
            reading: Reading = Unfinished.NEED_MORE
            while True:
                match reading:
                    case Request() | NativeStart():
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
                _send_raw(stream, file, uplink=self._uplink)
            else:
                _send_sized(stream, file, uplink=self._uplink)
            whole = True
        except StorageError as error:
            log.info("upload.failed peer=%s path=%r reason=%s", stream.remote, request.path, error)
        finally:
            if not whole and request.edition is Edition.ONE:
                stream.reset()
        if whole:
            _end(stream)
            log.debug("upload.done peer=%s path=%r", stream.remote, request.path)


def _send_sized(stream: Stream, file: OpenFile, *, uplink: Throttle | None) -> None:
    size = file.fingerprint.size
    send(stream, b"Content-Length: %d\n" % size)
    if size < ONE_WRITE_BELOW:
        _send_at_once(stream, file, size, uplink=uplink)
    else:
        _send_large(stream, file, size, uplink=uplink)


def _send_raw(stream: Stream, file: OpenFile, *, uplink: Throttle | None) -> None:
    size = file.fingerprint.size
    if size < ONE_WRITE_BELOW:
        _send_at_once(stream, file, size, uplink=uplink)
    elif size <= CAREFUL_UP_TO:
        _send_carefully(stream, file, size, uplink=uplink)
    else:
        _send_large(stream, file, size, uplink=uplink)


def _send_at_once(stream: Stream, file: OpenFile, size: int, *, uplink: Throttle | None) -> None:
    body = file.read_at(0, size)
    _require_unchanged(file, len(body) == size)
    if uplink is not None:
        uplink.take(size)
    send(stream, body)


def _send_carefully(stream: Stream, file: OpenFile, size: int, *, uplink: Throttle | None) -> None:
    start = 0
    while start < size:
        end = min(start + WINDOW_BYTES, size)
        if uplink is not None:
            whole_pieces = max(uplink.portion(end - start) // CAREFUL_PIECE, 1) * CAREFUL_PIECE
            end = min(start + whole_pieces, size)
            uplink.take(end - start)
        with gevent.Timeout(WINDOW_S, Stalled(f"the reader takes less than {RATE_MIN} bytes/s")):
            for offset in range(start, end, CAREFUL_PIECE):
                _send_careful_piece(stream, file, offset, min(CAREFUL_PIECE, end - offset))
        start = end


def _send_careful_piece(stream: Stream, file: OpenFile, offset: int, due: int) -> None:
    piece = file.read_at(offset, due)
    if len(piece) < due or offset + due == file.fingerprint.size:  # before the last: it can still end as a stump
        _require_unchanged(file, len(piece) == due)
    stream.send(piece)
    stream.wait_sent()


def _send_large(stream: Stream, file: OpenFile, size: int, *, uplink: Throttle | None) -> None:
    """Send at full speed, holding back the last byte until the file is known not to have changed meanwhile."""
    if send_file(stream, file, offset=0, count=size - 1, uplink=uplink) < size - 1:
        _require_unchanged(file, False)
    last = file.read_at(size - 1, 1)
    _require_unchanged(file, len(last) == 1)
    send(stream, last)


def _require_unchanged(file: OpenFile, as_long_as_promised: bool) -> None:
    if not as_long_as_promised or file.changed():
        raise FileChanged("it was changed while it was sent")


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
