"""`python -m tests.sim [N] [FIRST]`: run N scenarios of the planner, from seed FIRST on; each failure prints its seed and trace."""

from __future__ import annotations

import sys
import time

from tests.sim.judgement import Violation
from tests.sim.planner_swarm import PlannerSwarm

SHOWN_MAX = 3


def main(count: int, first: int) -> int:
    failures: list[str] = []
    began = time.monotonic()
    for done, seed in enumerate(range(first, first + count), start=1):
        try:
            PlannerSwarm(seed).run()
        except Violation as violation:
            failures.append(str(violation).partition("\n")[0])
            if len(failures) <= SHOWN_MAX:
                print(violation, end="\n\n", flush=True)
        if done % 10_000 == 0:
            print(f"{done} scenarios, {len(failures)} failures", flush=True)
    seconds = time.monotonic() - began
    for failure in failures[:100]:
        print(failure)
    print(f"{count} scenarios from seed {first} in {seconds:.0f} s, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, int(sys.argv[2]) if len(sys.argv) > 2 else 0))
