"""POST /api/v1/ai/qa/ask, through the function's own handler: tables, roles, stores and a model behind it are real."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.answering.app import ROUTES
from sluice.chat import Usage
from sluice.knowledge.creating import NewStore
from sluice.knowledge.document import Document
from sluice.tenants.audit import Actor
from sluice.tenants.principal import Principal
from sluice.usage.records import UsageRecord
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.recorded_calls import asked_as
from tests.rest_function import RestAnswer, RestFunction
from tests.stores import stores_environment
from tests.tenants import key_id

RETURNS = "Customers may return goods within 45 days of delivery. Refunds take ten working days."


@pytest.fixture
def asking(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestFunction]:
    """The function, with an operator's key of acme, a chat model, and the embedding model of the layer."""
    monkeypatch.setenv("LOCAL_EMBEDDINGS", "true")
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model()}))
    with stores_environment(monkeypatch):
        function = RestFunction(ROUTES)
        function.tenant("acme", budget_usd_per_month=50)
        function.tenant("globex")
        function.api_key = function.key(role="operator")
        yield function


def ask(asking: RestFunction, question: str, *, api_key: str | None = None, **context: Any) -> RestAnswer:
    body = {"question": question, **({"context": context} if context else {})}
    return asking.send("POST /api/v1/ai/qa/ask", body, api_key=api_key)


def used(asking: RestFunction, caller: str, *, tenant: str = "acme", **more: Any) -> None:
    fields: dict[str, Any] = {"provider": "groq", "model": "llama-3.1-8b-instant", "usage": Usage(100, 20), **more}
    record = UsageRecord(tenant=tenant, caller=caller, cost_nanousd=1_500_000_000, response_time_ms=250, **fields)
    asking.app.usage_records.add(record, datetime.now(UTC) - timedelta(days=1))


def principal(asking: RestFunction, api_key: str, tenant: str) -> Principal:
    found = asking.app.verifier.known(tenant, key_id(api_key))
    return Principal(found.key, found.tenant)


def filled_store(asking: RestFunction, who: Principal, text: str) -> str:
    with asked_as("VectorStoresFunction"):
        store = asking.app.store_maker.create(who, NewStore(name="Handbook"))
    with asked_as("StoreWorkerFunction"):
        document = Document(id="returns", kind="note", text=text, version="1", title="Refund policy")
        asking.app.document_writer.write(who, store.id, document)
    return store.id


def prefer(asking: RestFunction, **values: object) -> None:
    who = principal(asking, asking.api_key, "acme")
    asking.app.preferences.change("acme", "qa_agent", lambda _: values, Actor(who, "a-request"))


def test_usage_is_told_within_what_the_key_may_see(asking: RestFunction) -> None:
    own = asking.key(role="caller")
    used(asking, key_id(own), user="ada")
    used(asking, "k2", user="bob", model="gpt-4o", provider="openai")
    used(asking, "k3", tenant="globex")
    everything = ask(asking, "How much did we spend yesterday?")
    assert everything.status == 200
    assert everything.body["basis"] == "computed"
    assert everything.body["figures"][0]["value"] == 3.0
    yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    assert everything.body["figures"][0]["period"] == {"from": yesterday, "to": yesterday}
    assert everything.body["data_sources"][0]["link"] == f"/v1/usage?from={yesterday}&to={yesterday}&group_by=day,model"
    assert everything.body["model"] is None
    assert everything.headers["x-ratelimit-limit-requests"]
    assert ask(asking, "How much did we spend yesterday?", api_key=own).body["figures"][0]["value"] == 1.5
    assert ask(asking, "What did bob spend yesterday?").body["basis"] == "computed"
    assert ask(asking, "What did bob spend yesterday?", api_key=own).body["basis"] == "none"
    assert ask(asking, "What did we spend yesterday?", tenant="globex").status == 404
    admin = asking.key(role="admin")
    assert (
        ask(asking, "What did we spend yesterday?", api_key=admin, tenant="globex").body["figures"][0]["value"] == 1.5
    )
    both = ask(asking, "How much did we spend yesterday, and how many requests were made yesterday?").body
    assert len(both["figures"]) >= 2
    assert both["answer"].count("Days are those of") == 1
    # What nothing has asked of a model is in no usage.
    assert ask(asking, "How many requests were made today?").body["figures"][0]["value"] == 0


