"""`gsync demo`: a tracker and three peers as real processes, each with a folder of real files, until all folders are equal."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from gsync.cli.exits import Exit, UsageError
from gsync.cli.text import count, duration, shown, size
from gsync.cli.usage import parse, whole_of
from gsync.core.names import OWN_FOLDER
from gsync.errors import GsyncError

TEXT: Final = """See gsync work: a tracker and three peers in temporary folders, with real files, until all are equal.

On a terminal the peers stay, so that you can change files and watch; Ctrl-C ends them and cleans up.

Usage:
  gsync demo [options]

Options:
  --big=MB     Size of the one large file, in MiB [default: 64]
  --once       End as soon as the folders are equal, also on a terminal
  --version    Print the version
  -h, --help   Print this
"""

PEERS: Final = ("alice", "ben", "carol")
SMALL_FILES: Final = 2000
ODD_NAMES: Final = ("a name with spaces.txt", "Grüße.txt", "party 🎉.txt", "-dash.txt", ".dot", "n" * 255)
PATIENCE_S: Final = 300.0
"""A demo that has not converged after this has failed, and says so."""

LOOK_EVERY_S: Final = 0.2
STOP_S: Final = 5.0


class DemoFailed(GsyncError):
    """The three folders did not become equal in time."""


def main(argv: Sequence[str]) -> Exit:
    """Run the demo; 0 when the folders became equal and everything is cleaned up."""
    words = parse(TEXT, ["demo", *argv], command="demo")
    big = whole_of(words["--big"], what="size in MiB", lowest=0, highest=100_000) * 1024 * 1024
    stays = sys.stdout.isatty() and not words["--once"]
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, lambda *_: stop.set())
    root = Path(tempfile.mkdtemp(prefix="gsync-demo-"))
    try:
        _require_space(root, 4 * big)
        return _demo(root, big, stop, stays=stays)
    finally:
        shutil.rmtree(root, ignore_errors=True)
        print(f"cleaned up {root}", flush=True)


def _demo(root: Path, big: int, stop: threading.Event, *, stays: bool) -> Exit:
    folders = {name: root / name for name in PEERS}
    print(f"three folders in {root}:", flush=True)
    for name, what in _fill(folders, big).items():
        print(f"  {name}: {what}", flush=True)
    with ExitStack() as closing:
        tracker = _start(closing, "tracker", "0", "--listen=127.0.0.1", "--quiet")
        address = tracker.stdout.readline().split() if tracker.stdout else []
        if len(address) < 3:
            raise DemoFailed("the tracker did not start")
        print(f"a tracker at {address[1]}:{address[2]} and a peer in each folder", flush=True)
        began = time.monotonic()
        for name, folder in folders.items():
            peer = _start(closing, address[1], address[2], f"--dir={folder}", "--no-tracker", "--no-color")
            threading.Thread(target=_retell, args=(name, peer, stays), daemon=True).start()
        names = _wait_until_equal(folders, stop)
        if stop.is_set():
            return Exit.INTERRUPTED
        took, total = time.monotonic() - began, sum(names.values())
        print(f"all three folders are equal: {count(len(names), 'file')}, {size(total)} each, after {duration(took)}")
        if stays:
            print(f"change a file in {root} and watch it arrive; Ctrl-C ends", flush=True)
            stop.wait()
    return Exit.DONE


def _fill(folders: Mapping[str, Path], big: int) -> dict[str, str]:
    """Put real files into the three folders; what each got, in words."""
    for folder in folders.values():
        folder.mkdir()
    alice, ben, carol = folders.values()
    library = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    for module in library:
        shutil.copy2(module, alice)
    rng = random.Random()
    for number in range(SMALL_FILES):
        (ben / f"small-{number:04}.bin").write_bytes(rng.randbytes(number % 4096))
    for name in ODD_NAMES:
        (carol / name).write_text(name, encoding="utf-8")
    with (carol / "big.bin").open("wb") as file:
        for _ in range(0, big, 1024 * 1024):
            file.write(os.urandom(1024 * 1024))
    return {
        "alice": f"the {len(library)} modules of this Python's standard library",
        "ben": f"{SMALL_FILES} small files",
        "carol": f"{len(ODD_NAMES)} files with odd names, and one of {size(big)}",
    }


def _start(closing: ExitStack, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "gsync", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is ours to pass on, in order
    )
    closing.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _retell(name: str, peer: subprocess.Popen[str], live: bool) -> None:
    """Show the first lines of what a peer says, all of it once people watch; there are thousands at first."""
    assert peer.stdout is not None
    for number, line in enumerate(peer.stdout):
        if number < 3 or (live and number > 2 * SMALL_FILES):
            print(f"  {name}: {line.rstrip()}", flush=True)
        elif number == 3:
            print(f"  {name}: ...", flush=True)


def _wait_until_equal(folders: Mapping[str, Path], stop: threading.Event) -> dict[str, int]:
    """Look until all folders have the same files; their names and sizes. Raises DemoFailed."""
    deadline = time.monotonic() + PATIENCE_S
    while not stop.wait(LOOK_EVERY_S):
        looks = [_look(folder) for folder in folders.values()]
        if all(look == looks[0] for look in looks) and _same_bytes(list(folders.values()), looks[0]):
            return {name: length for name, (length, _) in looks[0].items()}
        if time.monotonic() > deadline:
            missing = {shown(name) for look in looks for name in look if any(name not in other for other in looks)}
            raise DemoFailed(f"after {PATIENCE_S:.0f} s the folders still differ: {sorted(missing)[:5]}")
    return {}


def _look(folder: Path) -> dict[str, tuple[int, int]]:
    with os.scandir(folder) as entries:
        stats = {entry.name: entry.stat() for entry in entries if entry.name != OWN_FOLDER}
    return {name: (seen.st_size, int(seen.st_mtime)) for name, seen in stats.items()}


def _same_bytes(folders: Sequence[Path], names: Mapping[str, object]) -> bool:
    from blake3 import blake3

    def digest(path: Path) -> bytes:
        return blake3().update_mmap(path).digest() if path.stat().st_size else b""

    return all(len({digest(folder / name) for folder in folders}) == 1 for name in names)


def _require_space(root: Path, needed: int) -> None:
    free = shutil.disk_usage(root).free
    if free < needed:
        raise UsageError(
            f"the demo needs {size(needed)} in {root.parent}, where {size(free)} are free", advice="--big=1"
        )
