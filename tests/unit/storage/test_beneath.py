"""Nothing outside the folder can be opened, by the kernel's own way and by the walk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gsync.storage import beneath, syscalls
from gsync.storage.beneath import open_beneath, open_directory, walk_beneath

Open = Callable[[int, str, int], int]


@pytest.fixture
def root_fd(tmp_path: Path) -> Iterator[int]:
    inside = tmp_path / "inside"
    (inside / "sub" / "deep").mkdir(parents=True)
    (inside / "sub" / "deep" / "file").write_text("content")
    (inside / "file").write_text("top")
    (tmp_path / "secret").write_text("outside")
    (inside / "out").symlink_to(tmp_path)
    (inside / "in").symlink_to("sub")
    (inside / "link").symlink_to("file")
    fd = os.open(inside, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("open_", [open_beneath, walk_beneath])
@pytest.mark.parametrize(("name", "content"), [("file", b"top"), ("sub/deep/file", b"content")])
def test_what_is_beneath_is_opened(root_fd: int, open_: Open, name: str, content: bytes) -> None:
    fd = open_(root_fd, name, os.O_RDONLY)
    assert os.read(fd, 100) == content
    assert not os.get_inheritable(fd)
    os.close(fd)


@pytest.mark.parametrize("open_", [open_beneath, walk_beneath])
@pytest.mark.parametrize("name", ["link", "in/deep/file", "out/secret", "out", "file/x", "gone", "sub/gone/x"])
def test_links_and_what_is_not_there_are_errors(root_fd: int, open_: Open, name: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError) as told:  # noqa: PT011
        open_(root_fd, name, os.O_RDONLY)
    assert told.value.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENOENT}
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ["/etc/hostname", "../secret", "sub/../../secret"])
def test_the_kernel_refuses_to_leave(root_fd: int, name: str) -> None:
    with pytest.raises(OSError, match=name):
        open_beneath(root_fd, name, os.O_RDONLY)


@pytest.mark.parametrize("name", ["file\0", "\0", "file\0/../../secret"])
def test_a_nul_is_refused_before_c_cuts_the_name(root_fd: int, name: str) -> None:
    with pytest.raises(OSError, match="NUL"):
        open_beneath(root_fd, name, os.O_RDONLY)
    with pytest.raises(OSError, match="NUL"):
        syscalls.renameat2(root_fd, "file", root_fd, name, 0)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_without_openat2_it_walks(root_fd: int, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, flags: int, *, dir_fd: int, resolve: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(beneath.syscalls, "openat2", missing)
    os.close(open_beneath(root_fd, "sub/deep/file", os.O_RDONLY))
    with pytest.raises(OSError, match="out"):
        open_beneath(root_fd, "out/secret", os.O_RDONLY)


def test_a_call_that_the_library_lacks_is_enosys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "_libc", object())
    with pytest.raises(OSError) as told:  # noqa: PT011
        syscalls.syncfs(0)
    assert told.value.errno == errno.ENOSYS


def test_an_error_of_a_call_is_an_oserror_with_its_number(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.close(fd)
    for call in (syscalls.syncfs, lambda fd: syscalls.start_writeback(fd, 0, 1)):
        with pytest.raises(OSError) as told:  # noqa: PT011
            call(fd)
        assert told.value.errno == errno.EBADF


@pytest.fixture(params=["openat2", "walk"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "walk":
        monkeypatch.setattr(beneath, "open_beneath", walk_beneath)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("name", "holds"), [("", "sub"), ("sub", "deep"), ("sub/deep", "file")])
def test_a_directory_is_opened_so_that_it_can_be_listed_and_synced(root_fd: int, name: str, holds: str) -> None:
    fd = open_directory(root_fd, name)
    assert holds in os.listdir(fd)
    os.fsync(fd)
    os.close(fd)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("in", errno.ELOOP),
        ("in/deep", errno.ELOOP),
        ("out", errno.ELOOP),
        ("link", errno.ELOOP),
        ("file", errno.ENOTDIR),
        ("file/x", errno.ENOTDIR),
        ("gone", errno.ENOENT),
        ("sub/gone", errno.ENOENT),
    ],
)
def test_what_is_no_directory_says_what_it_is(root_fd: int, name: str, number: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError) as told:  # noqa: PT011
        open_directory(root_fd, name)
    assert told.value.errno == number
    assert len(os.listdir("/proc/self/fd")) == before
