"""Words on the command line: what is understood, and what the one who mistyped is told."""

from __future__ import annotations

import pytest

from gsync import __version__
from gsync.cli.exits import UsageError
from gsync.cli.usage import (
    Told,
    aimed,
    choice_of,
    did_you_mean,
    endpoint_of,
    number_of,
    parse,
    port_of,
    rate_of,
    whole_of,
)
from gsync.core.names import Endpoint
from gsync.errors import ConnectFailed

TEXT = """Do something.

Usage:
  gsync thing <ip> <port> [options]

Options:
  --dir=DIR      A folder [default: .]
  --once         End soon
  -q, --quiet    Say little
  --version      Print the version
  -h, --help     Print this
"""


def understood(*argv: str) -> dict[str, object]:
    return dict(parse(TEXT, ["thing", *argv], command="thing"))


def refused(*argv: str) -> UsageError:
    with pytest.raises(UsageError) as error:
        parse(TEXT, ["thing", *argv], command="thing")
    return error.value


def test_words_are_understood_with_options_anywhere() -> None:
    words = understood("1.2.3.4", "--once", "9000", "--dir=x")
    assert (words["<ip>"], words["<port>"], words["--once"], words["--dir"]) == ("1.2.3.4", "9000", True, "x")
    assert understood("1.2.3.4", "9000")["--dir"] == "."


@pytest.mark.parametrize(
    ("word", "hint"),
    [("--onse", "--once"), ("--dri=x", "--dir"), ("--quite", "--quiet"), ("--Once", "--once"), ("--dirr", "--dir")],
)
def test_a_mistyped_option_is_answered_with_the_nearest_one(word: str, hint: str) -> None:
    error = refused("1.2.3.4", "9000", word)
    assert str(error) == f"there is no option {word.partition('=')[0]!r}; did you mean {hint!r}?"
    assert error.advice == "gsync thing --help"


def test_an_option_like_no_other_is_only_said_not_to_exist() -> None:
    assert str(refused("1.2.3.4", "9000", "--zzzzzz")) == "there is no option '--zzzzzz'"


def test_an_option_that_is_given_twice_is_named() -> None:
    error = refused("1.2.3.4", "9000", "--dir=x", "--once", "--dir=y")
    assert str(error) == "--dir is given 2 times; once is what it takes"


@pytest.mark.parametrize("argv", [(), ("1.2.3.4",), ("1.2.3.4", "9000", "extra"), ("--once",)])
def test_too_few_or_too_many_words_are_answered_with_the_right_way(argv: tuple[str, ...]) -> None:
    assert str(refused(*argv)) == "that is not how this command is used; it is: gsync thing <ip> <port> [options]"


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["1.2.3.4", "9000", "--help"], ["--nonsense", "-h"]])
def test_help_comes_first_whatever_else_is_said(argv: list[str]) -> None:
    with pytest.raises(Told) as told:
        parse(TEXT, argv, command="thing")
    assert str(told.value) == TEXT.strip()


def test_the_version_is_told() -> None:
    with pytest.raises(Told, match=f"^gsync {__version__}$"):
        parse(TEXT, ["--version"], command="thing")


def test_docopt_prints_nothing_itself(capsys: pytest.CaptureFixture[str]) -> None:
    refused("--nonsense")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("word", "known", "clause"),
    [
        ("trakcer", ["run", "tracker"], "; did you mean 'tracker'?"),
        ("zzz", ["run", "tracker"], ""),
        ("", ["run"], ""),
        ("run", [], ""),
        ("--bogus", ["--neighbours", "--ttr"], ""),
        ("--neighbors", ["--neighbours", "--ttr"], "; did you mean '--neighbours'?"),
    ],
)
def test_a_hint_is_a_clause_or_nothing(word: str, known: list[str], clause: str) -> None:
    assert did_you_mean(word, known) == clause


