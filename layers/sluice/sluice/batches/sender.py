"""Whose a batch is, with the rights of now."""

from sluice.batches.batch import Batch
from sluice.errors import AuthenticationError
from sluice.tenants.directory import Directory
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import ApiKey, Role
from sluice.tenants.verification import KeyVerifier


class SenderLookup:
    """Finds the principals of batches. Threads may share it. `takes_logins`: those made with logins still count."""

    def __init__(self, verifier: KeyVerifier, directory: Directory, *, takes_logins: bool) -> None:
        self._verifier = verifier
        self._directory = directory
        self._takes_logins = takes_logins

    def find(self, batch: Batch) -> Principal:
        """The principal that a batch was made by. Raises AuthenticationError, StorageUnavailableError."""
        if not batch.is_login:
            found = self._verifier.known(batch.tenant, batch.caller)
            return Principal(found.key, found.tenant)
        tenant = self._directory.tenant(batch.tenant) if self._takes_logins else None
        if tenant is None:
            raise AuthenticationError("The login that asked for this is not taken any more.")
        # Nothing that batches ask takes more than a caller.
        key = ApiKey(batch.caller, batch.tenant, Role.CALLER, "a login")
        return Principal(key, tenant, is_login=True, user=batch.user)
