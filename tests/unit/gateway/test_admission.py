"""Admission of a request: who is counted for it, what judges it, and which settings hold."""

from dataclasses import replace
from typing import Any

import pytest

from sluice.errors import (
    GuardBlockedError,
    InvalidRequestError,
    NoProviderError,
    QuotaExceededError,
)
from sluice.gateway.request import AdmittedRequest, Incoming
from sluice.gateway.tenant_settings import TenantSettings
from sluice.tenants.tenant import Tenant
from tests.credentials import model
from tests.gateways import ATTACK, MemoryGateway, entry, said


def admitted(gateway: MemoryGateway, **fields: Any) -> AdmittedRequest:
    """What a request becomes."""
    context = gateway.context(fields)
    return gateway.admission.admit(Incoming(gateway.request(fields), gateway.principal, context))


def test_who_is_known_to_be_out_of_requests_has_nothing_done(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = MemoryGateway(key={"requests_per_minute": 1})
    gateway.complete()
    with pytest.raises(QuotaExceededError):
        gateway.complete()

    def unexpected(*_: object, **__: object) -> None:
        judged.append(True)

    judged: list[bool] = []
    monkeypatch.setattr("sluice.gateway.admission.check_request", unexpected)
    with pytest.raises(QuotaExceededError):
        gateway.complete()
    assert judged == []


def test_the_user_that_a_request_names_is_counted_beside_its_key() -> None:
    gateway = MemoryGateway(environment={"USER_REQUESTS_PER_MINUTE": "1"})
    ada, bob = ({"metadata": {"sluice_user": name}} for name in ("ada", "bob"))
    gateway.complete(**ada)
    with pytest.raises(QuotaExceededError, match="The user"):
        gateway.complete(**ada)
    gateway.complete(**bob)
    assert gateway.counted() == 2
    request, context = gateway.request(ada), gateway.context({})
    with pytest.raises(QuotaExceededError, match="The user"):
        gateway.gateway.record_without_model(request, gateway.principal, context, source="question-bank")


def test_a_fault_of_the_caller_s_counts_and_one_of_sluice_s_does_not() -> None:
    gateway = MemoryGateway()
    with pytest.raises(GuardBlockedError):
        admitted(gateway, messages=ATTACK)
    assert gateway.counted() == 1
    gateway = MemoryGateway({**entry("one"), "enabled": False})
    for ask in (lambda: admitted(gateway), lambda: count_only(gateway)):
        with pytest.raises(NoProviderError):
            ask()
        assert gateway.counted() == 0


def count_only(gateway: MemoryGateway) -> None:
    gateway.admission.count(Incoming(gateway.request({}), gateway.principal, gateway.context({})))


def test_a_schema_that_is_none_is_the_caller_s_fault() -> None:
    gateway = MemoryGateway()
    with pytest.raises(InvalidRequestError):
        gateway.complete(response_format={"type": "json_schema", "json_schema": {"schema": {"type": 5}}})
    assert (gateway.counted(), gateway.asked()) == (1, [])


def test_a_prompt_is_as_long_as_the_settings_let_it_be() -> None:
    gateway = MemoryGateway(environment={"PROMPT_MAX_CHARACTERS": "20"})
    gateway.complete(**said("x" * 20))
    with pytest.raises(InvalidRequestError):
        gateway.complete(**said("x" * 21))


def test_each_tenant_s_settings_hold_for_its_own_requests() -> None:
    gateway = MemoryGateway(default_temperature=0.5)
    tenants = gateway.principal, replace(gateway.principal, tenant=Tenant("globex", "Globex", default_temperature=0.1))
    for principal in (*tenants, *tenants):
        gateway.principal = principal
        gateway.complete(skip_cache=True)
    assert [call.request.temperature for call in gateway.script.calls] == [0.5, 0.1, 0.5, 0.1]


def test_the_settings_of_a_tenant_are_put_together_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = MemoryGateway()
    known = TenantSettings.of(gateway.principal.tenant, gateway.settings)
    asked: list[object] = []

    def of(tenant: object, settings: object) -> TenantSettings:
        asked.append(tenant)
        return known

    monkeypatch.setattr(TenantSettings, "of", of)
    for _ in range(2):
        gateway.complete(skip_cache=True)
    assert asked == [gateway.principal.tenant]


@pytest.mark.parametrize(
    ("tenant", "fields", "most"),
    [
        ({}, {}, None),
        ({"default_max_tokens": 100}, {}, 100),
        ({"default_max_tokens": 100}, {"max_tokens": 300}, 300),
        ({"default_max_tokens": 100}, {"max_completion_tokens": 300}, 300),
        ({"default_max_tokens": 900}, {}, 500),
        ({"default_max_tokens": 900}, {"model": "auto"}, 500),
    ],
)
def test_a_default_bounds_who_states_no_limit_as_far_as_the_model_goes(
    tenant: dict[str, Any], fields: dict[str, Any], most: int | None
) -> None:
    gateway = MemoryGateway(entry("one", small=model(max_completion_tokens=500)), **tenant)
    gateway.complete(**fields)
    assert gateway.script.calls[0].request.completion_limit == most


def test_a_default_is_no_reason_to_say_anything_else_of_an_unknown_model() -> None:
    gateway = MemoryGateway(default_max_tokens=100)
    with pytest.raises(Exception, match="There is no model 'nobody'"):
        gateway.complete(model="nobody")