@pytest.mark.parametrize(
    ("advice", "folder", "told"),
    [
        ("see what is: gsync ls", "/home/ann/Our files", "see what is: gsync ls --dir='/home/ann/Our files'"),
        ("let it go: gsync release", "/a", "let it go: gsync release --dir=/a"),
        (
            "gsync conflicts keep (mine|theirs|both) 'a b'",
            "/a",
            "gsync conflicts keep (mine|theirs|both) 'a b' --dir=/a",
        ),
        ("see what is: gsync ls", None, "see what is: gsync ls"),
        ("gsync ls --dir=/b", "/a", "gsync ls --dir=/b"),
        ("gsync why --help", "/a", "gsync why --help"),
        ("`gsync status` counts them", "/a", "`gsync status` counts them"),
        ("gsync tracker 9000", "/a", "gsync tracker 9000"),
        ("", "/a", ""),
    ],
)
def test_a_command_to_paste_names_the_folder_that_was_named(advice: str, folder: str | None, told: str) -> None:
    assert aimed(advice, folder) == told


@pytest.mark.parametrize(("text", "port"), [("1", 1), ("80", 80), ("09000", 9000), ("65534", 65534), ("65535", 65535)])
def test_a_port_is_a_whole_number(text: str, port: int) -> None:
    assert port_of(text) == port


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "65536", "99999", "123456", "1.5", "http", " 80", "80 ", "8_0", "0x50", "\u0668\u0660", "1e3"],
)
def test_anything_else_is_no_port(text: str) -> None:
    with pytest.raises(UsageError, match="is no port: a whole number from 1 to 65535"):
        port_of(text)


@pytest.mark.parametrize(("text", "good"), [("1023", False), ("1024", True), ("1025", True)])
def test_a_port_may_have_a_lower_limit(text: str, good: bool) -> None:
    if good:
        assert port_of(text, what="serving port", lowest=1024) == int(text)
    else:
        with pytest.raises(UsageError, match=r"serving port.*1024"):
            port_of(text, what="serving port", lowest=1024)


@pytest.mark.parametrize(("text", "value"), [("0.1", 0.1), ("1", 1.0), ("2.5", 2.5), ("10", 10.0)])
def test_a_number_within_its_limits_is_taken(text: str, value: float) -> None:
    assert number_of(text, what="timeout", lowest=0.1, highest=10) == value


@pytest.mark.parametrize("text", ["", "0", "0.09", "10.01", "-1", "nan", "inf", "-inf", "soon", "1 2", "1e999"])
def test_a_number_beyond_its_limits_is_not(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no timeout: a number from 0\.1 to 10"):
        number_of(text, what="timeout", lowest=0.1, highest=10)


def test_a_choice_is_one_of_those_known() -> None:
    assert choice_of("twice", ("once", "twice"), what="way") == "twice"
    with pytest.raises(UsageError, match="'twise' is no way: one of once, twice; did you mean 'twice'"):
        choice_of("twise", ("once", "twice"), what="way")


def never(host: str) -> str:
    raise AssertionError(f"{host} was looked up")


@pytest.mark.parametrize("ip", ["192.0.2.1", "127.0.0.1", "::1", "2001:db8::1"])
def test_a_numeric_address_is_looked_up_nowhere(ip: str) -> None:
    assert endpoint_of(ip, "9000", resolve=never) == Endpoint(ip, 9000)


def test_a_host_name_is_looked_up_once() -> None:
    asked: list[str] = []

    def resolve(host: str) -> str:
        asked.append(host)
        return "192.0.2.7"

    assert endpoint_of("tracker.example", "9000", resolve=resolve) == Endpoint("192.0.2.7", 9000)
    assert asked == ["tracker.example"]


def test_a_host_name_that_nobody_knows_is_an_error_of_the_network() -> None:
    def fail(host: str) -> str:
        raise ConnectFailed(f"{host}: no such host")

    with pytest.raises(ConnectFailed):
        endpoint_of("nowhere.example", "9000", resolve=fail)


@pytest.mark.parametrize("host", ["192.0.2.1", "localhost", "::1"])
def test_swapped_words_are_answered_in_the_right_order(host: str) -> None:
    with pytest.raises(UsageError, match="the address comes first") as error:
        endpoint_of("9000", host, resolve=never)
    assert error.value.advice == f"gsync {host} 9000"


@pytest.mark.parametrize("port", ["0", "65536", "x", ""])
def test_a_bad_port_is_told_before_anything_is_looked_up(port: str) -> None:
    with pytest.raises(UsageError, match="is no port"):
        endpoint_of("tracker.example", port, resolve=never)


@pytest.mark.parametrize("ip", ["0.0.0.0", "::"])
def test_everywhere_is_no_address_to_dial(ip: str) -> None:
    with pytest.raises(UsageError, match="no address that a tracker can be reached at") as error:
        endpoint_of(ip, "9000", resolve=never)
    assert error.value.advice.endswith("gsync 127.0.0.1 9000")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1K", 1024),
        ("1024", 1024),
        ("500k", 500 * 1024),
        ("1.5M", 1536 * 1024),
        ("2G", 2 * 1024**3),
        (" 10m ", 10 * 1024**2),
        ("1000000", 1_000_000),
    ],
)
def test_a_rate_is_bytes_a_second_in_powers_of_1024(text: str, rate: int) -> None:
    assert rate_of(text) == rate


