"""The tracker inside a peer: so that the first command on a fresh machine works alone.

When the tracker's address is this machine's own and nobody listens there, the peer runs the tracker itself. It holds a locked
record for that ip:port in the user's runtime directory; when the holder ends, another peer on the machine finds the record
unlocked and takes the tracker over. No record, no take-over: a tracker that a person started is not replaced behind his back.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

import gevent

from gsync.core.names import Endpoint
from gsync.errors import AddressInUse, ConnectFailed, TransportError
from gsync.net.clock import Clock
from gsync.net.transport import Listener, Network
from gsync.tracker.tracker import Tracker

log = logging.getLogger(__name__)

PROBE_S: Final = 1.0
"""How long a tracker on this very machine may take to accept a connection before it counts as absent."""


class EmbeddedTracker:
    """Hosts the tracker at `endpoint` if that is this machine's business; `say` tells a person in a line."""

    def __init__(
        self, *, network: Network, clock: Clock, endpoint: Endpoint, runtime: Path | None, say: Callable[[str], None]
    ) -> None:
        self._network = network
        self._clock = clock
        self._endpoint = endpoint
        self._record = Record(runtime, endpoint) if runtime is not None else None
        self._say = say
        self._listener: Listener | None = None
        self._is_ours_to_host = network.is_own_address(endpoint.ip)

    def start_if_nobody_listens(self) -> None:
        """At the start: host the tracker unless one answers."""
        if not self._is_ours_to_host:
            return
        if self._somebody_listens():
            if self._record is not None:
                self._record.remove_if_unheld()  # left by a swarm that is gone; what listens now is not embedded
            return
        if self._record is not None:
            self._record.hold()  # before anybody can find us listening and take the record for one that was left
        if not self._host("no tracker answered, so this peer runs it") and self._record is not None:
            self._record.release()

    def take_over(self) -> None:
        """The tracker is away: host it if it was an embedded one whose holder has ended."""
        if not self._is_ours_to_host or self._listener is not None or self._record is None:
            return
        if self._record.hold_if_left() and not self._host("its holder has ended, so this peer took it over"):
            self._record.release()

    def close(self) -> None:
        """Stop hosting; the record stays, unlocked, for whoever takes over."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._record is not None:
            self._record.release()

    def _somebody_listens(self) -> bool:
        try:
            with gevent.Timeout(PROBE_S, TransportError("no answer")), self._network.dial(self._endpoint) as stream:
                with contextlib.suppress(TransportError):  # it took the connection, whatever it does with it
                    # Never connect and leave without a message: some trackers crash on it.
                    stream.send(b'{"port":%d}\n' % self._endpoint.port)
                    stream.end_sending()
                return True
        except TransportError:
            return False

    def _host(self, why: str) -> bool:
        try:
            tracker = Tracker(network=self._network, clock=self._clock)
            self._listener = tracker.listen(ip=self._endpoint.ip, port=self._endpoint.port)
        except AddressInUse:
            return False  # somebody was quicker
        except ConnectFailed as error:
            log.warning("embedded.failed tracker=%s reason=%s", self._endpoint, error)
            return False
        self._say(f"tracker {self._endpoint}: {why}")
        return True


class Record:
    """A file for one ip:port whose lock says that the holder of its embedded tracker lives."""

    def __init__(self, runtime: Path, endpoint: Endpoint) -> None:
        self._path = runtime / f"tracker-{endpoint.ip.replace(':', '_')}-{endpoint.port}"
        self._fd: int | None = None

    def hold(self) -> bool:
        """Make the record if it is missing, and lock it; False when somebody else holds it."""
        return self._lock(os.O_RDWR | os.O_CREAT)

    def hold_if_left(self) -> bool:
        """Lock a record that is there and that nobody holds."""
        return self._lock(os.O_RDWR)

    def remove_if_unheld(self) -> None:
        """Forget a record that nobody holds."""
        if self.hold_if_left():
            self._path.unlink(missing_ok=True)
            self.release()

    def release(self) -> None:
        """Unlock; the file stays."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _lock(self, flags: int) -> bool:
        if self._fd is not None:
            return True
        try:
            fd = os.open(self._path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.write(fd, b"%d\n" % os.getpid())
        except OSError:
            os.close(fd)
            return False
        self._fd = fd
        return True


def runtime_directory() -> Path | None:
    """The user's own runtime directory for gsync, made if it is missing; None where there is none that is safe to use."""
    import platformdirs

    with contextlib.suppress(OSError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the session has no runtime directory it falls back to one in /tmp: fine
        path = Path(platformdirs.user_runtime_dir("gsync"))
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = path.lstat()
        if stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.getuid() and not seen.st_mode & 0o022:
            return path
    log.info("embedded.no_record reason=no runtime directory of this user's own")
    return None
