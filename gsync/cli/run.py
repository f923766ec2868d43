"""`gsync <ip> <port>`: keeps one folder in sync, from the command line to the last line on the screen."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import gevent

from gsync.cli import logs
from gsync.cli.config import Output, RunConfig, run_config
from gsync.cli.console import Console
from gsync.cli.exits import Exit, Unreachable, UsageError
from gsync.cli.jsonlines import JsonLines
from gsync.cli.text import count, size
from gsync.cli.usage import parse
from gsync.errors import AddressInUse, ConnectFailed, NoSpace
from gsync.net.clock import Clock, SystemClock
from gsync.net.tcp import TcpNetwork, raise_descriptor_limit, resolve
from gsync.peer.events import KINDS, Events, TrackerDown, Trouble
from gsync.peer.peer import Peer
from gsync.peer.settings import Settings, Summary
from gsync.storage.disk import DiskFolder
from gsync.storage.index import Fate, Index
from gsync.storage.local_rules import read_local_rules
from gsync.storage.offer_rows import offer_tree
from gsync.storage.publisher import Publisher
from gsync.storage.restoring import Restorer
from gsync.storage.settling import Settler
from gsync.storage.spilled import in_folder
from gsync.storage.trash_bin import TrashBin
from gsync.storage.visiting import TRACKER_NOTE, note
from gsync.storage.watcher import open_watcher
from gsync.storage.workers import ThreadWorkers

if TYPE_CHECKING:
    from gsync.web.control import ControlServer

TEXT: Final = """Keep a folder in sync with others through the tracker at <ip>:<port>, until Ctrl-C.

Usage:
  gsync <ip> <port> [--neighbours=LIST] [options]
  gsync --neighbours=LIST [options]

Options:
  --dir=DIR          The folder; made if it is missing [default: .]
  --port=N           The port to serve files on; 0 picks a free one [default: 0]
  --once             Fetch what is missing, print a summary, and end; starts no tracker
  --no-tracker       Start no tracker here, even if none answers at this machine's own address
  --timeout=S        Seconds of silence after which a source is skipped [default: 10]
  --fetches=N        Files to fetch at a time [default: 16]
  --verify-classic=HOW  once; or twice: fetch twice and compare where a source tells no size (other people's
                     programs) [default: once]
  --classic          Speak only edition 1, as other people's programs do
  --name=NAME        What others may call this peer; this machine's name if not given
  --send-only        Announce and serve, but never change this folder
  --receive-only     Fetch, but tell nobody of what is edited here
  --limit-up=RATE    Send at most this many bytes a second, all together; K, M and G stand for powers of 1024
  --limit-down=RATE  Receive at most this many bytes a second, all together
  --max-delete=PCT   When more than this share of the files is gone at once, hold the deletions back until
                     `gsync release` [default: 25]
  --topology=WHICH   Who is whose neighbour for searches and news: mesh, star, ring, line, grid or random:K; or a file with
                     a line `name,neighbour,...` for each peer; random:4 if not given
  --neighbours=LIST  The neighbours by address, ip:port with commas between; then no tracker is needed
  --on-demand        List everything, but fetch only what `gsync get` names; `gsync free` drops it here again
  --mode=MODE        How copies are kept honest: push, pull, lazy, hybrid or passive; see `gsync mode` [default: hybrid]
  --ttr=S            For how many seconds others believe what was made here [default: 120]
  --json             One JSON object a line on stdout instead of words
  --stats            With --json: each second a line on how this process itself is doing
  -q, --quiet        Say only what a person must know
  -v, --verbose      Say also what was refused, and why
  --log-level=LEVEL  debug, info, warning or error [default: warning]
  --log-file=FILE    Write the log there, with times
  --no-color         No colours, also not on a terminal
  --version          Print the version
  -h, --help         Print this
