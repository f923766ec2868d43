"""A network of its own for each machine of a test: network namespaces joined by a router, whose links and ways can be broken.

    machine <- veth -> router <- veth -> machine ...

Packets are dropped in the router, where nobody hears of it: a machine that sends into such a hole is not told so. Root only;
needs nothing but iproute2. Everything ends with the block.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.e2e.cluster import skip_or_fail

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A namespace with one address; `inside` is how a program is started there."""

    namespace: str
    ip: str
    link: str
    """The router's end of its cable."""

    @property
    def inside(self) -> list[str]:
        return ["ip", "netns", "exec", self.namespace]


class Network:
    """The router and its machines."""

    def __init__(self, router: str, machines: Sequence[Machine]) -> None:
        self._router = router
        self.machines = tuple(machines)
        self._dropped: set[tuple[str, str]] = set()

    def drop(self, source: Machine, to: Machine) -> None:
        """From now on nothing of `source` reaches `to`; the other way stays open."""
        if (source.ip, to.ip) not in self._dropped:
            self._dropped.add((source.ip, to.ip))
            self._rule("add", source.ip, to.ip)

    def part(self, some: Sequence[Machine], others: Sequence[Machine]) -> None:
        """Neither side reaches the other."""
        for one, other in itertools.product(some, others):
            self.drop(one, other)
            self.drop(other, one)

    def heal(self) -> None:
        """Every way is open again."""
        while self._dropped:
            self._rule("del", *self._dropped.pop())

    def unplug(self, machine: Machine) -> None:
        """Nothing leaves or reaches the machine; unlike with a hole, the router tells whoever sends to it."""
        _run(["ip", "-n", self._router, "link", "set", machine.link, "down"])

    def plug_in(self, machine: Machine) -> None:
        """Its cable is in again."""
        _run(["ip", "-n", self._router, "link", "set", machine.link, "up"])

    def _rule(self, what: str, source: str, to: str) -> None:
        _run(["ip", "-n", self._router, "rule", what, "from", source, "to", to, "blackhole"])


@contextmanager
def network(names: Sequence[str]) -> Iterator[Network]:
    """A machine for each name, all of which reach each other."""
    number = next(_numbers)
    prefix = f"gs{os.getpid()}-{number}"
    with ExitStack() as stack:
        router = _namespace(stack, f"{prefix}-router")
        _run(["ip", "netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
        machines = []
        for place, name in enumerate(names, 1):
            machine = Machine(namespace=_namespace(stack, f"{prefix}-{name}"), ip=f"10.77.{place}.2", link=f"to{place}")
            gate = f"10.77.{place}.1"
            peer = ["peer", "name", "eth0", "netns", machine.namespace]
            _run(["ip", "-n", router, "link", "add", machine.link, "type", "veth", *peer])
            _run(["ip", "-n", router, "addr", "add", f"{gate}/24", "dev", machine.link])
            _run(["ip", "-n", router, "link", "set", machine.link, "up"])
            _run(["ip", "-n", machine.namespace, "addr", "add", f"{machine.ip}/24", "dev", "eth0"])
            for link in ("lo", "eth0"):
                _run(["ip", "-n", machine.namespace, "link", "set", link, "up"])
            _run(["ip", "-n", machine.namespace, "route", "add", "default", "via", gate])
            machines.append(machine)
        yield Network(router, machines)


def _namespace(stack: ExitStack, name: str) -> str:
    _run(["ip", "netns", "add", name])
    stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
    return name


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        skip_or_fail(f"{' '.join(command)} is not possible here: {getattr(error, 'stderr', None) or error!r}")
