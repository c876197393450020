"""What tenants bring, over the function's own handler, and that their requests are answered with it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from functions.ai_configuration.app import ROUTES
from functions.keys.app import ROUTES as KEYS
from sluice.api.integrations import Provider
from sluice.integrations.integration import PROVIDERS
from sluice.providers import guard
from sluice.storage.parameters import parameter_store
from tests.chat_server import ChatServer, serving
from tests.credentials import gateway, model
from tests.rest_function import RestAnswer, RestFunction
from tests.scripted_server import ScriptedServer, raw

if TYPE_CHECKING:
    from tests.conftest import Aws
    from tests.fakes.client import FakeProvider

PATH = "/api/v1/ai/integrations"
SECRET = "sk-own-0123456789abcdef-WXYZ"


@pytest.fixture
def server(aws: "Aws", fake: "FakeProvider", monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    aws.set_credentials(gateway(fake, "stack-1", models={"small": model()}))
    guard._addresses.cache_clear()
    monkeypatch.setenv("TENANTS_REACH_LOOPBACK", "true")
    with serving(aws) as running:
        yield running
    # What a process may reach is read once.
    guard._addresses.cache_clear()


@pytest.fixture
def ai(server: ChatServer) -> RestFunction:
    return RestFunction(ROUTES, server.key("acme", role="operator"))


def own(fake: "FakeProvider", **more: Any) -> dict[str, Any]:
    return {
        "type": "ai_model",
        "subtype": "llm",
        "provider": "openai_compatible",
        "name": "Our own",
        "base_url": fake.openai_url,
        "credentials": {"api_key": SECRET},
        "model_config": {"model_name": "own-model"},
        **more,
    }


def made(answer: RestAnswer) -> Any:
    assert answer.status in {200, 201}, answer.raw
    return answer.body


def kept(server: ChatServer, integration_id: str = "") -> list[str]:
    """The names of the secrets that there are of an integration, or of all that begin so."""
    path = f"{server.app.settings.integration_secrets}/acme/{integration_id}"
    answer = parameter_store().call("DescribeParameters", {"MaxResults": 50})
    return [each["Name"] for each in answer["Parameters"] if each["Name"].startswith(path)]


def ask(server: ChatServer, model: str, key: str | None = None) -> Any:
    return server.post({"model": model, "messages": [{"role": "user", "content": "Hello"}]}, api_key=key)


def test_a_tenant_is_answered_with_its_own_key_and_nobody_else_is(
    server: ChatServer, ai: RestFunction, fake: "FakeProvider"
) -> None:
    integration = made(ai.send(f"POST {PATH}", own(fake)))
    server.restart()
    answer = ask(server, "own-model")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-sluice-deployment"] == f"{integration['id']}#own-model"
    assert fake.requests()[-1]["api_key"] == SECRET
    # The stack's own models are there still, and another tenant has those alone.
    assert ask(server, "small").headers["x-sluice-deployment"] == "stack-1#small"
    other = server.tenant("other")
    assert ask(server, "own-model", other).status_code == 404
    names = {each.id for each in server.openai(other).models.list()}
    assert "own-model" not in names
    assert "own-model" in {each.id for each in server.openai().models.list()}


def test_a_secret_is_shown_in_no_answer_and_kept_in_no_table(
    server: ChatServer, ai: RestFunction, fake: "FakeProvider", aws: "Aws"
) -> None:
    answers = [ai.send(f"POST {PATH}", own(fake))]
    integration = made(answers[0])
    path = f"{PATH}/{integration['id']}"
    answers += [ai.send(f"GET {path}"), ai.send(f"GET {PATH}"), ai.send(f"PATCH {path}", {"name": "Renamed"})]
    answers += [ai.send(f"POST {path}/test")]
    assert integration["credentials"] == {"api_key": "...WXYZ"}
    assert all(SECRET not in answer.raw for answer in answers)
    assert SECRET not in json.dumps(aws.items("DIRECTORY_TABLE"))
    audit = RestFunction(KEYS, aws.admin_key).send("GET /v1/audit", query={"tenant": "acme"})
    assert {"integration.created", "integration.changed"} <= {each["action"] for each in audit.body["data"]}
    assert SECRET not in audit.raw


def test_new_credentials_take_the_place_of_the_old_and_those_are_gone(
    server: ChatServer, ai: RestFunction, fake: "FakeProvider"
) -> None:
    path = f"{PATH}/{made(ai.send(f'POST {PATH}', own(fake)))['id']}"
    rotated = made(ai.send(f"PATCH {path}", {"credentials": {"api_key": "sk-new-0123456789abcdef-NEWS"}}))
    assert rotated["credentials"] == {"api_key": "...NEWS"}
    server.restart()
    assert ask(server, "own-model").status_code == 200
    assert fake.requests()[-1]["api_key"] == "sk-new-0123456789abcdef-NEWS"
    assert len(kept(server, rotated["id"])) == 1
    assert made(ai.send(f"DELETE {path}"))["deleted"] is True
    assert kept(server, rotated["id"]) == []
    assert ai.send(f"GET {path}").status == 404
    server.restart()
    assert ask(server, "own-model").status_code == 404


def test_one_that_is_not_active_is_not_asked(server: ChatServer, ai: RestFunction, fake: "FakeProvider") -> None:
    path = f"{PATH}/{made(ai.send(f'POST {PATH}', own(fake)))['id']}"
    made(ai.send(f"PATCH {path}", {"active": False}))
    server.restart()
    assert ask(server, "own-model").status_code == 404


def test_limits_of_an_integration_hold(server: ChatServer, ai: RestFunction, fake: "FakeProvider") -> None:
    made(ai.send(f"POST {PATH}", own(fake, performance_config={"requests_per_minute": 1})))
    server.restart()
    assert ask(server, "own-model").status_code == 200
    # What it has no quota for is another's of the same tier.
    again = server.post({"model": "own-model", "messages": [{"role": "user", "content": "Again"}]})
    assert again.headers["x-sluice-deployment"] == "stack-1#small"
    assert [each["api_key"] for each in fake.requests()] == [SECRET, "key-stack-1"]


def test_an_integration_falls_back_to_another(server: ChatServer, ai: RestFunction, fake: "FakeProvider") -> None:
    second = made(ai.send(f"POST {PATH}", own(fake, name="Second", model_config={"model_name": "second-model"})))
    with ScriptedServer() as broken:
        broken.otherwise = lambda _: raw(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")
        first = own(fake, base_url=f"{broken.url}/v1", fallback_integration_id=second["id"])
        made(ai.send(f"POST {PATH}", first))
        server.restart()
        answer = ask(server, "own-model")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-sluice-deployment"] == f"{second['id']}#second-model"
    refused = ai.send(f"DELETE {PATH}/{second['id']}")
    assert (refused.status, refused.error["code"]) == (409, "conflict")


def test_fallbacks_never_lead_back(ai: RestFunction, fake: "FakeProvider") -> None:
    first = made(ai.send(f"POST {PATH}", own(fake)))["id"]
    second = made(ai.send(f"POST {PATH}", own(fake, fallback_integration_id=first)))["id"]
    for link, target in ((first, second), (first, first), (second, "int_" + "0" * 24)):
        refused = ai.send(f"PATCH {PATH}/{link}", {"fallback_integration_id": target})
        assert (refused.status, refused.error["param"]) == (400, "fallback_integration_id"), refused.raw
    made(ai.send(f"PATCH {PATH}/{second}", {"fallback_integration_id": None}))
    assert made(ai.send(f"PATCH {PATH}/{first}", {"fallback_integration_id": second}))["version"] == 2


def test_of_two_fallbacks_made_at_once_that_lead_to_each_other_one_is_refused(
    ai: RestFunction, fake: "FakeProvider"
) -> None:
    ids = [made(ai.send(f"POST {PATH}", own(fake)))["id"] for _ in range(2)]

    def link(pair: tuple[str, str]) -> int:
        return ai.send(f"PATCH {PATH}/{pair[0]}", {"fallback_integration_id": pair[1]}).status

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(link, [(ids[0], ids[1]), (ids[1], ids[0])]))
    assert statuses == [200, 400]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"base_url": "http://169.254.169.254/v1"}, "base_url"),
        ({"base_url": "https://10.0.0.8/v1"}, "base_url"),
        ({"base_url": "https://[fd00::8]/v1"}, "base_url"),
        ({"base_url": "https://2130706433/v1"}, "base_url"),
        ({"base_url": None}, "base_url"),
        ({"provider": None}, "provider"),
        ({"provider": "bedrock"}, "provider"),
        ({"type": "jira"}, "subtype"),
        ({"subtype": "data_source"}, "subtype"),
        ({"credentials": {"token": "x"}}, "credentials.token"),
        ({"credentials": {"api_key": "with a space"}}, "api_key"),
        ({"provider": "groq", "credentials": {}, "model_config": {}, "base_url": None}, "credentials.api_key"),
        ({"subtype": "embedding"}, "model_config.dimensions"),
        ({"model_config": {}}, "model_config"),
        ({"performance_config": {"timeout_seconds": 0}}, "performance_config.timeout_seconds"),
        ({"fallback_integration_id": "int_" + "0" * 24}, "fallback_integration_id"),
        ({"surprise": 1}, "surprise"),
        ({"base_url": "https://llm.example.com/v1?key=secret"}, "base_url"),
        ({"model_config": {"models": {"m": {"verdict": "safe_or_unsafe"}}}}, "model_config.models.m.verdict"),
        ({"model_config": {"models": {"m": {"aliases": ["small"]}}}}, "model_config.models.m.aliases"),
    ],
)
def test_what_can_not_be_asked_is_refused_by_name_and_without_the_key(
    ai: RestFunction, fake: "FakeProvider", change: dict[str, Any], param: str
) -> None:
    body = {name: value for name, value in {**own(fake), **change}.items() if value is not None}
    refused = ai.send(f"POST {PATH}", body)
    assert (refused.status, refused.error["param"]) == (400, param), refused.raw
    assert SECRET not in refused.raw
    assert made(ai.send(f"GET {PATH}"))["data"] == []


def test_a_host_that_turns_private_is_not_connected_to(
    server: ChatServer, ai: RestFunction, fake: "FakeProvider", monkeypatch: pytest.MonkeyPatch
) -> None:
    made(ai.send(f"POST {PATH}", own(fake)))
    # As a name that meant another host when it was checked.
    monkeypatch.setenv("TENANTS_REACH_LOOPBACK", "false")
    guard._addresses.cache_clear()
    server.restart()
    # The stack's own, which an operator of the stack has named, may be anywhere.
    assert ask(server, "own-model").headers["x-sluice-deployment"] == "stack-1#small"
    assert {each["api_key"] for each in fake.requests()} == {"key-stack-1"}


def test_an_integration_is_its_tenants_alone(ai: RestFunction, server: ChatServer, fake: "FakeProvider") -> None:
    integration = made(ai.send(f"POST {PATH}", own(fake)))
    server.tenant("other")
    stranger = server.key("other", role="operator")
    path = f"{PATH}/{integration['id']}"
    for route, body in (
        (f"GET {path}", None),
        (f"PATCH {path}", {"active": False}),
        (f"DELETE {path}", None),
        (f"POST {path}/test", None),
    ):
        assert ai.send(route, body, api_key=stranger).status == 404
        assert ai.send(route, body, query={"tenant": "acme"}, api_key=stranger).status == 404
    assert ai.send(f"GET {PATH}", api_key=stranger).body["data"] == []
    # Nor may it be fallen back to.
    refused = ai.send(f"POST {PATH}", own(fake, fallback_integration_id=integration["id"]), api_key=stranger)
    assert refused.status == 400
    assert ai.send(f"GET {PATH}", api_key=server.key("acme")).status == 403


def test_a_deleted_tenants_integrations_are_deleted(
    ai: RestFunction, server: ChatServer, fake: "FakeProvider", aws: "Aws"
) -> None:
    integration = made(ai.send(f"POST {PATH}", own(fake)))
    assert RestFunction(KEYS, aws.admin_key).send("DELETE /v1/tenants/acme").status == 200
    assert server.app.integrations.all("acme") == []
    assert kept(server, integration["id"]) == []


@pytest.mark.parametrize(
    ("answer", "is_ok", "words"),
    [
        (b'HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{"data":[{"id":"own-1"}]}'[:200], True, None),
        (b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", False, "does not take these credentials"),
        (b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", False, "check base_url"),
        (
            b"HTTP/1.1 302 Go\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
            False,
            "leads elsewhere",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", False, "no JSON"),
        (b"nonsense\r\n\r\n", False, "openai_compatible"),
    ],
)
def test_a_test_says_in_words_what_is_wrong(
    ai: RestFunction, fake: "FakeProvider", answer: bytes, is_ok: bool, words: str | None
) -> None:
    with ScriptedServer() as provider:
        provider.otherwise = lambda _: raw(answer.replace(b"content-length: 24", b"content-length: 25"))
        path = f"{PATH}/{made(ai.send(f'POST {PATH}', own(fake, base_url=f'{provider.url}/v1')))['id']}"
        tested = made(ai.send(f"POST {path}/test"))
    assert tested["ok"] is is_ok, tested
    assert tested["latency_ms"] > 0
    assert tested["models"] == (["own-1"] if is_ok else [])
    assert (tested["error"] is None) if words is None else (words in tested["error"]), tested


def test_the_api_names_the_providers_there_are() -> None:
    assert set(Provider.__value__.__args__) == set(PROVIDERS)


def test_of_new_keys_given_at_once_the_one_is_kept_that_is_shown(
    server: ChatServer, ai: RestFunction, fake: "FakeProvider"
) -> None:
    path = f"{PATH}/{made(ai.send(f'POST {PATH}', own(fake)))['id']}"

    def rotate(number: int) -> int:
        body = {"credentials": {"api_key": f"sk-{number}-0123456789abcdef-KEY{number}"}}
        return ai.send(f"PATCH {path}", body, headers={"If-Match": '"1"'}).status

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(rotate, range(4))) == [200, 412, 412, 412]
    shown = made(ai.send(f"GET {path}"))["credentials"]["api_key"]
    server.restart()
    ask(server, "own-model")
    assert fake.requests()[-1]["api_key"].endswith(shown.removeprefix("..."))
    assert len(kept(server, path.rpartition("/")[2])) == 1


@pytest.mark.parametrize(
    ("change", "query"),
    [({"fallback_integration_id": "int_" + "0" * 24}, None), ({}, {"tenant": "nobody"})],
)
def test_of_what_is_refused_no_secret_is_kept(
    server: ChatServer, ai: RestFunction, fake: "FakeProvider", aws: "Aws", change: dict[str, Any], query: Any
) -> None:
    before = kept(server)
    refused = ai.send(f"POST {PATH}", own(fake, **change), query=query, api_key=aws.admin_key if query else None)
    assert refused.status in {400, 404}
    assert kept(server) == before


def test_a_key_is_not_sent_to_another_host_than_it_was_given_for(ai: RestFunction, fake: "FakeProvider") -> None:
    path = f"{PATH}/{made(ai.send(f'POST {PATH}', own(fake)))['id']}"
    with ScriptedServer() as elsewhere:
        refused = ai.send(f"PATCH {path}", {"base_url": f"{elsewhere.url}/v1"})
        assert (refused.status, refused.error["param"]) == (400, "credentials")
        assert made(ai.send(f"PATCH {path}", {"base_url": f"{fake.root_url}/other/v1"}))["version"] == 2
        given = {"base_url": f"{elsewhere.url}/v1", "credentials": {"api_key": "another-key-0123456789"}}
        assert made(ai.send(f"PATCH {path}", given))["version"] == 3


def test_a_secret_that_is_not_there_yet_is_looked_for_again(
    server: ChatServer, ai: RestFunction, fake: "FakeProvider"
) -> None:
    integration = made(ai.send(f"POST {PATH}", own(fake)))
    store, [name] = parameter_store(), kept(server, integration["id"])
    text = store.get([name])[name]
    store.delete(name)
    server.restart()
    assert ask(server, "own-model").status_code == 404
    store.put(name, text)
    registries, tenant = server.app.tenant_registries, server.app.directory.tenant("acme")
    assert tenant is not None
    registries._clock = lambda: 10.0**9
    assert registries.of(tenant).named("own-model")


def test_a_guard_model_is_never_a_tenants_own(server: ChatServer, ai: RestFunction, fake: "FakeProvider") -> None:
    guard_model: dict[str, Any] = {"models": {"meta-llama/llama-guard-4-12b": {}}}
    made(ai.send(f"POST {PATH}", own(fake, provider="groq", model_config=guard_model)))
    tenant = server.app.directory.tenant("acme")
    assert tenant is not None
    assert server.app.registry_of(tenant).guards("meta-llama/llama-guard-4-12b") == ()


def test_one_that_is_broken_takes_no_other_down(server: ChatServer, ai: RestFunction, fake: "FakeProvider") -> None:
    second = made(ai.send(f"POST {PATH}", own(fake, name="Second", model_config={"model_name": "second-model"})))
    made(ai.send(f"POST {PATH}", own(fake, fallback_integration_id=second["id"])))
    key = {"owner": {"S": "tenant#acme"}, "entry": {"S": f"integration#{second['id']}"}}
    server.aws.client.call(
        "UpdateItem",
        {
            "TableName": server.aws.table("DIRECTORY_TABLE"),
            "Key": key,
            "UpdateExpression": "SET models = :none, newer = :none",
            "ExpressionAttributeValues": {":none": {"M": {}}},
        },
    )
    server.restart()
    assert ask(server, "own-model").status_code == 200
    assert ask(server, "second-model").status_code == 404


@pytest.mark.parametrize("provider", ["local", "sentence_transformers"])
def test_sluices_own_embedding_model_takes_no_key(ai: RestFunction, provider: str) -> None:
    body = {"type": "ai_model", "subtype": "embedding", "provider": provider, "name": "Sentence embeddings"}
    path = f"{PATH}/{made(ai.send(f'POST {PATH}', body))['id']}"
    tested = made(ai.send(f"POST {path}/test"))
    assert (tested["ok"], tested["models"]) == (True, ["potion-base-8M"])
