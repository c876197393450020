"""Clients of AWS, and what keeps or bounds what they are asked."""

from typing import TYPE_CHECKING

from sluice.composition.part import Parts, part

if TYPE_CHECKING:
    from sluice.storage.addresses import Addresses
    from sluice.storage.client import DynamoDB
    from sluice.storage.objects import ObjectStore
    from sluice.storage.queues import Sqs
    from sluice.storage.secrets import SecretReader, SecretsManager


class StorageParts(Parts):
    """Clients of AWS: each is made once, and connects when it is first asked."""

    @part
    def dynamodb(self) -> "DynamoDB":
        """The client that all stores speak through."""
        from sluice.storage.client import dynamodb

        return dynamodb()

    @part
    def secretsmanager(self) -> "SecretsManager":
        """The client that secrets are read through."""
        from sluice.storage.secrets import secretsmanager

        return secretsmanager()

    @part
    def secrets(self) -> "SecretReader":
        """Secrets, kept for a while."""
        from sluice.storage.secrets import SecretReader

        return SecretReader(self.secretsmanager.secret)

    @part
    def objects(self) -> "ObjectStore":
        """The bucket of files."""
        from sluice.storage.objects import ObjectStore

        return ObjectStore(self.settings.files_bucket)

    @part
    def sqs(self) -> "Sqs":
        """The client that messages are sent through."""
        from sluice.storage.queues import sqs

        return sqs()

    @part
    def addresses(self) -> "Addresses":
        """Where what tenants name may be."""
        from sluice.storage.addresses import Addresses, networks

        return Addresses(networks(self.settings.allowed_networks))
