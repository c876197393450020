"""What tenants choose of their AI, over the function's own handler, and that it holds where requests come in."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import openai
import pytest

from functions.ai_configuration.app import ROUTES
from functions.conversations.app import ROUTES as CONVERSATIONS
from functions.keys.app import ROUTES as KEYS
from tests.rest_function import RestAnswer, RestFunction

if TYPE_CHECKING:
    import httpx

    from tests.chat_server import ChatServer
    from tests.conftest import Aws
    from tests.fakes.client import FakeProvider

MODELS = "/api/v1/ai/configuration/models"
POLICIES = "/api/v1/ai/configuration/policies"
LIMITS = "/api/v1/ai/configuration/cost_limits"
FEATURES = "/api/v1/ai/configuration/features"
AGENT = "/api/v1/ai/preferences/agent_config"


@pytest.fixture
def ai(aws: "Aws") -> RestFunction:
    function = RestFunction(ROUTES)
    function.tenant("acme", allowed_models=["llama-3.1-8b-instant", "llama-3.3-70b-versatile"], budget_usd_per_month=10)
    function.api_key = function.key("acme", role="operator")
    return function


def changed(answer: RestAnswer) -> Any:
    assert answer.status == 200, answer.raw
    return answer.body


def test_what_nobody_chose_is_shown_with_what_holds(ai: RestFunction) -> None:
    found = changed(ai.send(f"GET {MODELS}"))
    assert found["version"] == 0
    assert found["updated_at"] is None
    assert set(found["configuration"].values()) == {None}
    assert found["effective"]["allowed_models"] == ["llama-3.1-8b-instant", "llama-3.3-70b-versatile"]
    listed = changed(ai.send("GET /api/v1/ai/configuration"))
    assert [each["category"] for each in listed["data"]] == ["models", "policies", "cost_limits", "features"]


def test_a_choice_has_a_version_who_made_it_and_an_audit_record(ai: RestFunction, aws: "Aws") -> None:
    answer = ai.send(f"PATCH {MODELS}", {"allowed_models": ["llama-3.1-8b-instant"], "default_max_tokens": 64})
    body = changed(answer)
    assert answer.headers["etag"] == ['"1"']
    assert body["version"] == 1
    assert body["updated_by"] == ai.api_key.split("-")[1]
    assert body["configuration"]["allowed_models"] == ["llama-3.1-8b-instant"]
    assert body["effective"]["default_max_tokens"] == 64
    again = changed(ai.send(f"PATCH {MODELS}", {"default_max_tokens": None}))
    assert (again["version"], again["configuration"]["default_max_tokens"]) == (2, None)
    assert again["configuration"]["allowed_models"] == ["llama-3.1-8b-instant"]
    log = RestFunction(KEYS, aws.admin_key).send(
        "GET /v1/audit", query={"tenant": "acme", "action": "ai_configuration.changed"}
    )
    assert [each["target"] for each in log.body["data"]] == ["models", "models"]


@pytest.mark.parametrize("side", ["prompt", "answer"])
def test_a_choice_with_defaults_inside_is_stored_whole_and_can_be_read(ai: RestFunction, side: str) -> None:
    chosen = changed(ai.send(f"PATCH {POLICIES}", {"guard_models": {side: {"model": "a-guard"}}}))
    model = chosen["configuration"]["guard_models"][side]
    assert model.keys() == {"model", "threshold", "when_unavailable"}
    assert chosen["effective"]["guard_models"][side] == "a-guard"
    # The tenant is read with its choices by everything else.
    assert changed(ai.send(f"GET {FEATURES}"))["effective"]["files"] is True


def test_a_change_is_made_of_the_version_that_was_seen_alone(ai: RestFunction) -> None:
    first = ai.send(f"PATCH {LIMITS}", {"budget_usd_per_month": 5}, headers={"If-Match": '"0"'})
    assert changed(first)["version"] == 1
    stale = ai.send(f"PATCH {LIMITS}", {"budget_usd_per_month": 6}, headers={"If-Match": '"0"'})
    assert (stale.status, stale.error["code"]) == (412, "precondition_failed")
    assert changed(ai.send(f"GET {LIMITS}"))["configuration"]["budget_usd_per_month"] == 5


def test_of_changes_at_the_same_moment_one_is_made_of_each_version(ai: RestFunction) -> None:
    def change(number: int) -> int:
        return ai.send(f"PATCH {LIMITS}", {"budget_usd_per_month": number}, headers={"If-Match": '"0"'}).status

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(change, range(1, 5)))
    assert sorted(statuses) == [200, 412, 412, 412]


def test_changes_of_different_fields_at_the_same_moment_are_all_kept(ai: RestFunction) -> None:
    fields: list[dict[str, object]] = [
        {"default_max_tokens": 9},
        {"default_temperature": 0.5},
        {"routing_enabled": False},
    ]
    with ThreadPoolExecutor(3) as pool:
        assert [each.status for each in pool.map(lambda body: ai.send(f"PATCH {MODELS}", body), fields)] == [200] * 3
    found = changed(ai.send(f"GET {MODELS}"))
    assert found["version"] == 3
    assert {name: found["configuration"][name] for each in fields for name in each} == {
        "default_max_tokens": 9,
        "default_temperature": 0.5,
        "routing_enabled": False,
    }


@pytest.mark.parametrize(
    ("path", "body", "param", "words"),
    [
        (MODELS, {"allowed_models": ["gpt-9"]}, "allowed_models", "llama-3.3-70b-versatile"),
        (MODELS, {"allowed_models": []}, "allowed_models", ""),
        (LIMITS, {"budget_usd_per_month": 11}, "budget_usd_per_month", "10"),
        (LIMITS, {"budget_usd_per_month": -1}, "budget_usd_per_month", ""),
        (LIMITS, {"user_limits": {"tokens_per_minute": 0}}, "user_limits.tokens_per_minute", ""),
        (POLICIES, {"guard_modes": {"no-such-rule": "block"}}, "guard_modes.no-such-rule", "there is no such"),
        (POLICIES, {"guard_models": {"prompt": {"model": "llama-3.1-8b-instant"}}}, "guard_models.prompt.model", ""),
        (POLICIES, {"guard_mode": "sometimes"}, "guard_mode", ""),
        (FEATURES, {"chat": False}, "chat", ""),
        (FEATURES, {}, None, "at least one"),
        (AGENT, {"questionAnswering": {"confidenceThreshold": 1.5}}, "questionAnswering.confidenceThreshold", ""),
        (AGENT, {"questionAnswering": {"responseStyle": "rude"}}, "questionAnswering.responseStyle", ""),
        (AGENT, {"insightGeneration": {"customPrompts": ["x"] * 11}}, "insightGeneration.customPrompts", ""),
    ],
)
def test_what_can_not_be_chosen_is_refused_by_name(
    ai: RestFunction, path: str, body: Mapping[str, Any], param: str | None, words: str
) -> None:
    refused = ai.send(f"PATCH {path}", body)
    assert (refused.status, refused.error["param"]) == (400, param), refused.raw
    assert words in refused.error["message"]


def test_a_tenant_sees_and_changes_its_own_alone(ai: RestFunction, aws: "Aws") -> None:
    ai.tenant("other")
    stranger = ai.key("other", role="operator")
    for path in (MODELS, AGENT):
        assert ai.send(f"GET {path}", query={"tenant": "acme"}, api_key=stranger).status == 404
    assert (
        ai.send(f"PATCH {LIMITS}", {"budget_usd_per_month": 1}, query={"tenant": "acme"}, api_key=stranger).status
        == 404
    )
    assert (
        ai.send(
            f"PATCH {AGENT}", {"dashboardAI": {"autoRefresh": False}}, query={"tenant": "acme"}, api_key=stranger
        ).status
        == 404
    )
    caller = ai.key("acme")
    assert ai.send(f"GET {MODELS}", api_key=caller).status == 200
    assert ai.send(f"PATCH {MODELS}", {"default_max_tokens": 1}, api_key=caller).status == 403
    admin = ai.send(f"PATCH {MODELS}", {"default_max_tokens": 7}, query={"tenant": "acme"}, api_key=aws.admin_key)
    assert changed(admin)["tenant"] == "acme"
    assert ai.send(f"GET {MODELS}", query={"tenant": "nobody"}, api_key=aws.admin_key).status == 404


def test_what_an_admin_takes_away_is_gone_whatever_was_chosen(ai: RestFunction, aws: "Aws") -> None:
    changed(ai.send(f"PATCH {MODELS}", {"allowed_models": ["llama-3.3-70b-versatile"]}))
    keys = RestFunction(KEYS, aws.admin_key)
    assert keys.send("PATCH /v1/tenants/acme", {"allowed_models": ["llama-3.1-8b-instant"]}).status == 200
    assert changed(ai.send(f"GET {MODELS}"))["effective"]["allowed_models"] == []
    # An admin's own view is what the admin said, not what is left of it.
    listed = keys.send("GET /v1/tenants").body["data"]
    assert [each["allowed_models"] for each in listed if each["id"] == "acme"] == [["llama-3.1-8b-instant"]]


def test_preferences_are_merged_by_field_and_show_what_is_usual(ai: RestFunction) -> None:
    changed(ai.send(f"PATCH {AGENT}", {"questionAnswering": {"responseStyle": "brief"}}))
    found = changed(ai.send(f"PATCH {AGENT}", {"questionAnswering": {"confidenceThreshold": 0.6}}))
    assert found["version"] == 2
    assert found["configuration"]["questionAnswering"]["responseStyle"] == "brief"
    assert found["configuration"]["questionAnswering"]["confidenceThreshold"] == 0.6
    assert found["defaults"]["questionAnswering"] == {
        "primaryModel": None,
        "fallbackModel": None,
        "responseStyle": "detailed",
        "confidenceThreshold": 0.8,
        "analysisDepth": "advanced",
        "customPrompts": [],
    }
    stale = ai.send(f"PATCH {AGENT}", {"dashboardAI": {"autoRefresh": False}}, headers={"If-Match": '"1"'})
    assert stale.status == 412
    listed = changed(ai.send("GET /api/v1/ai/preferences"))
    assert [each["type"] for each in listed["data"]] == ["agent_config", "dashboard_ai", "embedding_config", "qa_agent"]
    assert [each["version"] for each in listed["data"]] == [2, 0, 0, 0]


def test_choices_hold_for_chats(chat: "ChatServer", fake: "FakeProvider") -> None:
    tenant_key = chat.tenant("choosy")
    ai = RestFunction(ROUTES, chat.key("choosy", role="operator"))
    changed(ai.send(f"PATCH {MODELS}", {"allowed_models": ["small"], "default_max_tokens": 33}))
    changed(ai.send(f"PATCH {POLICIES}", {"guard_modes": {"personal-email": "block"}}))
    changed(ai.send(f"PATCH {FEATURES}", {"conversations": False}))
    chat.restart()

    def ask(text: str = "Hello", headers: dict[str, str] | None = None, model: str = "small") -> "httpx.Response":
        question = {"model": model, "messages": [{"role": "user", "content": text}]}
        return chat.post(question, api_key=tenant_key, headers=headers)

    assert ask().status_code == 200
    assert fake.last_body()["max_tokens"] == 33
    assert ask("Write to ada@example.com").json()["error"]["code"] == "personal-email"
    remembered = ask(headers={"x-sluice-conversation-id": "c1"})
    assert (remembered.status_code, remembered.json()["error"]["code"]) == (403, "feature_disabled")
    assert RestFunction(CONVERSATIONS, tenant_key).send("GET /v1/conversations").status == 403
    client = chat.openai(tenant_key)
    assert client.responses.create(model="small", input="Hello").to_dict()["store"] is False
    for refused in ({"store": True}, {"previous_response_id": "resp_1"}):
        with pytest.raises(openai.PermissionDeniedError):
            client.responses.create(model="small", input="Hello", **refused)
    changed(ai.send(f"PATCH {MODELS}", {"allowed_models": ["another"]}))
    chat.restart()
    assert ask().status_code == 403
    # Nobody else chose that.
    assert (
        chat.post({"model": "small", "messages": [{"role": "user", "content": "Write to ada@example.com"}]}).status_code
        == 200
    )


def test_models_are_listed_with_what_they_can_do(ai: RestFunction, aws: "Aws") -> None:
    route = "POST /api/v1/ai/models/available"
    aws.set_credentials({"provider": "groq", "alias": "groq-1", "api_key": "gsk-test"})
    everything = changed(ai.send(route, {}))
    assert {each["name"] for each in everything} == {"llama-3.1-8b-instant", "llama-3.3-70b-versatile"}
    [smart] = changed(ai.send(route, {"capabilities": ["text_generation", "analysis"]}))
    assert smart["name"] == "llama-3.3-70b-versatile"
    assert smart["reachable"] is True
    assert smart["dimensions"] is None
    assert smart["max_tokens"] > 0
    assert smart["capabilities"] == ["text_generation", "analysis"]
    assert changed(ai.send(route, {"capabilities": ["embedding"]})) == []
    ai.tenant("other", allowed_models=["llama-3.1-8b-instant"])
    assert ai.send(route, {}, query={"tenant": "other"}).status == 404, "an operator sees its own tenant alone"
    ai.api_key = ai.key("acme", role="admin")
    [of_other] = changed(ai.send(route, {}, query={"tenant": "other"}))
    assert of_other["name"] == "llama-3.1-8b-instant"
    unknown = ai.send(route, {"capabilities": ["telepathy"]})
    assert (unknown.status, unknown.error["param"]) == (400, "capabilities[0]")
