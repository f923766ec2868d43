"""A bad peer: announces files to a tracker as if it had them, and gives none of them to anybody.

A process of its own: `python -P -m gsync.lab.bad_peers PORT VICE MANIFEST`. It speaks edition 2, where sizes are told, and must
never send a whole file with other content, nor tell a smaller size and keep to it: the classic dialect knows no digests, so
no peer could tell.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Final, NoReturn, assert_never

import gevent

from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import Endpoint, RelPath
from gsync.core.versions import Version
from gsync.net.clock import SystemClock
from gsync.net.patching import patch_sockets
from gsync.net.transport import Stream
from gsync.peer.announcer import Announcer
from gsync.peer.events import Events
from gsync.peer.trees import Trees

TRICKLE_S: Final = 1.0
"""One byte comes this often."""

_CONNECTIONS: Final = 1000
_REQUEST: Final = 8192
_LIE: Final = 1000


class Vice(Enum):
    """What is wrong with a bad peer."""

    SILENT = "silent"
    """Accepts, and never answers."""

    STALLING = "stalling"
    """Sends the first byte, and then nothing more."""

    TRICKLING = "trickling"
    """Sends a byte a second."""

    CUTTING = "cutting"
    """Sends half of it, and closes in order."""

    LYING = "lying"
    """Tells a size that is not the file's, and closes after the file's."""

    RESETTING = "resetting"
    """Sends half of it, and resets the connection."""


def main(argv: list[str]) -> NoReturn:
    """Announce the files of the manifest at the tracker on this machine, and be bad until killed."""
    patch_sockets()
    from gsync.net.tcp import TcpNetwork

    port, vice, manifest = argv
    sizes, trees = _read(Path(manifest))
    network, clock = TcpNetwork(), SystemClock()
    listener = network.listen(ip="127.0.0.1", port=0, handler=Badness(Vice(vice), sizes), limit=_CONNECTIONS)
    Announcer(
        network=network,
        tracker=Endpoint.parse("127.0.0.1", int(port)),
        port=listener.endpoint.port,
        trees=trees,
        events=Events(),
        clock=clock,
        rng=random.Random(),
        on_directory=lambda directory, own_end: None,
        on_away=lambda: None,
    ).run()
    raise AssertionError("an announcer never returns")


class Badness:
    """The handler of a bad peer's port."""

    def __init__(self, vice: Vice, sizes: Mapping[str, int]) -> None:
        self._vice = vice
        self._sizes = sizes

    def __call__(self, stream: Stream) -> None:
        """Answer one request badly."""
        name = stream.receive(_REQUEST).decode("utf-8", "replace").rstrip("\n")
        size = self._sizes.get(name, 0)
        if self._vice is not Vice.SILENT:
            told = size + _LIE if self._vice is Vice.LYING else size
            stream.send(b"Content-Length: %d\n" % told)
        match self._vice:
            case Vice.SILENT:
                _wait_for_the_end(stream)
            case Vice.STALLING:
                stream.send(bytes(min(1, size // 2)))
                _wait_for_the_end(stream)
            case Vice.TRICKLING:
                _trickle(stream, size)
            case Vice.CUTTING:
                stream.send(bytes(size // 2))
            case Vice.LYING:
                stream.send(bytes(size))
            case Vice.RESETTING:
                stream.send(bytes(size // 2))
                stream.reset()
            case unreachable:
                assert_never(unreachable)


def _read(manifest: Path) -> tuple[dict[str, int], Trees]:
    files: dict[str, tuple[int, int]] = json.loads(manifest.read_text())
    local = {RelPath.parse(name): _meta(size, mtime_s) for name, (size, mtime_s) in files.items()}
    return {name: size for name, (size, _) in files.items()}, Trees(local, {})


def _meta(size: int, mtime_s: int) -> FileMeta:
    seen = Fingerprint(size=size, mtime_ns=mtime_s * 10**9, ctime_ns=0, inode=0, mode=0o644)
    return FileMeta(fingerprint=seen, version=Version.from_mtime(mtime_s))


def _trickle(stream: Stream, size: int) -> None:
    for _ in range(size - 1):
        stream.send(b"\0")
        gevent.sleep(TRICKLE_S)
    _wait_for_the_end(stream)


def _wait_for_the_end(stream: Stream) -> None:
    while stream.receive(_REQUEST):
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
