"""The gate: which outside strings become names, and that none of them leads out of the folder."""

from __future__ import annotations

import posixpath
from typing import Final

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gsync.core import names
from gsync.core.names import COMPONENT_MAX_BYTES, OWN_FOLDER, PATH_MAX_BYTES, Endpoint, PeerName, RelPath
from gsync.errors import NameRefused

ROOT: Final = "/srv/shared"

CONTROLS: Final = [*map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0))]

HOSTILE: Final = [
    # Nothing, and what stands for a directory.
    *["", ".", "..", "/", "//", "///", "./", "../", "/.", "/..", "./.", "./..", "../.", "../..", "..//", ".//.."],
    # Up and out.
    *["../" * depth + "etc/passwd" for depth in (1, 2, 3, 8, 64, 1000)],
    *["a/../b", "a/../../b", "a/..", "a/../", "./a", "a/.", "a/./b", "a/b/../../..", "..a/../b", "a../../b"],
    *["../.ssh/authorized_keys", "x/../../../root/.bashrc", "....//....//etc/passwd", "..././..././etc/passwd"],
    # Absolute, doubled, trailing.
    *["/etc/passwd", "//etc/passwd", "/srv/shared/a", "/srv/shared", "/a", "a/", "a//b", "a///b", "a//", "//a", "/a/"],
    *["/proc/self/environ", "/proc/self/fd/0", "/dev/null", "/dev/zero", "//host/share", "/tmp/../etc/shadow"],
    # Up and out in another system's spelling.
    *["..\\", "..\\..", "..\\..\\etc\\passwd", "a\\..\\b", "a\\..", "\\..\\a", "..\\a", "\\..", "\\\\host\\..\\c$"],
    *[
        "/../../etc/passwd",
        "a/b/../c",
        "../../../../../../../../proc/1/root/etc/shadow",
        ".../../a",
        "~/../a",
        "$HOME/../a",
    ],
    *["%2e%2e/../a", "a/\u2025/../b", " /../a", "../ ", "./.ssh", "-/../-"],
    *["C:\\..\\a", "a/..\\b", "a\\..\\..\\..", "..\\/", "..\\../a", "dir/a\\..", "..\\..\\Windows\\win.ini"],
    # Our own folder, at any depth and in any case of its letters.
    *[".gsync", ".GSYNC", ".Gsync", ".gSyNc", ".g\u017fync", ".GSYNC/index.sqlite", ".gsync/", ".gsync/index.sqlite"],
    *[".gsync/staging/0", ".gsync/trash/x", "a/.gsync", "a/.gsync/b", "a/.GsYnC/b", ".gsync/../a", "./.gsync"],
    *["//.gsync", ".gsync//a", "a/b/c/.GSYNC", ".gsync/.gsync"],
    # Characters that steer a terminal, end a string or break a line of the log.
    *[f"a{control}b" for control in CONTROLS],
    *[
        "\x00",
        "a\x00",
        "\x00a",
        "a\x00/../b",
        "../\x00",
        "a\n",
        "\na",
        "a\r\nb",
        "\x1b[2J",
        "\x1b]0;owned\x07",
        "\x9b2J",
    ],
    *["harmless.txt\x00.exe", "a\nContent-Length: 5", "name\n", "dir\x00/a", "a/\x7f/b"],
    # Not text that can be stored as it stands.
    *["\ud800", "a\udfffb", "\udcff", "\ud83d", "caf\udce9", "a/\udc80", "\udc2e\udc2e/a", "\udc2f"],
    # Longer than a disk takes.
    *["a" * 256, "a" * 4096, "a" * 100_000, "\u00e9" * 128, "\u6f22" * 86, "\U0001f389" * 64, "a/" * 2048 + "a"],
    *["a" * 256 + "/b", "b/" + "a" * 256, ("a" * 255 + "/") * 16, "." * 256, "~" * 300],
]

