"""Publishing: the outcomes one by one. What crashes and races do to it is in test_publisher_crashes.py and _races.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.core.actions import Displaced
from gsync.core.blocks import digest_of_bytes
from gsync.core.conflicts import conflict_name, is_conflict_copy
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import NoSpace, PathRefused, StorageError
from gsync.storage.downloads import Overtaken, Published, Released, Unpublished
from gsync.storage.filesystem import OpenFile
from gsync.storage.limbo import SECOND_LOOK_S, UNTOLD_S
from gsync.storage.memory import FailAt, MemoryFolder
from tests.unit.storage.publishing import AUTHOR_OF_OLD, NEW_S, START_S, Crash, World, download

A = RelPath.parse("a")
B = RelPath.parse("b")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.end()


def test_a_new_file_stands_at_its_path_and_in_the_index(world: World) -> None:
    (outcome,) = world.publish(download("a", b"new"))
    assert isinstance(outcome, Published)
    assert world.in_folder() == {"a": b"new"}
    contents = world.index.load()
    assert contents.local == {A: outcome.meta}
    assert contents.synced == {A: Version.from_mtime(NEW_S)}
    assert outcome.meta.digest == digest_of_bytes(b"new")


def test_a_published_file_is_not_taken_for_an_edit(world: World) -> None:
    old = world.save("b", b"old")
    world.publish(download("a", b"new"), download("b", b"newer", over=old))
    assert not world.changes().changed
    assert not world.changes().gone


def test_the_fingerprint_is_the_one_after_the_rename(world: World) -> None:
    (outcome,) = world.publish(download("a", b"new"))
    assert isinstance(outcome, Published)
    assert outcome.meta.fingerprint == world.shown(A)


def test_nothing_is_left_in_staging_nor_in_the_journal(world: World) -> None:
    old = world.save("b", b"old")
    world.publish(download("a", b"new"), download("b", b"newer", over=old), download("b", b"again", over=old))
    assert world.folder.staged_names() == []
    assert world.index.journal() == []


def test_an_empty_file_is_a_file(world: World) -> None:
    (outcome,) = world.publish(download("a", b""))
    assert isinstance(outcome, Published)
    assert world.in_folder() == {"a": b""}


def test_an_empty_batch_has_no_outcomes(world: World) -> None:
    assert world.publish() == []


def test_outcomes_come_in_the_order_of_the_batch(world: World) -> None:
    world.save("b", b"unexpected")
    outcomes = world.publish(download("c", b"1"), download("b", b"2"), download("a", b"3"))
    assert [outcome.path for outcome in outcomes] == ["c", "b", "a"]
    assert [type(outcome) for outcome in outcomes] == [Published, Overtaken, Published]


def test_a_superseded_file_goes_to_the_trash(world: World) -> None:
    old = world.save("a", b"old")
    (outcome,) = world.publish(download("a", b"new", over=old))
    assert isinstance(outcome, Published)
    assert world.folder.contents()[outcome.trashed] == b"old"
    assert outcome.conflict_copy is None
    assert world.in_folder() == {"a": b"new"}


def test_what_nobody_else_ever_had_goes_to_the_trash_unseen(world: World) -> None:
    old = world.save("a", b"old")
    (outcome,) = world.publish(download("a", b"new", over=old, displaced=Displaced.UNSEEN_TRASH))
    assert isinstance(outcome, Published)
    assert outcome.trashed.split("/")[2].endswith("-unseen")
    assert world.folder.contents()[outcome.trashed] == b"old"


def test_the_loser_of_a_conflict_stays_under_its_conflict_name_with_its_own_version(world: World) -> None:
    old = world.save("a.txt", b"old")
    (outcome,) = world.publish(download("a.txt", b"new", over=old, displaced=Displaced.CONFLICT_COPY))
    assert isinstance(outcome, Published)
    assert outcome.conflict_copy is not None
    name, meta = outcome.conflict_copy
    assert name == conflict_name(RelPath.parse("a.txt"), version=AUTHOR_OF_OLD, digest=digest_of_bytes(b"old"))
    assert (meta.version, meta.digest) == (AUTHOR_OF_OLD, digest_of_bytes(b"old"))
    assert world.in_folder() == {"a.txt": b"new", name: b"old"}
    assert world.index.load().local[name] == meta
    assert name not in world.index.load().synced
    assert not world.changes().changed


def test_a_loser_that_is_there_already_goes_to_the_trash(world: World) -> None:
    old = world.save("a", b"old")
    name = conflict_name(A, version=old.version, digest=old.digest)
    world.folder.put(name, b"old")
    (outcome,) = world.publish(download("a", b"new", over=old, displaced=Displaced.CONFLICT_COPY))
    assert isinstance(outcome, Published)
    assert (outcome.conflict_copy, outcome.remark) == (None, "")
    assert not outcome.trashed.split("/")[2].endswith("-unseen")
    assert world.in_folder() == {"a": b"new", name: b"old"}


def test_a_loser_whose_name_is_taken_by_something_else_goes_to_the_trash_and_a_person_is_told(world: World) -> None:
    old = world.save("a", b"old")
    name = conflict_name(A, version=old.version, digest=old.digest)
    world.folder.put(name, b"somebody changed the copy")
    (outcome,) = world.publish(download("a", b"new", over=old, displaced=Displaced.CONFLICT_COPY))
    assert isinstance(outcome, Published)
    assert name in outcome.remark
    assert outcome.trashed.split("/")[2].endswith("-unseen")
    assert world.in_trash() == [b"old"]


def test_a_file_that_nobody_expected_is_not_touched(world: World) -> None:
    world.folder.put("a", b"mine")
    assert world.publish(download("a", b"new")) == [Overtaken(path=A)]
    assert world.in_folder() == {"a": b"mine"}
    assert world.in_trash() == []


def test_a_file_that_was_edited_since_the_plan_is_not_touched(world: World) -> None:
    old = world.save("a", b"old")
    world.folder.edit("a", b"edited")
    assert world.publish(download("a", b"new", over=old)) == [Overtaken(path=A)]
    assert world.in_folder() == {"a": b"edited"}


def test_a_file_that_was_deleted_since_the_plan_stays_deleted(world: World) -> None:
    old = world.save("a", b"old")
    world.folder.remove("a")
    assert world.publish(download("a", b"new", over=old)) == [Overtaken(path=A)]
    assert world.in_folder() == {}


def test_two_downloads_for_one_path_do_not_follow_each_other(world: World) -> None:
    outcomes = world.publish(download("a", b"first"), download("a", b"second"))
    assert [type(outcome) for outcome in outcomes] == [Published, Overtaken]
    assert world.in_folder() == {"a": b"first"}


@pytest.mark.parametrize("kind", ["a FIFO", "a device"])
def test_where_something_odd_stands_the_disk_refuses_so_that_nobody_plans_for_ever(world: World, kind: str) -> None:
    world.folder.obstruct("a", kind)
    (outcome,) = world.publish(download("a", b"new"))
    assert isinstance(outcome, Unpublished)
    assert isinstance(outcome.error, PathRefused)
    assert world.folder.staged_names() == []


def test_something_odd_that_came_between_is_put_back(world: World) -> None:
    old = world.save("a", b"old")
    world.watch(lambda method: world.folder.obstruct("a", "a link") if method == "exchange" else None)
    original = world.folder.on_call

    def once(method: str) -> None:
        if method == "exchange":
            world.unwatch()
        original(method)

    world.watch(once)
    (outcome,) = world.publish(download("a", b"new", over=old))
    assert isinstance(outcome, Unpublished)
    with pytest.raises(PathRefused):
        world.folder.fingerprint(A)
    assert world.folder.staged_names() == []
    assert world.index.journal() == []


def test_a_replacement_keeps_the_permission_bits_of_what_it_replaces(world: World) -> None:
    world.folder.put("a", b"#!/bin/sh")
    world.folder.disk.names["a"].mode = 0o755
    old = world.save("b", b"plain")
    world.index.record(entries={A: old})
    script = download("a", b"#!/bin/bash").__class__(
        path=A, version=Version.from_mtime(NEW_S), content=b"new", mtime_ns=NEW_S * 10**9, expected=world.shown(A)
    )
    world.publish(script, download("c", b"new"))
    assert world.shown(A).mode == 0o755
    assert world.shown(RelPath.parse("c")).mode == world.folder.new_file_mode


def test_the_announced_mtime_stays_in_the_version_where_the_disk_clamps_it(tmp_path: Path) -> None:
    world = World(tmp_path, folder=MemoryFolder(wall_clock=lambda: float(START_S), mtime_step_ns=2 * 10**9))
    (outcome,) = world.publish(download("a", b"new", version=Version.from_mtime(NEW_S + 1)))
    assert isinstance(outcome, Published)
    assert outcome.meta.version.mtime_s == NEW_S + 1
    assert outcome.meta.fingerprint.mtime_ns == NEW_S * 10**9
    assert not world.changes().changed
    world.end()


def test_a_full_disk_refuses_one_file_and_takes_the_others(tmp_path: Path) -> None:
    world = World(tmp_path, folder=MemoryFolder(wall_clock=lambda: float(START_S), capacity=1000))
    outcomes = world.publish(download("a", bytes(300)), download("b", bytes(900)), download("c", bytes(300)))
    assert [type(outcome) for outcome in outcomes] == [Published, Unpublished, Published]
    assert isinstance(outcomes[1], Unpublished)
    assert isinstance(outcomes[1].error, NoSpace)
    assert world.folder.staged_names() == []
    world.end()


def test_a_content_that_the_disk_did_not_take_is_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.folder, "sync", lambda staged: [staged[1]])
    outcomes = world.publish(download("a", b"1"), download("b", b"2"), download("c", b"3"))
    assert [type(outcome) for outcome in outcomes] == [Published, Unpublished, Published]
    assert world.in_folder() == {"a": b"1", "c": b"3"}
    assert world.folder.staged_names() == []


@pytest.mark.parametrize("at", range(40))
def test_an_error_at_any_call_loses_nothing_and_a_second_try_succeeds(world: World, at: int) -> None:
    old = {name: world.save(name, b"old " + name.encode()) for name in "ab"}
    world.watch(FailAt(at, StorageError("the disk refused")))
    plan = {
        "a": download("a", b"new a", over=old["a"]),
        "b": download("b", b"new b", over=old["b"], displaced=Displaced.CONFLICT_COPY),
        "c": download("c", b"new c"),
    }
    outcomes = world.publish(*plan.values())
    world.unwatch()
    for name in "ab":
        assert b"old " + name.encode() in world.everything()
        assert world.in_folder()[name] in {b"old " + name.encode(), b"new " + name.encode()}
    again = world.publisher.review_limbo()
    done = {outcome.path for outcome in [*outcomes, *again] if isinstance(outcome, Published)}
    assert not world.publisher.busy_paths()
    rest = [plan[name] for name in plan if name not in done]
    assert all(isinstance(outcome, Published) for outcome in world.publish(*rest))
    world.publisher.review_limbo()
    assert {name: world.in_folder()[name] for name in "abc"} == {"a": b"new a", "b": b"new b", "c": b"new c"}
    assert b"old a" in world.in_trash()
    copies = [content for name, content in world.in_folder().items() if is_conflict_copy(RelPath.parse(name))]
    told = [one for one in outcomes if isinstance(one, Published) and "could not be read" in one.remark]
    assert copies == [b"old b"] or (told and b"old b" in world.in_trash())
    world.kill_and_start()
    assert world.folder.staged_names() == []
    assert world.index.journal() == []
    assert not world.edits()


def test_while_the_index_cannot_be_told_a_scan_must_leave_the_path_alone(world: World) -> None:
    def fail(method: str) -> None:
        if method == "sync_names":
            raise StorageError("no")

    world.watch(fail)
    (outcome,) = world.publish(download("a", b"new"))
    assert isinstance(outcome, Unpublished)
    assert world.publisher.busy_paths() == {A}
    assert world.publisher.review_limbo() == []
    world.unwatch()
    (finished,) = world.publisher.review_limbo()
    assert isinstance(finished, Published)
    assert finished.path == A
    assert world.publisher.busy_paths() == frozenset()
    assert world.index.load().local[A] == finished.meta


def test_an_exchange_that_reports_an_error_although_it_swapped_never_has_the_old_file_unlinked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = world.save("a", b"old")
    exchange = world.folder.exchange

    def half_done(staged_name: str, path: RelPath) -> bool:
        exchange(staged_name, path)
        raise StorageError("the disk went away")

    monkeypatch.setattr(world.folder, "exchange", half_done)
    (outcome,) = world.publish(download("a", b"new", over=old))
    assert isinstance(outcome, Unpublished)
    assert sorted(world.everything()) == [b"new", b"old"]
    (released,) = world.publisher.review_limbo()
    assert isinstance(released, Released)
    assert world.folder.contents()[released.trashed] == b"old"
    assert world.index.journal() == []


# Large downloads


def test_a_large_download_is_journalled_from_its_first_byte(world: World) -> None:
    staged = world.publisher.begin(A)
    assert [row.name for row in world.index.journal()] == [staged.name]
    staged.write(b"large")
    outcome = world.publish(
        download("a", b"").__class__(path=A, version=AUTHOR_OF_OLD, content=staged, mtime_ns=NEW_S * 10**9)
    )
    assert isinstance(outcome[0], Published)
    assert world.in_folder() == {"a": b"large"}
    assert world.index.journal() == []


def test_an_abandoned_download_leaves_nothing(world: World) -> None:
    staged = world.publisher.begin(A)
    staged.write(b"half")
    world.publisher.abandon(staged)
    assert world.folder.staged_names() == []
    assert world.index.journal() == []


def test_a_download_that_was_being_written_at_a_crash_is_forgotten(world: World) -> None:
    world.publisher.begin(A).write(b"half")
    assert world.kill_and_start() == []
    assert world.everything() == []
    assert world.index.journal() == []


def test_a_large_download_that_cannot_be_journalled_leaves_nothing(world: World) -> None:
    world.index.on_call = FailAt(0, StorageError("no"))
    with pytest.raises(StorageError):
        world.publisher.begin(A)
    assert world.folder.staged_names() == []


# Writers that keep the file open


def test_a_displaced_file_with_a_writer_waits_and_unchanged_goes_to_the_trash(world: World) -> None:
    old = world.save("a", b"old")
    node = world.folder.hold_open("a")
    (outcome,) = world.publish(download("a", b"new", over=old))
    assert isinstance(outcome, Published)
    assert (outcome.trashed, outcome.conflict_copy) == ("", None)
    assert world.publisher.review_limbo() == []
    node.writers = 0
    (released,) = world.publisher.review_limbo()
    assert isinstance(released, Released)
    assert world.folder.contents()[released.trashed] == b"old"
    assert world.publisher.review_limbo() == []
    assert world.index.journal() == []


def test_what_was_written_into_a_displaced_file_becomes_a_conflict_copy(world: World) -> None:
    old = world.save("a", b"old")
    node = world.folder.hold_open("a")
    world.publish(download("a", b"new", over=old))
    world.folder.write_into(node, b"typed on")
    node.writers = 0
    (released,) = world.publisher.review_limbo()
    assert isinstance(released, Released)
    assert released.conflict_copy is not None
    name, meta = released.conflict_copy
    assert world.in_folder() == {"a": b"new", name: b"typed on"}
    assert dict(meta.version.counters) == {**dict(AUTHOR_OF_OLD.counters), world.index.author: 1}
    assert world.index.load().local[name] == meta


def test_what_was_written_into_the_trash_within_a_second_is_taken_back_out_of_it(world: World) -> None:
    old = world.save("a", b"old")
    (outcome,) = world.publish(download("a", b"new", over=old))
    assert isinstance(outcome, Published)
    node = world.folder.disk.names[outcome.trashed]
    world.folder.write_into(node, b"typed by who was just opening it")
    assert world.publisher.review_limbo() == []
    world.seconds = SECOND_LOOK_S
    (released,) = world.publisher.review_limbo()
    assert isinstance(released, Released)
    assert released.conflict_copy is not None
    assert world.in_folder() == {"a": b"new", released.conflict_copy[0]: b"typed by who was just opening it"}
    assert world.in_trash() == []
    world.seconds *= 2
    assert world.publisher.review_limbo() == []
    assert world.index.journal() == []


def test_what_was_taken_back_waits_until_it_is_closed_even_through_a_crash(world: World) -> None:
    old = world.save("a", b"old")
    (outcome,) = world.publish(download("a", b"new", over=old))
    assert isinstance(outcome, Published)
    node = world.folder.hold_open(outcome.trashed)
    world.folder.write_into(node, b"typed")
    world.seconds = SECOND_LOOK_S
    assert world.publisher.review_limbo() == []
    assert [row.state.value for row in world.index.journal()] == ["limbo"]
    world.kill_and_start()
    node.writers = 0
    (released,) = world.publisher.review_limbo()
    assert isinstance(released, Released)
    assert released.conflict_copy is not None
    assert b"typed" in world.in_folder().values()


def test_the_second_look_leaves_alone_what_is_as_it_was_or_gone(world: World) -> None:
    old = [world.save(name, b"old " + name.encode()) for name in "ab"]
    outcomes = world.publish(download("a", b"new", over=old[0]), download("b", b"new", over=old[1]))
    assert isinstance(outcomes[0], Published)
    world.folder.remove(outcomes[0].trashed)
    world.seconds = SECOND_LOOK_S
    assert world.publisher.review_limbo() == []
    assert world.in_trash() == [b"old b"]


def test_limbo_outlives_a_crash(world: World) -> None:
    old = world.save("a", b"old")
    node = world.folder.hold_open("a")
    world.publish(download("a", b"new", over=old))
    assert world.kill_and_start() == []
    assert world.publisher.review_limbo() == []
    world.folder.write_into(node, b"typed on")
    node.writers = 0
    (released,) = world.publisher.review_limbo()
    assert isinstance(released, Released)
    assert released.conflict_copy is not None
    assert not world.edits()


def test_a_later_edit_is_not_undone_when_limbo_ends_after_a_crash(world: World) -> None:
    old = world.save("a", b"old")
    node = world.folder.hold_open("a")
    world.publish(download("a", b"new", over=old))
    world.folder.edit("a", b"edited in place")
    changes = world.changes()
    world.index.record(entries=changes.changed)
    node.writers = 0
    world.kill_and_start()
    assert world.index.load().local[A] == changes.changed[A]


@pytest.mark.parametrize(("seconds", "waits"), [(UNTOLD_S - 0.01, True), (UNTOLD_S, False), (UNTOLD_S + 0.01, False)])
def test_where_nobody_can_tell_ten_seconds_are_waited(tmp_path: Path, seconds: float, waits: bool) -> None:
    world = World(tmp_path, folder=MemoryFolder(wall_clock=lambda: float(START_S), can_lease=False))
    old = world.save("a", b"old")
    (outcome,) = world.publish(download("a", b"new", over=old))
    assert isinstance(outcome, Published)
    assert outcome.trashed == ""
    world.seconds = seconds
    assert (world.publisher.review_limbo() == []) == waits
    world.end()


def test_a_displaced_edit_that_cannot_be_read_goes_to_the_trash_unseen(world: World) -> None:
    old = world.save("a", b"old")

    def fail(method: str) -> None:
        if method == "open_staged":
            raise StorageError("permission denied")

    world.watch(fail)
    (outcome,) = world.publish(download("a", b"new", over=old, displaced=Displaced.CONFLICT_COPY))
    assert isinstance(outcome, Published)
    assert "could not be read" in outcome.remark
    assert outcome.trashed.split("/")[2].endswith("-unseen")


def test_a_displaced_file_that_changes_while_it_is_hashed_waits_for_the_next_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = world.save("a", b"old")
    open_staged = world.folder.open_staged

    def open_then_edit(staged_name: str) -> OpenFile:
        file = open_staged(staged_name)
        world.folder.edit(f".gsync/staging/{staged_name}", b"typed meanwhile")
        return file

    monkeypatch.setattr(world.folder, "open_staged", open_then_edit)
    (outcome,) = world.publish(download("a", b"new", over=old, displaced=Displaced.CONFLICT_COPY))
    assert isinstance(outcome, Published)
    assert (outcome.conflict_copy, outcome.trashed) == (None, "")
    monkeypatch.undo()
    (released,) = world.publisher.review_limbo()
    assert isinstance(released, Released)
    assert released.conflict_copy is not None
    assert b"typed meanwhile" in world.in_folder().values()


def test_a_conflict_name_that_cannot_be_read_counts_as_taken(world: World) -> None:
    old = world.save("a", b"old")
    name = conflict_name(A, version=old.version, digest=old.digest)
    world.folder.obstruct(name, "a link")
    (outcome,) = world.publish(download("a", b"new", over=old, displaced=Displaced.CONFLICT_COPY))
    assert isinstance(outcome, Published)
    assert name in outcome.remark
    assert world.in_trash() == [b"old"]


def test_a_row_whose_staged_file_somebody_deleted_is_let_go(world: World) -> None:
    old = world.save("a", b"old")
    node = world.folder.hold_open("a")
    world.publish(download("a", b"new", over=old))
    (name,) = world.folder.staged_names()
    world.folder.remove(f".gsync/staging/{name}")
    node.writers = 0
    assert world.publisher.review_limbo() == [Released(path=A)]
    assert world.index.journal() == []


# The look at start


def test_a_stranger_in_staging_goes_to_the_trash(world: World) -> None:
    world.folder.put(".gsync/staging/what-is-this", b"perhaps work")
    world.kill_and_start()
    assert world.in_trash() == [b"perhaps work"]
    assert world.folder.staged_names() == []


def test_a_staged_name_with_another_inode_than_its_row_is_never_unlinked(world: World) -> None:
    staged = world.publisher.begin(A)
    world.folder.put(f".gsync/staging/{staged.name}", b"somebody's")
    world.kill_and_start()
    assert world.in_trash() == [b"somebody's"]


@pytest.mark.parametrize("name", ["new\nline", ".GSYNC"])
def test_a_stranger_with_an_odd_name_goes_to_the_trash_under_another(world: World, name: str) -> None:
    world.folder.put(f".gsync/staging/{name}", b"perhaps work")
    world.kill_and_start()
    assert world.in_trash() == [b"perhaps work"]


def test_a_link_where_a_download_was_to_go_does_not_stop_the_start(world: World) -> None:
    world.watch(FailAt(9, Crash()))
    with pytest.raises(Crash):
        world.publish(download("a", b"new"))
    world.unwatch()
    world.folder.obstruct("a", "a link")
    world.kill_and_start()
    assert world.index.load().local == {}
    assert world.index.journal() == []


def test_something_odd_in_staging_goes_to_the_trash_as_it_is(world: World) -> None:
    staged = world.publisher.begin(A)
    world.folder.obstruct(f".gsync/staging/{staged.name}", "a FIFO")
    (released,) = world.kill_and_start()
    assert released.trashed in world.folder.contents()
    assert world.index.journal() == []
