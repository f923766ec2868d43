"""Real peers whose neighbours stand in a file or make a shape: what is wrong is said first, what is right outlives its tracker."""

from __future__ import annotations

import json
import os
import pty
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.cluster import GSYNC, Cluster, Peer, Program
from tests.e2e.folders import write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PROMPT = "gsync> "
WRONG = {
    "ann,ben\n": "peers.txt:1: 'ben', a neighbour of 'ann', has no line\n  add the line ben,ann",
    "ann,ben\nben,ann,ben\n": "peers.txt:2: 'ben' is its own neighbour\n  take the second 'ben' out",
    "ann,ben\nben,ann\nann,ben\n": "peers.txt:3: 'ann' has a line already, line 1\n  make one line of the two",
    "ann;ben\nben;ann\n": "peers.txt:1: 'ann;ben' has no neighbour\n  write name,neighbour,neighbour with commas",
    "ann,,ben\nben,ann\n": "peers.txt:1: '': a peer's name neither is empty",
    "ben,cleo\ncleo,ben\n": "peers.txt: it has no line for this peer, whose name is 'ann'\n  add one, or take a name that is",
}


def test_a_wrong_topology_file_is_told_with_line_and_fix_before_anything_starts(cluster: Cluster) -> None:
    peers = {}
    for number, text in enumerate(WRONG):
        at = cluster.folder(f"at-{number}")
        (at / "peers.txt").write_text(text)
        peers[text] = cluster.gsync("127.0.0.1", "9", "--dir=ann", "--name=ann", "--topology=peers.txt", cwd=at)
    for number, (text, peer) in enumerate(peers.items()):
        assert peer.ends() == 11
        assert peer.err.startswith(f"gsync: {WRONG[text]}")
        assert not (cluster.base / f"at-{number}" / "ann").exists()


def test_a_topology_file_that_is_not_there_is_told_with_the_shapes_there_are(cluster: Cluster) -> None:
    peer = cluster.gsync("127.0.0.1", "9", "--dir=ann", "--name=ann", "--topology=gird")
    assert peer.ends() == 11
    assert (
        "(No such file or directory); did you mean 'grid'?\n  the shapes are mesh, star, ring, line, grid" in peer.err
    )


def ask(cluster: Cluster, peer: Peer, *words: str) -> Program:
    program = cluster.gsync(*words, f"--dir={peer.folder}")
    program.ends()
    return program


def neighbours(cluster: Cluster, peer: Peer) -> set[str]:
    """Those of its neighbours to whom a link stands."""
    asked = ask(cluster, peer, "mode", "--json")
    said = json.loads(asked.out) if asked.code == 0 else {"neighbours": ()}
    return {one["name"] for one in said["neighbours"] if one["is_up"]}


def test_peers_that_come_in_reverse_order_find_each_other_and_go_on_when_their_tracker_is_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    tracker = cluster.tracker("--naming-only")
    write(cluster.folder("ann"), "a.txt", b"first")
    cleo, ben, ann = (
        cluster.peer(name, tracker.port, f"--name={name}", "--topology=line", "--no-tracker")
        for name in ("cleo", "ben", "ann")
    )
    cluster.until(lambda: neighbours(cluster, ben) == {"ann", "cleo"}, "both links of Ben")
    cluster.until((cleo.folder / "a.txt").exists, "the file at Cleo's")
    tracker.kill()
    ann.until(lambda: ann.events("tracker.down"), "that the tracker is gone")
    write(ann.folder, "a.txt", b"second, of another length")
    cluster.until(lambda: (cleo.folder / "a.txt").read_bytes() != b"first", "the edit at Cleo's")
    hits = [json.loads(line) for line in ask(cluster, cleo, "search", "a.*", "--wait=1", "--json").out.splitlines()]
    assert {hit["holder"]: hit["hops"] for hit in hits} == {"cleo": 0, "ben": 1, "ann": 2}
    got = ask(cluster, cleo, "get", "a.txt", "--from=ann", "-o", str(tmp_path / "theirs.txt"))
    assert got.code == 0, got.last_words()
    assert (tmp_path / "theirs.txt").read_bytes() == b"second, of another length"
    shown = ask(cluster, ben, "ls", "a.txt").out
    assert "VALID" in shown
    assert "of ann" in shown


class Terminal:
    """A program that believes that a person types."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.said = ""

    def type(self, text: str, *, until: str, then: str = PROMPT, within_s: float = 20) -> None:
        """Type `text`, and wait until it answers so and `then` asks for more.

        What is typed before it asks still goes through the kernel's line editing, where Ctrl-D never reaches readline.
        """
        self.said = ""
        os.write(self._descriptor, text.encode())
        deadline = time.monotonic() + within_s
        while then not in self.said.partition(until)[2] or until not in self.said:
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"no {until!r} and then {then!r} in {self.said!r}"
            if select.select([self._descriptor], [], [], left_s)[0]:
                with suppress(OSError):  # it has ended
                    self.said += os.read(self._descriptor, 65536).decode(errors="replace")


@contextmanager
def terminal(cluster: Cluster, *words: str) -> Iterator[tuple[int, Terminal]]:
    """gsync at a terminal of its own."""
    environment = {**cluster._env, "TERM": "dumb", "XDG_STATE_HOME": str(cluster.base / "state")}
    pid, descriptor = pty.fork()
    if not pid:
        os.execvpe(GSYNC[0], [*GSYNC, *words], environment)
    try:
        yield pid, Terminal(descriptor)
    finally:
        os.close(descriptor)


def test_at_the_prompt_tab_completes_ctrl_c_ends_a_search_and_ctrl_d_the_prompt(cluster: Cluster) -> None:
    write(cluster.folder("ann"), "my notes.txt", b"Ann's")
    ann = cluster.gsync("--neighbours=127.0.0.1:9", f"--dir={cluster.folder('ann')}", "--name=ann")
    ann.says("serving 1 file")
    with terminal(cluster, "shell", f"--dir={cluster.folder('ann')}") as (pid, prompt):
        prompt.type("sea\tmy\t--wait=0\n", until="OWNED")
        assert "my\\ notes.txt" in prompt.said
        prompt.type("mode pul\t\n", until="\npull")
        prompt.type("search *.txt --wait=30\n", until="OWNED", then="")  # it goes on waiting
        prompt.type("\x03", until=PROMPT, then="")
        assert "KeyboardInterrupt" not in prompt.said
        prompt.type("nonsense\n", until="no command 'nonsense' here")
        prompt.type("ttr\n", until="120 s")
        prompt.type("\x04", until="\n", then="")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert "mode pull" in (cluster.base / "state" / "gsync" / "history").read_text()
