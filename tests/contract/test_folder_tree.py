"""What every `Folder` does with subfolders, directories, links and permission bits."""

from __future__ import annotations

import pytest

from gsync.core.blocks import BLOCK_BYTES, digest_of_bytes
from gsync.core.model import Fingerprint, Kind
from gsync.core.names import RelPath
from gsync.errors import FileChanged, FileVanished, PathRefused
from gsync.storage.filesystem import TARGET_MAX_BYTES, Found, Skipped, Worth
from tests.contract.places import Place, path, staged, staged_name, whole

TOP = path("top")
DEEP = path("a/b/c")
FILE = path("a/b/c/file")
LINK = path("a/link")
S = 10**9


def listed(place: Place, **how: object) -> list[str]:
    return [one.path if isinstance(one, Found) else f"!{one.name}" for one in place.folder.listing(**how)]  # type: ignore[arg-type]


def shown(place: Place, where: RelPath) -> Fingerprint:
    return place.folder.fingerprint(where) or pytest.fail(f"nothing at {where}")


def kind_at(place: Place, where: str) -> Kind | None:
    there = place.folder.look(path(where))
    return there.fingerprint.kind if there else None


# Listing and looking


def test_a_listing_shows_each_directory_before_what_is_in_it(place: Place) -> None:
    place.save("a/b/file", b"x")
    place.save("a/other", b"x")
    place.make_directory("empty/deep")
    place.save("z", b"x")
    seen = listed(place)
    assert sorted(seen) == ["a", "a/b", "a/b/file", "a/other", "empty", "empty/deep", "z"]
    assert all(seen.index(above) < seen.index(one) for one in seen for above in path(one).ancestors)


def test_what_a_listing_finds_is_what_a_look_finds(place: Place) -> None:
    place.save(FILE, b"content")
    place.make_link(LINK, "../é/nowhere")
    found = [one for one in place.folder.listing() if isinstance(one, Found)]
    assert {one.path: one.fingerprint.kind for one in found} == {
        "a": Kind.DIRECTORY,
        "a/b": Kind.DIRECTORY,
        DEEP: Kind.DIRECTORY,
        FILE: Kind.FILE,
        LINK: Kind.LINK,
    }
    for one in found:
        assert place.folder.look(one.path) == one
        assert place.folder.fingerprint(one.path) == one.fingerprint
    assert next(one.target for one in found if one.path == LINK) == "../é/nowhere"
    assert shown(place, LINK).size == len("../é/nowhere".encode())


def test_what_is_done_in_a_directory_does_not_change_it(place: Place) -> None:
    place.make_directory(DEEP)
    before = shown(place, DEEP)
    assert (before.size, before.mtime_ns, before.ctime_ns) == (0, 0, 0)
    place.save(FILE, b"x")
    place.make_directory("a/b/c/more")
    assert shown(place, DEEP) == before
    place.chmod(DEEP, 0o700)
    assert shown(place, DEEP).mode == 0o700


def test_a_second_listing_sees_what_changed_at_any_depth(place: Place) -> None:
    place.save(FILE, b"one")
    place.save("a/gone", b"x")
    place.make_link(LINK, "here")
    list(place.folder.listing())
    place.write_into(FILE, b"longer")
    place.remove("a/gone")
    place.remove(LINK)
    place.make_link(LINK, "elsewhere")
    place.save("a/b/new", b"x")
    found = {one.path: one for one in place.folder.listing() if isinstance(one, Found)}
    assert sorted(found) == ["a", "a/b", "a/b/c", "a/b/c/file", "a/b/new", "a/link"]
    assert found[FILE].fingerprint.size == 6
    assert found[LINK].target == "elsewhere"


def test_a_listing_beneath_a_path_shows_what_stands_there_and_in_it(place: Place) -> None:
    place.save(FILE, b"x")
    place.save("a/besides", b"x")
    place.save("a/b2", b"x")
    place.make_link(LINK)
    assert listed(place, beneath=path("a/b")) == ["a/b", "a/b/c", "a/b/c/file"]
    assert listed(place, beneath=FILE) == [FILE]
    assert listed(place, beneath=LINK) == [LINK]
    assert listed(place, beneath=path("a/nothing")) == []
    assert listed(place, beneath=path("no/such/directory")) == []
    assert listed(place, beneath=path("a/besides/x")) == []
    assert listed(place, beneath=path("a/link/x")) == []


