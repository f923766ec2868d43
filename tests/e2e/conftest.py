"""The cluster of a test: its programs end with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, cluster_beneath


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with cluster_beneath(tmp_path / "cluster") as cluster:
        yield cluster
