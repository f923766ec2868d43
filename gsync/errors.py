"""Every error that gsync raises on purpose; each branch says who is to blame and who acts.

The docstring of an error is what its reader will be told; its fields hold the facts. Foreign errors (OSError, sqlite3,
msgspec) become these at the border of the room that meets them (`net/tcp.py`, `storage/`, `wire/`), and nowhere else.
Importable from everywhere; imports nothing of ours.
"""

from __future__ import annotations


class GsyncError(Exception):
    """Something went wrong that gsync knows how to name."""


class NameRefused(GsyncError, ValueError):
    """A string from outside is not a name that gsync accepts; the reason says which rule it breaks."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProtocolError(GsyncError):
    """What was said breaks the protocol."""


class RemoteProtocolError(ProtocolError):
    """The other side said something that the protocol does not allow; its connection is dropped."""


class WrongContent(RemoteProtocolError):
    """The source sent something else than what was asked for: its digest is another one."""


class TransportError(GsyncError):
    """The network did not carry it; another try, later or elsewhere, may."""


class ConnectFailed(TransportError):
    """No connection came about: refused, unreachable, or no answer in time."""


class NoAnswer(ConnectFailed):
    """Nobody answered the dial in time."""


class ConnectionBroken(TransportError):
    """The connection ended in the middle: reset, or closed where more was due."""


class CutShort(ConnectionBroken):
    """The connection was closed in order, before all that had been promised."""


class Stalled(TransportError):
    """The other side keeps the connection but sends nothing, or too slowly."""


class SourceBusy(Stalled):
    """The source serves too many others just now, and says so."""


class AddressInUse(TransportError):
    """Another program already listens at this address."""


class StorageError(GsyncError):
    """The disk refused; this file is skipped, the others go on."""


class NoSpace(StorageError):
    """The free-space floor, or the disk itself, is reached; nothing was written."""


class PathRefused(StorageError):
    """The path leads outside the folder, through a link, or to something that is not a regular file."""


class FileChanged(StorageError):
    """The file was changed while it was read; what was read so far is worth nothing."""


class FileVanished(StorageError):
    """There is no such file any more."""


class IndexDamaged(StorageError):
    """The index cannot be read; it is set aside and made anew from the folder."""


class UnknownName(GsyncError):
    """Nothing of this name is known here."""

    def __init__(self, what: str, *, advice: str = "") -> None:
        super().__init__(what)
        self.advice = advice


class ConfigError(GsyncError):
    """What was asked for cannot be done; nothing was started."""

    def __init__(self, what: str, *, advice: str = "") -> None:
        super().__init__(what)
        self.advice = advice


class FolderLocked(ConfigError):
    """Another gsync already runs in this folder."""


class FolderUnusable(ConfigError):
    """The folder cannot be kept in sync: missing, not writable, replaced, or the program's own."""
