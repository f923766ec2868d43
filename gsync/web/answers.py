"""Values as the JSON that the local API answers with, and errors there and back.

Every answer is an object with `"v": 1`. A list is one such object a line, and a last line with `"end"` and how many there
were: where that is missing the answer was cut. An error is `{"v": 1, "error": {"kind", "what", "advice"}}`. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from gsync.core.names import Endpoint
from gsync.core.versions import Version
from gsync.core.view import version_text
from gsync.errors import ConfigError, GsyncError, NameRefused, NoSpace, StorageError, UnknownName

SCHEMA_VERSION: Final = 1

SOCKET: Final = "control"
"""The name of the socket in `.gsync/`."""

Answer = dict[str, Any]

_KINDS: Final[tuple[tuple[str, type[GsyncError], int], ...]] = (  # narrow classes before wide ones
    ("unknown_name", UnknownName, 404),
    ("bad_request", NameRefused, 400),
    ("refused", ConfigError, 409),
    ("no_space", NoSpace, 507),
    ("storage", StorageError, 500),
    ("error", GsyncError, 500),
)


def plain(value: object) -> Any:
    """`value` as plain JSON: structs become objects, enums and names text, endpoints `ip:port`, versions short."""
    if isinstance(value, Endpoint):
        return str(value)
    if isinstance(value, Version):
        return version_text(value)
    if isinstance(value, Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, str):  # StrEnum and RelPath, too
        return str(value)
    if isinstance(value, Iterable):
        return [plain(one) for one in value]
    return value


def answer(value: object) -> Answer:
    """The object that says `value`, a struct or a mapping."""
    return {"v": SCHEMA_VERSION, **plain(value)}


def encode(said: Answer) -> bytes:
    """One line of JSON."""
    return json.dumps(said, separators=(",", ":")).encode("ascii") + b"\n"


def lines(values: Iterable[object]) -> Iterator[bytes]:
    """A line for each value, then the end, or the error that came in between."""
    number = 0
    try:
        for value in values:
            number += 1
            yield encode(answer(value))
    except GsyncError as error:
        yield encode(error_answer(error))
        return
    yield encode({"v": SCHEMA_VERSION, "end": number})


def error_answer(error: GsyncError) -> Answer:
    """What the other side is told of `error`."""
    what = str(error) or type(error).__doc__ or type(error).__name__
    return {
        "v": SCHEMA_VERSION,
        "error": {"kind": _row(error)[0], "what": what, "advice": getattr(error, "advice", "")},
    }


def status_of(error: GsyncError) -> int:
    """The HTTP status that goes with it."""
    return _row(error)[2]


def raised(said: Mapping[str, Any]) -> GsyncError:
    """The error that an `error_answer` tells of, to be raised again on this side."""
    told = said["error"]
    what, advice = str(told.get("what", "")), str(told.get("advice", ""))
    for kind, cls, _ in _KINDS:
        if kind == told.get("kind"):
            return cls(what, advice=advice) if cls in (UnknownName, ConfigError) else cls(what)
    return GsyncError(what)


def _row(error: GsyncError) -> tuple[str, type[GsyncError], int]:
    return next(row for row in _KINDS if isinstance(error, row[1]))