def test_a_listing_at_several_paths_is_that_of_each_of_them(place: Place) -> None:
    for name in ("a/b/file", "a/other", "z"):
        place.save(name, b"x")
    asked = [path(name) for name in ("a/b", "a/gone", "a/other", "gone/deep", "z/deep", "z")]
    found = [one for one in place.folder.listing_at(asked) if isinstance(one, Found)]
    assert [one.path for one in found] == ["a/b", "a/b/file", "a/other", "z"]
    assert found == [one for where in asked for one in place.folder.listing(beneath=where)]
    assert list(place.folder.listing_at(asked, skip=lambda one, kind: one != "z")) == [found[-1]]


def test_small_files_are_read_one_after_the_other_each_with_its_own_fate(place: Place) -> None:
    names = ["a/b/file", "a/b/gone", "a/b/other", "a/b/saved", "a/b/touched", "a/link", "empty", "full", "z", "z/deep"]
    for name in names[:-1]:
        place.save(name, {"empty": b"", "full": b"x" * BLOCK_BYTES}.get(name, name.encode()))
    shown = {name: place.folder.fingerprint(path(name)) for name in names[:-1]}
    shown["z/deep"] = shown["z"]
    place.remove("a/b/gone")
    place.save("a/b/saved", b"something")
    place.chmod("a/b/touched", 0o600)
    place.remove("a/link")
    place.make_link("a/link")
    files = [(path(name), fingerprint) for name, fingerprint in shown.items() if fingerprint is not None]
    found = {
        name: outcome if isinstance(outcome, str) else type(outcome)
        for name, outcome in place.folder.digest_each(files)
    }
    assert list(found) == names
    assert found == {
        "a/b/file": digest_of_bytes(b"a/b/file"),
        "a/b/gone": FileVanished,
        "a/b/other": digest_of_bytes(b"a/b/other"),
        "a/b/saved": FileChanged,
        "a/b/touched": FileChanged,
        "a/link": PathRefused,
        "empty": digest_of_bytes(b""),
        "full": digest_of_bytes(b"x" * BLOCK_BYTES),
        "z": digest_of_bytes(b"z"),
        "z/deep": FileVanished,
    }


def test_a_listing_beneath_a_path_says_why_it_skips_it(place: Place) -> None:
    place.make_directory("a")
    place.make_fifo("a/pipe")
    assert list(place.folder.listing(beneath=path("a/pipe"))) == [Skipped(name="a/pipe", reason="a FIFO")]
    assert listed(place, beneath=path("a")) == ["a", "!a/pipe"]


def test_what_is_to_be_skipped_does_not_come_and_is_not_entered(place: Place) -> None:
    place.save("keep/file", b"x")
    place.save("leave/deep/file", b"x")
    place.save("keep/leave", b"x")
    asked: list[tuple[RelPath, Kind]] = []

    def skip(one: RelPath, kind: Kind) -> bool:
        asked.append((one, kind))
        return one.name == "leave" and kind is Kind.DIRECTORY

    assert sorted(listed(place, skip=skip)) == ["keep", "keep/file", "keep/leave"]
    assert sorted(asked) == [
        ("keep", Kind.DIRECTORY),
        ("keep/file", Kind.FILE),
        ("keep/leave", Kind.FILE),
        ("leave", Kind.DIRECTORY),
    ]
    assert listed(place, skip=skip, beneath=path("leave")) == []
    assert sorted(listed(place, skip=lambda one, kind: kind is Kind.FILE)) == ["keep", "leave", "leave/deep"]
    assert "leave/deep/file" in listed(place)


def test_our_own_folder_is_never_listed(place: Place) -> None:
    staged(place.folder, b"x").close()
    place.save("a", b"x")
    assert listed(place) == ["a"]


def test_nothing_is_found_where_nothing_is(place: Place) -> None:
    place.save("a/file", b"x")
    for where in ("nothing", "a/nothing", "no/such/directory", "a/file/beneath"):
        assert place.folder.look(path(where)) is None
        assert place.folder.fingerprint(path(where)) is None
        with pytest.raises(FileVanished):
            place.folder.open(path(where))


