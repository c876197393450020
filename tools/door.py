"""Where the front door listens, and what it may be called."""

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.%]+\]|[^:\[\]]+)(?::(?P<port>\d{1,5}))?", re.IGNORECASE)
_DNS_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.IGNORECASE)
_HTTP_PORT = 80
# Of the network for documentation (RFC 5737): nothing is sent there.
_ELSEWHERE = ("192.0.2.1", 9)


class DoorError(Exception):
    """There can't be a front door there. The message says why, and what would do."""


@dataclass(frozen=True, slots=True)
class Door:
    """Addresses and names of the front door."""

    port: int
    addresses: tuple[str, ...]
    names: tuple[str, ...]
    """What a request's Host may say, without the port."""
    takes_any_address: bool = False
    """Whether Host may be any IP address too. An attacker can't make an address lead elsewhere, only a name."""

    @property
    def is_on_the_network(self) -> bool:
        """Whether others than this machine reach it."""
        return any(not ipaddress.ip_address(address).is_loopback for address in self.addresses)

    def is_called(self, host: str) -> bool:
        """Whether a request with this Host is for here."""
        match = _HOST.fullmatch(host)
        if match is None or int(match["port"] or _HTTP_PORT) != self.port:
            return False
        name = match["name"].lower()
        return name in self.names or (self.takes_any_address and _is_address(name.strip("[]")))

    def listen(self) -> list[socket.socket]:
        """Open its sockets. Raises DoorError."""
        return [_listen(address, self.port) for address in self.addresses]

    def check(self) -> None:
        """Raise DoorError if it can't be opened, before anything else is started."""
        for opened in self.listen():
            opened.close()


def door_at(port: int, host: str | None = None) -> Door:
    """The door at a port of this machine, and of `host`: an address of this machine, or a name that leads to it.

    0.0.0.0 is all of its addresses. Raises DoorError if `host` is neither.
    """
    loopback = ("127.0.0.1", "::1") if _has_ipv6_loopback() else ("127.0.0.1",)
    if not host:
        return Door(port, loopback, _LOOPBACK_NAMES)
    if not _is_address(host):
        if not _DNS_NAME.fullmatch(host):
            raise DoorError(f"HOST is an address of this machine, or a name that leads to it, got {host!r}")
        if host.lower() in _LOOPBACK_NAMES:
            return Door(port, loopback, _LOOPBACK_NAMES)
        return Door(port, ("0.0.0.0", *loopback[1:]), (*_LOOPBACK_NAMES, host.lower()))  # noqa: S104  it was asked for
    address = ipaddress.ip_address(host)
    if address.is_loopback:
        return Door(port, loopback, _LOOPBACK_NAMES)
    if address.is_unspecified:
        everywhere = ("0.0.0.0", *loopback[1:]) if address.version == 4 else ("0.0.0.0", "::")  # noqa: S104  as above
        return Door(port, everywhere, _LOOPBACK_NAMES, takes_any_address=True)
    name = f"[{address}]" if address.version == 6 else str(address)
    return Door(port, (*loopback, str(address)), (*_LOOPBACK_NAMES, name))


def network_address() -> str | None:
    """The address that this machine has on the network it is on, None if it is on none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return address


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _has_ipv6_loopback() -> bool:
    try:
        _listen("::1", 0).close()
    except DoorError:
        return False
    return True


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=1024)
    except OSError as error:
        what = {
            errno.EADDRINUSE: f"port {port} is taken: stop what listens there, or choose another: make run PORT=8081",
            errno.EADDRNOTAVAIL: f"{address} is none of this machine's addresses",
            errno.EACCES: f"port {port} is for root alone: choose one from 1024 on: make run PORT=8080",
        }.get(error.errno or 0, f"can't listen at {address}, port {port}: {error.strerror}")
        raise DoorError(what) from error
