"""The one gate where outside strings become names: `RelPath`, `Endpoint`.

A string from a peer, a tracker, a directory listing or a command line is hostile until one of the `parse` methods here
took it; past them the rooms trust. Pure. Called by `wire/` for what others say and by `storage/` for what the disk shows.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, Self

from msgspec import Struct

from gsync.errors import NameRefused

COMPONENT_MAX_BYTES: Final = 255
"""Linux NAME_MAX; a longer name cannot be stored."""

PATH_MAX_BYTES: Final = 4095
"""Linux PATH_MAX without its NUL."""

OWN_FOLDER: Final = ".gsync"
"""Our own folder inside the user's; no name may lead into it, in any case of its letters."""

_PLAIN: Final = re.compile(r"[0-9A-Za-z][ -.0-\[\]-~]*(?:/[0-9A-Za-z][ -.0-\[\]-~]*)*")
"""What nearly all names look like, and what every rule below allows: three times as fast, and a start parses 100,000."""

_PLAIN_NAME: Final = re.compile(r"[0-9A-Za-z][ -.0-\[\]-~]*")
_SHORT: Final = (PATH_MAX_BYTES - COMPONENT_MAX_BYTES - 1) // 4
"""Characters of a directory that leave room for any name in it."""

PEER_NAME_MAX: Final = 80
"""Characters of what a person calls a machine."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LOWEST_PORT: Final = 1
_HIGHEST_PORT: Final = 65535


class RelPath(str):
    """A validated name relative to the folder: components joined by `/`, never absolute, never `..`.

    It is a `str` so that it sorts, hashes and encodes at C speed; it is made only by `parse`.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: object) -> Self:
        """The name that `text` is, else `NameRefused` with the reason."""
        if not isinstance(text, str):
            raise NameRefused(f"a name is text, not {type(text).__name__}")
        if len(text) <= COMPONENT_MAX_BYTES and _PLAIN.fullmatch(text):
            return cls(text)
        try:
            raw = text.encode("utf-8")
        except UnicodeEncodeError:
            raise NameRefused("not valid UTF-8") from None
        if len(raw) > PATH_MAX_BYTES:
            raise NameRefused(f"longer than {PATH_MAX_BYTES} bytes")
        for component in text.split("/"):
            _check_component(component)
        return cls(text)

    @classmethod
    def parse_flat(cls, text: object) -> Self:
        """Like `parse`, for the classic dialect, which knows no subfolders: a separator is refused."""
        if isinstance(text, str) and "/" in text:
            raise NameRefused("a separator in a bare file name")
        return cls.parse(text)

    @property
    def name(self) -> str:
        """The last component."""
        return self.rpartition("/")[2]

    @property
    def ancestors(self) -> tuple[RelPath, ...]:
        """The directories that it lies in, the topmost first; none for a name at the top."""
        above: list[RelPath] = []
        end = self.find("/")
        while end >= 0:
            above.append(RelPath(self[:end]))
            end = self.find("/", end + 1)
        return tuple(above)

    def is_beneath(self, directory: RelPath) -> bool:
        """Whether it is in `directory`, at any depth."""
        return self.startswith(directory + "/")

    def moved(self, *, source: RelPath, target: RelPath) -> RelPath:
        """Its name once the directory `source`, which it is in or is, has become `target`; refused only when it is too long."""
        text = target + self[len(source) :]
        if len(text) * 4 > PATH_MAX_BYTES and len(text.encode("utf-8")) > PATH_MAX_BYTES:
            raise NameRefused(f"longer than {PATH_MAX_BYTES} bytes")
        return RelPath(text)

    @property
    def parent(self) -> RelPath | None:
        """The directory in which it stands; None at the top of the folder."""
        parent, slash, _ = self.rpartition("/")
        return RelPath(parent) if slash else None

    def child(self, name: str) -> RelPath:
        """The path of `name` in this directory; refused like any other. Cheaper than to parse the whole, which is valid."""
        if len(name) <= COMPONENT_MAX_BYTES and len(self) <= _SHORT and _PLAIN_NAME.fullmatch(name):
            return RelPath(f"{self}/{name}")
        if "/" in name:
            raise NameRefused("a separator in a name")
        RelPath.parse(name)
        path = RelPath(f"{self}/{name}")
        if len(path.encode("utf-8")) > PATH_MAX_BYTES:
            raise NameRefused(f"longer than {PATH_MAX_BYTES} bytes")
        return path

    def with_name(self, name: str) -> RelPath:
        """The path beside this one whose last component is `name`; refused like any other."""
        parent, slash, _ = self.rpartition("/")
        return RelPath.parse(parent + slash + name)


def _check_component(component: str) -> None:
    if not component:
        raise NameRefused("an empty component")
    if component in {".", ".."}:
        raise NameRefused(f"{component!r} is not a name")
    if _CONTROL.search(component):
        raise NameRefused("a control character")
    if "\\" in component and (component.startswith("..\\") or "\\..\\" in component or component.endswith("\\..")):
        raise NameRefused("a parent directory in another system's spelling")
    if len(component.encode("utf-8")) > COMPONENT_MAX_BYTES:
        raise NameRefused(f"a component longer than {COMPONENT_MAX_BYTES} bytes")
    if component.casefold() == OWN_FOLDER:
        raise NameRefused("the name of gsync's own folder")


class PeerName(str):
    """What a person calls a peer, and what the overlay knows it by; one word of a topology file."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: object) -> Self:
        """The name that `text` is, else `NameRefused` with the reason."""
        if not isinstance(text, str):
            raise NameRefused(f"a name is text, not {type(text).__name__}")
        if not text or text != text.strip():
            raise NameRefused("a peer's name neither is empty nor has blanks at its ends")
        if len(text) > PEER_NAME_MAX:
            raise NameRefused(f"a peer's name longer than {PEER_NAME_MAX} characters")
        if not text.isprintable():
            raise NameRefused("a control character")
        if "," in text or text.startswith("#"):
            raise NameRefused("a comma, or a # in front, in a peer's name")
        return cls(text)


class Endpoint(Struct, frozen=True, order=True, gc=False):
    """Where to connect: a numeric IP address in its normal spelling, and a port from 1 to 65535."""

    ip: str
    port: int

    def __post_init__(self) -> None:
        if not _LOWEST_PORT <= self.port <= _HIGHEST_PORT:
            raise NameRefused(f"port {self.port} is not from {_LOWEST_PORT} to {_HIGHEST_PORT}")

    @classmethod
    def parse(cls, ip: object, port: object) -> Self:
        """The endpoint that the two name, else `NameRefused`; `port` is an int (a bool is not)."""
        if not isinstance(ip, str):
            raise NameRefused(f"an address is text, not {type(ip).__name__}")
        if isinstance(port, bool) or not isinstance(port, int):
            raise NameRefused(f"a port is a whole number, not {type(port).__name__}")
        try:
            normal = str(ipaddress.ip_address(ip))
        except ValueError:
            raise NameRefused("not a numeric IP address") from None
        return cls(normal, port)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it, also where an IPv4 address is spelled as an IPv6 one."""
        address = ipaddress.ip_address(self.ip)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address.is_loopback

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"
