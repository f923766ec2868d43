"""A piece of a file, sent from where it stands in memory: for connections that do not leave this machine.

`os.sendfile` hands pages to the network without a copy, which is best where a network card fetches them. On loopback there
is none: the receiving program copies the bytes out of page after page, and that costs both sides more than one plain copy
(Linux 6.18, 1 GiB: sendfile 0.8 s and 1.1 s of CPU, a mapping 0.35 s and 0.5; docs/decisions/0009). Called by `tcp_stream`.
"""

from __future__ import annotations

import errno
import mmap
import socket
from typing import Final

MAPPED_MIN_BYTES: Final = 64 * 1024
"""A smaller piece is not worth a mapping."""

_FLAGS: Final = mmap.MAP_SHARED | mmap.MAP_POPULATE
"""All pages at once: to be stopped for one after the other costs the sender a quarter more CPU."""


def send_mapped(sock: socket.socket, descriptor: int, *, offset: int, count: int) -> int:
    """Send up to `count` bytes of the file from `offset`; how many went, 0 where it cannot be mapped, or has become shorter.

    Only the kernel looks at the mapping: where the file was cut meanwhile it answers EFAULT, and no signal comes. What follows
    the new end in the same page reads as zeros, so whoever sends a file that may change must look afterwards whether it has.
    Raises the OSError of the socket.
    """
    within = offset % mmap.ALLOCATIONGRANULARITY
    try:
        mapping = mmap.mmap(descriptor, within + count, flags=_FLAGS, prot=mmap.PROT_READ, offset=offset - within)
    except (OSError, ValueError):  # not a file that can be mapped; or it ends before
        return 0
    with mapping, memoryview(mapping) as whole, whole[within:] as view:
        try:
            return sock.send(view)
        except OSError as error:
            if error.errno == errno.EFAULT:
                return 0
            raise
