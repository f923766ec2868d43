"""The hands of a machine in the planner simulation: they carry out one action of a plan at a time.

What a plan asks for is checked against the disk as the publisher does: what stands there must be what the planner saw.
"""

from __future__ import annotations

from msgspec.structs import replace

from gsync.core.actions import (
    Action,
    Adopt,
    Bury,
    Displaced,
    Fetch,
    MakeDirectory,
    MakeLink,
    Reassert,
    Relocate,
    Remove,
)
from gsync.core.conflicts import conflict_name
from gsync.core.model import FileMeta, Kind, Record
from gsync.core.names import RelPath
from tests.sim.plain_machine import EXECUTABLE, PLAIN, Failed, Node, PlainMachine, digest_of, touched


def act(machine: PlainMachine, action: Action, content: str | None, *, has_fault: bool = False) -> None:
    """Carry `action` out; `content` is what a source gave. Raises Failed: nothing was touched."""
    machine.queue.pop(action.path, None)
    if has_fault:
        raise Failed("a fault")
    if isinstance(action, Relocate) and not machine.dirty.isdisjoint(touched(action)):
        raise Failed("the trees have changed since it was planned")
    match action:
        case Fetch():
            _fetch(machine, action, content)
        case MakeDirectory():
            node = machine.node(Kind.DIRECTORY, "", mtime_ns=0, mode=EXECUTABLE)
            _place(machine, action, node, action.record)
        case MakeLink():
            node = machine.node(Kind.LINK, action.record.target, mtime_ns=1)
            _place(machine, action, node, action.record)
        case Remove():
            _remove(machine, action)
        case Bury():
            if action.path in machine.local:
                raise Failed("something stands there")
            machine.know(action.path, action.tombstone)
            machine.synced[action.path] = action.tombstone.version
        case Adopt():
            _adopt(machine, action)
        case Reassert():
            here = machine.local.get(action.path)
            if here is None:
                raise Failed("it is gone")
            machine.know(action.path, replace(here, version=action.version, author=machine.author))
        case Relocate():
            _relocate(machine, action)
        case _:
            pass


def _fetch(machine: PlainMachine, action: Fetch, content: str | None) -> None:
    if content is None:
        raise Failed("nobody has it")
    record = action.offer.record
    mtime_ns = record.mtime_ns if record is not None else action.version.mtime_s * 10**9
    mode = EXECUTABLE if record is not None and record.executable else PLAIN
    _place(machine, action, machine.node(Kind.FILE, content, mtime_ns=mtime_ns, mode=mode), record)


def _place(machine: PlainMachine, action: Fetch | MakeDirectory | MakeLink, node: Node, record: Record | None) -> None:
    path, expected = action.path, action.expected
    there = machine.disk.get(path)
    if there is not None and there.kind is Kind.DIRECTORY is node.kind:
        node = there
    elif (there.shown if there else None) != (expected.fingerprint if expected else None):
        raise Failed("something else stands there")
    elif there is not None and there.kind is Kind.DIRECTORY:
        raise Failed("a directory stands there")
    machine.put(path, node)
    if expected is not None and there is not None and there is not node:
        _displace(machine, path, expected, there, action.displaced)
    meta = FileMeta(
        fingerprint=node.shown,
        version=action.version,
        digest=record.digest if record is not None else digest_of(node.token),
        target=record.target if record is not None else "",
        author=record.author if record is not None else "",
        moved_from=record.moved_from if record is not None else None,
    )
    machine.know(path, meta)
    machine.synced[path] = action.version
    if node.kind is Kind.DIRECTORY and expected is not None:
        machine.dirty.update(other for other in machine.remote if other.is_beneath(path))


def _displace(machine: PlainMachine, path: RelPath, expected: FileMeta, node: Node, displaced: Displaced) -> None:
    if displaced is not Displaced.CONFLICT_COPY:
        machine.trash.add(node.token)
        return
    digest = expected.digest or digest_of(node.token)
    name = conflict_name(path, version=expected.version, digest=digest)
    if name in machine.disk:
        machine.trash.add(node.token)
        return
    machine.disk[name] = node
    machine.know(name, replace(expected, digest=digest, moved_from=None))


def _remove(machine: PlainMachine, action: Remove) -> None:
    path, expected, there = action.path, action.expected, machine.disk.get(action.path)
    leftover_inode = 0
    if there is not None:
        if there.kind is not expected.kind:
            raise Failed("something else stands there")
        if there.kind is Kind.DIRECTORY:
            if any(inner in machine.local for inner in machine.beneath(path)):
                raise Failed("something synced is in it")
            if machine.beneath(path):
                leftover_inode = there.shown.inode
            else:
                del machine.disk[path]
        elif there.shown != expected.fingerprint:
            raise Failed("it was edited")
        else:
            del machine.disk[path]
            machine.trash.add(there.token)
    machine.know(path, replace(action.tombstone, leftover_inode=leftover_inode))
    machine.synced[path] = action.tombstone.version


def _adopt(machine: PlainMachine, action: Adopt) -> None:
    here = machine.local.get(action.path)
    there = machine.disk.get(action.path)
    if here is None or there is None or there.shown != here.fingerprint:
        raise Failed("it was edited")
    record = action.record
    if record is not None and here.kind is Kind.FILE:
        mode = EXECUTABLE if record.executable else PLAIN
        if (there.shown.mtime_ns, there.shown.is_executable) != (record.mtime_ns, record.executable):
            there = Node(replace(there.shown, mtime_ns=record.mtime_ns, mode=mode), there.token)
            machine.disk[action.path] = there
    author = record.author if record is not None else here.author
    now = replace(here, fingerprint=there.shown, version=action.version, author=author)
    machine.synced[action.path] = action.version
    if now != here:
        machine.know(action.path, now)


def _relocate(machine: PlainMachine, action: Relocate) -> None:
    for one in action.entries.values():
        there, expected = machine.disk.get(one.source), one.expected.fingerprint
        if there is None or there.kind is not expected.kind:
            raise Failed("it is not there any more")
        if there.shown.inode != expected.inode or (there.kind is not Kind.DIRECTORY and there.shown != expected):
            raise Failed("it was edited")
    if action.path in machine.disk or not machine.can_hold(action.path):
        raise Failed("the new name is taken")
    machine.move(action.source, action.path)
    for path, tombstone in action.buried.items():
        machine.know(path, tombstone)
        machine.synced[path] = tombstone.version
    for path, one in action.entries.items():
        machine.know(path, replace(one.expected, version=one.version, author=one.author, moved_from=one.source))
        machine.synced[path] = one.version
