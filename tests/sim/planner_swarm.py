"""A swarm of plain machines under one seed: people who do what people do, faults, and what must hold whatever comes.

Each content that a person writes is a token of its own, so it can be told what became of it. Safety, after each step: a token
that no person has overwritten or deleted is on some disk or in some trash. Liveness, once the faults end: within ROUNDS_MAX rounds
all folders and all records are equal, nothing is left to announce, and a second plan is empty. Where all have had their index
from the start, more holds: a token that no person has overwritten or deleted is in every folder. A folder on demand has a part of
that, equal to what the mirrored ones have of it; what it has freed, somebody else has.

Called by `tests/sim/__main__.py` and the tests; draws nothing but from its seed, so that a failure can be looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from gsync.core.actions import Action, Fetch
from gsync.core.model import Kind
from gsync.core.names import RelPath
from tests.sim.judgement import Violation, complaints, difference, tokens_of, told, unkept
from tests.sim.people import FLAT, People
from tests.sim.plain_hands import act
from tests.sim.plain_machine import Failed, PlainMachine, digest_of, touched
from tests.sim.plain_tracker import PlainTracker

ROUNDS_MAX: Final = 24
START_S: Final = 1_700_000_000
TICK_NS: Final = 300_000_000
YEAR_S: Final = 365 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a scenario is made of."""

    machines: int
    steps: int
    has_classic: bool = False
    loses_indexes: bool = False
    starts_full: bool = False
    """Each machine has files of its own before anybody has an index: they are known by their mtimes only."""
    has_skew: bool = False
    has_one_writer: bool = False
    """Only one person does anything: all folders must become his, and nothing may ever be done to it."""
    on_demand: int = 0
    """So many of the machines, the last ones, keep their folder on demand."""

    @property
    def is_plain(self) -> bool:
        """Whether nothing is known by its mtime alone."""
        return not (self.has_classic or self.loses_indexes or self.starts_full)


def shape_of(seed: int) -> Shape:
    """The shape of scenario `seed`: most are small, because small ones meet as well and are soon looked through."""
    rng = Random(seed * 7919 + 1)
    kind = rng.random()
    has_classic = kind < 0.15
    machines = rng.choice((2, 2, 2, 3, 3, 4))
    return Shape(
        machines=machines,
        steps=rng.choice((4, 6, 8, 8, 12, 16, 30)),
        has_classic=has_classic,
        loses_indexes=0.15 <= kind < 0.3,
        starts_full=0.3 <= kind < 0.4,
        has_one_writer=0.4 <= kind < 0.5,
        has_skew=not has_classic and rng.random() < 0.2,
        on_demand=rng.randrange(1, machines) if rng.random() < 0.35 else 0,
    )


@dataclass(slots=True)
class _Classic:
    """A classic peer: a flat folder, no deletions, the latest mtime wins."""

    files: dict[RelPath, tuple[str, int]] = field(default_factory=dict)


