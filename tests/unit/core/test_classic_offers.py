"""What the planner does about classic peers: the table of core/classic_offers.py, and what must hold for whole swarms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gsync.core.actions import Action, Adopt, Displaced, Fetch, Refuse
from gsync.core.model import Entry, FileMeta, Fingerprint, Kind, Offer, Source, Tombstone
from gsync.core.names import Endpoint, RelPath
from gsync.core.planner import FUTURE_TOLERANCE_S, Policy, plan
from gsync.core.versions import Version

PATH = RelPath.parse("notes.txt")
SOURCE = Source(endpoint=Endpoint("127.0.0.1", 2001))
NOW = Policy(now_s=1_000_000)


def file(version: Version) -> FileMeta:
    print_ = Fingerprint(size=1, mtime_ns=version.mtime_s * 10**9, ctime_ns=0, inode=1, mode=0o644)
    return FileMeta(fingerprint=print_, version=version)


def offer(version: Version) -> Offer:
    return Offer(version=version, sources=(SOURCE,))


def v(mtime_s: int, **counters: int) -> Version:
    return Version.from_vector({**counters, "mtime": mtime_s})


FETCH_NEW = Fetch(path=PATH, offer=offer(v(5)))
FUTURE = int(NOW.now_s) + FUTURE_TOLERANCE_S


@pytest.mark.parametrize(
    ("local", "offered", "synced", "expected"),
    [
        pytest.param(v(5), None, v(5), None, id="absence is not deletion"),
        pytest.param(None, v(5), None, FETCH_NEW, id="a name that is lacked is fetched"),
        pytest.param(None, v(5), v(5), FETCH_NEW, id="deleted here: the classic dialect cannot say so, it comes back"),
        pytest.param(v(5), v(5), v(5), None, id="the same everywhere: nothing"),
        pytest.param(v(5), v(5), None, Adopt(path=PATH, version=v(5)), id="equal at first sight: agreed"),
        pytest.param(v(8, a=1), v(8), v(5), Adopt(path=PATH, version=v(8, a=1)), id="others took our edit: agreed"),
        pytest.param(v(8), v(5), None, None, id="ours is later: the others fetch it"),
        pytest.param(
            v(5),
            v(8),
            v(5),
            Fetch(path=PATH, offer=offer(v(8)), expected=file(v(5))),
            id="theirs is later: ours goes to the trash",
        ),
        pytest.param(
            v(5),
            v(8),
            None,
            Fetch(path=PATH, offer=offer(v(8)), expected=file(v(5)), displaced=Displaced.UNSEEN_TRASH),
            id="first meeting: the latest mtime wins; ours may be the only copy and is never purged early",
        ),
        pytest.param(
            v(7, a=1),
            v(8),
            v(5),
            Fetch(
                path=PATH,
                offer=offer(v(8)),
                expected=file(v(7, a=1)),
                displaced=Displaced.CONFLICT_COPY,
                settles=v(8, a=1),
            ),
            id="edited here and there: ours is kept as a conflict copy",
        ),
        pytest.param(
            v(7, a=1),
            v(8),
            v(7, a=1),
            Fetch(path=PATH, offer=offer(v(8)), expected=file(v(7, a=1)), settles=v(8, a=1)),
            id="a later classic edit of what was agreed: at the join, so that our own take it as an edit of theirs",
        ),
        pytest.param(
            None,
            v(FUTURE + 1),
            None,
            Fetch(path=PATH, offer=offer(v(FUTURE + 1))),
            id="from the future but lacked: fetched",
        ),
        pytest.param(
            v(5),
            v(FUTURE),
            None,
            Fetch(path=PATH, offer=offer(v(FUTURE)), expected=file(v(5)), displaced=Displaced.UNSEEN_TRASH),
            id="just within tolerance",
        ),
        pytest.param(
            v(5),
            v(FUTURE + 1),
            None,
            Refuse(
                path=PATH,
                version=v(FUTURE + 1),
                reason="its mtime is 121 s ahead of this machine's clock (at most 120 s may replace a file)",
                until_s=FUTURE + 1 - FUTURE_TOLERANCE_S,
            ),
            id="from the future: never replaces a file",
        ),
    ],
)
def test_the_table(
    local: Version | None, offered: Version | None, synced: Version | None, expected: Action | None
) -> None:
    got = plan(
        [PATH],
        local={PATH: file(local)} if local else {},
        remote={PATH: offer(offered)} if offered else {},
        synced={PATH: synced} if synced else {},
        policy=NOW,
    )
    assert got.actions == ((expected,) if expected else ())


def entry(kind: Kind, version: Version) -> FileMeta:
    return FileMeta(fingerprint=replace(file(version).fingerprint, kind=kind), version=version)


BURIED = Tombstone(version=v(5, a=2))


@pytest.mark.parametrize(
    ("here", "offered", "expected"),
    [
        pytest.param(BURIED, v(4), None, id="older than its deletion: it does not come back"),
        pytest.param(BURIED, v(5), None, id="as old as its deletion: it does not come back"),
        pytest.param(
            BURIED,
            v(6),
            Fetch(path=PATH, offer=offer(v(6)), settles=v(6, a=2), grave=BURIED.version),
            id="edited after its deletion: fetched, at the join",
        ),
        pytest.param(entry(Kind.DIRECTORY, v(5)), v(5), None, id="a directory here, as old"),
        pytest.param(
            entry(Kind.DIRECTORY, v(5)),
            v(6),
            Refuse(path=PATH, version=v(6), reason="a directory stands there"),
            id="a file cannot take the place of a directory",
        ),
        pytest.param(
            entry(Kind.LINK, v(5)),
            v(6),
            Refuse(path=PATH, version=v(6), reason="a link stands there"),
            id="nor that of a link",
        ),
        pytest.param(entry(Kind.LINK, v(7)), v(6), None, id="an older one does not want to"),
    ],
)
def test_a_classic_offer_against_what_classic_does_not_know(
    here: Entry, offered: Version, expected: Action | None
) -> None:
    got = plan(
        [PATH],
        local={PATH: here} if isinstance(here, FileMeta) else {},
        buried={PATH: here} if isinstance(here, Tombstone) else {},
        remote={PATH: offer(offered)},
        synced={},
        policy=NOW,
    )
    assert got.actions == ((expected,) if expected else ())


def test_who_only_sends_takes_nothing_but_what_is_the_same() -> None:
    policy = replace(NOW, receives=False)
    for offered, expected in [(v(5), (Adopt(path=PATH, version=v(5)),)), (v(8), ())]:
        remote = {PATH: offer(offered)}
        assert plan([PATH], local={PATH: file(v(5))}, remote=remote, synced={}, policy=policy).actions == expected
    assert not plan([PATH], local={}, remote={PATH: offer(v(5))}, synced={}, policy=policy).actions


@pytest.mark.parametrize("name", ["notes.txt~", ".notes.txt.swp", ".#notes", "4913", "core.1234"])
def test_what_editors_leave_is_not_fetched(name: str) -> None:
    path = RelPath.parse(name)
    assert not plan([path], local={}, remote={path: offer(v(5))}, synced={}, policy=NOW).actions


versions = st.builds(
    lambda m, a, b: Version.from_vector({"mtime": m, **({"a": a} if a else {}), **({"b": b} if b else {})}),
    st.integers(0, 4),
    st.integers(0, 2),
    st.integers(0, 2),
)
names = st.sampled_from([RelPath.parse(c) for c in "pqrs"])
trees = st.dictionaries(names, versions)
mtimes = st.dictionaries(names, st.integers(0, 4).map(Version.from_mtime))


@given(trees, mtimes, trees)
def test_planning_in_groups_equals_planning_at_once(
    local: dict[RelPath, Version], remote: dict[RelPath, Version], synced: dict[RelPath, Version]
) -> None:
    files, offers = {p: file(x) for p, x in local.items()}, {p: offer(x) for p, x in remote.items()}
    paths = sorted(files.keys() | offers.keys() | synced.keys())
    whole = plan(paths, local=files, remote=offers, synced=synced, policy=NOW)
    parts = [plan([p], local=files, remote=offers, synced=synced, policy=NOW) for p in paths]
    assert whole.actions == tuple(action for part in parts for action in part.actions)


@given(trees, mtimes, trees)
def test_a_plan_that_was_carried_out_leaves_nothing_to_plan(
    local: dict[RelPath, Version], remote: dict[RelPath, Version], synced: dict[RelPath, Version]
) -> None:
    files, offers = {p: file(x) for p, x in local.items()}, {p: offer(x) for p, x in remote.items()}
    agreed = dict(synced)
    for action in plan(offers, local=files, remote=offers, synced=agreed, policy=NOW).actions:
        if isinstance(action, Fetch):
            files[action.path] = file(action.version)
            agreed[action.path] = action.version
        elif isinstance(action, Adopt):
            agreed[action.path] = action.version
    assert not plan(offers, local=files, remote=offers, synced=agreed, policy=NOW).actions


@given(st.lists(st.integers(0, 50), min_size=2, max_size=5, unique=True))
def test_peers_of_the_classic_dialect_all_end_with_the_latest(mtimes: list[int]) -> None:
    peers: list[dict[RelPath, FileMeta]] = [{PATH: file(v(m))} for m in mtimes]
    for _ in range(2):
        directory = {PATH: offer(max((p[PATH].version for p in peers), key=lambda x: x.mtime_s))}
        for peer in peers:
            for action in plan(directory, local=peer, remote=directory, synced={}, policy=NOW).fetches:
                peer[action.path] = file(action.version)
    assert {p[PATH].version.mtime_s for p in peers} == {max(mtimes)}