def test_only_a_file_can_be_opened(place: Place) -> None:
    place.save(FILE, b"content")
    place.make_link(LINK)
    assert whole(place.folder.open(FILE)) == b"content"
    with pytest.raises(PathRefused, match="a directory"):
        place.folder.open(DEEP)
    with pytest.raises(PathRefused, match="a link"):
        place.folder.open(LINK)


# Nothing is followed


@pytest.mark.parametrize("target", [".", "real", "/", "nowhere"])
def test_a_link_on_the_way_is_refused_whatever_is_asked(place: Place, target: str) -> None:
    place.save("real/file", b"x")
    place.make_link("planted", target)
    behind = path("planted/file")
    name = staged_name(place.folder, b"new")
    seen = shown(place, path("real/file"))
    for refuse in (
        lambda: place.folder.look(behind),
        lambda: place.folder.fingerprint(behind),
        lambda: place.folder.open(behind),
        lambda: place.folder.put_new(name, behind),
        lambda: place.folder.put_new(name, path("planted/new/file")),
        lambda: place.folder.exchange(name, behind),
        lambda: place.folder.make_directory(path("planted/sub")),
        lambda: place.folder.take_out(behind),
        lambda: place.folder.remove_directory(behind),
        lambda: place.folder.move(behind, path("elsewhere")),
        lambda: place.folder.move(path("real/file"), path("planted/elsewhere")),
        lambda: place.folder.adjust(behind, expected=seen, mtime_ns=1, executable=True),
    ):
        with pytest.raises(PathRefused):
            refuse()
    assert sorted(listed(place)) == ["planted", "real", "real/file"]
    assert shown(place, path("real/file")) == seen


def test_a_link_that_takes_the_place_of_a_directory_is_not_followed(place: Place) -> None:
    place.make_directory("a")
    place.make_directory("outside")
    assert place.folder.put_new(staged_name(place.folder, b"1"), path("a/1"))
    place.folder.sync_names()
    place.rename("a", "moved")
    place.make_link("a", "outside")
    with pytest.raises(PathRefused):
        place.folder.put_new(staged_name(place.folder, b"2"), path("a/2"))


# Putting in


def test_put_new_makes_the_directories_that_are_missing(place: Place) -> None:
    assert place.folder.put_new(staged_name(place.folder, b"content"), FILE)
    assert place.content(FILE) == b"content"
    assert kind_at(place, "a/b") is Kind.DIRECTORY
    assert place.folder.put_new(staged_name(place.folder, b"other"), path("a/b/other"))
    assert place.folder.staged_names() == []


@pytest.mark.parametrize("obstacle", ["file", "link", "directory", "fifo"])
def test_put_new_takes_no_name_that_is_taken_at_any_depth(place: Place, obstacle: str) -> None:
    place.make_directory("a/b/c")
    match obstacle:
        case "file":
            place.save(FILE, b"mine")
        case _:
            getattr(place, f"make_{obstacle}")(FILE)
    name = staged_name(place.folder, b"other")
    assert not place.folder.put_new(name, FILE)
    assert place.folder.staged_names() == [name]


@pytest.mark.parametrize("make", ["save", "fifo"])
def test_nothing_can_be_put_beneath_a_file(place: Place, make: str) -> None:
    if make == "save":
        place.save("a", b"mine")
    else:
        place.make_fifo("a")
    name = staged_name(place.folder, b"other")
    for refuse in (
        lambda: place.folder.put_new(name, path("a/file")),
        lambda: place.folder.put_new(name, path("a/b/file")),
        lambda: place.folder.make_directory(path("a/b")),
    ):
        with pytest.raises(PathRefused):
            refuse()
    assert not place.folder.exchange(name, path("a/file"))
    assert place.folder.take_out(path("a/file")) is None
    assert place.folder.remove_directory(path("a/b"))


def test_a_link_is_staged_and_published_as_it_is(place: Place) -> None:
    name = place.folder.stage_link("/etc/ünknown")
    fingerprint = place.folder.staged_fingerprint(name)
    assert fingerprint is not None
    assert fingerprint.kind is Kind.LINK
    assert place.folder.staged_names() == [name]
    assert place.folder.has_writer(name) is False
    with pytest.raises(PathRefused):
        place.folder.open_staged(name)
    assert place.folder.put_new(name, LINK)
    there = place.folder.look(LINK)
    assert there is not None
    assert there.target == "/etc/ünknown"
    assert there.fingerprint.same_content_as(fingerprint)


