"""Tenants: who asks, what they chose and what they brought."""

from functools import partial
from typing import TYPE_CHECKING

from sluice.composition.part import part
from sluice.composition.storage import StorageParts

if TYPE_CHECKING:
    from sluice.integrations.store import IntegrationStore
    from sluice.tenants.administration import Administration
    from sluice.tenants.audit_log import AuditLog
    from sluice.tenants.configuration import Configuration
    from sluice.tenants.directory import Directory
    from sluice.tenants.login.verification import LoginVerifier
    from sluice.tenants.preferences import Preferences
    from sluice.tenants.principal import Principal
    from sluice.tenants.verification import KeyVerifier


class TenantParts(StorageParts):
    """Who asks, what tenants chose and what they brought."""

    @part
    def directory(self) -> "Directory":
        """Tenants and API keys."""
        from sluice.tenants.directory import Directory

        return Directory(self.settings.directory_table, client=self.dynamodb)

    @part
    def verifier(self) -> "KeyVerifier":
        """Verifies API keys, and keeps what it found for a while."""
        from sluice.tenants.verification import KeyVerifier

        secret = self.settings.admin_key_secret
        return KeyVerifier(self.directory, partial(self.secrets.read, secret) if secret else None)

    def verify_login(self, token: str) -> "Principal":
        """Who a JSON Web Token is of: see LoginVerifier.verify."""
        return self.login_verifier.verify(token)

    @part
    def login_verifier(self) -> "LoginVerifier":
        """Verifies logins, for which PyJWT is loaded: where they are taken, and when the first one comes."""
        from sluice.tenants.login.issuer import Issuer
        from sluice.tenants.login.signing_keys import SigningKeys
        from sluice.tenants.login.verification import LoginVerifier

        settings = self.settings.jwt
        if settings is None:
            raise RuntimeError("no issuer of logins is set")
        keys = SigningKeys(Issuer(settings.issuer, settings.jwks_url).key_set)
        return LoginVerifier(settings, keys, self.directory)

    @part
    def audit_log(self) -> "AuditLog":
        """Who did what."""
        from sluice.tenants.audit_log import AuditLog

        return AuditLog(self.settings.directory_table, self.dynamodb)

    @part
    def administration(self) -> "Administration":
        """Makes, changes and deletes tenants and API keys."""
        from sluice.tenants.administration import Administration, DefaultLimits

        defaults = DefaultLimits(self.settings.requests_per_minute, self.settings.requests_per_day)
        return Administration(self.directory, self.audit_log, defaults)

    @part
    def configuration(self) -> "Configuration":
        """What tenants choose of their AI."""
        from sluice.tenants.configuration import Configuration

        return Configuration(self.directory, self.audit_log)

    @part
    def preferences(self) -> "Preferences":
        """What tenants prefer of their agents and stores."""
        from sluice.tenants.preferences import Preferences

        return Preferences(self.settings.directory_table, self.dynamodb, self.audit_log)

    @part
    def integrations(self) -> "IntegrationStore":
        """What tenants bring."""
        from sluice.integrations.store import IntegrationStore
        from sluice.storage.parameters import parameter_store

        return IntegrationStore(
            self.directory,
            self.dynamodb,
            parameter_store(),
            self.audit_log,
            table=self.settings.directory_table,
            secrets_path=self.settings.integration_secrets,
        )
