"""Patching happens in one place and only when asked for; each test asks a fresh process."""

import subprocess
import sys

import pytest

import gsync

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
from pathlib import Path
import gsync
for room in ("errors", "core", "wire", "net"):
    module = importlib.import_module("gsync." + room)
    for found in pkgutil.iter_modules(getattr(module, "__path__", [])):
        importlib.import_module(f"gsync.{room}.{found.name}")
from gevent import monkey
"""


def told_by_a_fresh_process(program: str) -> str:
    root = gsync.__path__[0].rpartition("/")[0]
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_rooms_patches_nothing() -> None:
    assert told_by_a_fresh_process(IMPORT_EVERYTHING + "print(monkey.saved)") == "{}"


def test_importing_the_package_does_not_even_load_gevent() -> None:
    program = "import sys, gsync, gsync.core.names, gsync.wire; print('gevent' in sys.modules)"
    assert told_by_a_fresh_process(program) == "False"


def test_patching_touches_sockets_and_nothing_else() -> None:
    program = "from gsync.net.patching import *; patch_sockets(); patch_sockets()"
    show = "; from gevent import monkey; print(sorted(monkey.saved))"
    assert told_by_a_fresh_process(program + show) == "['socket']"


@pytest.mark.parametrize(("prepare", "answer"), [("", "refused"), ("patching.patch_sockets()", "made")])
def test_the_network_refuses_sockets_that_are_not_cooperative(prepare: str, answer: str) -> None:
    program = f"""
from gsync.net import patching
{prepare}
from gsync.errors import ConfigError
from gsync.net.tcp import TcpNetwork
try:
    TcpNetwork()
    print("made")
except ConfigError as error:
    assert error.advice
    print("refused")
"""
    assert told_by_a_fresh_process(program) == answer


INTERRUPTED = """
import os, signal, sys
from gsync.net.patching import patch_sockets
patch_sockets()
import gevent
sys.stderr = sys.stdout
gevent.spawn(os.kill, os.getpid(), signal.SIGINT)
try:
    gevent.sleep(10)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_reaches_whoever_waits_and_prints_nothing() -> None:
    assert told_by_a_fresh_process(INTERRUPTED) == "interrupted"
