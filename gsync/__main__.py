"""The door: the first file that runs, whether as `python gsync.py`, `bin/gsync`, `python -m gsync` or the console script.

Its first act, with nothing imported but `sys` and `os.path`, is to take a foreign folder off the import path: started inside
a synced folder, Python would otherwise import a `docopt.py` that somebody planted there. Its second act is to patch the
sockets, before any other import. (`python -m gsync` without `-P` in a folder that holds a planted `gsync/` cannot be
defended from in here; `bin/gsync` passes `-P`.)
"""

from __future__ import annotations

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


if __name__ == "__main__":
    sys.exit(main())