def test_what_holds_now_is_read_where_it_is_kept(asking: RestFunction) -> None:
    assert "budget of $50.00" in ask(asking, "What is our budget?").body["answer"]
    assert "All providers are healthy now" in ask(asking, "Are all providers healthy?").body["answer"]
    assert "There is no source" in ask(asking, "How many documents have been ingested?").body["answer"]
    assert "There are no vector stores." in ask(asking, "Which vector stores do we have?").body["answer"]
    assert "requests a minute are left" in ask(asking, "How many requests do I have left?").body["answer"]


def test_documents_are_searched_and_a_model_s_words_are_held_against_them(
    asking: RestFunction, fake: FakeProvider
) -> None:
    store = filled_store(asking, principal(asking, asking.api_key, "acme"), RETURNS)
    other = filled_store(asking, principal(asking, asking.key("globex"), "globex"), "Returns are never accepted.")
    question = "Within how many days may customers return goods?"
    fake.configure(answers=["They have 60 days [1].", "Customers may return goods within 45 days of delivery [1]."])
    invented = ask(asking, question)
    assert invented.body["answer"].startswith("\u201cCustomers may return goods within 45 days of delivery.")
    assert invented.body["basis"] == "documents"
    [source] = invented.body["data_sources"]
    assert (source["chunk_id"], source["vector_store_id"]) == ("returns#0", store)
    assert source["link"] == f"/v1/vector_stores/{store}"
    grounded = asking.send(
        "POST /api/v1/ai/qa/ask",
        {"question": question, "context": {"vector_store_ids": [store]}},
        headers={"Cache-Control": "no-cache"},
    )
    assert grounded.body["answer"] == "Customers may return goods within 45 days of delivery [1]."
    assert grounded.body["model"] == "small"
    assert grounded.headers["x-sluice-model"] == ["small"]
    refused = ask(asking, question, vector_store_ids=[other])
    assert (refused.status, refused.error["param"]) == (404, "context.vector_store_ids[0]")


def test_a_tenant_s_preferences_and_switches_hold(asking: RestFunction) -> None:
    used(asking, "k1")
    question = "How much did we spend yesterday?"
    assert "Most of it" in ask(asking, question).body["answer"] or "more" in ask(asking, question).body["answer"]
    prefer(asking, responseStyle="brief", analysisDepth="basic")
    assert ask(asking, question).body["answer"].endswith("cost $1.50.")
    prefer(asking, confidenceThreshold=1.0)
    assert ask(asking, question).body["basis"] == "none"
    actor = Actor(principal(asking, asking.api_key, "acme"), "a-request")
    asking.app.configuration.change("acme", "features", lambda _, __: {"questions": False}, actor)
    asking.restart()
    off = ask(asking, question)
    assert (off.status, off.error["code"]) == (403, "feature_disabled")


def test_what_is_no_question_is_refused(asking: RestFunction) -> None:
    for body, param in (
        ({"question": "a" * 100_000}, "question"),
        ({"question": ""}, "question"),
        ({"question": "What did we spend?", "context": {"time_zone": "Mars/Olympus"}}, "context.time_zone"),
        ({"question": "What did we spend?", "context": {"sql": "SELECT 1"}}, "context.sql"),
        ({"question": "What did we spend?", "context": {"vector_store_ids": ["x"] * 11}}, "context.vector_store_ids"),
    ):
        answer = asking.send("POST /api/v1/ai/qa/ask", body)
        assert (answer.status, answer.error["param"]) == (400, param)


def test_odd_questions_are_answered_or_not_and_never_fail(asking: RestFunction) -> None:
    filled_store(asking, principal(asking, asking.api_key, "acme"), RETURNS)
    for question in ("\ud83d what did we spend?", "\x00\x01", "'; DROP TABLE usage; --", "{{7*7}} {1}", "\u0f40\u0f41"):
        assert ask(asking, question).status == 200, question