class PlannerSwarm:
    """One scenario; `trace` says what happened."""

    def __init__(self, seed: int, shape: Shape | None = None) -> None:
        self.seed = seed
        self.shape = shape or shape_of(seed)
        self.rng = Random(seed)
        self.trace: list[str] = []
        skews = (0, 0, 3, -YEAR_S, YEAR_S) if self.shape.has_skew else (0,)
        mirrored = self.shape.machines - self.shape.on_demand
        self.machines = [
            PlainMachine(n, skew_s=self.rng.choice(skews), on_demand=n >= mirrored) for n in range(self.shape.machines)
        ]
        self.tracker = PlainTracker(self.shape.machines)
        self.classic = _Classic()
        self.people = People(self.rng, now_ns=self.now_ns, note=self.note)
        self._written: Mapping[RelPath, object] | None = None
        self._tick = 0
        self._faults = True

    def run(self) -> None:
        """Everything: a start, some steps, the end of the faults, and what must hold then. Raises Violation."""
        self._start()
        for _ in range(self.shape.steps):
            self._step()
        self._faults = False
        self._settle()
        self._judge()

    # Time, and what is written down

    def now_ns(self, machine: PlainMachine | None = None) -> int:
        self._tick += 1
        return (START_S + (machine.skew_s if machine else 0)) * 10**9 + self._tick * TICK_NS

    def now_s(self) -> int:
        return START_S + self._tick * TICK_NS // 10**9

    def note(self, *words: object) -> None:
        self.trace.append(" ".join(map(str, words)))

    # The start

    def _start(self) -> None:
        if self.shape.starts_full:
            for machine in self.machines:
                for _ in range(self.rng.randrange(4)):
                    self.people.write(machine)
            for machine in self.machines:
                self._look(machine)
        else:
            for machine in self.machines:
                machine.scan()
                self._announce(machine)
            for _ in range(self.rng.randrange(1, 6)):
                self.people.make_something(self.machines[0])
            self._settle()
        self.note("-- begins")

    # What happens

    def _step(self) -> None:
        machine = self.rng.choice(self.machines)
        if machine.on_demand and self.rng.random() < 0.3:
            self._get_or_free(machine)
        roll = self.rng.random()
        if roll < 0.45:
            self._person(self.machines[0] if self.shape.has_one_writer else machine)
        elif roll < 0.58:
            self._look(machine)
        elif roll < 0.85:
            self._listen(machine)
            for _ in range(self.rng.randrange(4)):
                self._act(machine)
        elif roll < 0.93:
            self._look(machine)
            self._listen(machine)
            while machine.queue and self._act(machine):
                pass
        else:
            self._fault(machine)
        self._require_safety()

    def _get_or_free(self, machine: PlainMachine) -> None:
        """A person wants some of what is not here, or lets go what somebody else has for sure."""
        if self.rng.random() < 0.6:
            absent = [
                path
                for path, offer in sorted(machine.remote.items())
                if path not in machine.disk and not offer.is_deletion
            ]
            for path in self.rng.sample(absent, min(len(absent), self.rng.randrange(1, 4))):
                machine.wishes.add(path)
                machine.dirty.update((path, *path.ancestors))
                self.note(machine.number, "wants", path)
            return
        held = [path for path in sorted(machine.local) if self._is_safe_elsewhere(machine, path)]
        if held:
            path = self.rng.choice(held)
            machine.free(path)
            self.note(machine.number, "frees", path)
            self._announce(machine)

    def _is_safe_elsewhere(self, machine: PlainMachine, path: RelPath) -> bool:
        """Whether what stands there is agreed, as it was seen, and somebody who is there now has the same."""
        meta, there = machine.local[path], machine.disk.get(path)
        if there is None or there.shown != meta.fingerprint or machine.synced.get(path) != meta.version:
            return False
        if machine.beneath(path) or not machine.is_online:
            return False
        return any(
            other is not machine
            and other.is_online
            and (held := other.local.get(path)) is not None
            and (held.kind, held.version, held.digest) == (meta.kind, meta.version, meta.digest)
            and other.disk.get(path) is not None
            and other.disk[path].shown == held.fingerprint
            for other in self.machines
        )

    def _person(self, machine: PlainMachine) -> None:
        if self.shape.has_classic and self.rng.random() < 0.3:
            self._classic_person()
        else:
            self.people.do_something(machine)
            self._written = self.machines[0].written()

    def _fault(self, machine: PlainMachine) -> None:
        roll = self.rng.random()
        if roll < 0.4 or not self.shape.loses_indexes:
            machine.is_online = not machine.is_online
            if machine.is_online:
                self._connect(machine)
            else:
                self.tracker.forget(machine.number)
            self.note(machine.number, "online" if machine.is_online else "offline")
        elif roll < 0.8:
            self.note(machine.number, "loses its index")
            self.tracker.forget(machine.number)
            machine.lose_index()
            machine.scan()
            self._connect(machine)
        else:
            self.note("the tracker starts anew")
            for other in self.machines:
                self.tracker.forget(other.number)
            for other in self.machines:
                self._connect(other)

    def _connect(self, machine: PlainMachine) -> None:
        """Say everything, and hear everything."""
        if machine.is_online:
            machine.untold = {*machine.local, *machine.buried}
            self._announce(machine)
            self._listen(machine, paths=self.tracker.paths() | machine.remote.keys())

    # What the engine does

    def _look(self, machine: PlainMachine) -> None:
        unread: frozenset[RelPath] = frozenset()
        if self._faults and self.rng.random() < 0.15:
            unread = frozenset(path for path in sorted(machine.disk) if self.rng.random() < 0.3)
        if machine.scan(unread=unread):
            self.note(machine.number, "looks", self._said(machine.untold))
        self._announce(machine)

    def _said(self, paths: set[RelPath]) -> str:
        return " ".join(sorted(paths))

    def _announce(self, machine: PlainMachine) -> bool:
        if not machine.is_online:
            return False
        untold, machine.untold = machine.untold, set()
        self.tracker.announce(machine.number, {path: machine.record(path) for path in sorted(untold)})
        self._classic_fetches()
        return bool(untold)

    def _listen(self, machine: PlainMachine, paths: set[RelPath] | None = None) -> None:
        """Hear what is new, sometimes only a part of it, and plan."""
        if machine.is_online:
            news = self.tracker.news(machine.number) if paths is None else sorted(paths)
            if paths is None and self._faults and len(news) > 1 and self.rng.random() < 0.3:
                news = news[: self.rng.randrange(1, len(news))]
            machine.hear(self.tracker.tell(machine.number, news))
        machine.plan(now_s=self.now_s())

    def _act(self, machine: PlainMachine) -> bool:
        """Carry one action out, any that may be next; sometimes it fails. Whether there was one."""
        if machine.in_flight and (not self._faults or self.rng.random() < 0.3):
            action = machine.in_flight.pop(self.rng.randrange(len(machine.in_flight)))
        elif ready := machine.ready():
            action = self.rng.choice(ready)
            if self._faults and isinstance(action, Fetch) and self.rng.random() < 0.2:
                machine.in_flight.append(machine.queue.pop(action.path))
                self.note(machine.number, "begins", told(action))
                return True
        else:
            return False
        has_fault = self._faults and self.rng.random() < 0.1
        try:
            act(machine, action, self._content(machine, action), has_fault=has_fault)
        except Failed as reason:
            self.note(machine.number, "fails", told(action), reason)
            machine.dirty.update(touched(action))
            if not self._faults:
                machine.sweep(action.path)
        else:
            self.note(machine.number, "does", told(action))
            if isinstance(action, Fetch) and action.offer.record is None:
                self.people.owed.add(machine.disk[action.path].token)
        self._announce(machine)
        self._require_safety()
        return True

    def _content(self, machine: PlainMachine, action: Action) -> str | None:
        if not isinstance(action, Fetch):
            return None
        record = action.offer.record
        if record is None:
            token, mtime_s = self.classic.files.get(action.path, ("", -1))
            if mtime_s != action.offer.version.mtime_s:
                return None
            return token
        for other in self.machines:
            if other.is_online and machine.is_online and other is not machine:
                there = other.disk.get(record.path)
                if there is not None and there.kind is Kind.FILE and digest_of(there.token) == record.digest:
                    return there.token
                for node in other.disk.values():
                    if node.kind is Kind.FILE and digest_of(node.token) == record.digest:
                        return node.token
        for node in machine.disk.values():
            if node.kind is Kind.FILE and digest_of(node.token) == record.digest:
                return node.token
        return None

    # A classic peer

    def _classic_person(self) -> None:
        path = self.rng.choice(FLAT)
        token, mtime_s = self.people.token(), self.now_ns() // 10**9
        before = self.classic.files.get(path)
        if before is not None:
            if before[1] >= mtime_s:
                return
            self.people.owed.discard(before[0])
        self.classic.files[path] = (token, mtime_s)
        self.tracker.announce_classic(path, mtime_s)
        self.note("classic writes", path, token, mtime_s)

    def _classic_fetches(self) -> None:
        """It takes what is later than what it has, at once; what it loses that way nobody can help."""
        if not self.shape.has_classic or (self._faults and self.rng.random() < 0.7):
            return
        for path in FLAT:
            best = self.tracker.shown_to_classic(path)
            have = self.classic.files.get(path, ("", -1))
            if best is None or best.version.mtime_s <= have[1]:
                continue
            for machine in self.machines:
                there = machine.disk.get(path)
                if machine.is_online and there is not None and digest_of(there.token) == best.digest:
                    self.classic.files[path] = (there.token, best.version.mtime_s)
                    self.tracker.announce_classic(path, best.version.mtime_s)
                    self.note("classic fetches", path, there.token, best.version.mtime_s)
                    break

    # The end, and what must hold

    def _settle(self) -> None:
        """No more faults: everybody looks, tells, hears and does, until nothing happens any more."""
        faults, self._faults = self._faults, False
        for machine in self.machines:
            if not machine.is_online:
                machine.is_online = True
                self._connect(machine)
        for _ in range(ROUNDS_MAX):
            if not self._round():
                break
        else:
            self._violated(f"still busy after {ROUNDS_MAX} rounds")
        self._faults = faults

    def _round(self) -> bool:
        """Whether anything happened."""
        happened = False
        order = list(self.machines)
        self.rng.shuffle(order)
        for machine in order:
            happened |= machine.scan()
            happened |= self._announce(machine)
            happened |= bool(self.tracker.news(machine.number)) or bool(machine.dirty)
            self._listen(machine)
            tries = len(machine.queue) + len(machine.in_flight)
            while (machine.queue or machine.in_flight) and tries >= 0:
                tries -= 1
                happened = True
                self._act(machine)
        return happened

    def _require_safety(self) -> None:
        kept = {token for token, _ in self.classic.files.values()}
        if lost := unkept(self.people.owed - kept, self.machines):
            self._violated(f"lost {sorted(lost)}")

    def _judge(self) -> None:
        """What must hold once all have come to rest."""
        self._require_safety()
        for complaint in complaints(self.machines, now_s=self.now_s()):
            self._violated(complaint)
        if self.shape.is_plain and (absent := self.people.owed - tokens_of(self.machines[0])):
            self._violated(f"nobody did away with {sorted(absent)}, but they are not in the folder")
        if self.shape.has_one_writer and self._written is not None:
            for machine in self.machines:
                shown = machine.shown()
                part = {path: fact for path, fact in self._written.items() if not machine.on_demand or path in shown}
                if different := difference(part, shown):
                    self._violated(f"{machine.number} has not what the only writer wrote: {different}")

    def _violated(self, what: str) -> None:
        raise Violation(f"seed {self.seed} ({self.shape}): {what}\n" + "\n".join(self.trace))
