"""Syncthing on loopback, as the program to compare with: some instances that share one folder, told to speak to nobody else.

No relays, no announcements, no NAT, no reports, no upgrades; a key, a home and a folder each. It looks at changes as soon as it
can be told to. One process each (`--no-restart`), ended by the cluster.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from tests.e2e.cluster import Cluster, Program, free_port

DELAY_S: Final = "1"
"""Its `fsWatcherDelayS`: how long it gathers changes; a whole number, so this is its lowest."""

_KEY: Final = "bench"
_LIMIT_S: Final = 30.0


def is_here() -> bool:
    """Whether this machine has a Syncthing."""
    return shutil.which("syncthing") is not None


def version() -> str:
    """Which one it is."""
    told = subprocess.run(["syncthing", "--version"], capture_output=True, text=True, timeout=_LIMIT_S, check=True)
    return told.stdout.split()[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One of them."""

    home: Path
    folder: Path
    device: str
    port: int
    gui_port: int

    def ask(self, question: str) -> Any:
        """What its REST interface says; None while it is not there."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.gui_port}/rest/{question}", headers={"X-API-Key": _KEY}
        )
        try:
            with urllib.request.urlopen(request, timeout=_LIMIT_S) as answer:
                return json.load(answer)
        except OSError:
            return None


class Syncthings:
    """`count` instances, each connected to all others; they run when this is made."""

    def __init__(self, cluster: Cluster, count: int) -> None:
        self._cluster = cluster
        self.instances = [self._made(number) for number in range(count)]
        for one in self.instances:
            (one.home / "config.xml").write_text(_config(one, self.instances))
        self.programs = [self._started(one) for one in self.instances]
        cluster.until(lambda: all(self._is_connected(one) for one in self.instances), "all instances of Syncthing")

    @property
    def folders(self) -> list[Path]:
        """The folder of each."""
        return [one.folder for one in self.instances]

    def _made(self, number: int) -> Instance:
        home = self._cluster.folder(f"syncthing-home-{number}")
        made = ["syncthing", "generate", f"--home={home}", "--no-default-folder", "--skip-port-probing"]
        subprocess.run(made, capture_output=True, timeout=_LIMIT_S, check=True)
        asked = subprocess.run(
            ["syncthing", f"--home={home}", "--device-id"], capture_output=True, text=True, timeout=_LIMIT_S, check=True
        )
        folder = self._cluster.folder(f"syncthing-{number}")
        return Instance(home=home, folder=folder, device=asked.stdout.strip(), port=free_port(), gui_port=free_port())

    def _started(self, one: Instance) -> Program:
        words = ["syncthing", "serve", f"--home={one.home}", "--no-browser", "--no-restart", "--no-upgrade"]
        return self._cluster.run(words, env={**os.environ, "HOME": str(one.home), "STNODEFAULTFOLDER": "1"})

    def _is_connected(self, one: Instance) -> bool:
        told = one.ask("system/connections")
        if told is None:
            return False
        others = [other.device for other in self.instances if other is not one]
        return all(told["connections"].get(device, {}).get("connected") for device in others)


def _config(one: Instance, all_of_them: Sequence[Instance]) -> str:
    devices = "".join(
        f'<device id="{other.device}" name="{number}" compression="never">'
        f"<address>tcp://127.0.0.1:{other.port}</address></device>"
        for number, other in enumerate(all_of_them)
    )
    members = "".join(f'<device id="{other.device}"></device>' for other in all_of_them)
    return f"""<configuration version="36">
<folder id="bench" path={quoteattr(str(one.folder))} type="sendreceive" rescanIntervalS="3600" fsWatcherEnabled="true"
 fsWatcherDelayS="{DELAY_S}">{members}<minDiskFree unit="%">0</minDiskFree></folder>
{devices}
<gui enabled="true" tls="false"><address>127.0.0.1:{one.gui_port}</address><apikey>{_KEY}</apikey></gui>
<options>
<listenAddress>tcp://127.0.0.1:{one.port}</listenAddress>
<globalAnnounceEnabled>false</globalAnnounceEnabled><localAnnounceEnabled>false</localAnnounceEnabled>
<relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled><urAccepted>-1</urAccepted>
<crashReportingEnabled>false</crashReportingEnabled><autoUpgradeIntervalH>0</autoUpgradeIntervalH>
<startBrowser>false</startBrowser><reconnectionIntervalS>1</reconnectionIntervalS>
<minHomeDiskFree unit="%">0</minHomeDiskFree><setLowPriority>false</setLowPriority>
</options>
</configuration>
"""
