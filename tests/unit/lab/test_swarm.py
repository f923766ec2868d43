"""A swarm of real processes: where its tracker listens."""

from __future__ import annotations

import socket
from pathlib import Path
from random import Random

import pytest

from gsync.lab.scenarios import Load
from gsync.lab.swarm import PORTS, TRACKER, Swarm
from tests.e2e.cluster import free_port

pytestmark = pytest.mark.slow


class Chosen(Random):
    """Chooses these ports, one after the other."""

    def __init__(self, *ports: int) -> None:
        super().__init__()
        self._ports = list(ports)

    def choice(self, seq: object) -> int:  # type: ignore[override]
        assert seq == PORTS
        return self._ports.pop(0)


def test_a_port_that_is_somebody_elses_is_no_complaint(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        rng = Chosen(somebody.getsockname()[1], free_port())
        with Swarm(tmp_path, Load(), rng=rng) as swarm:
            swarm.start_tracker()
            everybody = list(swarm.everybody())
    assert [process.name for process in everybody] == [f"{TRACKER}.2"]
    assert [process.complaint() for process in everybody] == [""]
