"""A socket with a name in a directory: who may come in, what is replaced, and what is never touched."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from gsync.errors import ConnectFailed
from gsync.net.unix import MODE, Door, dial


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    deep = tmp_path / ("d" * 200)  # longer than a socket's path may be
    deep.mkdir()
    fd = os.open(deep, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def _hear(door: Door) -> bytes:
    accepted, _ = door.socket.accept()
    with accepted:
        return accepted.recv(10)


def names(directory: int) -> list[str]:
    return sorted(os.listdir(directory))


def test_who_dials_and_who_accepts_can_talk(directory: int) -> None:
    door = Door.open(directory, "control")
    answered = gevent.spawn(_hear, door)
    with dial(directory, "control", timeout_s=5) as sock:
        sock.sendall(b"hello")
        assert answered.get(timeout=5) == b"hello"
    door.close()


def test_only_its_owner_may_connect_from_the_first_moment_on(directory: int) -> None:
    mask = os.umask(0)
    try:
        door = Door.open(directory, "control")
    finally:
        os.umask(mask)
    mode = os.stat("control", dir_fd=directory).st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == MODE == 0o600
    door.close()


def test_a_closed_door_leaves_nothing(directory: int) -> None:
    Door.open(directory, "control").close()
    assert names(directory) == []
    with pytest.raises(ConnectFailed, match="No such file"):
        dial(directory, "control", timeout_s=5)


def test_the_socket_of_a_dead_process_is_replaced(directory: int) -> None:
    Door.open(directory, "control").socket.close()  # as a kill leaves it
    assert names(directory) == ["control"]
    with pytest.raises(ConnectFailed, match="refused"):
        dial(directory, "control", timeout_s=5)
    with socket.socket(socket.AF_UNIX) as half_made:  # as a kill between two calls leaves it
        half_made.bind(f"/proc/self/fd/{directory}/control.new")
    door = Door.open(directory, "control")
    dial(directory, "control", timeout_s=5).close()
    door.close()
    assert names(directory) == []


def test_the_name_of_another_door_is_not_taken_away(directory: int) -> None:
    first = Door.open(directory, "control")
    second = Door.open(directory, "control")
    first.close()
    dial(directory, "control", timeout_s=5).close()
    second.close()


@pytest.mark.parametrize("where", ["control", "control.new"])
def test_what_is_no_socket_is_never_replaced(directory: int, where: str) -> None:
    fd = os.open(where, os.O_CREAT | os.O_WRONLY, dir_fd=directory)
    os.close(fd)
    with pytest.raises(ConnectFailed, match="no socket"):
        Door.open(directory, "control")
    assert where in names(directory)


def test_a_planted_link_is_not_followed(directory: int, tmp_path: Path) -> None:
    other = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    door = Door.open(other, "elsewhere")
    os.symlink(tmp_path / "elsewhere", "control", dir_fd=directory)
    with pytest.raises(ConnectFailed, match="not a socket of ours"):
        dial(directory, "control", timeout_s=5)
    door.close()
    os.close(other)


def test_a_file_is_nobody_to_talk_to(directory: int) -> None:
    os.close(os.open("control", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
    with pytest.raises(ConnectFailed, match="not a socket of ours"):
        dial(directory, "control", timeout_s=5)


def test_a_directory_in_which_nothing_may_be_made_is_told(tmp_path: Path) -> None:
    fd = os.open("/proc/self", os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(ConnectFailed, match="cannot listen at 'control'"):
        Door.open(fd, "control")
    os.close(fd)
