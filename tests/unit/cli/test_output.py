"""Lines wait for their flush whatever the environment says, and a name that the terminal cannot show ends nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TWO_LINES = """
import os, sys
from gsync.cli import main
main._prepare_output()
print("one\\u00e9")
print("two")
os.write(1, b"before ")
sys.stdout.flush()
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_lines_wait_for_their_flush_also_where_python_was_told_to_buffer_nothing(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONIOENCODING": "ascii"}
    said = subprocess.run(
        [sys.executable, "-c", TWO_LINES], env=environment, capture_output=True, check=True, timeout=60
    )
    assert said.stdout == b"before one\\xe9\ntwo\n"
