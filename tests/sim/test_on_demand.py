"""Whole peers whose folder is kept on demand, in virtual time: what comes, what goes, and what is never taken for a deletion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gsync.core.hits import Got
from gsync.core.names import PeerName, RelPath
from gsync.core.status import State
from gsync.core.topology import parse_shape
from gsync.errors import ConfigError
from gsync.peer.demand import ONLY_COPY, Freer
from gsync.storage.downloads import Freeing
from tests.sim.cluster import Cluster, Machine, cluster, orders
from tests.sim.test_live_swarm import wait_until_the_same

FILES = {"a.txt": b"a", "d/b.txt": b"bb", "d/e/c.txt": b"ccc"}


def get(machine: Machine, *names: str) -> list[Got]:
    return list(orders(machine).get([RelPath(name) for name in names]))


def free(machine: Machine, *names: str) -> dict[str, str]:
    """Why each stays, "" where it went."""
    return {str(one.path): one.reason for one in orders(machine).free([RelPath(name) for name in names])}


@contextmanager
def demanding(
    base: Path, *, parts: int = 1, names_only: bool = False
) -> Iterator[tuple[Cluster, Machine, list[Machine]]]:
    """A mirrored machine that has FILES, and some that keep theirs on demand."""
    with cluster(base, watches=True, names_only=names_only) as swarm:
        whole = swarm.machine(FILES)
        whole.start(name=PeerName("whole"), topology=parse_shape("mesh"))
        others = [swarm.machine() for _ in range(parts)]
        for number, machine in enumerate(others):
            start(machine, number)
        swarm.wait_until(lambda: all(len(machine._peer._trees.remote) == 5 for machine in others), within_s=60)  # type: ignore[union-attr]
        swarm.rest(5)
        yield swarm, whole, others


def start(machine: Machine, number: int = 0) -> None:
    machine.start(name=PeerName(f"part{number}"), topology=parse_shape("mesh"), on_demand=True)


@pytest.mark.parametrize("names_only", [False, True])
def test_everything_is_known_and_nothing_comes_until_somebody_gets_it(tmp_path: Path, names_only: bool) -> None:
    with demanding(tmp_path, names_only=names_only) as (swarm, whole, (part,)):
        assert part.folder.tree() == {}
        (got,) = get(part, "d/b.txt")
        assert (got.path, got.size, got.reason) == ("d/b.txt", 2, "")
        assert set(part.folder.tree()) == {"d", "d/b.txt"}
        swarm.rest(120)
        assert set(part.folder.tree()) == {"d", "d/b.txt"}
        assert whole.files() == FILES
        assert part.is_at_rest


def test_of_a_directory_all_that_is_in_it_comes(tmp_path: Path) -> None:
    with demanding(tmp_path) as (_, whole, (part,)):
        assert [str(got.path) for got in get(part, "d")] == ["d/b.txt", "d/e/c.txt"]
        assert part.files() == {"d/b.txt": b"bb", "d/e/c.txt": b"ccc"}
        assert [got.reason for got in get(part, "nothing")] == ["nobody who answers has it"]
        assert whole.files() == FILES


@pytest.mark.parametrize("names_only", [False, True])
def test_what_was_got_is_kept_as_others_have_it_and_what_was_not_is_not(tmp_path: Path, names_only: bool) -> None:
    with demanding(tmp_path, names_only=names_only) as (swarm, whole, (part,)):
        get(part, "a.txt", "d/b.txt")
        whole.folder.edit("a.txt", b"edited")
        whole.folder.edit("d/e/c.txt", b"edited, too")
        whole.folder.remove("d/b.txt")
        swarm.wait_until(lambda: part.files() == {"a.txt": b"edited"}, within_s=20)
        part.folder.edit("a.txt", b"edited here")
        part.folder.put("new.txt", b"new")
        swarm.wait_until(lambda: (whole.files().get("a.txt"), whole.files().get("new.txt")) == (b"edited here", b"new"))
        assert set(part.files()) == {"a.txt", "new.txt"}


@pytest.mark.parametrize("names_only", [False, True])
def test_what_is_freed_goes_here_and_only_here_and_can_be_got_again(tmp_path: Path, names_only: bool) -> None:
    with demanding(tmp_path, names_only=names_only) as (swarm, whole, (part,)):
        get(part, "d")
        swarm.rest(5)
        assert free(part, "d") == {"d/e/c.txt": "", "d/b.txt": "", "d/e": "", "d": ""}
        assert part.folder.tree() == {}
        swarm.rest(120)
        assert whole.files() == FILES
        assert not any(b"ccc" in content for content in part.folder.contents().values())  # nor in the trash
        part.stop()
        start(part)
        swarm.rest(60)
        assert whole.files() == FILES
        assert part.folder.tree() == {}
        get(part, "d/e/c.txt")
        assert part.files() == {"d/e/c.txt": b"ccc"}


def test_the_only_copy_is_never_freed(tmp_path: Path) -> None:
    with demanding(tmp_path) as (swarm, whole, (part,)):
        part.folder.put("mine.txt", b"mine")
        swarm.network.partition({part.ip})
        swarm.rest(30)
        assert free(part, "mine.txt") == {"mine.txt": ONLY_COPY}
        swarm.network.heal()
        swarm.wait_until(lambda: whole.files().get("mine.txt") == b"mine")
        swarm.rest(5)
        whole.stop()
        swarm.rest(10)
        assert free(part, "mine.txt") == {"mine.txt": ONLY_COPY}
        whole.start(name=PeerName("whole"), topology=parse_shape("mesh"))
        swarm.rest(30)
        assert free(part, "mine.txt", "other") == {"mine.txt": "", "other": "it is not here"}
        with pytest.raises(ConfigError, match="not kept on demand"):
            free(whole, "mine.txt")


def test_of_two_who_have_the_last_copies_one_at_most_frees_it(tmp_path: Path) -> None:
    with demanding(tmp_path, parts=2) as (swarm, whole, parts):
        for part in parts:
            get(part, "a.txt")
        swarm.rest(5)
        whole.stop()
        swarm.rest(10)
        said = [free(part, "a.txt")["a.txt"] for part in parts]
        assert said == ["", "another peer is just letting it go, and relies on this one"]
        swarm.rest(120)
        assert free(parts[1], "a.txt") == {"a.txt": ONLY_COPY}
        assert parts[1].files() == {"a.txt": b"a"}


def test_a_person_who_removes_a_file_deletes_it_everywhere_as_in_any_folder(tmp_path: Path) -> None:
    with demanding(tmp_path) as (swarm, whole, (part,)):
        get(part, "a.txt")
        part.folder.remove("a.txt")
        swarm.wait_until(lambda: "a.txt" not in whole.files(), within_s=20)
        assert set(whole.files()) == {"d/b.txt", "d/e/c.txt"}


def test_a_lost_index_deletes_nothing(tmp_path: Path) -> None:
    with demanding(tmp_path) as (swarm, whole, (part,)):
        get(part, "a.txt")
        part.stop()
        for file in part.index_at.iterdir():
            file.unlink()
        start(part)
        swarm.rest(60)
        assert whole.files() == FILES
        assert part.files() == {"a.txt": b"a"}


def test_what_is_written_under_the_name_of_what_is_not_here_is_kept_beside_it(tmp_path: Path) -> None:
    with demanding(tmp_path) as (swarm, whole, (part,)):
        get(part, "a.txt")
        swarm.rest(5)
        assert free(part, "a.txt") == {"a.txt": ""}
        part.folder.put("a.txt", b"another")
        part.folder.put("d/b.txt", b"yet another")
        swarm.wait_until(lambda: len(whole.files()) == 5, within_s=30)
        assert sorted(whole.files().values()) == [b"a", b"another", b"bb", b"ccc", b"yet another"]


def test_a_folder_that_was_kept_on_demand_gets_everything_once_it_is_not(tmp_path: Path) -> None:
    with demanding(tmp_path) as (swarm, _, (part,)):
        get(part, "a.txt")
        swarm.rest(5)
        free(part, "a.txt")
        part.stop()
        part.start(name=PeerName("part0"))
        wait_until_the_same(swarm)
        assert part.files() == FILES


def test_it_is_settled_and_says_what_is_absent(tmp_path: Path) -> None:
    with demanding(tmp_path) as (swarm, whole, (part,)):
        get(part, "a.txt")
        swarm.rest(10)
        for machine in (whole, part):
            assert machine._peer is not None
            controls = machine._peer.controls(folder="f", restorer=None, settler=None)  # type: ignore[arg-type]
            assert controls.settled().reason == ""
        states = {str(line.path): line.state for line in controls.listing()}
        assert states["a.txt"] is State.SYNCED
        assert states["d/b.txt"] is State.ABSENT
        assert "gsync get" in controls.explain(RelPath("d/b.txt")).plan


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_a_crash_while_something_is_freed_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    with demanding(tmp_path) as (swarm, whole, (part,)):
        get(part, "a.txt")
        swarm.rest(5)

        def let_go(self: Freer, path: RelPath, meta: object) -> str:
            self._applier.submit(Freeing(path=path, expected=meta), lambda outcome: None)  # type: ignore[arg-type]
            return ""

        monkeypatch.setattr(Freer, "_let_go", let_go)
        free(part, "a.txt")
        swarm.rest(0.002 * keep)
        part.kill()
        start(part)
        swarm.rest(60)
        assert whole.files() == FILES
        assert part.files() in ({}, {"a.txt": b"a"})
