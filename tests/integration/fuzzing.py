"""Mutations of good input: bytes flipped, cut, repeated and spliced; JSON whose values, keys and sizes are not what they should be.

Everything is made from one seed, so a number says which input it was.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Final

NASTY: Final[tuple[object, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    0.5,
    1e308,
    -1e-320,
    float("inf"),
    float("nan"),
    2**31,
    2**53 + 1,
    2**63,
    2**64,
    10**400,
    "",
    " ",
    "0",
    ".",
    "..",
    "/",
    "a/../b",
    "\0",
    "\x1b[2J",
    "\ud800",
    "\udcff",
    "\U0010ffff",
    "e\u0301" * 50,
    "x" * 300,
    "y/" * 3000,
    "z" * 5000,
    ".gsync",
    ".gsync/index.sqlite",
    "b3:" + "0" * 64,
    "b3:" + "G" * 64,
    "::1",
    "127.0.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "fe80::1%eth0",
    [],
    {},
    [[]],
    [None],
    {"": {}},
    {"a": {"b": {"c": {"d": [[[]]]}}}},
)
"""Values that stand where they should not."""

PIECES: Final = (
    b"",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b'"',
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\r",
    b"\n",
    b"\t",
    b" ",
    b"\0\0\0\0",
    b"\0\x10\0\1",
    b"\xff\xff\xff\xff",
    b"-",
    b"1e999",
    b"9" * 400,
    b"[" * 200,
    b'{"":' * 200,
    b"NaN",
    b"**/",
    b"[!",
    b"../",
)
"""Bytes that mean something to one parser or another."""

LONGEST: Final = 64 * 1024


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of `seeds`, changed in one to eight ways; now and then as it is."""
    data, ways = rng.choice(seeds), (0, 1, 1, 1, 2, 3, 8)
    if rng.random() < 0.5:
        data, ways = _other_json(rng, data), (0, 0, 0, 1)
    for _ in range(rng.choice(ways)):
        data = rng.choice(_WAYS)(rng, data, seeds)
    return data[:LONGEST]


def _flipped(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _put_in(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(PIECES) + data[at:]


def _overwritten(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at, piece = rng.randrange(len(data) + 1), rng.choice(PIECES)
    return data[:at] + piece + data[at + len(piece) :]


def _cut_out(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _range(rng, data)
    return data[:start] + data[end:]


def _cut_off(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _repeated(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _range(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def _spliced(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    other = rng.choice(seeds)
    start, end = _range(rng, other)
    at = rng.randrange(len(data) + 1)
    return data[:at] + other[start:end] + data[at:]


_WAYS: Final = (_flipped, _put_in, _overwritten, _cut_out, _cut_off, _repeated, _spliced)


def _range(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 64, 1024)))


def _other_json(rng: random.Random, data: bytes) -> bytes:
    """The object in `data`, if it is one, with something in it replaced, left out or added; the bytes around it stay."""
    start, end = data.find(b"{"), data.rfind(b"}") + 1
    try:
        value = json.loads(data[start:end])
    except (ValueError, RecursionError):
        return data
    for _ in range(rng.choice((1, 1, 2, 4))):
        value = _changed(rng, value)
    return data[:start] + json.dumps(value, ensure_ascii=rng.random() < 0.8).encode(errors="surrogatepass") + data[end:]


def _changed(rng: random.Random, value: object) -> object:
    """`value` with one of its parts changed, mostly deep within."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        match rng.randrange(8):
            case 0:
                return {k: v for k, v in value.items() if k != key}
            case 1:
                return value | {str(rng.choice(NASTY)): value[key]}
            case _:
                return value | {key: _changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        match rng.randrange(8):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value * rng.choice((2, 30))
            case _:
                return [*value[:at], _changed(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, str) and rng.random() < 0.3:
        return rng.choice((value * 2, value.upper(), value[::-1], f"{value}\0", f"/{value}", value + "\ud800"))
    if isinstance(value, int) and rng.random() < 0.3:
        return rng.choice(
            (value + 1, -value, value << 32, value / 7 if abs(value) < 2**900 else 0.5, f"{value % 10**9}")
        )
    return rng.choice(NASTY)