@pytest.mark.parametrize(
    ("target", "good"),
    [("", False), ("a\0b", False), ("x" * TARGET_MAX_BYTES, True), ("x" * (TARGET_MAX_BYTES + 1), False)],
)
def test_a_link_leads_to_what_a_link_can_say(place: Place, target: str, good: bool) -> None:
    if not good:
        with pytest.raises(PathRefused):
            place.folder.stage_link(target)
        return
    assert place.folder.put_new(place.folder.stage_link(target), LINK)
    there = place.folder.look(LINK)
    assert there is not None
    assert there.target == target


# Exchanging


@pytest.mark.parametrize("old", ["file", "link"])
@pytest.mark.parametrize("new", ["file", "link"])
def test_files_and_links_are_exchanged_at_any_depth(place: Place, old: str, new: str) -> None:
    place.make_directory("a/b/c")
    if old == "file":
        place.save(FILE, b"old")
    else:
        place.make_link(FILE, "old")
    before = shown(place, FILE)
    name = staged_name(place.folder, b"new") if new == "file" else place.folder.stage_link("new")
    assert place.folder.exchange(name, FILE)
    assert kind_at(place, FILE) is (Kind.FILE if new == "file" else Kind.LINK)
    out = place.folder.staged_fingerprint(name)
    assert out is not None
    assert out.same_content_as(before)
    assert out.kind is before.kind
    assert place.folder.has_writer(name) is False


def test_a_directory_is_never_exchanged(place: Place) -> None:
    place.save(FILE, b"x")
    name = staged_name(place.folder, b"new")
    with pytest.raises(PathRefused, match="a directory"):
        place.folder.exchange(name, DEEP)
    assert place.folder.staged_names() == [name]
    assert place.content(FILE) == b"x"


@pytest.mark.parametrize("where", ["nothing", "a/nothing", "no/such/directory"])
def test_exchange_with_nothing_does_nothing_at_any_depth(place: Place, where: str) -> None:
    place.make_directory("a")
    name = staged_name(place.folder, b"new")
    assert not place.folder.exchange(name, path(where))
    assert place.folder.staged_names() == [name]
    assert listed(place) == ["a"]


def test_a_displaced_file_of_a_subfolder_still_has_its_writer(place: Place) -> None:
    place.save(FILE, b"old")
    place.open_for_writing(FILE)
    name = staged_name(place.folder, b"new")
    assert place.folder.exchange(name, FILE)
    assert place.folder.has_writer(name) is True
    place.close_all()
    assert place.folder.has_writer(name) is False


# Directories


def test_a_directory_is_made_once_with_those_above_it(place: Place) -> None:
    assert place.folder.make_directory(DEEP)
    assert not place.folder.make_directory(DEEP)
    assert not place.folder.make_directory(path("a"))
    assert sorted(listed(place)) == ["a", "a/b", "a/b/c"]


@pytest.mark.parametrize("obstacle", ["file", "link", "fifo"])
def test_a_directory_is_not_made_where_something_else_stands(place: Place, obstacle: str) -> None:
    place.make_directory("a")
    if obstacle == "file":
        place.save("a/b", b"x")
    else:
        getattr(place, f"make_{obstacle}")("a/b")
    with pytest.raises(PathRefused):
        place.folder.make_directory(path("a/b"))


def test_an_empty_directory_is_removed_and_only_that(place: Place) -> None:
    place.make_directory("a/b")
    place.save("a/full/file", b"x")
    assert place.folder.remove_directory(path("a/b"))
    assert place.folder.remove_directory(path("a/b"))
    assert place.folder.remove_directory(path("no/such"))
    assert not place.folder.remove_directory(path("a/full"))
    assert sorted(listed(place)) == ["a", "a/full", "a/full/file"]


def test_a_directory_that_holds_what_is_not_synced_is_not_removed(place: Place) -> None:
    place.make_directory("a")
    place.make_fifo("a/pipe")
    assert not place.folder.remove_directory(path("a"))


@pytest.mark.parametrize("what", ["file", "link", "fifo"])
def test_only_a_directory_is_removed(place: Place, what: str) -> None:
    if what == "file":
        place.save(TOP, b"x")
    else:
        getattr(place, f"make_{what}")(TOP)
    with pytest.raises(PathRefused):
        place.folder.remove_directory(TOP)
    assert listed(place) in (["top"], ["!top"])


