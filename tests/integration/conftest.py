"""The cluster of a test, and the mark of tests that need root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, cluster_beneath, skip_or_fail


@pytest.fixture(autouse=True)
def root_where_it_is_needed(request: pytest.FixtureRequest) -> None:
    """Skips what is marked `root(reason)` for others, but never in CI."""
    mark = request.node.get_closest_marker("root")
    if mark is not None and os.geteuid() != 0:
        skip_or_fail(f"only root can {mark.args[0]}")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with cluster_beneath(tmp_path / "cluster") as cluster:
        yield cluster
