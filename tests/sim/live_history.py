"""Random histories of a live swarm: people who edit, make, rename and delete, machines that die, links that break.

Every content that a person writes is a token of its own. A token is *owed* from then on, until somebody who has it before him
overwrites or deletes it. At the end every owed token must be in the folders or in somebody's trash, and all folders equal.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from gsync.core.model import Kind
from tests.sim.cluster import Cluster, Machine

NAMES: Final = ("a.txt", "b.txt", "d/a.txt", "d/b.txt", "d/e/c.txt", "d/e", "f", "f/x.txt", "link")
"""Few, so that people meet; some are a file for one and a directory for the other."""

PAUSES_S: Final = (0.005, 0.05, 0.3, 1.0, 7.0)


class LiveHistory:
    """What happens to the machines of `swarm`, by one seed."""

    def __init__(self, swarm: Cluster, *, seed: int) -> None:
        self._swarm = swarm
        self._rng = Random(seed)
        self._count = 0
        self.owed: set[bytes] = set()
        self.log: list[str] = []

    def run(self, steps: int) -> None:
        """So many things happen, with pauses between them."""
        for _ in range(steps):
            machine = self._rng.choice(self._swarm.machines)
            self._rng.choice(self._ways())(machine)
            self._swarm.rest(self._rng.choice(PAUSES_S))

    def _ways(self) -> list[Callable[[Machine], None]]:
        often = [self._write, self._write, self._write, self._rename, self._remove, self._rename_directory]
        return [
            *often,
            *often,
            self._mkdir,
            self._link,
            self._chmod,
            self._kill,
            self._start,
            self._start,
            self._cut,
            self._heal,
        ]

    def _write(self, machine: Machine) -> None:
        name = self._rng.choice(NAMES)
        content = b"token %d" % self._count + b"." * self._rng.randrange(30)
        self._count += 1
        tree = machine.folder.tree()
        if self._is_barred(machine, name) or tree.get(name, (Kind.FILE, b""))[0] is Kind.DIRECTORY:
            return
        self._lose(machine, name)
        if name in tree and tree[name][0] is Kind.FILE and self._rng.random() < 0.5:
            machine.folder.edit(name, content)
        else:
            machine.folder.put(name, content)
        self.owed.add(content)
        self._say(machine, f"writes {name} {content!r}")

    def _rename(self, machine: Machine) -> None:
        files = [name for name, (kind, _) in machine.folder.tree().items() if kind is Kind.FILE]
        new = self._rng.choice(NAMES)
        if not files or self._is_barred(machine, new):
            return
        old = self._rng.choice(files)
        if (
            old == new
            or machine.folder.tree().get(new, (Kind.FILE, b""))[0] is Kind.DIRECTORY
            or new.startswith(old + "/")
        ):
            return
        self._lose(machine, new)
        machine.folder.rename(old, new)
        self._say(machine, f"renames {old} to {new}")

    def _rename_directory(self, machine: Machine) -> None:
        directories = [name for name, (kind, _) in machine.folder.tree().items() if kind is Kind.DIRECTORY]
        new = self._rng.choice(["g", "h", "d", "f", "g/i"])
        if not directories or new in machine.folder.tree() or self._is_barred(machine, new):
            return
        old = self._rng.choice(directories)
        if (new + "/").startswith(old + "/"):
            return
        machine.folder.rename(old, new)
        self._say(machine, f"renames the directory {old} to {new}")

    def _remove(self, machine: Machine) -> None:
        names = list(machine.folder.tree())
        if not names:
            return
        name = self._rng.choice(names)
        for gone in [name, *(other for other in names if other.startswith(name + "/"))]:
            self._lose(machine, gone)
        machine.folder.remove(name)
        self._say(machine, f"removes {name}")

    def _mkdir(self, machine: Machine) -> None:
        name = self._rng.choice(["d", "d/e", "f", "empty"])
        if name not in machine.folder.tree() and not self._is_barred(machine, name):
            machine.folder.mkdir(name)
            self._say(machine, f"makes the directory {name}")

    def _link(self, machine: Machine) -> None:
        if machine.folder.tree().get("link", (Kind.LINK, b""))[0] is Kind.DIRECTORY:
            return
        self._lose(machine, "link")
        machine.folder.link("link", self._rng.choice(["a.txt", "d", "nowhere"]))
        self._say(machine, "makes a link")

    def _chmod(self, machine: Machine) -> None:
        files = [name for name, (kind, _) in machine.folder.tree().items() if kind is Kind.FILE]
        if files:
            machine.folder.chmod(self._rng.choice(files), self._rng.choice([0o644, 0o755]))

    def _kill(self, machine: Machine) -> None:
        if machine.is_running and self._rng.random() < 0.5:
            machine.kill()
            self._say(machine, "dies")

    def _start(self, machine: Machine) -> None:
        if not machine.is_running:
            machine.start()
            self._say(machine, "starts")

    def _cut(self, machine: Machine) -> None:
        self._swarm.network.partition({machine.ip})
        self._say(machine, "is cut off")

    def _heal(self, machine: Machine) -> None:
        self._swarm.network.heal()
        self._say(machine, "is reached again, as all are")

    def _is_barred(self, machine: Machine, name: str) -> bool:
        """Whether something that is no directory stands on the way to `name`."""
        tree = machine.folder.tree()
        parts = name.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts))]
        return any(tree[place][0] is not Kind.DIRECTORY for place in above if place in tree)

    def _lose(self, machine: Machine, name: str) -> None:
        """The person at `machine` overwrites or deletes what stands at `name` before his eyes."""
        kind, content = machine.folder.tree().get(name, (Kind.DIRECTORY, b""))
        if kind is Kind.FILE:
            self.owed.discard(content)

    def _say(self, machine: Machine, what: str) -> None:
        self.log.append(f"{self._swarm.world.now_s:9.3f} {machine.ip} {what}")
