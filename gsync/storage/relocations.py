"""Relocations: what was renamed elsewhere is renamed here, a directory with all that is in it by one rename.

Looked at first: everything that the index expects under the old name must stand there as it did, or nothing is touched. What is
in a directory beside that (ignored, or not seen yet) goes along. The entries keep the fingerprints they had, so that an edit
between look and rename shows at the next scan. Called by the publisher. A rename that a crash keeps from the index is found by
the next scan, as a rename.
"""

from __future__ import annotations

from msgspec.structs import replace

from gsync.core.actions import Relocated
from gsync.core.model import FileMeta, Kind
from gsync.core.names import RelPath
from gsync.errors import FileVanished
from gsync.storage.displaced import fresh
from gsync.storage.downloads import Moved, Relocation
from gsync.storage.filesystem import Folder
from gsync.storage.steps import Step, overtaken


class Relocations:
    """Renames within `folder`."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def relocate(self, relocation: Relocation) -> Step:
        """The step that was taken. Raises `StorageError`: nothing was touched."""
        if not all(self._stands(one) for one in relocation.entries.values()):
            return overtaken(relocation.path, None)
        try:
            if not self._folder.move(relocation.source, relocation.path):
                return overtaken(relocation.path, None)
        except FileVanished:
            return overtaken(relocation.path, None)
        entries = {path: self._moved(path, one, relocation) for path, one in relocation.entries.items()}
        versions = {path: entry.version for path, entry in entries.items()}
        return Step(
            outcome=Moved(path=relocation.path, entries=entries, buried=relocation.buried),
            row=None,
            entries={**relocation.buried, **entries},
            synced={**{path: tombstone.version for path, tombstone in relocation.buried.items()}, **versions},
        )

    def _stands(self, one: Relocated) -> bool:
        there, expected = self._folder.fingerprint(one.source), one.expected.fingerprint
        if there is None or there.kind is not expected.kind:
            return False
        return there.inode == expected.inode if there.kind is Kind.DIRECTORY else there == expected

    def _moved(self, path: RelPath, one: Relocated, relocation: Relocation) -> FileMeta:
        fingerprint = one.expected.fingerprint
        if path == relocation.path:  # only what was itself renamed shows it, in its ctime
            fingerprint = fresh(self._folder, path, fingerprint)
        return replace(
            one.expected, fingerprint=fingerprint, version=one.version, author=one.author, moved_from=one.source
        )
