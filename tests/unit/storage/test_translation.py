"""What the system's refusals are called here."""

from __future__ import annotations

import errno
import os

import pytest

from gsync.errors import FileVanished, NoSpace, PathRefused, StorageError
from gsync.storage.translation import storage_error, translating


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.ENOENT, FileVanished),
        (errno.ELOOP, PathRefused),
        (errno.ENOTDIR, PathRefused),
        (errno.EXDEV, PathRefused),
        (errno.EACCES, StorageError),
        (errno.EIO, StorageError),
        (errno.EROFS, StorageError),
        (99999, StorageError),
    ],
)
def test_each_number_has_its_error(number: int, kind: type[StorageError]) -> None:
    error = storage_error(OSError(number, os.strerror(number)), "a.txt")
    assert type(error) is kind
    assert str(error).startswith("a.txt: ")


def test_an_error_without_a_number_is_told_in_its_own_words() -> None:
    assert str(storage_error(OSError("odd"), "a.txt")) == "a.txt: odd"


def test_in_a_block_only_the_errors_of_the_system_are_translated() -> None:
    with pytest.raises(FileVanished, match=r"a\.txt: there is no such file") as told, translating("a.txt"):
        raise FileNotFoundError(errno.ENOENT, "no")
    assert isinstance(told.value.__cause__, FileNotFoundError)
    with pytest.raises(PathRefused, match="as it is"), translating("a.txt"):
        raise PathRefused("as it is")
    with translating("a.txt"):
        pass
