"""A cluster of real processes on 127.0.0.1: gsync's peers and trackers, and the reference ones, each ended by its pid.

What a program says goes to two files and is read from there, so nothing has to be drained. Nothing here sleeps to let something
happen: `eventually` polls a condition until a deadline. It waits cooperatively, so that pretended peers and trackers may be
greenlets of the test's own process meanwhile.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import gevent
import pytest

T = TypeVar("T")
ProgramT = TypeVar("ProgramT", bound="Program")

REPOSITORY = Path(__file__).parents[2]
REFERENCE = REPOSITORY / "tests" / "reference"
GSYNC = (sys.executable, "-P", "-m", "gsync")

DEADLINE_S = 90.0
"""When a condition counts as never coming true, also on a machine with ten times more to do than it has cores."""

_POLL_S = 0.02
_PORTS: Final = range(13_000, 20_000)
"""Below those that the kernel gives out by itself and those that `gsync stress` chooses from, above 12345, which has a use."""

_PORTS_AT_ONCE = 50


def eventually(condition: Callable[[], T], what: str, *, within_s: float = DEADLINE_S) -> T:
    """What `condition` returns once that is true in a boolean sense; an AssertionError that says `what` never came."""
    deadline = time.monotonic() + within_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"this never came, in {within_s:g} s: {what}")
        gevent.sleep(_POLL_S)


def skip_or_fail(reason: str) -> NoReturn:
    """Skip this test here, but never in CI, where all of them must run."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI this must run, but {reason}")
    pytest.skip(reason)


@contextmanager
def dead_ports(count: int) -> Iterator[list[int]]:
    """Ports at which nobody answers, now and for as long as the block lasts: held, but never listened at."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        yield [int(sock.getsockname()[1]) for sock in sockets]


def free_port() -> int:
    """A port nobody has, and that nobody gets by accident, before it is used or after whoever used it has died."""
    for port in _own_ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise AssertionError("no port is free")


def _reserved_ports() -> Iterator[int]:
    """Ports that no other process takes from here while this one lives, not even one of another run of these tests.

    Reserved by the names of abstract sockets, which are known in the whole network namespace, as ports are, and end with it.
    """
    for first in _PORTS[::_PORTS_AT_ONCE]:
        with socket.socket(socket.AF_UNIX) as reservation:
            try:
                reservation.bind(f"\0gsync's tests have the ports from {first}")
            except OSError:
                continue
            reservation.detach()  # to be held until the end
        yield from range(first, first + _PORTS_AT_ONCE)


_own_ports = _reserved_ports()


class Program:
    """One process: what it said so far, and its end."""

    def __init__(self, name: str, argv: Sequence[str], *, home: Path, env: Mapping[str, str], cwd: Path) -> None:
        self.name = name
        self._home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=home))
        with (self._home / "out").open("wb") as out, (self._home / "err").open("wb") as err:
            self._popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=cwd)
        self._searched: dict[str, int] = {}

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def out(self) -> str:
        """What it wrote to stdout so far."""
        return (self._home / "out").read_text(encoding="utf-8", errors="replace")

    @property
    def err(self) -> str:
        """What it wrote to stderr so far."""
        return (self._home / "err").read_text(encoding="utf-8", errors="replace")

    def has_said(self, text: str) -> bool:
        """Whether `text` is in what it wrote to stdout; only what came since the last question is read, however much there is."""
        with (self._home / "out").open("rb") as out:
            out.seek(self._searched.get(text, 0))
            if text.encode() in out.read():
                return True
            self._searched[text] = max(out.tell() - len(text.encode()), 0)
            return False

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def lines(self) -> list[dict[str, Any]]:
        """The whole `--json` lines so far."""
        return [json.loads(line) for line in self.out.splitlines(keepends=True) if line.endswith("\n")]

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Those of the lines of a running program that tell events, or events with one of these names."""
        return [line for line in self.lines() if not names or line["event"] in names]

    def rss_bytes(self) -> int:
        """The memory that it holds now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"{self.name} has ended")

    def descriptors(self) -> int:
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def says(self, text: str, *, within_s: float = DEADLINE_S) -> None:
        """Wait until it has said `text`, on either channel."""
        self.until(lambda: text in self.out or text in self.err, f"{text!r}", within_s=within_s)

    def until(self, condition: Callable[[], T], what: str, *, within_s: float = DEADLINE_S) -> T:
        """Wait for `condition`, and show what this program said if it never comes."""
        try:
            return eventually(condition, what, within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.last_words()}") from None

    def ends(self, *, within_s: float = DEADLINE_S) -> int:
        """Wait for its end; the exit code."""
        self.until(lambda: self.code is not None, f"the end of {self.name}", within_s=within_s)
        assert self.code is not None
        return self.code

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """Kill it (-9) and wait for its end."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> None:
        """End it, whatever it is doing; waits."""
        if self.code is not None:
            return
        self._popen.terminate()
        try:
            eventually(lambda: self.code is not None, "an end after SIGTERM", within_s=5)
        except AssertionError:
            self.kill()

    def last_words(self) -> str:
        """The tail of its output, for a failed test to show."""
        return f"--- {self.name} (exit code {self.code}) ---\n{self.out[-2000:]}\n{self.err[-3000:]}"


