"""The word for each error that can end a fetch."""

from __future__ import annotations

import pytest

from gsync import errors
from gsync.peer.causes import FetchError, SeemsEmpty, Unvouched, cause_of
from gsync.peer.events import Cause
from gsync.peer.fetcher import NotThere


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (errors.NoAnswer(), Cause.TIMEOUT),
        (errors.ConnectFailed(), Cause.REFUSED),
        (errors.Stalled(), Cause.STALLED),
        (errors.CutShort(), Cause.SHORT),
        (errors.ConnectionBroken(), Cause.RESET),
        (errors.TransportError(), Cause.RESET),
        (Unvouched(), Cause.UNVOUCHED),
        (errors.RemoteProtocolError(), Cause.NONSENSE),
        (errors.NoSpace(), Cause.DISK),
        (SeemsEmpty(), Cause.EMPTY),
        (NotThere(), Cause.GONE),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_error_has_its_word(error: FetchError, cause: Cause) -> None:
    assert cause_of(error) is cause
