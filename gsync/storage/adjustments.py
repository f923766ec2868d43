"""Adjustments: the content of a path is right already, its mtime, exec bit and version move.

Called by the publisher. Where nothing but the version moves, the disk is not asked: if something else stands there by now, the
next look sees it against the fingerprint that the entry keeps.
"""

from __future__ import annotations

from msgspec.structs import replace

from gsync.core.model import FileMeta, Fingerprint
from gsync.storage.downloads import Adjustment, Published
from gsync.storage.filesystem import Folder
from gsync.storage.journal import JournalRow
from gsync.storage.steps import Step, overtaken


class Adjustments:
    """Adjusts in `folder`."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def adjust(self, adjustment: Adjustment, row: JournalRow | None) -> Step:
        """The step that was taken. Raises `StorageError`: nothing was changed."""
        fingerprint: Fingerprint | None = adjustment.expected.fingerprint
        if not moves_nothing(adjustment):
            fingerprint = self._folder.adjust(
                adjustment.path,
                expected=adjustment.expected.fingerprint,
                mtime_ns=adjustment.mtime_ns,
                executable=adjustment.executable,
            )
        if fingerprint is None:
            return overtaken(adjustment.path, row)
        meta = adjusted(adjustment, fingerprint)
        return Step(
            outcome=Published(path=adjustment.path, meta=meta),
            row=row,
            entries={adjustment.path: meta},
            synced={adjustment.path: meta.version},
            renamed=row is not None,
        )


def moves_nothing(adjustment: Adjustment) -> bool:
    """Whether only the version moves."""
    return adjustment.mtime_ns is None and adjustment.executable is None


def adjusted(adjustment: Adjustment, fingerprint: Fingerprint) -> FileMeta:
    """The entry afterwards, where the disk shows `fingerprint`."""
    return replace(
        adjustment.expected,
        fingerprint=fingerprint,
        version=adjustment.version,
        author=adjustment.author,
        moved_from=None,  # its last step was another one
    )
