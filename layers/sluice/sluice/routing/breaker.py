"""One circuit per deployment, shared by the whole fleet: Powertools' circuit breaker on its DynamoDB store."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    CircuitState,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

from sluice.errors import ProviderProtocolError, ProviderTimeoutError, ProviderUnavailableError
from sluice.storage.boto import boto3_dynamodb
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.tables import CIRCUIT_BREAKERS

_CONFIG = CircuitBreakerConfig(
    failure_threshold=5,
    recovery_timeout=60,
    success_threshold=1,
    handled_exceptions=(ProviderUnavailableError, ProviderTimeoutError, ProviderProtocolError),
    local_cache_max_age=10,
)


class CircuitOpenError(Exception):
    """The deployment has failed too often lately and is left alone."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """A deployment's circuit: closed, open, or half open, when one call may try whether it works again."""

    state: CircuitState = CircuitState.CLOSED
    opened_at: int = 0
    probe_lease_expiry: int = 0

    def turns_away(self, now_s: float) -> bool:
        """Whether a call would be turned away."""
        if self.state == CircuitState.OPEN:
            return now_s < self.opened_at + _CONFIG.recovery_timeout
        return self.state == CircuitState.HALF_OPEN and now_s < self.probe_lease_expiry


class Breaker:
    """Keeps calls away from deployments that keep failing. Safe to share between threads."""

    def __init__(self, table: str, *, client: DynamoDB | None = None) -> None:
        self._client = client or dynamodb()
        self._store = CircuitBreakerDynamoDBPersistence(
            table_name=table, key_attr=CIRCUIT_BREAKERS.partition, boto3_client=boto3_dynamodb()
        )

    def is_open(self, deployment_id: str) -> bool:
        """Whether a call would be turned away, as known for up to ten seconds: asked before anything is reserved."""
        self._store.configure(config=_CONFIG, circuit_name=deployment_id)
        record = self._store.get_state(deployment_id)
        return Circuit(record.state, record.opened_at or 0, record.probe_lease_expiry or 0).turns_away(time.time())

    def circuits(self, deployment_ids: Iterable[str]) -> dict[str, Circuit]:
        """Each deployment's circuit as it is stored now. Raises StorageUnavailableError."""
        store = self._store
        names = dict.fromkeys(deployment_ids)
        items = self._client.read_all(store.table_name, [CIRCUIT_BREAKERS.key(name) for name in names])
        found = {
            item[CIRCUIT_BREAKERS.partition]["S"]: Circuit(
                CircuitState(item[store.state_attr]["S"]),
                int(item.get(store.opened_at_attr, {"N": "0"})["N"]),
                int(item.get(store.probe_lease_expiry_attr, {"N": "0"})["N"]),
            )
            for item in items
        }
        return {name: found.get(name, Circuit()) for name in names}

    def call[T](self, deployment_id: str, function: Callable[[], T]) -> T:
        """Call `function`, counting its failures. Raises CircuitOpenError, without calling it, on an open circuit."""
        guarded = circuit_breaker(name=deployment_id, persistence_store=self._store, config=_CONFIG)(function)
        try:
            result: T = guarded()
        except CircuitBreakerOpenError as error:
            raise CircuitOpenError(deployment_id) from error
        return result
