"""Random histories of a live swarm: people who edit, make, rename and delete, machines that die, links that break.

Every content that a person writes is a token of its own. A token is *owed* from then on, until somebody who has it before him
overwrites or deletes it. At the end every owed token must be in the folders or in somebody's trash, and all folders equal.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from gevent import Timeout

from gsync.core.model import Kind
from gsync.storage.memory_disk import ENDLESS
from tests.sim.cluster import Cluster, Machine, orders

NAMES: Final = ("a.txt", "b.txt", "d/a.txt", "d/b.txt", "d/e/c.txt", "d/e", "f", "f/x.txt", "link")
"""Few, so that people meet; some are a file for one and a directory for the other."""

PAUSES_S: Final = (0.005, 0.05, 0.3, 1.0, 7.0)
STROKE_S: Final = 0.002
"""Between two writes of one save: an editor is quicker than the time that gsync lets pass after each."""

YEAR_S: Final = 365.25 * 86400
WEATHERS_S: Final = ((0.001, 0.02), (0.0001, 0.001), (0.05, 0.4))
FULL_BYTES: Final = 64
FREEING_S: Final = 20.0


class LiveHistory:
    """What happens to the machines of `swarm`, by one seed."""

    def __init__(self, swarm: Cluster, *, seed: int) -> None:
        self._swarm = swarm
        self._rng = Random(seed)
        self._count = 0
        self._has_tracker = True
        self.owed: set[bytes] = set()
        self.halves: set[bytes] = set()
        """What stood in a file in the middle of a save: nobody else may ever see it."""
        self.log: list[str] = []

    def run(self, steps: int) -> None:
        """So many things happen, with pauses between them."""
        for _ in range(steps):
            machine = self._rng.choice(self._swarm.machines)
            if machine.on_demand and self._rng.random() < 0.3:
                self._get_or_free(machine)
            self._rng.choice(self._ways())(machine)
            self._swarm.rest(self._rng.choice(PAUSES_S))
            self.require_no_half_file()

    def end_faults(self) -> None:
        """From now on nothing is broken; what clocks say, and what was lost, stays as it is."""
        self._swarm.network.heal()
        self._swarm.network.latency_s = WEATHERS_S[0]
        if not self._has_tracker:
            self._toggle_tracker(self._swarm.machines[0])
        for machine in self._swarm.machines:
            machine.folder.disk.capacity = ENDLESS
            if not machine.is_running:
                machine.start()

    def require_no_half_file(self) -> None:
        """Nobody has what stood in a file in the middle of a save."""
        seen = {content for machine in self._swarm.machines for content in machine.files().values()}
        assert not (seen & self.halves), f"half files: {seen & self.halves}"

    def _ways(self) -> list[Callable[[Machine], None]]:
        often = [self._write, self._write, self._write, self._rename, self._remove, self._rename_directory]
        return [
            *often,
            *often,
            self._save_in_place,
            self._save_beside,
            self._save_with_backup,
            self._swap_directories,
            self._fill_disk,
            self._empty_disk,
            self._shift_clock,
            self._lose_index,
            self._change_weather,
            self._toggle_tracker,
            self._mkdir,
            self._link,
            self._chmod,
            self._kill,
            self._start,
            self._start,
            self._cut,
            self._heal,
        ]

    def _get_or_free(self, machine: Machine) -> None:
        """Some of what is not here is wished for, and some of what is here let go, while everything else goes on."""
        peer = machine._peer
        if peer is None or not machine.is_running:
            return
        if self._rng.random() < 0.7:
            absent = sorted(path for path in peer._trees.remote if path not in peer._trees.local)
            wished = self._rng.sample(absent, min(len(absent), self._rng.randrange(1, 4)))
            peer._demand.wish(wished)
            peer._syncer.replan(wished)
            self._say(machine, f"wants {wished}")
            return
        here = sorted(peer._trees.local)
        if here:
            path = self._rng.choice(here)
            with Timeout(FREEING_S, False):
                said = [f"{one.path}: {one.reason}" for one in orders(machine).free([path])]
                self._say(machine, f"frees {said}")

    def _write(self, machine: Machine) -> None:
        name, content, tree = self._rng.choice(NAMES), self._token(), machine.folder.tree()
        if self._is_barred(machine, name) or tree.get(name, (Kind.FILE, b""))[0] is Kind.DIRECTORY:
            return
        self._lose(machine, name)
        if name in tree and tree[name][0] is Kind.FILE and self._rng.random() < 0.5:
            machine.folder.edit(name, content)
        else:
            machine.folder.put(name, content)
        self.owed.add(content)
        self._say(machine, f"writes {name} {content!r}")

    def _save_in_place(self, machine: Machine) -> None:
        """Truncate, then write in pieces, as plain editors do."""
        name = self._a_file(machine)
        if name is None:
            return
        content = self._token()
        half = content[: len(content) // 2] + b"|"
        self._lose(machine, name)
        node = machine.folder.hold_open(name)
        self.halves.add(half)
        for piece in (b"", half, content):
            machine.folder.write_into(node, piece)
            self._swarm.rest(STROKE_S)
        machine.folder.let_go(node)
        if node in machine.folder.disk.names.values():
            self.owed.add(content)  # else somebody's version came between: what was written went with the old file
        self._say(machine, f"saves {name} {content!r} in place")

    def _save_beside(self, machine: Machine) -> None:
        """Write a new file beside it, then let it take the name."""
        name = self._a_file(machine)
        if name is None:
            return
        content = self._token()
        beside = f"{name}.tmp{self._count}"
        machine.folder.put(beside, content)
        self._swarm.rest(STROKE_S)
        if self._a_place(machine, name) and beside in machine.folder.tree():
            self._lose(machine, name)
            machine.folder.rename(beside, name)
        self.owed.add(content)
        self._say(machine, f"saves {name} {content!r} beside it")

    def _save_with_backup(self, machine: Machine) -> None:
        """The old version becomes `name.bak`, a new file takes the name."""
        name = self._a_file(machine)
        if name is None or not self._a_place(machine, name + ".bak"):
            return
        content = self._token()
        self._lose(machine, name + ".bak")
        machine.folder.rename(name, name + ".bak")
        machine.folder.put(name, content)
        self.owed.add(content)
        self._say(machine, f"saves {name} {content!r} and keeps {name}.bak")

    def _swap_directories(self, machine: Machine) -> None:
        tree = machine.folder.tree()
        if all(tree.get(name, (None, b""))[0] is Kind.DIRECTORY for name in ("d", "f")) and "swap" not in tree:
            for old, new in (("d", "swap"), ("f", "d"), ("swap", "f")):
                machine.folder.rename(old, new)
            self._say(machine, "swaps d and f")

    def _fill_disk(self, machine: Machine) -> None:
        disk = machine.folder.disk
        disk.capacity = sum(len(node.content) for node in set(disk.names.values())) + self._rng.randrange(FULL_BYTES)
        self._say(machine, "has a full disk")

    def _empty_disk(self, machine: Machine) -> None:
        machine.folder.disk.capacity = ENDLESS
        self._say(machine, "has room again")

    def _shift_clock(self, machine: Machine) -> None:
        machine.clock.epoch_s += self._rng.choice((-YEAR_S, -3.0, 3.0, YEAR_S))
        self._say(machine, f"has {machine.clock.wall():.0f} on its clock")

    def _lose_index(self, machine: Machine) -> None:
        if not machine.is_running:
            machine.lose_index()
            self._say(machine, "loses its index")

    def _change_weather(self, machine: Machine) -> None:
        self._swarm.network.latency_s = self._rng.choice(WEATHERS_S)

    def _toggle_tracker(self, machine: Machine) -> None:
        if self._has_tracker:
            self._swarm.stop_tracker()
        else:
            self._swarm.start_tracker()
        self._has_tracker = not self._has_tracker
        self._say(machine, "sees the tracker come back empty" if self._has_tracker else "sees the tracker end")

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

    def _token(self) -> bytes:
        """A content that nobody has written before."""
        self._count += 1
        return b"token %d" % (self._count - 1) + b"." * self._rng.randrange(30)

    def _a_file(self, machine: Machine) -> str | None:
        files = [name for name, (kind, _) in machine.folder.tree().items() if kind is Kind.FILE]
        return self._rng.choice(files) if files else None

    def _a_place(self, machine: Machine, name: str) -> bool:
        """Whether a file may be put at `name`."""
        kind = machine.folder.tree().get(name, (Kind.FILE, b""))[0]
        return kind is not Kind.DIRECTORY and not self._is_barred(machine, name)

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
