"""Small words for people: sizes, times, tables, and names that are safe to show on a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: float) -> str:
    """`count` bytes in the unit that fits: 15 B, 1.4 MiB."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """A time in the unit that fits: 3 ms, 1.2 s, 4 min."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"


def uptime(seconds: float) -> str:
    """A long time in the units that fit: 42 s, 12 min, 3 h 5 min, 2 d 4 h."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def shown(name: str) -> str:
    """`name` with everything that could steer a terminal, or break a line, escaped."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


def count(number: int, thing: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def width(text: str) -> int:
    """How many columns `text`, already `shown`, takes on a terminal: wide letters take two, marks on letters none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def table(rows: Iterable[Sequence[str]], *, right: frozenset[int] = frozenset()) -> Iterator[str]:
    """`rows` of cells as lines with aligned columns; those in `right` end, the others begin, at one place.

    The cells are escaped here. The last column is not padded: what is longest belongs there.
    """
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(
            padded(cell, 0 if number == len(row) - 1 and number not in right else widths[number], right=number in right)
            for number, cell in enumerate(row)
        ).rstrip()


def padded(cell: str, columns: int, *, right: bool = False) -> str:
    """`cell`, already `shown`, with blanks up to so many columns; as it is where it has more."""
    blanks = " " * (columns - width(cell))
    return blanks + cell if right else cell + blanks
