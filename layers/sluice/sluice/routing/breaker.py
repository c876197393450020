"""One circuit per deployment, shared by the whole fleet: Powertools' circuit breaker on its DynamoDB store."""

import time
from collections.abc import Callable

from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    CircuitState,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

from sluice.errors import ProviderProtocolError, ProviderTimeoutError, ProviderUnavailableError
from sluice.storage.client import dynamodb

_CONFIG = CircuitBreakerConfig(
    failure_threshold=5,
    recovery_timeout=60,
    success_threshold=1,
    handled_exceptions=(ProviderUnavailableError, ProviderTimeoutError, ProviderProtocolError),
    local_cache_max_age=10,
)


class CircuitOpenError(Exception):
    """The deployment has failed too often lately and is left alone."""


class Breaker:
    """Keeps calls away from deployments that keep failing. Safe to share between threads."""

    def __init__(self, table: str) -> None:
        self._store = CircuitBreakerDynamoDBPersistence(table_name=table, boto3_client=dynamodb())

    def is_open(self, deployment_id: str) -> bool:
        """Whether a call would be turned away, as known for up to ten seconds: asked before anything is reserved."""
        self._store.configure(config=_CONFIG, circuit_name=deployment_id)
        record = self._store.get_state(deployment_id)
        if record.state == CircuitState.OPEN:
            return time.time() < (record.opened_at or 0) + _CONFIG.recovery_timeout
        return record.state == CircuitState.HALF_OPEN and time.time() < (record.probe_lease_expiry or 0)

    def call[T](self, deployment_id: str, function: Callable[[], T]) -> T:
        """Call `function`, counting its failures. Raises CircuitOpenError, without calling it, on an open circuit."""
        guarded = circuit_breaker(name=deployment_id, persistence_store=self._store, config=_CONFIG)(function)
        try:
            result: T = guarded()
        except CircuitBreakerOpenError as error:
            raise CircuitOpenError(deployment_id) from error
        return result
