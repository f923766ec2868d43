"""How a path stands, what is listed, and what is counted, from the trees alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gsync.core.model import FileMeta, Fingerprint, Kind, Offer, Record, Source, Tombstone
from gsync.core.names import Endpoint, RelPath
from gsync.core.pausing import PAUSE_EVERY
from gsync.core.status import CONFLICTS_SHOWN, Dialect, Here, Pending, State, TrackerSeen
from gsync.core.versions import Version
from gsync.core.view import (
    View,
    conflict_copies,
    here,
    known_paths,
    listed,
    listed_entry,
    peers_seen,
    state_of,
    status_of,
    version_text,
)

P = RelPath.parse("a.txt")
COPY = RelPath.parse("a.conflict-20010909T014640Z-00000000-89abcdef.txt")
BEN = Source(endpoint=Endpoint("192.0.2.20", 4001), speaks_gsync=True, speaks_native=True)
OLD = Source(endpoint=Endpoint("192.0.2.30", 4001))
V1 = Version.from_vector({"a" * 16: 1, "mtime": 100})
V2 = V1.edited_by("a" * 16, 200)
V2B = V1.edited_by("b" * 16, 300)


def meta(version: Version = V1, *, kind: Kind = Kind.FILE, size: int = 5, digest: str = "b3:11") -> FileMeta:
    print_ = Fingerprint(size=size, mtime_ns=7, ctime_ns=7, inode=1, mode=0o644, kind=kind)
    return FileMeta(fingerprint=print_, version=version, digest=digest)


def offer(version: Version = V1, *sources: Source, deleted: bool = False, digest: str = "b3:11") -> Offer:
    record = Record(path=P, kind=Kind.FILE, version=version, digest=digest, size=5, mtime_ns=7, deleted=deleted)
    return Offer(version=version, sources=sources, record=record)


def view(
    local: FileMeta | None = None,
    remote: Offer | None = None,
    agreed: Version | None = None,
    buried: Tombstone | None = None,
    path: RelPath = P,
    **more: object,
) -> View:
    return View(
        local={path: local} if local else {},
        remote={path: remote} if remote else {},
        synced={path: agreed} if agreed else {},
        buried={path: buried} if buried else {},
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        pytest.param(view(meta()), State.LOCAL, id="nobody else ever had it"),
        pytest.param(view(meta(), offer(V1)), State.LOCAL, id="the tracker tells our own record, and no source"),
        pytest.param(view(meta(), None, V1), State.SYNCED, id="agreed with somebody who is away"),
        pytest.param(view(meta(V2), None, V1), State.EDITED, id="edited since, and nobody is there"),
        pytest.param(view(meta(), offer(V1, BEN), V1), State.SYNCED, id="the same on both sides"),
        pytest.param(view(meta(), offer(V1, BEN)), State.SYNCED, id="the same, not noted as agreed yet"),
        pytest.param(view(meta(digest=""), offer(V1, BEN)), State.SYNCED, id="the same as far as is known"),
        pytest.param(
            view(meta(), offer(V1, BEN, digest="b3:22")), State.STALE, id="one version, two contents: theirs wins"
        ),
        pytest.param(
            view(meta(), offer(V1, BEN, digest="b3:00")), State.EDITED, id="one version, two contents: ours wins"
        ),
        pytest.param(view(meta(V2), offer(V1, BEN), V1), State.EDITED, id="newer here"),
        pytest.param(view(meta(V1), offer(V2, BEN), V1), State.STALE, id="newer elsewhere"),
        pytest.param(view(meta(V1), offer(V2), V1), State.STALE, id="newer elsewhere, nobody can be reached"),
        pytest.param(view(meta(V2), offer(V2B, BEN), V1), State.STALE, id="edited on both sides: theirs wins"),
        pytest.param(view(meta(V2B), offer(V2, BEN), V1), State.EDITED, id="edited on both sides: ours wins"),
        pytest.param(view(meta(V2), offer(V2B, deleted=True), V1), State.EDITED, id="edited here, deleted there"),
        pytest.param(
            view(meta(V1), Offer(version=V1, sources=(OLD,)), V1), State.SYNCED, id="the same as a classic one"
        ),
        pytest.param(view(meta(V1), offer(V2, deleted=True), V1), State.STALE, id="deleted elsewhere, not here yet"),
        pytest.param(view(None, offer(V1, BEN)), State.MISSING, id="not here"),
        pytest.param(view(None, offer(V1)), State.MISSING, id="not here, and nobody can be reached"),
        pytest.param(
            view(None, offer(V2, BEN), None, Tombstone(version=V1)), State.MISSING, id="edited after deletion"
        ),
        pytest.param(
            view(None, offer(V1, BEN), None, Tombstone(version=V2)), State.DELETED, id="others do not know yet"
        ),
        pytest.param(view(None, offer(V2, deleted=True)), State.DELETED, id="deleted elsewhere, never here"),
        pytest.param(view(None, None, None, Tombstone(version=V2)), State.DELETED, id="deleted here"),
        pytest.param(view(meta(), offer(V2, BEN), fetching={P}), State.FETCHING, id="a newer one is on its way"),
        pytest.param(view(None, offer(V2, BEN), fetching={P}), State.FETCHING, id="a new one is on its way"),
        pytest.param(view(None, offer(V1, BEN), V1, held={P}), State.HELD, id="vanished with many others"),
        pytest.param(view(meta(), ignored_by=lambda *_: "*.txt"), State.IGNORED, id="left alone here"),
        pytest.param(view(None, offer(V1, BEN), ignored_by=lambda *_: "*.txt"), State.IGNORED, id="left alone there"),
    ],
)
def test_a_path_stands_in_one_way(seen: View, state: State) -> None:
    assert state_of(P, seen) is state


@pytest.mark.parametrize("kind", [Kind.DIRECTORY, Kind.LINK])
def test_a_directory_or_link_that_is_told_is_synced_although_nobody_is_told_to_have_it(kind: Kind) -> None:
    record = Record(path=P, kind=kind, version=V2, target="x" if kind is Kind.LINK else "", size=0, mtime_ns=0)
    here = replace(meta(V2, kind=kind, size=0, digest=""), target=record.target)
    assert state_of(P, view(here, Offer(version=V2, sources=(), record=record), V1)) is State.SYNCED
    assert state_of(P, view(here)) is State.LOCAL


def test_a_conflict_copy_waits_for_a_person_wherever_else_it_is() -> None:
    seen = view(meta(), offer(V1, BEN), V1, path=COPY)
    assert state_of(COPY, seen) is State.CONFLICT


def test_a_listed_entry_shows_what_stands_here() -> None:
    entry = listed_entry(P, view(meta(V1), offer(V2, BEN, OLD), V1))
    assert entry is not None
    assert (entry.size, entry.mtime_ns, entry.version) == (5, 7, "aaaaaaaa:1")
    assert entry.holders == (BEN.endpoint, OLD.endpoint)


def test_a_listed_entry_shows_what_others_have_where_nothing_stands() -> None:
    entry = listed_entry(P, view(None, offer(V2, BEN)))
    assert entry is not None
    assert (entry.kind, entry.size, entry.mtime_ns, entry.version) == (Kind.FILE, 5, 7, "aaaaaaaa:2")


def test_what_only_classic_peers_have_shows_their_mtime() -> None:
    entry = listed_entry(P, view(None, Offer(version=Version.from_mtime(50), sources=(OLD,))))
    assert entry is not None
    assert (entry.size, entry.mtime_ns, entry.version) == (0, 50_000_000_000, "@50")


def test_what_is_buried_is_listed_and_what_nobody_knows_is_not() -> None:
    entry = listed_entry(P, view(buried=Tombstone(version=V2, kind=Kind.DIRECTORY)))
    assert entry is not None
    assert (entry.kind, entry.state, entry.mtime_ns) == (Kind.DIRECTORY, State.DELETED, 200_000_000_000)
    assert listed_entry(P, view()) is None


def test_a_list_leaves_out_what_has_gone_meanwhile_and_pauses_now_and_then() -> None:
    paths = [RelPath.parse(f"{n}.txt") for n in range(2 * PAUSE_EVERY)]
    local = dict.fromkeys(paths[1:], meta())
    pauses: list[int] = []
    lines = listed(paths, View(local=local, buried={}, remote={}, synced={}), pause=lambda: pauses.append(1))
    assert [line.path for line in lines] == paths[1:]
    assert len(pauses) == 2


def test_a_directory_has_no_size_of_its_own() -> None:
    entry = listed_entry(P, view(meta(kind=Kind.DIRECTORY, size=4096, digest="")))
    assert entry is not None
    assert entry.size == 0


def test_what_is_here_is_counted_by_kind_and_only_files_have_bytes() -> None:
    local = {
        RelPath.parse("f"): meta(size=10),
        RelPath.parse("g"): meta(size=20),
        RelPath.parse("d"): meta(kind=Kind.DIRECTORY, size=4096),
        RelPath.parse("l"): meta(kind=Kind.LINK, size=7),
    }
    assert here(local) == Here(files=2, directories=1, links=1, bytes=30)


def test_the_conflict_copies_come_in_path_order() -> None:
    other = RelPath.parse("z/a.conflict-20010909T014640Z-00000000-89abcdef.txt")
    assert conflict_copies({other: meta(), P: meta(), COPY: meta()}) == [COPY, other]


def test_peers_are_those_that_offer_something_and_deletions_are_nothing() -> None:
    remote = {
        RelPath.parse("1"): offer(V1, BEN, OLD),
        RelPath.parse("2"): offer(V1, BEN),
        RelPath.parse("3"): offer(V1, OLD, deleted=True),
        RelPath.parse("4"): Offer(version=Version.from_mtime(5), sources=(OLD,)),
        RelPath.parse("5"): offer(V1),
    }
    ben, old = peers_seen(remote)
    assert (ben.endpoint, ben.dialect, ben.offers, ben.only) == (BEN.endpoint, Dialect.NATIVE, 2, 1)
    assert (old.endpoint, old.dialect, old.offers, old.only) == (OLD.endpoint, Dialect.CLASSIC, 2, 1)
    assert peers_seen({}) == ()


@pytest.mark.parametrize(
    ("vector", "text"),
    [
        ({"mtime": 5}, "@5"),
        ({"0123456789abcdef": 3, "mtime": 5}, "01234567:3"),
        ({"a" * 16: 1, "b" * 16: 4, "mtime": 5}, "bbbbbbbb:4 aaaaaaaa:1"),
        ({"a" * 16: 1, "b" * 16: 1, "c" * 16: 2, "mtime": 5}, "cccccccc:2 aaaaaaaa:1 +1"),
    ],
)
def test_a_version_is_told_in_a_word(vector: dict[str, int], text: str) -> None:
    assert version_text(Version.from_vector(vector)) == text


def test_every_path_of_which_something_is_known_is_listed_in_order() -> None:
    names = [RelPath.parse(name) for name in ("d", "d/a", "d/b/c", "d.txt", "e")]
    seen = View(
        local={names[0]: meta(kind=Kind.DIRECTORY), names[4]: meta()},
        buried={names[1]: Tombstone(version=V1)},
        remote={names[2]: offer(V1, BEN), names[3]: offer(V1, BEN), names[4]: offer(V1, BEN)},
        synced={RelPath.parse("forgotten"): V1},
    )
    assert list(known_paths(seen)) == ["d", "d.txt", "d/a", "d/b/c", "e"]
    assert list(known_paths(seen, beneath=names[0])) == ["d", "d/a", "d/b/c"]
    assert list(known_paths(seen, beneath=names[4])) == ["e"]
    assert list(known_paths(view())) == []


def test_many_paths_come_in_order_and_are_sorted_with_pauses() -> None:
    names = [RelPath.parse(f"{number * 7919 % 10_007}") for number in range(10_007)]
    pauses: list[int] = []
    seen = View(local=dict.fromkeys(names, meta()), buried={}, remote={}, synced={})
    assert list(known_paths(seen, pause=lambda: pauses.append(1))) == sorted(names)
    assert len(pauses) > 2


def test_a_status_counts_what_the_trees_say() -> None:
    names = [RelPath.parse(f"{number}") for number in range(4)]
    copies = [RelPath.parse(f"{number}{COPY}") for number in range(CONFLICTS_SHOWN + 1)]
    seen = View(
        local=dict.fromkeys(copies, meta(size=10)),
        buried={},
        remote={
            names[0]: offer(V1, BEN, OLD),
            names[1]: Offer(version=Version.from_mtime(5), sources=(OLD,)),
            names[2]: offer(V1),
            names[3]: offer(V1, BEN, deleted=True),
        },
        synced={},
    )
    got = status_of(
        seen,
        folder="/home/ann/Shared",
        pid=7,
        uptime_s=1.0,
        tracker=TrackerSeen(endpoint=BEN.endpoint, is_up=True),
        pending=Pending(tracker_is_up=True, to_fetch=2, held=3, paused=True),
        left=2,
        left_bytes=5,
        receives=False,
    )
    assert (got.peers, got.offered, got.left, got.left_bytes) == (2, 2, 2, 5)
    assert (got.here.files, got.conflicts, len(got.conflict_names)) == (CONFLICTS_SHOWN + 1,) * 2 + (CONFLICTS_SHOWN,)
    assert (got.held_deletions, got.paused, got.receives) == (3, True, False)
    assert (got.in_sync, got.reason) == (False, "3 deletions held back until `gsync release`")