def test_a_directory_that_was_removed_can_come_back(place: Place) -> None:
    for content in (b"1", b"2"):
        assert place.folder.put_new(staged_name(place.folder, content), FILE)
        assert place.content(FILE) == content
        out = place.folder.take_out(FILE)
        assert out is not None
        for directory in (DEEP, path("a/b"), path("a")):
            assert place.folder.remove_directory(directory)
    assert listed(place) == []


# Taking out


@pytest.mark.parametrize("where", ["top", "a/b/c/file"])
def test_a_file_that_is_taken_out_is_in_staging(place: Place, where: str) -> None:
    place.save(where, b"content")
    before = shown(place, path(where))
    name = place.folder.take_out(path(where))
    assert name is not None
    assert place.folder.fingerprint(path(where)) is None
    out = place.folder.staged_fingerprint(name)
    assert out is not None
    assert out.same_content_as(before)
    assert place.folder.staged_names() == [name]
    assert place.folder.put_new(name, path(where))
    assert place.content(where) == b"content"


def test_a_link_that_is_taken_out_stays_a_link(place: Place) -> None:
    place.make_directory("a")
    place.make_link(LINK, "target")
    name = place.folder.take_out(LINK)
    assert name is not None
    out = place.folder.staged_fingerprint(name)
    assert out is not None
    assert out.kind is Kind.LINK
    trashed = place.folder.move_to_trash(name, LINK, worth=Worth.SUPERSEDED)
    back = place.folder.take_back(trashed)
    assert place.folder.put_new(back, TOP)
    there = place.folder.look(TOP)
    assert there is not None
    assert there.target == "target"


def test_nothing_comes_out_of_nothing_and_no_directory_at_all(place: Place) -> None:
    place.save("a/file", b"x")
    assert place.folder.take_out(path("nothing")) is None
    assert place.folder.take_out(path("no/such")) is None
    with pytest.raises(PathRefused):
        place.folder.take_out(path("a"))
    assert place.folder.staged_names() == []
    assert place.content("a/file") == b"x"


# Moving


def test_a_move_takes_a_directory_with_all_that_is_in_it(place: Place) -> None:
    place.save(FILE, b"content")
    place.make_directory("a/empty")
    place.make_link(LINK, "there")
    place.make_fifo("a/pipe")
    before = {one: shown(place, path(one)).inode for one in ("a", "a/b", FILE)}
    assert place.folder.move(path("a"), path("moved"))
    assert sorted(listed(place)) == sorted(
        ["moved", "moved/b", "moved/b/c", "moved/b/c/file", "moved/empty", "moved/link", "!moved/pipe"]
    )
    assert {one: shown(place, path(one.replace("a", "moved", 1))).inode for one in before} == before
    assert place.content("moved/b/c/file") == b"content"


def test_a_move_keeps_what_tells_a_file_and_makes_the_parents_of_its_target(place: Place) -> None:
    place.save(FILE, b"content")
    before = shown(place, FILE)
    assert place.folder.move(FILE, path("x/y/z"))
    assert shown(place, path("x/y/z")).same_content_as(before)
    assert kind_at(place, FILE) is None
    assert kind_at(place, DEEP) is Kind.DIRECTORY


@pytest.mark.parametrize("obstacle", ["file", "link", "directory", "fifo"])
@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_move_takes_no_name_that_is_taken(place: Place, what: str, obstacle: str) -> None:
    if what == "file":
        place.save("a/x", b"mine")
    else:
        place.make_directory("a/x")
    if obstacle == "file":
        place.save("a/y", b"taken")
    else:
        getattr(place, f"make_{obstacle}")("a/y")
    before = listed(place)
    assert not place.folder.move(path("a/x"), path("a/y"))
    assert listed(place) == before


@pytest.mark.parametrize("source", ["nothing", "a/nothing", "no/such", "a/file/beneath"])
def test_a_move_of_nothing_says_so_and_makes_nothing(place: Place, source: str) -> None:
    place.save("a/file", b"x")
    with pytest.raises(FileVanished):
        place.folder.move(path(source), path("new/place"))
    assert sorted(listed(place)) == ["a", "a/file"]


