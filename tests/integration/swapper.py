"""Swaps a file of the folder with a symbolic link, or with whatever else is given, as fast as it can, until it is told to end.

    python swapper.py PATH OTHER [PATH OTHER ...]

Each pair is exchanged atomically (renameat2), turn by turn. Prints how many exchanges it made when it gets SIGTERM.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_AT_FDCWD = -100
_EXCHANGE = 2


def main() -> None:
    """Swap until SIGTERM."""
    libc = ctypes.CDLL(None, use_errno=True)
    paths = [os.fsencode(path) for path in sys.argv[1:]]
    pairs = list(zip(paths[::2], paths[1::2], strict=True))
    ends: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ends.append(number))
    count = 0
    while not ends:
        for path, other in pairs:
            count += not libc.renameat2(_AT_FDCWD, path, _AT_FDCWD, other, _EXCHANGE)
        if count % 10_000 < len(pairs):
            sys.stdout.write(f"{count}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
