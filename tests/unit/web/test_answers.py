"""Values as JSON, and errors there and back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gsync import errors
from gsync.core.names import Endpoint, RelPath
from gsync.core.status import LogLine, State
from gsync.errors import GsyncError
from gsync.web.answers import answer, encode, error_answer, lines, plain, raised, status_of
from tests.unit.web.controls import entry


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Endpoint("::1", 9000), "[::1]:9000"),
        (RelPath.parse("a/b"), "a/b"),
        (State.SYNCED, "synced"),
        ((1, 2.5, None, True), [1, 2.5, None, True]),
        ({State.SYNCED: (Endpoint("192.0.2.1", 1),)}, {"synced": ["192.0.2.1:1"]}),
        (frozenset({"x"}), ["x"]),
    ],
)
def test_a_value_is_said_in_plain_json(value: object, said: object) -> None:
    got = plain(value)
    assert got == said
    assert json.loads(json.dumps(got)) == said


def test_an_object_says_its_schema_and_all_its_fields() -> None:
    said = answer(LogLine(time_s=1.5, event="x.y", facts={"path": RelPath.parse("ü")}))
    assert said == {"v": 1, "time_s": 1.5, "event": "x.y", "facts": {"path": "ü"}}
    assert encode(said) == b'{"v":1,"time_s":1.5,"event":"x.y","facts":{"path":"\\u00fc"}}\n'


def test_lines_end_with_how_many_there_were() -> None:
    *said, last = map(json.loads, lines([entry("a"), entry("b")]))
    assert [one["path"] for one in said] == ["a", "b"]
    assert last == {"v": 1, "end": 2}


def test_lines_that_fail_end_with_the_error_and_without_an_end() -> None:
    def failing() -> Iterator[object]:
        yield entry("a")
        raise errors.NoSpace("the disk is full")

    first, last = map(json.loads, lines(failing()))
    assert first["path"] == "a"
    assert last["error"]["kind"] == "no_space"


@pytest.mark.parametrize(
    ("error", "cls", "status"),
    [
        (errors.UnknownName("x", advice="y"), errors.UnknownName, 404),
        (errors.NameRefused("x"), errors.NameRefused, 400),
        (errors.FolderUnusable("x", advice="y"), errors.ConfigError, 409),
        (errors.NoSpace("x"), errors.NoSpace, 507),
        (errors.PathRefused("x"), errors.StorageError, 500),
        (errors.ConnectionBroken("x"), GsyncError, 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_comes_back_as_its_kind(error: GsyncError, cls: type[GsyncError], status: int) -> None:
    again = raised(json.loads(encode(error_answer(error))))
    assert type(again) is cls
    assert str(again) == "x"
    assert getattr(again, "advice", "") == getattr(error, "advice", "")
    assert status_of(error) == status


def test_an_error_without_words_says_what_its_kind_means() -> None:
    assert "free-space floor" in error_answer(errors.NoSpace())["error"]["what"]


def test_an_error_of_a_later_version_is_an_error() -> None:
    assert type(raised({"error": {"kind": "new", "what": "x"}})) is GsyncError
