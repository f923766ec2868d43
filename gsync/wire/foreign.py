"""Reads JSON as other people's programs write it, and judges single values: mtimes, ports, addresses.

msgspec refuses a whole message for one lone surrogate, one NaN or one text where a number belongs. A peer must not lose
10,000 good names for one bad one (PROTOCOL.md, "Skip a bad entry"), so `wire/classic.py` comes here when msgspec has
refused: everything that can be spelt is read, and each value is then judged alone. Never decides what to do about it.
"""

from __future__ import annotations

import ipaddress
import json
import math
from typing import Final

from gsync.core.names import Endpoint
from gsync.core.versions import MTIME_MAX
from gsync.errors import NameRefused, RemoteProtocolError

LOWEST_DIALLED_PORT: Final = 1024
"""An entry aims our dials: below this live other people's servers, not peers (protocol, classic, "Both")."""

HIGHEST_PORT: Final = 65535

_WHOLE_MAX_DIGITS: Final = 20
"""More digits than any number of the protocol has; Python takes quadratic time for a long one, or refuses it."""

_DECIMAL_MAX_DIGITS: Final = 400
"""Enough for any double that a program prints; a longer one is a joke or an attack."""


def read_object(message: bytes) -> dict[str, object]:
    """The object that `message` spells, leniently: NaN, lone surrogates, control characters and bytes that are no UTF-8 (as
    lone surrogates) stay in the values. Raises `RemoteProtocolError` for what is not JSON or not an object."""
    try:
        value = _DECODER.decode(message.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"a JSON {type(value).__name__} where an object belongs")
    return value


def mtime_s(value: object) -> int:
    """The mtime in whole seconds, rounded down. Raises `NameRefused` for what is no number or out of range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NameRefused(f"an mtime is a number, not {kind(value)}")
    if not 0 <= value < MTIME_MAX + 1:  # false for NaN, and before floor() meets an infinity
        raise NameRefused(f"an mtime lies in 0..{MTIME_MAX}")
    return math.floor(value)


def port_number(value: object) -> int:
    """The port that `value` is. Raises `NameRefused`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise NameRefused(f"a port is a whole number, not {kind(value)}")
    if not 1 <= value <= HIGHEST_PORT:
        raise NameRefused(f"a port lies in 1..{HIGHEST_PORT}")
    return value


def dialled_endpoint(ip: object, port: object) -> Endpoint:
    """Where a directory entry sends us. Raises `NameRefused` where no peer can be.

    Loopback passes: only the peer knows whether its tracker is there, too, so the peer judges it.
    """
    if isinstance(ip, str) and "%" in ip:
        raise NameRefused("an address with a zone, which means something on one machine only")
    endpoint = Endpoint.parse(ip, port_number(port))
    if endpoint.port < LOWEST_DIALLED_PORT:
        raise NameRefused(f"port {endpoint.port} is below {LOWEST_DIALLED_PORT}")
    address = ipaddress.ip_address(endpoint.ip)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_multicast:
        raise NameRefused("a multicast address")
    if address.is_unspecified:
        raise NameRefused("an address that names nobody")
    if address == _BROADCAST:
        raise NameRefused("the broadcast address")
    return endpoint


def kind(value: object) -> str:
    """What JSON calls a value of this type, for a reason that a person reads."""
    if value is None:
        return "null"
    return _KINDS.get(type(value), type(value).__name__)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _WHOLE_MAX_DIGITS else math.inf


def _decimal(digits: str) -> float:
    return float(digits) if len(digits) <= _DECIMAL_MAX_DIGITS else math.inf


_DECODER: Final = json.JSONDecoder(strict=False, parse_int=_whole, parse_float=_decimal)
_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")
_KINDS: Final = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}
