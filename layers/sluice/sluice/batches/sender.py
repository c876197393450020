"""Who asked for something that is done later, with the rights of now."""

from typing import Protocol

from sluice.errors import AuthenticationError
from sluice.tenants.directory import Directory
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import ApiKey, Role
from sluice.tenants.verification import KeyVerifier


class Sent(Protocol):
    """What says who asked for something: a batch, or a message about a store."""

    @property
    def tenant(self) -> str:
        """The tenant's id."""

    @property
    def caller(self) -> str:
        """The id of the API key, or of the login."""

    @property
    def is_login(self) -> bool:
        """Whether it was a login."""

    @property
    def user(self) -> str | None:
        """Who the login said that it was."""


class SenderLookup:
    """Finds the principals of batches and messages. Threads may share it.

    `takes_logins`: those made with logins still count.
    """

    def __init__(self, verifier: KeyVerifier, directory: Directory, *, takes_logins: bool) -> None:
        self._verifier = verifier
        self._directory = directory
        self._takes_logins = takes_logins

    def find(self, sent: Sent) -> Principal:
        """The principal that something was asked by. Raises AuthenticationError, StorageUnavailableError."""
        if not sent.is_login:
            found = self._verifier.known(sent.tenant, sent.caller)
            return Principal(found.key, found.tenant)
        tenant = self._directory.tenant(sent.tenant) if self._takes_logins else None
        if tenant is None:
            raise AuthenticationError("The login that asked for this is not taken any more.")
        # Nothing that batches ask takes more than a caller.
        key = ApiKey(sent.caller, sent.tenant, Role.CALLER, "a login")
        return Principal(key, tenant, is_login=True, user=sent.user)
