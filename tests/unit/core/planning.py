"""Words for planner tests: entries, tombstones and offers of one line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from gsync.core.actions import Action
from gsync.core.blocks import digest_of_bytes
from gsync.core.model import Entry, FileMeta, Fingerprint, Kind, Offer, Source, Tombstone
from gsync.core.names import Endpoint, RelPath
from gsync.core.planner import Policy, plan
from gsync.core.records import record_of
from gsync.core.versions import Version

ME = "me"
NOW = Policy(now_s=1_000_000, author=ME)
SOURCES = (Source(endpoint=Endpoint("192.0.2.1", 2001), speaks_gsync=True, speaks_native=True),)


def path(text: str) -> RelPath:
    return RelPath.parse(text)


def v(mtime_s: int, **counters: int) -> Version:
    return Version.from_vector({**counters, "mtime": mtime_s})


def file(
    version: Version, content: str = "content", *, was: str = "", mtime_ns: int = 5, mode: int = 0o644
) -> FileMeta:
    return FileMeta(
        fingerprint=Fingerprint(size=len(content), mtime_ns=mtime_ns, ctime_ns=0, inode=1, mode=mode),
        version=version,
        digest=digest_of_bytes(content.encode()),
        moved_from=path(was) if was else None,
    )


def unread(version: Version) -> FileMeta:
    return replace(file(version), digest="")


def directory(version: Version, *, was: str = "") -> FileMeta:
    meta = file(version, "", was=was)
    return replace(meta, fingerprint=replace(meta.fingerprint, kind=Kind.DIRECTORY, mode=0o755), digest="")


def link(version: Version, target: str = "there", *, was: str = "") -> FileMeta:
    meta = file(version, target, was=was)
    return replace(meta, fingerprint=replace(meta.fingerprint, kind=Kind.LINK, mode=0o777), target=target)


def gone(version: Version, of: FileMeta | str = "content", *, author: str = "") -> Tombstone:
    meta = file(version, of) if isinstance(of, str) else of
    return Tombstone(version=version, kind=meta.kind, digest=meta.digest, author=author)


def offer(name: str, entry: Entry, *, sources: tuple[Source, ...] = SOURCES) -> Offer:
    return Offer(version=entry.version, sources=sources, record=record_of(path(name), entry))


def planned(
    *,
    here: Mapping[str, Entry],
    offered: Mapping[str, Entry | Offer],
    agreed: Iterable[str] = (),
    asked: Iterable[str] | None = None,
    policy: Policy = NOW,
) -> tuple[Action, ...]:
    """The plan for all paths (or those `asked`), where what stands at the `agreed` ones was agreed as it is."""
    local = {path(name): entry for name, entry in here.items() if isinstance(entry, FileMeta)}
    buried = {path(name): entry for name, entry in here.items() if isinstance(entry, Tombstone)}
    remote = {path(name): x if isinstance(x, Offer) else offer(name, x) for name, x in offered.items()}
    synced = {path(name): here[name].version for name in agreed}
    names = {*here, *offered} if asked is None else asked
    return plan(map(path, names), local=local, buried=buried, remote=remote, synced=synced, policy=policy).actions
