"""Two hundred names that try to lead out of a folder, into ours, or nowhere."""

from __future__ import annotations

from itertools import product
from pathlib import Path


def corpus(outside: Path) -> list[str]:
    """The names; `outside` is an absolute path that nobody may touch. Some are odd but harmless single names."""
    names = [
        "",
        ".",
        "..",
        "/",
        "//",
        "./",
        "../",
        "..\\",
        "\\",
        "~",
        "~root",
        "C:\\x",
        "C:x",
        "\\\\host\\share\\x",
        "con",
        "nul.txt",
        "a\0b",
        "\0",
        "../\0x",
        "a\nb",
        "a\r",
        "\x1b[2J",
        "\x7f",
        "\x85",
        "\ud800",
        "a\udcff/..",
        "n" * 256,
        "ü" * 128,
        "n" * 5000,
        "/".join(["d"] * 3000),
        "a/b",
        "a//b",
        "/a",
        "a/",
        ".gsync",
        ".GSYNC",
        ".gsync/",
        ".gsync/index.sqlite",
        ".gsync/root",
        ".gsync/lock",
        ".Gsync/staging/x",
        ".gsync/../x",
        "./.gsync/root",
        ".gsync\\root",
        "link to a file",
        "link to a folder/secret",
        "link to a folder",
        "link to itself",
        "fifo",
        "socket",
        "subfolder",
        "subfolder/x",
        str(outside),
        str(outside / "secret"),
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/null",
        "file:///etc/passwd",
        "$HOME/x",
        "`id`",
        "|id",
        "-rf",
    ]
    climbs = [
        "../",
        "..\\",
        "./../",
        "a/../../",
        "..//",
        "%2e%2e/",
        "..%2f",
        "..%5c",
        "\uff0e\uff0e/",
        "..\u2215",
        "....//",
    ]
    names += [climb * depth + "secret" for climb, depth in product(climbs, range(1, 11))]
    names += ["a/" * depth + "../" * (depth + 1) + "secret" for depth in range(1, 20)]
    names += [f"..{chr(code)}/secret" for code in (0x00, 0x09, 0x0A, 0x20, 0x2E, 0x200B, 0x202E, 0xFEFF)]
    names += [f"{prefix}{outside}/secret" for prefix in ("/", "./", "file://", "\\", "//")]
    names += [f"{name}/secret" for name in ("..", "...", "....", ".gsync/..", ".gsync/../..", "a/../..")]
    return list(dict.fromkeys(names))[:200]
