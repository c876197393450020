"""The cache, as admission asks it: which requests share answers, for how long, and who waits for whom."""

from collections.abc import Callable
from typing import Any

import pytest

from sluice.cache.store import CachedAnswer
from sluice.chat import ResponseFormat
from sluice.gateway.request import AdmittedRequest, Incoming
from sluice.routing.deadline import Deadline
from sluice.tenants.tenant import GuardModel, GuardModels
from tests.credentials import model
from tests.gateways import ADDRESS, MemoryGateway, entry, said
from tests.scripted_providers import Reply, body

OBJECT = ResponseFormat(type="json_object")


def admitted(gateway: MemoryGateway, **fields: Any) -> AdmittedRequest:
    """What a request becomes."""
    context = gateway.context(fields)
    return gateway.admission.admit(Incoming(gateway.request(fields), gateway.principal, context))


def caches(gateway: MemoryGateway, **fields: Any) -> list[str | None]:
    """What two identical requests find in the cache."""
    return [gateway.complete(**fields).provenance.cache for _ in range(2)]


@pytest.mark.parametrize(
    ("tenant", "fields", "found"),
    [
        ({}, {}, ["miss", "hit"]),
        ({}, {"temperature": 0.0}, ["miss", "hit"]),
        ({}, {"temperature": 0.5}, ["skipped", "skipped"]),
        ({}, {"temperature": 0.5, "is_prompt_fixed": True}, ["miss", "hit"]),
        ({"cache_policy": "all"}, {"temperature": 0.5}, ["miss", "hit"]),
        ({"cache_policy": "off"}, {}, ["skipped", "skipped"]),
        ({"cache_ttl_s": 0}, {}, ["skipped", "skipped"]),
        ({"default_temperature": 0.5}, {}, ["miss", "hit"]),
        ({}, {"no_store": True}, ["miss", "miss"]),
        ({}, {"cache_ttl_s": 0}, ["miss", "miss"]),
        ({}, {"skip_cache": True}, ["skipped", "skipped"]),
    ],
)
def test_which_requests_share_answers(tenant: dict[str, Any], fields: dict[str, Any], found: list[str]) -> None:
    gateway = MemoryGateway(**tenant)
    assert caches(gateway, **fields) == found
    # Who neither is served nor adds anything does not ask the cache, and who only adds asks for the generation alone.
    asked = [bool(key) for key in gateway.cache.asked]
    assert asked == ([] if found[0] == "skipped" and "skip_cache" not in fields else [found[0] != "skipped"] * 2)


def test_who_skips_the_cache_leaves_the_new_answer_to_others() -> None:
    gateway = MemoryGateway()
    gateway.complete()
    gateway.script.replies["one"] = [Reply(body=body("Good evening."))]
    gateway.complete(skip_cache=True)
    assert gateway.complete().body == body("Good evening.")


@pytest.mark.parametrize(("fields", "kept_s"), [({}, [600]), ({"cache_ttl_s": 60}, [60]), ({"no_store": True}, [])])
def test_an_answer_is_kept_as_long_as_its_tenant_or_its_task_says(fields: dict[str, Any], kept_s: list[int]) -> None:
    gateway = MemoryGateway(cache_ttl_s=600)
    gateway.complete(**fields)
    assert gateway.cache.lifetimes_s == kept_s


def test_an_answer_of_variety_is_not_kept() -> None:
    gateway = MemoryGateway()
    gateway.complete(temperature=0.5)
    assert gateway.cache.lifetimes_s == []


def test_answers_are_kept_by_tenant_model_format_and_temperature() -> None:
    keys = {
        admitted(MemoryGateway(**tenant), **fields).cache_key
        for tenant, fields in (
            ({}, {}),
            ({}, {"model": "auto"}),
            ({}, {"response_format": {"type": "json_object"}}),
            ({}, {"answer_format": OBJECT}),
            ({"default_temperature": 0.5}, {}),
            ({"guard_models": GuardModels(prompt=GuardModel("a"))}, {}),
            ({"guard_models": GuardModels(answer=GuardModel("a"))}, {}),
            ({"guard_models": GuardModels(prompt=GuardModel("a", threshold=0.6))}, {}),
        )
    }
    assert len(keys) == 8
    assert admitted(MemoryGateway(default_temperature=0.5), temperature=0.5).cache_key in keys
    named = admitted(MemoryGateway(entry("one", small=model(aliases=["tiny"]))), model="tiny")
    assert named.cache_key in keys


