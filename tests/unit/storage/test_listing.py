"""Listing again and again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from gsync.core.blocks import CONTENT_MAX_BYTES
from gsync.core.model import FileMeta, Kind
from gsync.core.names import PATH_MAX_BYTES, RelPath
from gsync.core.versions import Version
from gsync.storage import listing as module
from gsync.storage.filesystem import OTHER_MOUNT, Found, Skipped
from gsync.storage.listing import Lister


@pytest.fixture
def lister(tmp_path: Path) -> Iterator[Lister]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield Lister(fd)
    os.close(fd)


def found(lister: Lister) -> dict[str, Found]:
    return {seen.path: seen for seen in lister.listing() if isinstance(seen, Found)}


def test_an_unchanged_file_is_the_same_value_again(lister: Lister, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("x")
    first = found(lister)
    (tmp_path / "b").chmod(0o600)
    second = found(lister)
    assert second["a"] is first["a"]
    assert second["b"].fingerprint.mode == 0o600


def test_what_is_gone_is_not_remembered(lister: Lister, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    found(lister)
    (tmp_path / "a").unlink()
    assert found(lister) == {}


def test_two_listings_at_once_do_not_disturb_each_other(lister: Lister, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"f{number}").write_text("x")
    one, other = lister.listing(), lister.listing()
    seen = [(next(one), next(other)) for _ in range(20)]
    assert len({first.path for first, _ in seen if isinstance(first, Found)}) == 20
    assert len({second.path for _, second in seen if isinstance(second, Found)}) == 20


def test_a_listing_that_is_given_up_leaves_no_descriptor_open(lister: Lister, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"f{number}").write_text("x")
    before = len(os.listdir("/proc/self/fd"))
    listing = lister.listing()
    next(listing)
    listing.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_vanishes_meanwhile_is_left_out(lister: Lister, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("x")
    listing = lister.listing()
    first = next(listing)
    assert isinstance(first, Found)
    for name in {"a", "b", "c"} - {first.path}:
        (tmp_path / name).unlink()
    assert list(listing) == []


def skipped(lister: Lister) -> list[Skipped]:
    return [seen for seen in lister.listing() if isinstance(seen, Skipped)]


def test_what_is_unchanged_at_any_depth_is_the_same_value_again(lister: Lister, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    (tmp_path / "a" / "link").symlink_to("b")
    first = found(lister)
    (tmp_path / "a" / "new").write_text("x")
    second = found(lister)
    assert set(second) - set(first) == {"a/new"}
    assert all(second[path] is first[path] for path in first)


def test_a_listing_of_a_part_shares_its_values_with_that_of_the_whole(lister: Lister, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    whole = found(lister)
    part = {one.path: one for one in lister.listing(beneath=RelPath.parse("a")) if isinstance(one, Found)}
    assert all(part[path] is whole[path] for path in ("a", "a/b", "a/b/file"))
    (tmp_path / "a" / "b" / "file").write_text("longer")
    (alone,) = lister.listing(beneath=RelPath.parse("a/b/file"))
    assert found(lister)["a/b/file"] is alone


def test_what_was_asked_of_one_skip_is_not_taken_for_the_answer_of_another(lister: Lister, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    asked: list[RelPath] = []

    def skip(path: RelPath, kind: Kind) -> bool:
        asked.append(path)
        return False

    for _ in range(2):
        list(lister.listing(skip=skip))
        list(lister.listing(beneath=RelPath.parse("a"), skip=skip))
    assert asked == ["a", "a/file"]
    assert list(lister.listing(skip=lambda path, kind: True)) == []


@pytest.mark.parametrize("name", [".gsync", ".GSync"])
def test_somebody_elses_own_folder_is_left_alone_with_its_reason(lister: Lister, tmp_path: Path, name: str) -> None:
    (tmp_path / "a" / name / "staging").mkdir(parents=True)
    assert skipped(lister) == [Skipped(name=f"a/{name}", reason="its name: the name of gsync's own folder")]
    assert list(found(lister)) == ["a"]


def test_our_own_folder_is_left_out_without_a_word(lister: Lister, tmp_path: Path) -> None:
    (tmp_path / ".gsync" / "staging").mkdir(parents=True)
    assert list(lister.listing()) == []


def test_a_link_is_read_and_not_followed(lister: Lister, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "out").symlink_to("/etc")
    assert {path: one.target for path, one in found(lister).items()} == {"a": "", "a/up": "..", "a/out": "/etc"}


def test_a_link_whose_target_is_no_text_is_skipped(lister: Lister, tmp_path: Path) -> None:
    os.symlink(b"bad\xff", tmp_path / "link")
    assert skipped(lister) == [Skipped(name="link", reason="a link whose target is not valid UTF-8")]


@pytest.mark.parametrize(("longest", "told"), [(4, True), (5, False), (6, False)])
def test_a_link_whose_target_is_too_long_is_skipped(
    lister: Lister, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: int, told: bool
) -> None:
    (tmp_path / "link").symlink_to("12345")
    monkeypatch.setattr(module, "TARGET_MAX_BYTES", longest)
    reasons = [one.reason for one in skipped(lister)]
    assert reasons == [f"a link with a target longer than {longest} bytes"] * told


@pytest.mark.parametrize("becomes", ["link", "file", "nothing"])
def test_a_directory_that_is_replaced_before_its_turn_is_left_to_the_next_listing(
    lister: Lister, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, becomes: str
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inside").write_text("x")
    open_beneath = module.open_beneath

    def replaced(root_fd: int, name: str, flags: int) -> int:
        if name == "a":
            (tmp_path / "a").rename(tmp_path.parent / f"elsewhere-{becomes}")
            match becomes:
                case "link":
                    (tmp_path / "a").symlink_to("../elsewhere-link")
                case "file":
                    (tmp_path / "a").write_text("x")
        return open_beneath(root_fd, name, flags)

    monkeypatch.setattr(module, "open_beneath", replaced)
    assert list(lister.listing()) == []


def test_what_is_mounted_is_not_entered_and_hides_what_was_known_there() -> None:
    fd = os.open("/", os.O_RDONLY)
    try:
        for path in (RelPath.parse("proc"), RelPath.parse("proc/self")):
            assert list(Lister(fd).listing(beneath=path)) == [Skipped(name=path, reason=OTHER_MOUNT, hides=path)]
    finally:
        os.close(fd)


def test_a_mount_that_looks_like_the_same_disk_is_found_when_it_is_opened(
    lister: Lister, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    open_beneath = module.open_beneath

    def mounted(root_fd: int, name: str, flags: int) -> int:
        if name == "a":
            raise OSError(18, "Invalid cross-device link")
        return open_beneath(root_fd, name, flags)

    monkeypatch.setattr(module, "open_beneath", mounted)
    assert list(lister.listing()) == [Skipped(name="a", reason=OTHER_MOUNT, hides=RelPath.parse("a"))]


def test_a_disk_that_fails_in_the_middle_fails_the_listing(
    lister: Lister, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    open_beneath = module.open_beneath

    def fail(root_fd: int, name: str, flags: int) -> int:
        if name == "a":
            raise OSError(5, "Input/output error")
        return open_beneath(root_fd, name, flags)

    monkeypatch.setattr(module, "open_beneath", fail)
    with pytest.raises(OSError, match="Input/output error"):
        list(lister.listing())


@pytest.mark.slow
def test_directories_are_listed_as_deep_as_a_path_can_be_with_one_open_at_a_time(
    lister: Lister, tmp_path: Path
) -> None:
    deepest = (PATH_MAX_BYTES + 1) // 2
    try:
        make_chain(tmp_path, deepest + 2)
        before = len(os.listdir("/proc/self/fd"))
        seen = []
        for one in lister.listing():
            seen.append(one)
            assert len(os.listdir("/proc/self/fd")) - before <= 2  # the directory, and the way that scandir reads it
        assert len(seen) == deepest + 1
        assert seen[-1] == Skipped(name="d/" * deepest + "d", reason=f"its name: longer than {PATH_MAX_BYTES} bytes")
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # pytest cannot remove what lies so deep


def make_chain(path: Path, count: int) -> None:
    """Directories in one another, deeper than any path can say."""
    fd = os.open(path, os.O_RDONLY)
    for _ in range(count):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


@pytest.mark.parametrize(("size", "is_told"), [(CONTENT_MAX_BYTES, True), (CONTENT_MAX_BYTES + 1, False)])
def test_what_has_no_block_list_is_left_alone_and_that_is_said(tmp_path: Path, size: int, is_told: bool) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(size)
    root_fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        (seen,) = Lister(root_fd).listing()
        if is_told:
            assert isinstance(seen, Found)
        else:
            assert seen == Skipped(name="huge", reason="larger than 2 TiB", hides=RelPath("huge"))
    finally:
        os.close(root_fd)


def test_what_is_known_already_is_found_with_the_very_same_fingerprint(lister: Lister, tmp_path: Path) -> None:
    for name in ("same", "edited", "d"):
        (tmp_path / name).mkdir() if name == "d" else (tmp_path / name).write_text("x")
    known = {
        RelPath(name): FileMeta(fingerprint=replace(one.fingerprint), version=Version.from_mtime(0))
        for name, one in found(lister).items()
    }
    (tmp_path / "edited").write_text("longer")
    fresh = Lister(lister._root_fd)
    seen = {one.path: one.fingerprint for one in fresh.listing(known=known) if isinstance(one, Found)}
    assert seen[RelPath("same")] is known[RelPath("same")].fingerprint
    assert seen[RelPath("d")] is known[RelPath("d")].fingerprint
    assert seen[RelPath("edited")].size == 6
    for one in Lister(lister._root_fd).listing_at([RelPath("same")], known=known):
        assert isinstance(one, Found)
        assert one.fingerprint is known[RelPath("same")].fingerprint
