"""Small words for people, and names that cannot steer a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.cli.text import count, duration, shown, size, table, uptime, width


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (15, "15 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2, "1.0 MiB"),
        (1.4 * 1024**3, "1.4 GiB"),
        (1024**4, "1.0 TiB"),
        (5000 * 1024**4, "5000.0 TiB"),
        (0.4, "0 B"),
    ],
)
def test_a_size_is_told_in_the_unit_that_fits(number: float, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.003, "3 ms"),
        (0.9, "900 ms"),
        (1, "1.0 s"),
        (1.25, "1.2 s"),
        (119, "119.0 s"),
        (120, "2 min"),
        (3600, "60 min"),
    ],
)
def test_a_time_is_told_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_one_thing_is_not_two_things(number: int, text: str) -> None:
    assert count(number, "file") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(0, "0 s"), (59.9, "60 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"), (3725, "1 h 2 min")],
        *[(86_399, "23 h 59 min"), (86_400, "1 d 0 h"), (900_000, "10 d 10 h")],
    ],
)
def test_a_long_time_is_told_in_the_units_that_fit(seconds: float, text: str) -> None:
    assert uptime(seconds) == text


def test_a_table_has_aligned_columns_and_no_blanks_at_the_ends_of_its_lines() -> None:
    rows = [("name", "size", "last"), ("漢字", "1", "x"), ("e\u0301", "22222", ""), ("a\nb", "3", "y\x1b[2J")]
    assert list(table(rows, right=frozenset({1}))) == [
        "name   size  last",
        "漢字      1  x",
        "e\u0301     22222",
        "a\\nb      3  y\\x1b[2J",
    ]
    assert [width(text) for text in ("abc", "漢字", "e\u0301", "")] == [3, 4, 1, 0]
    assert list(table([("a", "1"), ("b", "22")], right=frozenset({1}))) == ["a   1", "b  22"]


@pytest.mark.parametrize(
    "name", ["notes.txt", "Grüße", "party 🎉", "漢字", "a b", "-dash", "100%", "back\\slash", "'\""]
)
def test_a_name_that_can_be_shown_is_shown_as_it_is(name: str) -> None:
    assert shown(name) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a\nb", "a\\nb"),
        ("a\rb", "a\\rb"),
        ("a\tb", "a\\tb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("\x7f", "\\x7f"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
        ("a\u200bb", "a\\u200bb"),
        ("\u2028", "\\u2028"),
        ("\ufeff", "\\ufeff"),
        ("\udcff", "\\udcff"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_could_steer_a_terminal_or_break_a_line_is_escaped(name: str, text: str) -> None:
    assert shown(name) == text


@given(st.text(st.characters()))
def test_whatever_the_name_what_is_shown_is_one_printable_line(name: str) -> None:
    assert shown(name).isprintable()
    assert len(f"{shown(name)}.".encode().splitlines()) == 1