def test_a_cached_answer_that_today_s_rules_block_is_asked_for_anew() -> None:
    gateway = MemoryGateway(guard_modes={"personal-email": "block"})
    gateway.complete()
    [(key, kept)] = gateway.cache.answers.items()
    gateway.cache.answers[key] = CachedAnswer(body(ADDRESS), kept.model, kept.deployment)
    assert gateway.complete().body == body()
    assert gateway.asked() == ["one", "one"]


def test_what_today_s_rules_flag_in_a_cached_answer_is_said_beside_what_they_flag_in_the_prompt() -> None:
    modes = {"personal-email": "flag", "personal-phone": "flag"}
    fields = said("Call +49 30 901820 please")
    gateway = MemoryGateway(guard_modes=modes)
    gateway.script.replies["one"] = [Reply(body=body(ADDRESS))]
    for cached in ("miss", "hit"):
        shown = gateway.complete(**fields).provenance
        assert (shown.cache, shown.flagged_rules) == (cached, ("personal-phone", "personal-email"))


@pytest.mark.parametrize(("alias", "provider"), [("one", "gateway"), ("gone", None)])
def test_a_cached_answer_names_its_provider_while_there_is_its_deployment(alias: str, provider: str | None) -> None:
    gateway = MemoryGateway(entry("zero"), entry("one", small=model(), other=model()))
    gateway.complete()
    [(key, kept)] = gateway.cache.answers.items()
    gateway.cache.answers[key] = CachedAnswer(kept.body, kept.model, f"{alias}#small")
    shown = gateway.complete().provenance
    assert (shown.cache, shown.provider, shown.deployment) == ("hit", provider, f"{alias}#small")
    assert gateway.records.added[-1].provider == (provider or "gone")
    assert gateway.records.added[-1].credential == (alias if provider else "")


def test_a_cache_that_is_down_costs_no_answer_and_none_is_put_into_it() -> None:
    gateway = MemoryGateway()
    gateway.cache.is_down = True
    assert gateway.complete().provenance.cache == "miss"
    gateway.cache.is_down = False
    assert gateway.cache.lifetimes_s == []
    assert caches(gateway) == ["miss", "hit"]


def asking_meanwhile(gateway: MemoryGateway, ask: Callable[[], object]) -> None:
    """Let the next call of the provider do something before it answers."""

    def reply() -> Reply:
        ask()
        return Reply()

    gateway.script.replies["one"] = [reply]


def test_an_identical_request_asks_for_itself_when_it_can_wait_no_longer() -> None:
    gateway = MemoryGateway()
    asking_meanwhile(gateway, lambda: gateway.complete(deadline=Deadline.after(0.6)))
    gateway.complete()
    assert gateway.asked() == ["one", "one"]
    # The one that others wait for ends that alone.
    assert gateway.complete().provenance.cache == "hit"


@pytest.mark.parametrize("fields", [{"skip_cache": True}, {"no_store": True}, {"temperature": 0.5}])
def test_who_shares_no_answers_waits_for_none(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = MemoryGateway()
    waited: list[object] = []

    def join(each: object) -> tuple[None, bool]:
        waited.append(each)
        return None, True

    monkeypatch.setattr(gateway.shared, "join", join)
    gateway.complete(**fields)
    assert waited == []
    gateway.complete(**said("Another"))
    assert len(waited) == 1


def test_an_answer_that_was_waited_for_is_shared_as_a_cached_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = MemoryGateway(guard_modes={"personal-email": "flag"})
    waited = CachedAnswer(body(ADDRESS), "small", "one#small")
    monkeypatch.setattr(gateway.shared, "join", lambda _: (waited, False))
    shown = gateway.complete().provenance
    assert (shown.cache, shown.flagged_rules, gateway.asked()) == ("hit", ("personal-email",), [])


def test_a_request_with_a_cached_answer_leads_nobody() -> None:
    gateway = MemoryGateway()
    gateway.complete()
    assert not admitted(gateway).is_leader
    assert admitted(gateway, **said("Another")).is_leader