HARMLESS: Final = [
    # What would be an escape if anything decoded or expanded a name; nothing does, so it names one file of the folder.
    *["%2e%2e%2f", "..%2f..%2fetc%2fpasswd", "%00", "%2e%2e", "..%c0%af", "..%5c", "%252e%252e%252f", "&#46;&#46;"],
    *["...", "....", ".....", "..a", "a..", "a..b", "..\u2024", "\uff0e\uff0e", "\u2025", "\u2026", "\uff0f", "\u2215"],
    *[
        "~",
        "~root",
        "~/a".replace("/", "\u2044"),
        "$HOME",
        "${IFS}",
        "`id`",
        "$(id)",
        "*",
        "?",
        "[a-z]",
        "{a,b}",
        ";id",
        "|id",
    ],
    *["-rf", "--help", "-", "-dash.txt", " ", "  a  ", "a ", " a", "con", "nul", "COM1", "aux.txt", "C:", "C:a", "a:b"],
    *["\\", "a\\b", "\\\\host\\share", "C:\\a", ".\\a", "...\\a", "a..\\b", "\\...", "a\\...\\b"],
    *[
        "'",
        '"',
        "a'b",
        "<script>alert(1)</script>",
        "'; DROP TABLE entry; --",
        "%s%n",
        "{0}",
        "%(name)s",
        "\u202egpj.exe",
    ],
    *["gsync", ".gsyncignore", "gsync/a", ".gsync2", "x.gsync", ".gsync.", ".gsync ", "..gsync", ".git", ".ssh/id_rsa"],
    *["Gr\u00fc\u00dfe.txt", "Gru\u0308\u00dfe.txt", "\U0001f389", "\u6f22", "a\u200bb", "\ufeff", "\u2028", "\u00a0"],
    *["a" * 255, "\u00e9" * 127 + "a", "index.sqlite", "a/b/c", "4913", "core.1"],
]


def resolved(path: str) -> str:
    return posixpath.normpath(posixpath.join(ROOT, path))


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(set(HOSTILE)) >= 200
    assert not set(HOSTILE) & set(HARMLESS)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:40]))
def test_a_hostile_name_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(NameRefused) as refused:
        RelPath.parse(text)
    assert refused.value.reason


@pytest.mark.parametrize("text", HARMLESS, ids=lambda text: ascii(text[:40]))
def test_a_name_that_only_looks_hostile_is_taken_as_it_stands(text: str) -> None:
    path = RelPath.parse(text)
    assert path == text
    assert resolved(path) == f"{ROOT}/{text}"


@pytest.mark.parametrize("value", [None, 1, 1.5, True, b"a", ["a"], {"name": "a"}, ("a",)])
def test_what_is_no_text_is_no_name(value: object) -> None:
    with pytest.raises(NameRefused, match="a name is text"):
        RelPath.parse(value)
    with pytest.raises(NameRefused, match="a name is text"):
        RelPath.parse_flat(value)


@pytest.mark.parametrize("text", ["a/b", "/a", "a/", "/", "a/../b", "../a", "dir/sub/file"])
def test_the_classic_dialect_knows_no_separator(text: str) -> None:
    with pytest.raises(NameRefused, match="separator"):
        RelPath.parse_flat(text)


@pytest.mark.parametrize("text", ["..", ".gsync", "", "a\x00", "a" * 256])
def test_a_flat_name_obeys_all_other_rules_too(text: str) -> None:
    with pytest.raises(NameRefused):
        RelPath.parse_flat(text)


