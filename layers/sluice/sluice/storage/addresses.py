"""Where what tenants name may be reached: hosts of the public internet, and of networks that a stack allows.

So are webhooks sent and tenants' own providers asked. A name that a caller has chosen may stand for any address, and
for another one a moment later. So it is resolved here, all of its addresses are checked, and the connection is made to
one of those and to no other.
"""

import ipaddress
import os
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from urllib.parse import SplitResult, urlsplit

from sluice.errors import InvalidRequestError
from sluice.storage.connections import SocketAddress

MOST_URL_CHARACTERS = 2_048
RESOLVE_S = 5.0
_RESOLVERS = 8

_PRINTABLE = re.compile(r"[!-~]+")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"({_LABEL}\.)*{_LABEL}\.?")
# Of one that ends so, resolvers make an IPv4 address, however it is written: 127.1, 2130706433, 0177.0.0.1, 0x7f.1.
_ENDS_IN_A_NUMBER = re.compile(r"(.*\.)?(0[xX][0-9A-Fa-f]*|[0-9]+)\.?")
_HTTPS_PORT = 443
_HTTP_PORT = 80
_LEAST_OTHER_PORT = 1_024

_REFUSED = [
    ipaddress.ip_network(each)
    for each in (
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # Teredo, which carries an IPv4 address, and what else is no host's
        "2001:db8::/32",
        "2002::/16",  # 6to4, which carries an IPv4 address
        "3fff::/20",
    )
]
# All of IPv6 that is given out to hosts: neither NAT64 (64:ff9b::/96) nor addresses mapped from IPv4 are in it.
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")

# What is never a network of a stack's: the API of Lambda's runtime, and of the machine that it runs on.
_OF_THE_MACHINE = [ipaddress.ip_network(each) for each in ("127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10")]
_LOOPBACK = ("127.0.0.0/8", "::1/128")

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

type Resolve = Callable[[str, int], Sequence[SocketAddress]]
"""Finds the addresses of a host and port. Raises OSError."""


class AddressRefusedError(Exception):
    """Nothing may be sent there. Its text says why, and names no address."""


class AddressUnknownError(AddressRefusedError):
    """Nobody knows where it is now."""


def is_public(address: str) -> bool:
    """Whether an IP address is a single host's on the public internet."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False  # with a zone: of one link
    if not parsed.is_global or parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified:
        return False
    if parsed.version != _GLOBAL_V6.version:
        return not any(parsed in each for each in _REFUSED)
    return parsed in _GLOBAL_V6 and not any(parsed in each for each in _REFUSED)


def networks(texts: Iterable[str], environment: Mapping[str, str] = os.environ) -> tuple[Network, ...]:
    """The networks that may be reached beside the public internet, as CIDR. Raises ValueError.

    This machine and its links are never among them, but for a local stack, whose environment says so: no template can.
    """
    found = [ipaddress.ip_network(text) for text in texts]
    for each in found:
        if any(each.version == own.version and each.overlaps(own) for own in _OF_THE_MACHINE):
            raise ValueError(f"{each}: this machine and its links can't be allowed")
    if environment.get("TENANTS_REACH_LOOPBACK") == "true":
        found += [ipaddress.ip_network(each) for each in _LOOPBACK]
    return tuple(found)


def system_resolve(host: str, port: int) -> Sequence[SocketAddress]:
    """What the system knows of a name, in time. Raises OSError."""
    finding = _resolvers().submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    return finding.result(RESOLVE_S)


class Addresses:
    """Checks where what tenants name may be. Threads may share it."""

    def __init__(self, allowed: Iterable[Network] = (), *, resolve: Resolve = system_resolve) -> None:
        """`allowed` networks are reached as well, and there also by http."""
        self._allowed = tuple(allowed)
        self._resolve = resolve

    def check(self, url: str, param: str = "url") -> None:
        """Refuse a URL that may not be reached. Raises InvalidRequestError, which does not repeat it.

        Its host may come to be known later, and is looked at again before anything is sent.
        """
        try:
            self.find(url)
        except AddressUnknownError:
            return
        except AddressRefusedError as error:
            raise InvalidRequestError(f"{param}: {error}", param=param) from None

    def find(self, url: str) -> Sequence[SocketAddress]:
        """The addresses that a URL's host has at this moment, all of which may be reached.

        Raises AddressRefusedError if one of them may not.
        """
        parts = self._parts(url)
        port = parts.port or (_HTTPS_PORT if parts.scheme == "https" else _HTTP_PORT)
        return self.resolved(str(parts.hostname), port, is_encrypted=parts.scheme == "https")

    def resolved(self, host: str, port: int, *, is_encrypted: bool) -> Sequence[SocketAddress]:
        """The addresses of a host at this moment, all of which may be reached; in clear, only in allowed networks.

        Raises AddressRefusedError if one of them may not.
        """
        try:
            found = self._resolve(host, port)
        except (OSError, UnicodeError):
            raise AddressUnknownError("its host has no address") from None
        addresses = [str(each[4][0]) for each in found]
        if not found or not all(self._is_allowed(each) or (is_encrypted and is_public(each)) for each in addresses):
            if is_encrypted or not all(map(is_public, addresses)):
                raise AddressRefusedError("its host has an address that is not on the public internet")
            raise AddressRefusedError("should begin with https://")
        return found

    def _is_allowed(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False  # with a zone
        return any(parsed in each for each in self._allowed if each.version == parsed.version)

    def _parts(self, url: str) -> SplitResult:
        if len(url) > MOST_URL_CHARACTERS or not _PRINTABLE.fullmatch(url):
            raise AddressRefusedError(f"should have at most {MOST_URL_CHARACTERS} printable ASCII characters")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise AddressRefusedError("should be a URL like https://example.com/webhooks") from None
        host = parts.hostname or ""
        if parts.scheme != "https" and not (parts.scheme == "http" and self._allowed):
            raise AddressRefusedError("should begin with https://")
        if "@" in parts.netloc or "#" in url:
            raise AddressRefusedError("should have neither a user name, nor a password, nor a fragment")
        if not _is_host(host, parts.netloc):
            raise AddressRefusedError("should have a host like example.com")
        if parts.scheme == "https" and port is not None and port != _HTTPS_PORT and port < _LEAST_OTHER_PORT:
            raise AddressRefusedError(f"should have the port {_HTTPS_PORT}, or one from {_LEAST_OTHER_PORT}")
        return parts


def _is_host(host: str, netloc: str) -> bool:
    """Whether a host is a name or an address, written as it usually is."""
    is_bracketed = netloc.startswith("[")
    if is_bracketed or _ENDS_IN_A_NUMBER.fullmatch(host):
        try:
            return "%" not in host and (ipaddress.ip_address(host).version == _GLOBAL_V6.version) == is_bracketed
        except ValueError:
            return False
    return _HOST.fullmatch(host) is not None


@cache
def _resolvers() -> ThreadPoolExecutor:
    # A server of names that never answers holds a thread, and no caller.
    return ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolve")