def test_nothing_moves_into_itself_or_beneath_a_file(place: Place) -> None:
    place.make_directory("a/b")
    place.save("file", b"x")
    with pytest.raises(PathRefused):
        place.folder.move(path("a"), path("a/b/c"))
    with pytest.raises(PathRefused):
        place.folder.move(path("a"), path("file/c"))
    assert sorted(listed(place)) == ["a", "a/b", "file"]


def test_after_a_move_the_old_and_the_new_name_are_told_apart(place: Place) -> None:
    assert place.folder.put_new(staged_name(place.folder, b"1"), path("a/1"))
    assert place.folder.move(path("a"), path("moved"))
    assert place.folder.put_new(staged_name(place.folder, b"2"), path("a/2"))
    assert place.folder.put_new(staged_name(place.folder, b"3"), path("moved/3"))
    place.folder.sync_names()
    assert sorted(listed(place)) == ["a", "a/2", "moved", "moved/1", "moved/3"]


# Adjusting


@pytest.mark.parametrize("where", ["top", "a/b/c/file"])
def test_mtime_and_exec_bit_are_adjusted_where_asked(place: Place, where: str) -> None:
    place.save(where, b"content")
    place.chmod(where, 0o640)
    spot, before = path(where), shown(place, path(where))
    untouched = place.folder.adjust(spot, expected=before, mtime_ns=None, executable=None)
    assert untouched == before
    runs = place.folder.adjust(spot, expected=before, mtime_ns=None, executable=True)
    assert runs is not None
    assert (runs.mode, runs.mtime_ns) == (0o750, before.mtime_ns)
    dated = place.folder.adjust(spot, expected=runs, mtime_ns=5 * S + 7, executable=False)
    assert dated is not None
    assert (dated.mode, dated.mtime_ns) == (0o640, 5 * S + 7)
    assert shown(place, spot) == dated
    place.folder.sync_names()
    assert place.content(where) == b"content"


def test_the_ctime_of_what_is_adjusted_may_be_another(place: Place) -> None:
    place.save(FILE, b"content")
    before = shown(place, FILE)
    place.rename(FILE, "a/aside")
    place.rename("a/aside", FILE)
    assert place.folder.adjust(FILE, expected=before, mtime_ns=S, executable=None) is not None
    assert shown(place, FILE).mtime_ns == S


def test_what_is_not_as_expected_is_not_adjusted(place: Place) -> None:
    place.save(FILE, b"content")
    before = shown(place, FILE)
    place.write_into(FILE, b"edited, longer")
    edited = shown(place, FILE)
    assert place.folder.adjust(FILE, expected=before, mtime_ns=S, executable=True) is None
    assert shown(place, FILE) == edited
    place.remove(FILE)
    assert place.folder.adjust(FILE, expected=before, mtime_ns=S, executable=True) is None
    place.make_link(FILE)
    assert place.folder.adjust(FILE, expected=before, mtime_ns=S, executable=True) is None
    assert place.folder.adjust(path("no/such"), expected=before, mtime_ns=S, executable=True) is None


def test_of_a_link_or_a_directory_nothing_is_adjusted(place: Place) -> None:
    place.make_directory(DEEP)
    place.make_link(LINK, "target")
    for one in (DEEP, LINK):
        before = shown(place, one)
        assert place.folder.adjust(one, expected=before, mtime_ns=S, executable=True) == before
        assert shown(place, one) == before
    other = shown(place, path("a"))
    assert place.folder.adjust(DEEP, expected=other, mtime_ns=None, executable=None) is None


# The trash


def test_the_trash_keeps_paths_of_any_depth(place: Place) -> None:
    kept = [
        (one, place.folder.move_to_trash(staged_name(place.folder, one.encode()), path(one), worth=Worth.UNSEEN))
        for one in ("a/b/c/file", "a/b/other", "top", "a/b/c/file", "a/b", "top/beneath")
    ]
    place.folder.sync_names()
    for one, name in kept:
        assert name.startswith(".gsync/trash/")
        assert name.endswith(f"/{one}")
        assert place.content(name) == one.encode()
        assert place.folder.trashed_fingerprint(name) is not None
    assert len({name for _, name in kept}) == len(kept)
    back = place.folder.take_back(kept[0][1])
    assert whole(place.folder.open_staged(back)) == b"a/b/c/file"
    assert place.folder.trashed_fingerprint(kept[0][1]) is None
    assert place.folder.trashed_fingerprint(kept[2][1] + "/x") is None