@pytest.mark.parametrize(("letter", "width"), [("a", 1), ("\u00e9", 2), ("\u6f22", 3), ("\U0001f389", 4)])
def test_a_component_has_at_most_255_bytes(letter: str, width: int) -> None:
    fill = "a" * (COMPONENT_MAX_BYTES % width)
    longest = letter * (COMPONENT_MAX_BYTES // width) + fill
    assert len(RelPath.parse(longest[1:] if width == 1 else longest[1:] + "a" * (width - 1)).encode()) == 254
    assert len(RelPath.parse(longest).encode()) == COMPONENT_MAX_BYTES
    with pytest.raises(NameRefused, match="255"):
        RelPath.parse(longest + "a")


def test_a_path_has_at_most_4095_bytes() -> None:
    longest = "/".join(["a" * 255] * 15 + ["b" * 255])
    assert len(longest) == PATH_MAX_BYTES
    assert RelPath.parse(longest[:-1]) == longest[:-1]
    assert RelPath.parse(longest) == longest
    with pytest.raises(NameRefused, match="4095"):
        RelPath.parse(longest + "b")


def test_the_last_component_is_the_name() -> None:
    assert RelPath.parse("a/b/c.txt").name == "c.txt"
    assert RelPath.parse("c.txt").name == "c.txt"


def test_a_sibling_stands_in_the_same_directory() -> None:
    assert RelPath.parse("a/b.txt").with_name("c") == "a/c"
    assert RelPath.parse("b.txt").with_name("c") == "c"


def test_a_path_knows_whether_it_is_in_a_directory() -> None:
    deep = RelPath.parse("a/b/c.txt")
    assert deep.is_beneath(RelPath.parse("a"))
    assert not deep.is_beneath(deep)
    assert not RelPath.parse("ab/c").is_beneath(RelPath.parse("a"))


def test_a_path_follows_a_directory_that_is_renamed() -> None:
    source, target = RelPath.parse("a/b"), RelPath.parse("z")
    assert RelPath.parse("a/b/c/d").moved(source=source, target=target) == "z/c/d"
    assert source.moved(source=source, target=target) == target
    with pytest.raises(NameRefused):
        RelPath.parse("a/b/c").moved(source=source, target=RelPath("y" * 4094))


@pytest.mark.parametrize("name", ["..", "../b", "", ".gsync", "\x00"])
def test_a_sibling_is_judged_like_any_other_name(name: str) -> None:
    with pytest.raises(NameRefused):
        RelPath.parse("a/b.txt").with_name(name)


pieces = st.sampled_from(
    ["..", ".", "/", "\\", "a", "\x00", ".gsync", ".GSYNC", " ", "\u00e9", "~", "\n", "%2e", "\udcff"]
)
texts = st.one_of(st.text(max_size=40), st.lists(pieces, max_size=12).map("".join))


@given(texts)
@example("..\\/a")
@example(".g\u017fync/a")
def test_what_is_taken_never_leads_out_of_the_folder_nor_into_our_own(text: str) -> None:
    try:
        path = RelPath.parse(text)
    except NameRefused:
        return
    assert resolved(path) == f"{ROOT}/{text}"
    components = path.split("/")
    assert not {"", ".", ".."} & set(components)
    assert not any(component.casefold() == OWN_FOLDER for component in components)
    assert not any(character in CONTROLS for character in path)
    assert all(len(component.encode()) <= COMPONENT_MAX_BYTES for component in components)
    assert RelPath.parse(path) == path


@pytest.mark.parametrize("port", [1, 2, 1024, 65534, 65535])
def test_a_port_within_its_limits_makes_an_endpoint(port: int) -> None:
    assert Endpoint.parse("192.0.2.1", port) == Endpoint("192.0.2.1", port)


@pytest.mark.parametrize("port", [-1, 0, 65536, 2**63])
def test_a_port_beyond_its_limits_does_not(port: int) -> None:
    with pytest.raises(NameRefused, match="port"):
        Endpoint.parse("192.0.2.1", port)
    with pytest.raises(NameRefused, match="port"):
        Endpoint("192.0.2.1", port)


@pytest.mark.parametrize("port", [True, False, 80.0, "80", None, b"80", [80]])
def test_a_port_is_a_whole_number(port: object) -> None:
    with pytest.raises(NameRefused, match="a port is a whole number"):
        Endpoint.parse("192.0.2.1", port)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("2001:DB8::0001", "2001:db8::1"),
        ("2001:0db8:0000::0001", "2001:db8::1"),
    ],
)
def test_an_address_is_kept_in_its_normal_spelling(text: str, normal: str) -> None:
    assert Endpoint.parse(text, 9000).ip == normal


@pytest.mark.parametrize(
    "ip",
    [
        *[
            "",
            " ",
            "localhost",
            "example.org",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "01.2.3.4",
            "127.1",
            "0x7f.0.0.1",
            "2130706433",
        ],
        *[
            "1.2.3.4 ",
            " 1.2.3.4",
            "1.2.3.4\n",
            "1.2.3.4:80",
            "[::1]",
            "::1::",
            "http://1.2.3.4",
            "1.2.3.4/24",
            "\u0661.2.3.4",
        ],
        *[None, 2130706433, b"\x7f\x00\x00\x01", True, ["1.2.3.4"]],
    ],
)
def test_what_is_no_numeric_address_is_refused(ip: object) -> None:
    with pytest.raises(NameRefused):
        Endpoint.parse(ip, 9000)


