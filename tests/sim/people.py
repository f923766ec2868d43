"""What people do to their folders in the planner simulation, and what is owed to them.

Every content is a token that nobody else writes. It is owed from then on, until a person who has it before him overwrites or
deletes it: that he may. Draws from the rng that it is given, and touches nothing but the disk of the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from msgspec.structs import replace

from gsync.core.ignore import is_ignored
from gsync.core.model import Kind
from gsync.core.names import RelPath
from tests.sim.plain_machine import EXECUTABLE, PLAIN, Node, PlainMachine

_LETTERS: Final = ("a", "b", "c")
_NAMES: Final = tuple(
    RelPath.parse(name)
    for name in (
        *_LETTERS,
        *(f"{x}/{y}" for x in _LETTERS for y in _LETTERS),
        *(f"{x}/{y}/{z}" for x in _LETTERS[:2] for y in _LETTERS[:2] for z in _LETTERS),
    )
)
"""Few, so that people meet."""

_ABOVE: Final = {name: name.ancestors for name in _NAMES}
_LEFT_BEHIND: Final = tuple(RelPath.parse(f"{name}~") for name in _NAMES if "/" in name)
_ASIDE: Final = RelPath.parse("aside~")

FLAT: Final = tuple(name for name in _NAMES if "/" not in name)


class People:
    """All of them; `owed` are the tokens that must be kept."""

    def __init__(self, rng: Random, *, now_ns: Callable[[PlainMachine], int], note: Callable[..., None]) -> None:
        self._rng = rng
        self._now_ns = now_ns
        self._note = note
        self._tokens = 0
        self.owed: set[str] = set()

    def do_something(self, machine: PlainMachine) -> None:
        self._rng.choice(_HABITS)(self, machine)

    def make_something(self, machine: PlainMachine) -> None:
        self._rng.choice(_MAKING)(self, machine)

    def token(self) -> str:
        self._tokens += 1
        return f"{self._tokens}"

    def _owes(self, token: str) -> str:
        self.owed.add(token)
        return token

    def _sees(self, node: Node | None) -> None:
        """A person does away with what is there, having seen it."""
        if node is not None:
            self.owed.discard(node.token)

    def _files(self, machine: PlainMachine, *kinds: Kind) -> list[RelPath]:
        return sorted(path for path, node in machine.disk.items() if node.kind in kinds and not is_ignored(path))

    def _room(self, machine: PlainMachine) -> RelPath | None:
        """A free name in a directory that stands."""
        disk = machine.disk
        directories = {path for path, node in disk.items() if node.kind is Kind.DIRECTORY}
        free = [name for name in _NAMES if name not in disk and directories.issuperset(_ABOVE[name])]
        return self._rng.choice(free) if free else None

    def write(self, machine: PlainMachine) -> None:
        path = self._room(machine)
        if path is not None:
            token = self._owes(self.token())
            machine.put(path, machine.node(Kind.FILE, token, mtime_ns=self._now_ns(machine)))
            self._note(machine.number, "writes", path, token)

    def edit(self, machine: PlainMachine) -> None:
        files = self._files(machine, Kind.FILE)
        if files:
            path = self._rng.choice(files)
            before = machine.disk[path]
            self._sees(before)
            token = self._owes(self.token())
            node = machine.node(Kind.FILE, token, mtime_ns=self._now_ns(machine), mode=before.shown.mode)
            if self._rng.random() < 0.5:  # in place, not by a rename
                node = Node(replace(node.shown, inode=before.shown.inode), token)
            machine.disk[path] = node
            self._note(machine.number, "edits", path, before.token, "->", token)

    def touch(self, machine: PlainMachine) -> None:
        files = self._files(machine, Kind.FILE)
        if files:
            path = self._rng.choice(files)
            before = machine.disk[path]
            if self._rng.random() < 0.5:
                shown = replace(before.shown, mtime_ns=self._now_ns(machine))
            else:
                shown = replace(before.shown, mode=PLAIN if before.shown.is_executable else EXECUTABLE)
            machine.disk[path] = Node(shown, before.token)
            self._note(machine.number, "touches", path)

    def make_directory(self, machine: PlainMachine) -> None:
        path = self._room(machine)
        if path is not None:
            machine.put(path, machine.node(Kind.DIRECTORY, "", mtime_ns=0, mode=EXECUTABLE))
            self._note(machine.number, "makes directory", path)

    def link(self, machine: PlainMachine) -> None:
        path = self._room(machine)
        if path is not None:
            token = self._owes(self.token())
            machine.put(path, machine.node(Kind.LINK, token, mtime_ns=self._now_ns(machine)))
            self._note(machine.number, "links", path, token)

    def delete(self, machine: PlainMachine) -> None:
        files = self._files(machine, Kind.FILE, Kind.LINK)
        if files:
            path = self._rng.choice(files)
            self._sees(machine.disk.pop(path))
            self._note(machine.number, "deletes", path)

    def delete_directory(self, machine: PlainMachine) -> None:
        directories = self._files(machine, Kind.DIRECTORY)
        if directories:
            path = self._rng.choice(directories)
            for inner in [path, *machine.beneath(path)]:
                self._sees(machine.disk.pop(inner))
            self._note(machine.number, "deletes directory", path)

    def rename(self, machine: PlainMachine) -> None:
        things = self._files(machine, *Kind)
        target = self._room(machine)
        if things and target is not None:
            source = self._rng.choice(things)
            if not target.is_beneath(source):
                machine.move(source, target)
                self._note(machine.number, "renames", source, "->", target)

    def rename_over(self, machine: PlainMachine) -> None:
        files = self._files(machine, Kind.FILE, Kind.LINK)
        if len(files) > 1:
            source, target = self._rng.sample(files, 2)
            self._sees(machine.disk.pop(target))
            machine.move(source, target)
            self._note(machine.number, "renames over", source, "->", target)

    def swap(self, machine: PlainMachine) -> None:
        things = self._files(machine, *Kind)
        if len(things) > 1:
            one, other = self._rng.sample(things, 2)
            if not one.is_beneath(other) and not other.is_beneath(one):
                machine.move(one, _ASIDE)
                machine.move(other, one)
                machine.move(_ASIDE, other)
                self._note(machine.number, "swaps", one, other)

    def change_kind(self, machine: PlainMachine) -> None:
        things = self._files(machine, *Kind)
        if things:
            path = self._rng.choice(things)
            kind = self._rng.choice([kind for kind in Kind if kind is not machine.disk[path].kind])
            for inner in [path, *machine.beneath(path)]:
                self._sees(machine.disk.pop(inner))
            token = "" if kind is Kind.DIRECTORY else self._owes(self.token())
            machine.put(path, machine.node(kind, token, mtime_ns=self._now_ns(machine)))
            self._note(machine.number, "makes", path, "a", kind, token)
            if kind is Kind.DIRECTORY and self._rng.random() < 0.5:
                self.write(machine)

    def leave_behind(self, machine: PlainMachine) -> None:
        """A file that is not synced, in a directory."""
        names = [
            name for name in _LEFT_BEHIND if name not in machine.disk and all(d in machine.disk for d in name.ancestors)
        ]
        if names:
            path = self._rng.choice(names)
            if machine.can_hold(path):
                machine.put(path, machine.node(Kind.FILE, "", mtime_ns=self._now_ns(machine)))
                self._note(machine.number, "leaves", path)

    def copy(self, machine: PlainMachine) -> None:
        files = self._files(machine, Kind.FILE)
        path = self._room(machine)
        if files and path is not None:
            source = machine.disk[self._rng.choice(files)]
            machine.put(path, machine.node(Kind.FILE, source.token, mtime_ns=source.shown.mtime_ns))
            self._note(machine.number, "copies", source.token, "to", path)


Habit = Callable[[People, PlainMachine], None]

_MAKING: Final[tuple[Habit, ...]] = (People.write, People.write, People.make_directory, People.link)
_HABITS: Final[tuple[Habit, ...]] = (
    *_MAKING,
    People.edit,
    People.edit,
    People.edit,
    People.touch,
    People.delete,
    People.delete_directory,
    People.rename,
    People.rename,
    People.rename,
    People.rename_over,
    People.swap,
    People.change_kind,
    People.leave_behind,
    People.copy,
)
