"""A disk that remembers in which order it was written: a file in a FUSE mount of its own, for a loop device to stand on.

    python block_recorder.py IMAGE MOUNTPOINT LOG

Shows one file, `disk`, with the bytes of IMAGE, which it changes as it is written to. LOG gets an entry for each write and each
flush, in order (`ENTRY`: kind, offset, length, where its bytes begin in LOG.data), before the writer hears that it was done. What
a disk with a volatile cache may hold after a power cut can be made of that: `power_cuts.py`. Speaks the kernel's FUSE protocol
itself, one request at a time; ends when it is unmounted. Root only. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Callable

ENTRY = struct.Struct("<cxxxIQQ")
"""Kind (W or F), length, offset, where in LOG.data."""

ROOT, DISK, NAME = 1, 2, b"disk"
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, RELEASE, FSYNC = 1, 2, 3, 4, 14, 15, 16, 18, 20
FLUSH, INIT, OPENDIR, RELEASEDIR, INTERRUPT, DESTROY, BATCH_FORGET = 25, 26, 27, 29, 36, 38, 42
UNANSWERED = (FORGET, BATCH_FORGET, INTERRUPT)

IN, OUT = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
TRANSFER = struct.Struct("<QQIIQII")
"""What READ and WRITE begin with: descriptor, offset, size, and what is of no use here."""

VALID_S = 3600
WRITE_MAX = 128 * 1024


class Recorder:
    """The one file of the mount, and its log."""

    def __init__(self, image: str, log: str) -> None:
        self._image = os.open(image, os.O_RDWR)
        self._size = os.fstat(self._image).st_size
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._data = os.open(f"{log}.data", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._data_bytes = 0
        self._answers: dict[int, Callable[[int, bytes], bytes]] = {
            INIT: self._init,
            LOOKUP: self._lookup,
            GETATTR: lambda node, _: struct.pack("<QII", VALID_S, 0, 0) + self._attributes(node),
            SETATTR: lambda node, _: struct.pack("<QII", VALID_S, 0, 0) + self._attributes(node),
            OPEN: lambda *_: struct.pack("<QII", 0, 0, 0),
            OPENDIR: lambda *_: struct.pack("<QII", 0, 0, 0),
            READ: self._read,
            WRITE: self._write,
            FSYNC: self._flushed,
            FLUSH: lambda *_: b"",
            RELEASE: lambda *_: b"",
            RELEASEDIR: lambda *_: b"",
            DESTROY: lambda *_: b"",
        }

    def serve(self, device: int) -> None:
        """Answer the kernel until it has unmounted us."""
        while True:
            try:
                request = os.read(device, WRITE_MAX + 4096)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                raise
            _, opcode, unique, node, *_ = IN.unpack_from(request)
            if opcode in UNANSWERED:
                continue
            code, answer = 0, b""
            try:
                answer = self._answers[opcode](node, request[IN.size :])
            except KeyError:
                code = errno.ENOSYS
            except FileNotFoundError:
                code = errno.ENOENT
            os.write(device, OUT.pack(OUT.size + len(answer), -code, unique) + answer)

    def _init(self, _node: int, body: bytes) -> bytes:
        _, _, readahead, _ = struct.unpack_from("<IIII", body)
        # No flags: one request at a time as it always was, and no write is kept back in the kernel.
        return struct.pack("<IIIIHHII36x", 7, 31, readahead, 0, 12, 10, WRITE_MAX, 1)

    def _lookup(self, _node: int, name: bytes) -> bytes:
        if name.rstrip(b"\0") != NAME:
            raise FileNotFoundError
        return struct.pack("<QQQQII", DISK, 0, VALID_S, VALID_S, 0, 0) + self._attributes(DISK)

    def _attributes(self, node: int) -> bytes:
        mode, size = (stat.S_IFREG | 0o600, self._size) if node == DISK else (stat.S_IFDIR | 0o700, 0)
        return ATTRIBUTES.pack(node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def _read(self, _node: int, body: bytes) -> bytes:
        _, offset, size, *_ = TRANSFER.unpack_from(body)
        return os.pread(self._image, size, offset)

    def _write(self, _node: int, body: bytes) -> bytes:
        _, offset, size, *_ = TRANSFER.unpack_from(body)
        data = memoryview(body)[TRANSFER.size : TRANSFER.size + size]
        os.pwrite(self._image, data, offset)
        os.write(self._data, data)
        os.write(self._log, ENTRY.pack(b"W", size, offset, self._data_bytes))
        self._data_bytes += size
        return struct.pack("<II", size, 0)

    def _flushed(self, _node: int, _body: bytes) -> bytes:
        os.write(self._log, ENTRY.pack(b"F", 0, 0, self._data_bytes))
        return b""


def main() -> None:
    """Mount, say so, serve."""
    image, at, log = sys.argv[1:]
    recorder = Recorder(image, log)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    if libc.mount(b"gsync-test", os.fsencode(at), b"fuse", 0, options.encode()):
        sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")
    print("READY", flush=True)
    recorder.serve(device)


if __name__ == "__main__":
    main()
