"""The door: the first file that runs, whether as `python gsync.py`, `bin/gsync`, `python -m gsync` or the console script.

Its first act, with nothing imported but `os` and `sys`, is to take a foreign folder off the import path: started inside
a synced folder, Python would otherwise import a `docopt.py` that somebody planted there. Its second act is to patch the
sockets, before any other import. (`python -m gsync` without `-P` in a folder that holds a planted `gsync/` cannot be
defended from in here; `bin/gsync` passes `-P`.)
"""

from __future__ import annotations

import os
import sys
from os import path


def _keep_only_our_own_home_first() -> None:
    """Drop `sys.path[0]` unless it is the folder that holds this package; a no-op where Python runs with `-P`."""
    if sys.flags.safe_path or not sys.path:
        return
    home = path.dirname(path.dirname(path.realpath(__file__)))
    if path.realpath(sys.path[0] or ".") != home:
        del sys.path[0]


_keep_only_our_own_home_first()


def main(argv: list[str] | None = None) -> int:
    """Run the program with `argv` (default: the command line) and return its exit code."""
    from gsync.net.patching import patch_sockets

    patch_sockets()

    from gsync.cli.main import run_command

    return run_command(sys.argv[1:] if argv is None else argv)


def run() -> None:
    """`main` for the command line, and the end of the process with its exit code.

    Everything is closed by then, so Python need not take all modules apart object by object, which takes 40 ms.
    """
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # closed, or nobody reads it: Python itself knows what to say then
        sys.exit(code)
    os._exit(code)


if __name__ == "__main__":
    run()
