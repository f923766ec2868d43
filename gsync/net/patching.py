"""The one place that monkey-patches: it makes the standard library's sockets cooperative, and nothing else.

Called once, before any other import, by `gsync/__main__.py` and `tests/conftest.py`; importing this module, or anything
else of gsync, patches nothing. Threads, locks, time, select and subprocess stay as they are: with `patch_all` logging
from a pool thread hung, with `patch_select` the file watcher broke.
"""

from __future__ import annotations

import socket

import gevent.socket
from gevent import monkey
from gevent.hub import Hub

from gsync.errors import ConfigError


def patch_sockets() -> None:
    """Make `socket` cooperative in this process; a second call changes nothing.

    `monkey.patch_socket` does the same, but asks every installed package twice whether it has a plugin for gevent: 60 ms.
    """
    if monkey.is_module_patched("socket"):
        return
    Hub.NOT_ERROR = (*Hub.NOT_ERROR, KeyboardInterrupt)  # Ctrl-C is no error of a loop, to be printed there
    for name in gevent.socket.__implements__:
        monkey.patch_item(socket, name, getattr(gevent.socket, name))


def require_patched_sockets() -> None:
    """Raise `ConfigError` where nobody patched: an unpatched accept would block the only thread for ever."""
    if not monkey.is_module_patched("socket"):
        raise ConfigError(
            "the standard library's sockets are not cooperative in this process",
            advice="Call gsync.net.patching.patch_sockets() before anything else is imported, or start `python -m gsync`.",
        )
