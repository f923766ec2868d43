"""`gsync tracker`: runs a tracker, and prints the line to paste on the other machines."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

import gevent
from gevent.event import Event

from gsync.cli import logs
from gsync.cli.config import Output, output_of
from gsync.cli.exits import Exit, UsageError
from gsync.cli.jsonlines import JsonLines
from gsync.cli.text import count
from gsync.cli.usage import number_of, parse, port_of
from gsync.core.names import Endpoint
from gsync.errors import AddressInUse, ConnectFailed, NameRefused
from gsync.net.clock import SystemClock
from gsync.net.tcp import TcpNetwork, outward_ip, raise_descriptor_limit
from gsync.net.transport import Listener
from gsync.tracker.events import PeerJoined, PeerLeft, TrackerEvent
from gsync.tracker.tracker import Tracker

TEXT: Final = """Run a tracker: peers find each other through it. It holds no files, and may be stopped and started at any time.

Usage:
  gsync tracker [<port>] [options]

Options:
  --listen=IP        The address to listen at; 127.0.0.1 serves this machine only [default: 0.0.0.0]
  --naming-only      Say who is there, and nothing of what they hold: search and push are left to the peers
  --expire=S         Seconds of silence after which a peer is forgotten [default: 180]
  --json             One JSON object a line on stdout instead of words
  -q, --quiet        Say only what a person must know
  -v, --verbose      Say also what was refused, and why
  --log-level=LEVEL  debug, info, warning or error [default: warning]
  --log-file=FILE    Write the log there, with times
  --no-color         No colours, also not on a terminal
  --version          Print the version
  -h, --help         Print this

<port> is 9000 unless told otherwise; 0 picks a free one.
"""

DEFAULT_PORT: Final = 9000
LONGEST_EXPIRE_S: Final = 86_400


def main(argv: Sequence[str]) -> Exit:
    """Run a tracker as `argv` says, until a signal; the exit code."""
    words = parse(TEXT, ["tracker", *argv], command="tracker")
    output = output_of(words)
    logs.configure(level=output.log_level, file=output.log_file)
    ip = _listening_ip(words["--listen"])
    port = _port(words["<port>"])
    expire_s = number_of(words["--expire"], what="expiry", lowest=1, highest=LONGEST_EXPIRE_S)
    raise_descriptor_limit()
    voice = _Voice(output)
    tracker = Tracker(
        network=TcpNetwork(),
        clock=SystemClock(),
        on_event=voice.observe,
        expire_s=expire_s,
        names_only=words["--naming-only"],
    )
    listener = _listen(tracker, ip, port)
    try:
        voice.ready(listener.endpoint)
        _until_a_signal()
    finally:
        listener.close()
    return Exit.DONE


def _listen(tracker: Tracker, ip: str, port: int) -> Listener:
    try:
        return tracker.listen(ip=ip, port=port)
    except AddressInUse as error:
        raise UsageError(
            f"something listens at {ip}:{port} already", advice="let it pick a free one: gsync tracker 0"
        ) from error
    except ConnectFailed as error:
        raise UsageError(str(error), advice=f"gsync tracker {port}") from error


def _listening_ip(text: str) -> str:
    try:
        return Endpoint.parse(text, DEFAULT_PORT).ip
    except NameRefused as error:
        raise UsageError(f"--listen={text} is no address: {error.reason}", advice="gsync tracker --help") from error


def _port(text: str | None) -> int:
    if text is None:
        return DEFAULT_PORT
    return 0 if text == "0" else port_of(text)


def _until_a_signal() -> None:
    """Return at the first INT, TERM or QUIT; the next one ends the process at once."""
    ended = Event()

    def end(number: int) -> None:
        if ended.is_set():
            os._exit(128 + number)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        gevent.signal_handler(number, end, number)
    ended.wait()


class _Voice:
    """What the tracker says: the line to paste on stdout, who comes and goes on stderr; or all of it as JSON lines."""

    def __init__(self, output: Output) -> None:
        self._quiet = output.quiet
        self._json = JsonLines(sys.stdout) if output.json else None

    def ready(self, endpoint: Endpoint) -> None:
        """The tracker listens at `endpoint`."""
        reachable = Endpoint(_reachable_ip(endpoint.ip), endpoint.port)
        if self._json is not None:
            self._json.write("tracker.ready", {"endpoint": str(endpoint), "reachable": str(reachable)})
            return
        if not self._quiet:
            print(f"tracker at {endpoint}; on the other machines, in the folder to keep in sync:", file=sys.stderr)
        print(f"gsync {reachable.ip} {reachable.port}", flush=True)

    def observe(self, event: TrackerEvent) -> None:
        """Say who came or went."""
        if self._json is not None:
            self._json.observe(event)
        elif not self._quiet:
            print(_told(event), file=sys.stderr, flush=True)


def _told(event: TrackerEvent) -> str:
    match event:
        case PeerJoined():
            announced = count(event.files, "record" if event.speaks_native else "file")
            return f"+ {event.remote.ip} port {event.port}  {announced}"
        case PeerLeft():
            return f"- {event.remote}  {event.reason}"


def _reachable_ip(ip: str) -> str:
    """The address that others can use: the one towards the network where the tracker listens everywhere."""
    if ip not in ("0.0.0.0", "::"):
        return ip
    return outward_ip() or "127.0.0.1"