@pytest.mark.parametrize(
    "text", ["", "K", "0", "1023", "-5K", "5KB", "5 K", "1e9", "nan", "1.K", ".5M", "5T", "９K", "9" * 99]
)
def test_what_is_no_rate_is_answered_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="500K") as error:
        rate_of(text, what="limit")
    assert str(error.value).startswith(f"{text!r} is no limit: ")


def test_a_whole_number_is_one_within_its_bounds() -> None:
    assert whole_of("12", what="number of peers", lowest=1, highest=12) == 12


@pytest.mark.parametrize(
    "text", ["2.5", "0", "13", "-1", "+1", "1e1", "", " 1", "nan", "\N{ARABIC-INDIC DIGIT ONE}", "9" * 5000]
)
def test_what_is_no_whole_number_is_not_rounded_but_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no number of peers: a whole number from 1 to 12"):
        whole_of(text, what="number of peers", lowest=1, highest=12)


@pytest.mark.parametrize(
    ("advice", "expected"),
    [
        ("see what is: gsync ls", "see what is: '/my gsync/bin/gsync' ls --dir=d"),
        (
            "gsync 127.0.0.1 9000 --dir=x    (all of it: gsync --help)",
            "'/my gsync/bin/gsync' 127.0.0.1 9000 --dir=x    (all of it: '/my gsync/bin/gsync' --help)",
        ),
        ("`gsync status` counts such edits", "`'/my gsync/bin/gsync' status` counts such edits"),
        (
            "retrying every 5 s; start one there: gsync tracker 9000",
            "retrying every 5 s; start one there: gsync tracker 9000",
        ),
        ("on the tracker's own machine: gsync 127.0.0.1 9000", "on the tracker's own machine: gsync 127.0.0.1 9000"),
        ("Move it away, then start gsync again.", "Move it away, then start gsync again."),
        ("see /x/gsync stop", "see /x/gsync stop"),
    ],
)
def test_a_command_to_paste_begins_as_this_gsync_is_called(
    monkeypatch: pytest.MonkeyPatch, advice: str, expected: str
) -> None:
    assert aimed(advice, None) == advice
    monkeypatch.setenv("GSYNC_COMMAND", "gsync")
    assert aimed(advice, None) == advice
    monkeypatch.setenv("GSYNC_COMMAND", "/my gsync/bin/gsync")
    assert aimed(advice, "d") == expected
