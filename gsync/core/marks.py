"""The digest of a directory: one number that tells whether two sides know the same records, whatever the order they came in.

Each record has a mark, 64 bits of BLAKE3 of all that it says; the digest is the marks joined by exclusive or, so a record is
put in and taken out with the same operation and a change costs the same whatever the size of the directory. Guards against
defects and lost messages, not against a liar: who speaks for the directory can say anything anyway. Pure; the tracker keeps
one over the records that win, each native peer one over the records that it was told (PROTOCOL.md, "Tracker link").
"""

from __future__ import annotations

from blake3 import blake3

from gsync.core.model import Record

_MARK_BYTES = 8


def record_mark(record: Record) -> int:
    """The mark of `record`; two that differ in anything have different ones."""
    version, yes = record.version, ("0", "1")
    counters = " ".join([f"{author}={count}" for author, count in version.counters])
    flags = yes[record.executable] + yes[record.deleted]
    numbers = f"{version.mtime_s} {counters}\0{record.digest}\0{record.size}\0{record.mtime_ns}\0{flags}"
    said = "\0".join(
        (record.path, record.kind, numbers, record.target, record.author, record.moved_from or "")
    )  # joined: an f-string asks each child of `str` for its format, which takes as long as the rest
    return int.from_bytes(blake3(said.encode("utf-8", "surrogatepass")).digest(length=_MARK_BYTES), "big")


def digest_text(marks: int) -> str:
    """The digest, as it is told, of a directory whose marks join to `marks`; "0000000000000000" for an empty one."""
    return f"{marks:016x}"