"""

_RESOLVE_S: Final = 5.0


def main(argv: Sequence[str]) -> Exit:
    """Run a peer as `argv` says; the exit code."""
    words = parse(TEXT, argv, command="run")
    config = run_config(words, resolve=_resolved)
    logs.configure(level=config.output.log_level, file=config.output.log_file)
    talk = talker(config.output, folder=str(config.folder))
    try:
        return _run(config, talk)
    finally:
        talk.close()


def _resolved(host: str) -> str:
    try:
        return resolve(host, timeout_s=_RESOLVE_S)
    except ConnectFailed as error:
        raise Unreachable(str(error), advice="name it by its address, as in: gsync 192.0.2.10 9000") from error


def _run(config: RunConfig, talk: Console | JsonLines) -> Exit:
    raise_descriptor_limit()
    events = Events()
    # With `--once` nobody retries: the last word says that there was no tracker, and why.
    but = (*talk.WITHOUT, TrackerDown) if config.once else talk.WITHOUT
    events.subscribe(talk.observe, but=but, hold=talk.hold)
    clock, network, workers = SystemClock(), TcpNetwork(), ThreadWorkers()
    with ExitStack() as closing:
        folder = DiskFolder(config.folder)
        closing.callback(folder.close)
        index = Index.open(folder.own_fd, root_id=folder.root_id)
        closing.callback(index.close)
        closing.callback(workers.close)  # first of these: a batch that is being published ends before its index closes
        if index.fate is Fate.DAMAGED:
            events.tell(Trouble(what="the index was damaged; it is set aside in .gsync/ and made anew from the folder"))
        if index.fate is Fate.OLD:
            events.tell(
                Trouble(what="the index of an older gsync is set aside in .gsync/ and made anew from the folder")
            )
        publisher = Publisher(folder, index, clock=clock.monotonic, wall_clock=clock.wall)
        publisher.recover()
        if config.tracker is None:
            note(folder.own_fd, TRACKER_NOTE, "")
            _say(
                talk,
                f"keeping {config.folder} without a tracker, with {', '.join(map(str, config.overlay.neighbours))}",
            )
        else:
            note(folder.own_fd, TRACKER_NOTE, f"{config.tracker.ip} {config.tracker.port}")
            _say(talk, f"keeping {config.folder} in sync through {config.tracker}")
        on_away: Callable[[], None] = lambda: None  # noqa: E731
        if config.may_start_tracker and config.tracker is not None:
            from gsync.cli.embedded import EmbeddedTracker, runtime_directory

            embedded = EmbeddedTracker(
                network=network,
                clock=clock,
                endpoint=config.tracker,
                runtime=runtime_directory(),
                say=lambda line: _say(talk, line),
            )
            closing.callback(embedded.close)
            embedded.start_if_nobody_listens()
            on_away = embedded.take_over
        watcher = None if config.once or config.classic else open_watcher(folder.root_fd)
        if watcher is not None:
            closing.callback(watcher.close)
        peer = Peer(
            settings=Settings(
                tracker=config.tracker,
                port=config.port,
                fetches=config.fetches,
                stall_s=config.stall_s,
                once=config.once,
                verify_twice=config.verify_twice,
                classic=config.classic,
                stats=config.stats,
                name=config.name,
                is_named=config.is_named,
                sends=config.sends,
                receives=config.receives,
                limit_up=config.limit_up,
                limit_down=config.limit_down,
                max_delete=config.max_delete,
                topology=config.overlay.topology,
                neighbours=config.overlay.neighbours,
                mode=config.overlay.mode,
                ttr_s=config.overlay.ttr_s,
                on_demand=config.overlay.on_demand,
            ),
            folder=folder,
            index=index,
            publisher=publisher,
            workers=workers,
            network=network,
            clock=clock,
            rng=random.Random(),
            events=events,
            on_away=on_away,
            watcher=watcher,
            new_tree=partial(offer_tree, in_folder(folder.own_fd)),
            local_rules=lambda: read_local_rules(folder.own_fd),
        )
        if not config.once:
            closing.callback(_control_server(peer, config, folder, clock).close)
        if config.once:
            events.subscribe(lambda event: peer.stop(), but=KINDS - {TrackerDown})
        ended_by = _Ending(peer)
        try:
            summary = peer.run()
        except AddressInUse as error:
            raise UsageError(str(error), advice="choose another --port, or leave it out to get a free one") from error
    return _conclude(config, summary, ended_by.signal, talk)


def _control_server(peer: Peer, config: RunConfig, folder: DiskFolder, clock: Clock) -> ControlServer:
    """The socket at which the other commands ask this peer."""
    from gsync.web.control import ControlServer

    restorer = Restorer(folder, TrashBin(folder.own_fd), wall_ns=time.time_ns)
    controls = peer.controls(folder=str(config.folder), restorer=restorer, settler=Settler(folder))
    return ControlServer(controls, own_fd=folder.own_fd, clock=clock)


class _Ending:
    """The signals: the first one asks for an orderly end, a second one ends at once."""

    def __init__(self, peer: Peer) -> None:
        self.signal: int | None = None
        self._peer = peer
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            gevent.signal_handler(number, self._end, number)
        gevent.signal_handler(signal.SIGUSR1, peer.rescan)

    def _end(self, number: int) -> None:
        if self.signal is not None:
            os._exit(128 + number)
        self.signal = number
        self._peer.stop()


def _conclude(config: RunConfig, summary: Summary, ended_by: int | None, talk: Console | JsonLines) -> Exit:
    """The last word, and the exit code."""
    if config.once and config.tracker is not None and ended_by is None and not summary.heard_tracker:
        raise Unreachable(
            f"no tracker answers at {config.tracker}", advice=f"start one there: gsync tracker {config.tracker.port}"
        )
    if ended_by is not None and summary.left:
        return Exit.TERMINATED if ended_by == signal.SIGTERM else Exit.INTERRUPTED
    if not config.once:
        return Exit.DONE
    if isinstance(talk, JsonLines):
        talk.write("summary", {"fetched": summary.fetched, "bytes": summary.bytes, "left": summary.left})
    elif not config.output.quiet:
        left = f"; {count(summary.left, 'file')} could not be fetched" if summary.left else ""
        print(f"fetched {count(summary.fetched, 'file')}, {size(summary.bytes)}{left}", flush=True)
    if not summary.left:
        return Exit.DONE
    return Exit.NO_SPACE if any(isinstance(error, NoSpace) for error in summary.failures) else Exit.PARTIAL


def talker(output: Output, *, folder: str) -> Console | JsonLines:
    """Whoever prints the events of the peer in `folder`: words for people, or JSON lines for programs."""
    if output.json:
        return JsonLines(sys.stdout)
    terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return Console(
        out=sys.stdout,
        err=sys.stderr,
        quiet=output.quiet,
        color=output.color and terminal and sys.stdout.isatty() and "NO_COLOR" not in os.environ,
        live=terminal,
        monotonic=time.monotonic,
        folder=folder,
    )


def _say(talk: Console | JsonLines, line: str) -> None:
    if isinstance(talk, Console):
        talk.say(line)
