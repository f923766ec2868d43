"""`make swarms N=... FIRST=...`: histories of whole live swarms, one for each seed; each failure says its seed.

The counts and finds of long runs stand in docs/faults.md, row 12.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gsync.net.patching import patch_sockets


def main(argv: list[str]) -> int:
    """Run `argv[0]` seeds from `argv[1]` on; the exit code is 1 if one failed."""
    patch_sockets()
    from tests.sim.test_live_swarm import live

    count, first = int(argv[0]), int(argv[1])
    failed: list[int] = []
    began = time.monotonic()
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory(prefix="gsync-swarm-") as base:
            try:
                machines = 2 + seed % 7
                on_demand = seed // 7 % machines if seed % 3 == 2 else 0
                live(Path(base), seed=seed, watches=bool(seed % 2), machines=machines, steps=60, on_demand=on_demand)
            except AssertionError as failure:
                failed.append(seed)
                print(f"{failure}\nseed {seed} failed at commit {_commit()}", flush=True)
    print(f"{count} swarms from seed {first}: {len(failed)} failed {failed}, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _commit() -> str:
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
