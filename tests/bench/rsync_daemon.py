"""A plain rsync daemon on loopback, as the program to compare with: no encryption, no compression, whole files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.e2e.cluster import Cluster, Program, free_port


class RsyncDaemon:
    """Serves `folder` as a module; started in `cluster`, which ends it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        assert is_here(), "rsync is missing: apt-get install rsync"
        self._cluster = cluster
        self._port = free_port()
        config = cluster.base / "rsyncd.conf"
        who = f"uid = {os.getuid()}\ngid = {os.getgid()}\n" if os.getuid() == 0 else ""
        config.write_text(f"use chroot = no\n{who}[folder]\npath = {folder}\nread only = yes\n")
        words = ["--daemon", "--no-detach", f"--config={config}", "--address=127.0.0.1", f"--port={self._port}"]
        daemon = cluster.run(["rsync", *words, f"--log-file={cluster.base / 'rsyncd.log'}"])
        at = f" 0100007F:{self._port:04X} 00000000:0000 0A "
        daemon.until(lambda: at in Path("/proc/net/tcp").read_text(), "the rsync daemon's port")

    def fetch(self, what: str, to: Path, *options: str) -> Program:
        """A client that brings `what` into the folder `to`, with mtimes, as started."""
        return self._cluster.run(["rsync", "-a", *options, f"rsync://127.0.0.1:{self._port}/folder/{what}", f"{to}/"])


def is_here() -> bool:
    """Whether this machine has an rsync."""
    return shutil.which("rsync") is not None
