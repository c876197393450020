"""The guard of what tenants' own providers connect to: the public internet, and networks that the stack allows.

It is set around a call, as the SDKs between an adapter and its connections hand nothing of the kind on.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from sluice.loading.dataclass import dataclass
from sluice.storage.addresses import Addresses, networks
from sluice.storage.connections import SocketAddress

_networks: ContextVar[tuple[str, ...] | None] = ContextVar("_networks", default=None)


@dataclass(frozen=True, slots=True)
class Guard:
    """What may be connected to. Connections that are kept open are those of one guard, and of no other."""

    networks: tuple[str, ...]
    is_encrypted: bool

    def find(self, host: str, port: int) -> Sequence[SocketAddress]:
        """The addresses of a host. Raises AddressRefusedError if one of them may not be connected to."""
        return _addresses(self.networks).resolved(host, port, is_encrypted=self.is_encrypted)


@contextmanager
def guarding(allowed: tuple[str, ...] | None) -> Iterator[None]:
    """Within this context, connect to public hosts and those in `allowed` networks; None is to any host."""
    token = _networks.set(allowed)
    try:
        yield
    finally:
        _networks.reset(token)


def guard_of(scheme: bytes) -> Guard | None:
    """The guard of a call that is made now; None if it may go anywhere."""
    allowed = _networks.get()
    return None if allowed is None else Guard(allowed, is_encrypted=scheme == b"https")


@cache
def _addresses(allowed: tuple[str, ...]) -> Addresses:
    return Addresses(networks(allowed))
