"""The floor of `scan`: walks a folder, reads each file and hashes it, and does nothing else; a program of its own.

walk_floor.py FOLDER        prints how many files and bytes it has read
"""

from __future__ import annotations

import os
import sys

from blake3 import blake3

PIECE = 1024 * 1024


def hashed(folder: str) -> tuple[int, int]:
    """How many files are beneath `folder`, and their bytes, all of which were hashed."""
    files = read = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != ".gsync":
                    more_files, more_read = hashed(entry.path)
                    files, read = files + more_files, read + more_read
                continue
            hasher = blake3()
            with open(entry.path, "rb", buffering=0) as file:
                while piece := file.read(PIECE):
                    hasher.update(piece)
                    read += len(piece)
            hasher.digest()
            files += 1
    return files, read


if __name__ == "__main__":
    print(*hashed(sys.argv[1]))
