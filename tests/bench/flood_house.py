"""A program for `flood`: real peers on real sockets in this one process, of which one edits a file some times.

python -m tests.bench.flood_house SHAPE PEERS UPDATES        prints how many messages each update took, a line each
"""

from __future__ import annotations

import sys
from typing import Final

from gsync.net.patching import patch_sockets

TTR_S: Final = 3600.0
"""So that no poll is sent meanwhile."""


def main(shape: str, peers: int, updates: int) -> None:
    """Edit, wait until everybody has it, count; again and again."""
    from gsync.core.names import RelPath
    from gsync.core.topology import parse_shape
    from gsync.lab.grid import Overlay
    from gsync.lab.house import House, wait_until

    kind = parse_shape(shape)
    assert kind is not None
    path = RelPath("file")
    with House(Overlay.of(kind, peers=peers), ttr_s=TTR_S) as house:
        names = list(house.folders)
        origin = house.folders[names[peers // 3]]
        for update in range(updates):
            before, content = house.messages, b"%d" % update
            origin.put(path, content)
            wait_until(lambda: all(house.content(name, path) == content for name in names), "it did not arrive")  # noqa: B023
            print(house.messages - before, flush=True)


if __name__ == "__main__":
    patch_sockets()
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
