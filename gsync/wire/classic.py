"""Spells and reads the classic messages; PROTOCOL.md, "Classic", is the specification.

Reading is strict about shape and lenient about entries: what is no JSON object raises `RemoteProtocolError`, and a bad
entry is left out with a `Refusal` while the others are taken. msgspec reads what is well made, `wire/foreign.py` the
rest. `pause` is called now and then while a long message is judged: who runs other work beside gives it his yield.
`tracker/responses.py` spells directories, because only it knows how to keep them. Called by tracker and announcer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring_ascii
from typing import Final

import msgspec

from gsync.core.holders import ALSO_MAX
from gsync.core.model import Offer, Source
from gsync.core.names import RelPath
from gsync.core.pausing import Pause, no_pause, paused
from gsync.core.versions import Version
from gsync.errors import NameRefused
from gsync.wire.foreign import HIGHEST_PORT, dialled_endpoint, kind, mtime_s, port_number, read_object
from gsync.wire.messages import (
    SPEAKS_GSYNC,
    SPEAKS_NATIVE,
    DirectoryResponse,
    Initial,
    Keepalive,
    PeerMessage,
    Refusal,
)

OURS: Final = b"{\t"
"""How an object of ours begins: white space that JSON ignores and that no other program sends (PROTOCOL.md, "Native")."""

NATIVE: Final = b"{\t\t"
"""The same where native is spoken, too; what begins so begins with `OURS`."""

READER_BLOCK_BYTES: Final = 8192
"""Readers that take a read of this size to mean "more to come" wait for ever after a message of just that length."""

_NAME_MAX_CHARACTERS: Final = 80


def encode_initial(port: int, files: Mapping[RelPath, int], *, knows_gsync: bool, knows_native: bool = False) -> bytes:
    """The Initial of a peer that serves `files` on `port`; begins with a tab inside when `knows_gsync`, with two when
    `knows_native`, and ends in a newline."""
    entries = ",".join([f'{{"name":{encode_basestring_ascii(name)},"mtime":{mtime}}}' for name, mtime in files.items()])
    start = NATIVE if knows_native else OURS if knows_gsync else b"{"
    return ended(start + f'"port":{port},"files":[{entries}]}}'.encode("ascii"))


def encode_keepalive(port: int) -> bytes:
    """The Keepalive of the peer that serves on `port`."""
    return ended(f'{{"port":{port}}}'.encode("ascii"))


def ended(*parts: bytes) -> bytes:
    """The message that `parts` make, and its newline, with a blank between where a reader of blocks would wait for more."""
    bare = sum(map(len, parts))
    return b"".join((*parts, b" \n" if (bare + 1) % READER_BLOCK_BYTES == 0 else b"\n"))


def parse_peer_message(message: bytes, *, pause: Pause = no_pause) -> PeerMessage:
    """What a peer says: an Initial if there are `files`, else a Keepalive. Raises `RemoteProtocolError` for no JSON object."""
    try:
        known = _PEER_MESSAGE.decode(message)
    except _REFUSED_BY_MSGSPEC:
        return _peer_message(read_object(message), begins=message[: len(NATIVE)], pause=pause)
    if isinstance(known.files, msgspec.UnsetType):
        return Keepalive()
    entries: list[tuple[object, object]] = [(file.name, file.mtime) for file in known.files]
    return _initial(known.port, entries, begins=message[: len(NATIVE)], refused=[], pause=pause)


def parse_directory(message: bytes, *, pause: Pause = no_pause) -> DirectoryResponse:
    """What a tracker answers. Raises `RemoteProtocolError` for no JSON object."""
    offers: dict[RelPath, Offer] = {}
    refused: list[Refusal] = []
    book = _AddressBook()
    for name, entry in paused(_directory_entries(message), pause):
        try:
            offers[RelPath.parse_flat(name)] = _offer(entry, book)
        except NameRefused as error:
            refused.append(refusal(name, error.reason))
    return DirectoryResponse(
        offers=offers,
        from_gsync=message.startswith(OURS),
        from_native=message.startswith(NATIVE),
        refused=tuple(refused),
    )


def refusal(name: object, reason: str) -> Refusal:
    """Why the entry that called itself `name` is left out; the name is cut so that a log line stays one."""
    return Refusal(name=(name if isinstance(name, str) else kind(name))[:_NAME_MAX_CHARACTERS], reason=reason)


class _KnownFile(msgspec.Struct):
    name: str
    mtime: int | float


class _KnownPeerMessage(msgspec.Struct):
    port: int
    files: list[_KnownFile] | msgspec.UnsetType = msgspec.UNSET


class _KnownEntry(msgspec.Struct):
    ip: str
    port: int
    mtime: int | float
    gsync: int = 0
    also: str = ""


_PEER_MESSAGE: Final = msgspec.json.Decoder(_KnownPeerMessage)
_DIRECTORY: Final = msgspec.json.Decoder(dict[str, _KnownEntry])
_REFUSED_BY_MSGSPEC: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _peer_message(message: dict[str, object], *, begins: bytes, pause: Pause) -> PeerMessage:
    """The message whose parts msgspec did not take; each is judged alone."""
    if "files" not in message:
        return Keepalive()
    files, refused = message["files"], list[Refusal]()
    if not isinstance(files, list):
        refused.append(refusal("files", f"the files are a list, not {kind(files)}"))
        files = []
    entries: list[tuple[object, object]] = []
    for file in files:
        if isinstance(file, dict):
            entries.append((file.get("name"), file.get("mtime")))
        else:
            refused.append(refusal(file, f"a file is an object, not {kind(file)}"))
    return _initial(message.get("port"), entries, begins=begins, refused=refused, pause=pause)


def _initial(
    port: object,
    entries: Iterable[tuple[object, object]],
    *,
    begins: bytes,
    refused: list[Refusal],
    pause: Pause,
) -> Initial:
    files: dict[RelPath, int] = {}
    for name, mtime in paused(entries, pause):
        try:
            path, seconds = RelPath.parse_flat(name), mtime_s(mtime)
        except NameRefused as error:
            refused.append(refusal(name, error.reason))
            continue
        files[path] = max(seconds, files.get(path, 0))
    return Initial(
        port=_port(port, refused),
        files=files,
        knows_gsync=begins.startswith(OURS),
        knows_native=begins == NATIVE,
        refused=tuple(refused),
    )


def _port(port: object, refused: list[Refusal]) -> int | None:
    try:
        return port_number(port)
    except NameRefused as error:
        refused.append(refusal("port", error.reason))
        return None


def _directory_entries(message: bytes) -> Iterable[tuple[str, _KnownEntry | object]]:
    try:
        return _DIRECTORY.decode(message).items()
    except _REFUSED_BY_MSGSPEC:
        return read_object(message).items()


def _offer(entry: _KnownEntry | object, book: _AddressBook) -> Offer:
    if isinstance(entry, _KnownEntry):
        return _known_offer(entry.ip, entry.port, entry.mtime, gsync=entry.gsync, also=entry.also, book=book)
    if isinstance(entry, dict):
        get = entry.get
        return _known_offer(get("ip"), get("port"), get("mtime"), gsync=get("gsync"), also=get("also"), book=book)
    raise NameRefused(f"an entry is an object, not {kind(entry)}")


def _known_offer(ip: object, port: object, mtime: object, *, gsync: object, also: object, book: _AddressBook) -> Offer:
    first = book.source(ip, port, speaks=gsync if isinstance(gsync, int) else 0)
    further = book.also(also) if isinstance(also, str) and also else ()
    sources = (first, *(source for source in further if source.endpoint != first.endpoint))
    return Offer(version=Version.from_mtime(mtime_s(mtime)), sources=sources)


class _AddressBook:
    """The sources of one directory, each judged once: thousands of entries name a handful of peers."""

    def __init__(self) -> None:
        self._sources: dict[tuple[object, object, int], Source | NameRefused] = {}
        self._also: dict[str, tuple[Source, ...]] = {}

    def source(self, ip: object, port: object, *, speaks: int) -> Source:
        """The source at that address; `speaks` is how it is marked. Raises `NameRefused`."""
        if not isinstance(ip, str) or type(port) is not int:  # unhashable, or a bool that looks like port 1
            return Source(endpoint=dialled_endpoint(ip, port))
        key = (ip, port, min(max(speaks, 0), SPEAKS_NATIVE))
        if key not in self._sources:
            self._sources[key] = _source(*key)
        known = self._sources[key]
        if isinstance(known, NameRefused):
            raise NameRefused(known.reason)
        return known

    def also(self, text: str) -> tuple[Source, ...]:
        """The further holders that "ip:port ip:port" names; a bad one is passed over, the entry is good without it."""
        if text not in self._also:
            parts = [part.rpartition(":") for part in text.split(" ", ALSO_MAX)[:ALSO_MAX]]
            found = [_source(ip.strip("[]"), int(port), SPEAKS_GSYNC) for ip, _, port in parts if _is_port(port)]
            self._also[text] = tuple(source for source in found if isinstance(source, Source))
        return self._also[text]


def _source(ip: object, port: object, speaks: int) -> Source | NameRefused:
    try:
        endpoint = dialled_endpoint(ip, port)
        return Source(endpoint=endpoint, speaks_gsync=speaks >= SPEAKS_GSYNC, speaks_native=speaks >= SPEAKS_NATIVE)
    except NameRefused as error:
        return error


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(HIGHEST_PORT))
