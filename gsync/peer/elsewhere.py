"""Files that a person wants written outside the folder: fetched from the first holder that gives them, whole and verified.

Nothing comes into the folder by this, and nothing is remembered of it. Called by the orders of the overlay, in their greenlet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gsync.core.blocks import digest_of_bytes
from gsync.core.hits import Got
from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.errors import ProtocolError, StorageError, TransportError, WrongContent
from gsync.peer.link import Use, answer_to
from gsync.peer.links import Links
from gsync.peer.searches import HeardOf
from gsync.storage.outputs import output_path, write_output
from gsync.storage.workers import Pool, Workers
from gsync.wire.native import Block, Get, Want

OUTPUT_MAX: Final = 64 * 1024 * 1024
"""What is written elsewhere than into the folder is held in memory until its digest was compared."""


class Elsewhere:
    """Writes at `output`, which is a file, or a directory for files."""

    def __init__(self, *, links: Links, workers: Workers) -> None:
        self._links = links
        self._workers = workers

    def require(self, output: str, names: Sequence[RelPath]) -> None:
        """Before anything travels: raises `ConfigError` where these could not be written."""
        self._workers.run(Pool.DISK, output_path, output, names)

    def get(self, found: Sequence[HeardOf], output: str, names: Sequence[RelPath]) -> Got:
        """One of `names`, from the first of `found` that gives it."""
        path = found[0].record.path
        file = self._workers.run(Pool.DISK, output_path, output, names, path)
        reason = "it is here only, in the folder"
        for one in found:
            if one.source is None:
                continue
            try:
                content = self._content(one)
                self._workers.run(Pool.DISK, write_output, file, content)
            except StorageError as error:
                return Got(path=path, holder=one.holder, reason=str(error))
            except (TransportError, ProtocolError) as error:  # the next one may do better
                reason = str(error)
                continue
            return Got(path=path, holder=one.holder, size=len(content), output=file)
        return Got(path=path, holder=found[0].holder, reason=reason)

    def _content(self, one: HeardOf) -> bytes:
        record = one.record
        assert one.source is not None
        if record.kind is not Kind.FILE or record.size > OUTPUT_MAX:
            raise StorageError("only files up to 64 MiB are written elsewhere; get it into the folder")
        with self._links.link(one.source.endpoint, Use.SMALL) as link:
            id_ = link.next_id()
            link.ask(Get(id=id_, wants=[Want(p=str(record.path), d=record.digest)]))
            block = answer_to(id_, link.next(), Block)
            if block.gone or block.body != record.size:
                raise WrongContent("it has not this content any more")
            content = link.body(record.size)
        if digest_of_bytes(content) != record.digest:
            raise WrongContent("what it sent has another digest")
        return content