class Peer(Program):
    """A peer of either kind, and its folder."""

    folder: Path

    @property
    def endpoint(self) -> str:
        """Where a gsync peer with `--json` serves, as `ip:port`; waits until it says so."""
        return str(self.until(lambda: self.events("peer.serving"), "its serving port")[0]["endpoint"])

    @property
    def fetched(self) -> list[str]:
        """The names that it says to have fetched; a gsync peer needs `--json` for it."""
        return [event["path"] for event in self.events("file.fetched")]

    @property
    def is_in_sync(self) -> bool:
        """Whether a gsync peer with `--json` has said so at least once."""
        return bool(self.events("sync.done"))


class Tracker(Program):
    """A tracker of either kind, and the port where it listens."""

    port: int


class Cluster:
    """Starts programs, their folders beneath `base`; `close` ends all that were started."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._logs = base / "logs"
        self._logs.mkdir(parents=True)
        runtime = base / "run"
        runtime.mkdir(mode=0o700)
        self._env = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "TERM", "PYTHONPATH"}}
        self._env["XDG_RUNTIME_DIR"] = str(runtime)
        self._env["PYTHONPATH"] = str(REPOSITORY)  # this checkout, whichever one the interpreter has installed
        self.programs: list[Program] = []

    def folder(self, name: str) -> Path:
        """The folder of that name, made if it is missing."""
        folder = self.base / name
        folder.mkdir(exist_ok=True)
        return folder

    def gsync(self, *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Program:
        """`gsync` with these words, whatever it does."""
        return self._start(Program, "gsync", [*GSYNC, *map(str, words)], cwd=cwd, env=env)

    def run(
        self, argv: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Program:
        """Any other program."""
        return self._start(Program, Path(argv[0]).name, [str(word) for word in argv], cwd=cwd, env=env)

    def peer(
        self,
        folder: str | Path,
        port: int,
        *options: str,
        json: bool = True,
        env: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
        tracker_ip: str = "127.0.0.1",
    ) -> Peer:
        """A gsync peer for `folder`, whose tracker listens at `port`; `within` is the command that starts it, if any."""
        at = self.folder(folder) if isinstance(folder, str) else folder
        words = [tracker_ip, str(port), f"--dir={at}", *(["--json"] if json else []), *_own_port(options), *options]
        peer = self._start(Peer, f"peer-{at.name[:20]}", [*within, *GSYNC, *words], env=env)
        peer.folder = at
        return peer

    def reference_peer(self, folder: str | Path, port: int, *options: str, edition: int = 1) -> Peer:
        """A peer that others wrote, in `folder`."""
        at = self.folder(folder) if isinstance(folder, str) else folder
        words = ["127.0.0.1", str(port), str(at), f"--edition={edition}", "--keepalive=0.5"]
        words += [*_own_port(options), *options]
        peer = self._start(Peer, f"reference-{at.name[:20]}", [sys.executable, str(REFERENCE / "peer.py"), *words])
        peer.folder = at
        return peer

    def tracker(self, *options: str, port: int = 0) -> Tracker:
        """A gsync tracker; a free port is found for it where none is named."""
        port = port or free_port()
        tracker = self._start(Tracker, "tracker", [*GSYNC, "tracker", str(port), "--listen=127.0.0.1", *options])
        tracker.port = port
        self.wait_for_listener(tracker)
        return tracker

    def reference_tracker(self, *options: str, edition: int = 1, port: int = 0) -> Tracker:
        """A tracker that others wrote."""
        words = [str(port or free_port()), f"--edition={edition}", "--expire=60", *options]
        tracker = self._start(Tracker, "reference-tracker", [sys.executable, str(REFERENCE / "tracker.py"), *words])
        tracker.says("READY ")
        tracker.port = int(tracker.out.split()[1])
        return tracker

    def any_tracker(self, kind: str, *, port: int = 0) -> Tracker:
        """`ours`, or `theirs-1` and `theirs-2`: a reference tracker of that edition."""
        return self.tracker(port=port) if kind == "ours" else self.reference_tracker(edition=int(kind[-1]), port=port)

    def directory(self, port: int) -> dict[str, dict[str, Any]]:
        """What the tracker at `port` answers to a peer of ours that offers nothing."""
        with socket.create_connection(("127.0.0.1", port), 10) as conn:
            conn.sendall(b'{\t"port":%d,"files":[]}\n' % port)
            with conn.makefile("rb") as lines:
                return dict(json.loads(lines.readline()))

    def holders(self, port: int, endpoint: str) -> list[str]:
        """The names for which the tracker at `port` (ours) names the peer that serves at `endpoint`."""
        listed = self.directory(port).items()
        return [n for n, e in listed if endpoint in (f"{e['ip']}:{e['port']}", *e.get("also", "").split())]

    def wait_for_listener(self, tracker: Tracker) -> None:
        """Wait until somebody listens at the tracker's port, without connecting (and leaving without a word)."""
        at = f" 0100007F:{tracker.port:04X} 00000000:0000 0A "
        tracker.until(lambda: at in Path("/proc/net/tcp").read_text(), f"somebody who listens at {tracker.port}")

    def until(self, condition: Callable[[], T], what: str, *, within_s: float = DEADLINE_S) -> T:
        """Wait for `condition`, and show what all programs said if it never comes."""
        try:
            return eventually(condition, what, within_s=within_s)
        except AssertionError as error:
            words = "\n".join(program.last_words() for program in self.programs)
            raise AssertionError(f"{error}\n{words}") from None

    def all_in_sync(self, peers: Iterable[Peer], *, within_s: float = DEADLINE_S) -> None:
        """Wait until each of these gsync peers has said once that it is in sync."""
        for peer in peers:
            peer.until(lambda peer=peer: peer.is_in_sync, f"{peer.name} in sync", within_s=within_s)

    def close(self) -> None:
        """End every program that was started and still runs."""
        running = [program for program in self.programs if program.code is None]
        for program in running:
            program.signal(signal.SIGTERM)
        for program in running:
            program.stop()

    def _start(
        self,
        kind: type[ProgramT],
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> ProgramT:
        environment = {**self._env, **(env or {})}
        program = kind(name, argv, home=self._logs, env=environment, cwd=cwd or self.base)
        self.programs.append(program)
        return program


def _own_port(options: Iterable[str]) -> list[str]:
    """Where a peer serves, unless `options` say it: a port at which the others find nobody once the peer has been killed."""
    return [] if any(option.startswith("--port=") for option in options) else [f"--port={free_port()}"]


@contextmanager
def cluster_beneath(base: Path) -> Iterator[Cluster]:
    """A cluster whose programs are ended, and whose files are removed, when the block ends."""
    cluster = Cluster(base)
    try:
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(base, ignore_errors=True)