@pytest.mark.parametrize("ip", ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"])
def test_loopback_is_known_in_every_spelling(ip: str) -> None:
    assert Endpoint.parse(ip, 9000).is_loopback


@pytest.mark.parametrize("ip", ["192.0.2.1", "128.0.0.1", "::2", "::ffff:192.0.2.1", "0.0.0.0", "::"])
def test_other_addresses_are_not_loopback(ip: str) -> None:
    assert not Endpoint.parse(ip, 9000).is_loopback


def test_an_endpoint_is_written_so_that_its_port_can_be_told() -> None:
    assert str(Endpoint("192.0.2.1", 9000)) == "192.0.2.1:9000"
    assert str(Endpoint("2001:db8::1", 9000)) == "[2001:db8::1]:9000"


def test_endpoints_sort_and_hash_as_values() -> None:
    assert {Endpoint.parse("::1", 1), Endpoint.parse("0::1", 1)} == {Endpoint("::1", 1)}
    assert sorted([Endpoint("10.0.0.2", 1), Endpoint("10.0.0.1", 2), Endpoint("10.0.0.1", 1)])[0] == Endpoint(
        "10.0.0.1", 1
    )


@pytest.mark.parametrize(
    ("path", "ancestors"), [("a", ()), ("a/b", ("a",)), ("é/b/c", ("é", "é/b")), ("a/b/c/d", ("a", "a/b", "a/b/c"))]
)
def test_the_ancestors_of_a_path_are_its_directories_from_the_top(path: str, ancestors: tuple[str, ...]) -> None:
    assert RelPath.parse(path).ancestors == ancestors


@given(st.from_regex(names._PLAIN, fullmatch=True))
@example("a")
@example("a/..a")
@example("a /b.")
def test_what_the_short_way_lets_through_breaks_no_rule(text: str) -> None:
    assume(len(text) <= COMPONENT_MAX_BYTES)
    for component in text.split("/"):
        names._check_component(component)


@pytest.mark.parametrize("text", [".", "..", "a/..", "../a", "a//b", "/a", "a/", "a\n", "a\\b", ".gsync", "a\x7f", ""])
def test_the_short_way_is_not_for_these(text: str) -> None:
    assert not names._PLAIN.fullmatch(text)


def test_a_child_is_the_path_within_a_directory() -> None:
    assert RelPath.parse("é").child("b").child("c") == RelPath.parse("é/b/c")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", ".GSync", "new\nline", "n" * 256, "\udcff"])
def test_a_child_is_refused_like_any_other_name(name: str) -> None:
    with pytest.raises(NameRefused):
        RelPath.parse("a").child(name)


@pytest.mark.parametrize(("count", "good"), [(2, True), (3, True), (4, False)])
def test_a_child_is_no_longer_than_a_path_can_be(count: int, good: bool) -> None:
    deep = RelPath.parse("/".join(["n" * 255] * 15 + ["n" * 251]))
    assert len(deep) + 1 + 3 == PATH_MAX_BYTES
    if good:
        assert len(deep.child("x" * count)) <= PATH_MAX_BYTES
    else:
        with pytest.raises(NameRefused, match="longer than 4095 bytes"):
            deep.child("x" * count)


@pytest.mark.parametrize("text", ["anna", "Anna's laptop", "käse", "日本", "x" * 80, "a#b"])
def test_what_a_person_calls_a_peer_is_taken(text: str) -> None:
    assert PeerName.parse(text) == text


@pytest.mark.parametrize(
    "text", ["", " anna", "anna ", "an,na", "#anna", "an\nna", "an\0na", "an\u202ena", "x" * 81, 7, None]
)
def test_what_cannot_stand_in_a_topology_is_no_name_of_a_peer(text: object) -> None:
    with pytest.raises(NameRefused):
        PeerName.parse(text)
