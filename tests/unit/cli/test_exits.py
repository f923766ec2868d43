"""Which end a command comes to, and the one word for an output that cannot be written."""

from __future__ import annotations

import errno
import io
import os

import pytest

from gsync.cli.console import Console
from gsync.cli.exits import Exit, OutputLost, exit_for
from gsync.cli.jsonlines import JsonLines
from tests.unit.cli.test_console import fetched


class Failing(io.StringIO):
    """An output that refuses every line."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._error = OSError(number, os.strerror(number))

    def write(self, text: str) -> int:
        raise self._error


def observers(out: io.StringIO) -> list[Console | JsonLines]:
    return [
        Console(out=out, err=out, quiet=False, color=False, live=False, monotonic=lambda: 0.0),
        JsonLines(out),
    ]


@pytest.mark.parametrize("which", [0, 1], ids=["words", "JSON lines"])
def test_an_output_on_a_full_disk_is_a_word_and_not_a_defect(which: int) -> None:
    with pytest.raises(OutputLost, match="No space left on device") as lost:
        observers(Failing(errno.ENOSPC))[which].observe(fetched())
    assert "-q" in lost.value.advice
    assert exit_for(lost.value) is Exit.ERROR


@pytest.mark.parametrize("which", [0, 1], ids=["words", "JSON lines"])
def test_a_reader_that_has_gone_is_told_nothing(which: int) -> None:
    with pytest.raises(BrokenPipeError):
        observers(Failing(errno.EPIPE))[which].observe(fetched())
