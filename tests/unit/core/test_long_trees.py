"""A remote tree that is not all in memory is answered from like a dict: the same plan, the same lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gsync.core.model import FileMeta, Fingerprint, Kind, Offer, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.picture import Picture
from gsync.core.planner import Policy, plan
from gsync.core.versions import Version
from gsync.core.view import View, known_paths, peers_seen
from gsync.storage.offer_rows import offer_tree

NAMES = [RelPath.parse(name) for name in ("a", "a.b", "a/b", "b", "c", "d/e", "d/f", "z")]

names = st.sampled_from(NAMES)
versions = st.dictionaries(st.sampled_from(["ann", "bob"]), st.integers(1, 3)).map(
    lambda counters: Version.from_vector({"mtime": 5, **counters})
)
metas = st.builds(
    FileMeta,
    fingerprint=st.just(Fingerprint(size=1, mtime_ns=5, ctime_ns=5, inode=1, mode=0o644)),
    version=versions,
    digest=st.sampled_from(["b3:1", "b3:2"]),
    moved_from=st.none() | names,
)
graves = st.builds(Tombstone, version=versions, digest=st.sampled_from(["b3:1", "b3:2"]))
records = st.builds(
    Record,
    path=st.just(NAMES[0]),
    kind=st.just(Kind.FILE),
    version=versions,
    digest=st.sampled_from(["b3:" + "1" * 64, "b3:" + "2" * 64]),
    deleted=st.booleans(),
    moved_from=st.none() | names,
)
trees = st.dictionaries(names, records)


def offers(said: dict[RelPath, Record]) -> dict[RelPath, Offer]:
    return {
        path: Offer(
            version=one.version,
            sources=(),
            record=Record(
                path=path,
                kind=one.kind,
                version=one.version,
                digest=one.digest,
                deleted=one.deleted,
                moved_from=one.moved_from,
            ),
        )
        for path, one in said.items()
    }


@given(st.dictionaries(names, metas), st.dictionaries(names, graves), trees)
def test_it_is_planned_and_listed_as_a_dict_is(
    local: dict[RelPath, FileMeta], graves_too: dict[RelPath, Tombstone], said: dict[RelPath, Record]
) -> None:
    buried = {path: grave for path, grave in graves_too.items() if path not in local}
    short, long = offers(said), offer_tree(hot_max=2)
    long.update(short)
    policy = Policy(now_s=10.0, author="ann")
    plans = [plan(NAMES, local=local, buried=buried, remote=one, synced={}, policy=policy) for one in (short, long)]
    assert plans[0] == plans[1]
    pictures = [Picture(local=local, buried=buried, remote=one, synced={}) for one in (short, long)]
    for path in NAMES:
        assert pictures[0].names_for(path) == pictures[1].names_for(path)
    views = [View(local=local, buried=buried, remote=one, synced={}) for one in (short, long)]
    assert list(known_paths(views[0])) == list(known_paths(views[1])) == sorted({*local, *buried, *short})
    d = RelPath.parse("d")
    assert list(known_paths(views[1], beneath=d)) == [p for p in known_paths(views[0]) if p.is_beneath(d)]
    assert peers_seen(short) == peers_seen(long) == ()
