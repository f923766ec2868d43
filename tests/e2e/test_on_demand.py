"""A folder on demand beside a mirrored one, as real processes: listed, got, kept honest, freed, and never taken for deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, Peer
from tests.e2e.folders import names, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

FILES = {"a.txt": b"first", "d/b.txt": b"deep", "d/e/c.bin": bytes(300_000)}


def ask(cluster: Cluster, peer: Peer, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """What the command answers with --json."""
    program = cluster.gsync(*words, "--json", f"--dir={peer.folder}")
    assert program.ends() == code, program.last_words()
    return [json.loads(line) for line in program.out.splitlines()]


@pytest.mark.parametrize("kind", ["a tracker that tells everything", "one that tells names alone"])
def test_what_is_listed_is_got_kept_honest_and_freed(cluster: Cluster, kind: str) -> None:
    tracker = cluster.tracker(*(["--naming-only"] if kind == "one that tells names alone" else []))
    for name, content in FILES.items():
        (cluster.folder("whole") / name).parent.mkdir(parents=True, exist_ok=True)
        write(cluster.folder("whole"), name, content)
    whole = cluster.peer("whole", tracker.port, "--name=whole")
    part = cluster.peer("part", tracker.port, "--name=part", "--on-demand")

    def states() -> dict[str, str]:
        asked = cluster.gsync("ls", "--json", f"--dir={part.folder}")
        asked.ends()
        return {line["path"]: line["state"] for line in map(json.loads, asked.out.splitlines())}

    cluster.until(lambda: len(states()) == 5 and set(states().values()) == {"absent"}, "five names that are absent")
    assert names(part.folder) == set()

    assert [one["reason"] for one in ask(cluster, part, "get", "a.txt", "d")] == ["", "", ""]
    assert (part.folder / "d/e/c.bin").read_bytes() == FILES["d/e/c.bin"]

    write(whole.folder, "a.txt", b"edited there", mtime_s=2_000_000_000)
    cluster.until(lambda: (part.folder / "a.txt").read_bytes() == b"edited there", "the edit in the folder on demand")
    write(part.folder, "d/b.txt", b"edited here", mtime_s=2_000_000_000)
    cluster.until(lambda: (whole.folder / "d/b.txt").read_bytes() == b"edited here", "the edit in the mirrored folder")

    def freed() -> bool:
        program = cluster.gsync("free", "d", f"--dir={part.folder}")
        return program.ends() == 0

    cluster.until(freed, "all of a directory freed")
    assert names(part.folder) == {"a.txt"}
    part.kill()
    part = cluster.peer("part", tracker.port, "--name=part", "--on-demand")
    cluster.until(lambda: states().get("d/b.txt") == "absent", "the freed file as absent")
    assert (whole.folder / "d/b.txt").read_bytes() == b"edited here"
    ask(cluster, part, "get", "d/b.txt")
    assert (part.folder / "d/b.txt").read_bytes() == b"edited here"
    (part.folder / "d/b.txt").unlink()
    cluster.until(lambda: not (whole.folder / "d/b.txt").exists(), "a person's deletion, everywhere")
    assert (whole.folder / "d/e/c.bin").exists()
    whole.stop()
    kept = cluster.gsync("free", "a.txt", f"--dir={part.folder}")
    assert kept.ends() == 5
    assert "kept: nobody else" in kept.out
