"""What a login does with chats: what it is counted by, and whose its conversations and usage are."""

import time
from collections.abc import Iterator

import httpx
import openai
import pytest

from functions.conversations.app import ROUTES as CONVERSATIONS_ROUTES
from functions.operations.app import ROUTES as OPERATIONS_ROUTES
from functions.tasks.app import ROUTES as TASKS_ROUTES
from functions.usage.app import ROUTES as USAGE_ROUTES
from sluice.quota.scopes import key_scope
from sluice.tenants.login.claims import login_id
from tests.chat_server import ChatServer
from tests.rest_function import RestFunction
from tests.token_issuer import AUDIENCE, TokenIssuer

MODEL = "small"


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with TokenIssuer() as running:
        yield running


@pytest.fixture
def school(chat: ChatServer, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    """The chat API, which takes logins of the tenant `acme` and of `other`."""
    said = {"ISSUER": issuer.url, "AUDIENCE": AUDIENCE, "TENANT_CLAIM": "org", "DEFAULT_TENANT": "acme"}
    for name, value in said.items():
        monkeypatch.setenv(f"JWT_{name}", value)
    monkeypatch.setenv("JWT_ROLE_CLAIM", "groups")
    monkeypatch.setenv("JWT_ROLES", "teachers=operator")
    chat.restart()
    chat.tenant("other")
    return chat


def ask(
    school: ChatServer, token: str, text: str = "Hi.", headers: dict[str, str] | None = None, **metadata: str
) -> httpx.Response:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "metadata": metadata}
    return school.post(body, api_key=token, headers=headers)


def turns_of(token: str, conversation: str = "c-1", user: str | None = None) -> int:
    """How many turns of a conversation a token sees, 0 if there is none for it."""
    query = None if user is None else {"user": user}
    found = RestFunction(CONVERSATIONS_ROUTES, token).send(f"GET /v1/conversations/{conversation}", query=query)
    assert found.status in {200, 404}
    return found.body["turns"] if found.status == 200 else 0


def test_a_login_chats_whole_and_streamed_with_openai_s_client(school: ChatServer, issuer: TokenIssuer) -> None:
    client = school.openai(issuer.token())
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi."}])
    assert answer.choices[0].message.content == "Hello there."
    stream = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello?"}], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "Hello there."
    assert [model.id for model in client.models.list()] == ["auto", MODEL]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_refused_login_is_an_authentication_error_before_anything_is_asked_or_counted(
    school: ChatServer, issuer: TokenIssuer, is_streamed: bool
) -> None:
    client = school.openai(issuer.token(exp=int(time.time()) - 3600))
    with pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi."}], stream=is_streamed)
    assert caught.value.code == "invalid_token"
    assert caught.value.response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert school.quota() == {}


def test_each_person_has_the_limits_of_a_key_and_nobody_else_s(
    school: ChatServer, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLER_REQUESTS_PER_MINUTE", "2")
    # A login is the user itself: limits of users that applications name are not for it.
    monkeypatch.setenv("USER_REQUESTS_PER_MINUTE", "1")
    school.restart()
    # A new token each time, and whatever users it names.
    statuses = [ask(school, issuer.token(jti=str(n)), sluice_user=f"u-{n}").status_code for n in range(3)]
    assert statuses == [200, 200, 429]
    refused = ask(school, issuer.token())
    assert refused.json()["error"]["message"].startswith("The login is out of requests per minute.")
    assert ask(school, issuer.token(sub="ben-2")).status_code == 200
    assert ask(school, issuer.token(org="other")).status_code == 200
    scopes = {scope for scope in school.quota() if scope.startswith("caller#")}
    ada, ben = login_id(issuer.url, "ada-1"), login_id(issuer.url, "ben-2")
    assert scopes == {key_scope("acme", ada), key_scope("acme", ben), key_scope("other", ada)}


def test_a_conversation_is_its_person_s_alone(school: ChatServer, issuer: TokenIssuer) -> None:
    ada, ben = issuer.token(), issuer.token(sub="ben-2")
    for token in (ada, issuer.token(jti="another")):
        assert ask(school, token, conversation_id="c-1").status_code == 200
    assert (turns_of(ada), turns_of(issuer.token(jti="another")), turns_of(ben)) == (2, 2, 0)
    assert ask(school, ben, conversation_id="c-1").json()["error"]["code"] == "conversation_not_found"
    assert turns_of(school.api_key) == 0
    assert turns_of(issuer.token(org="other")) == 0


@pytest.mark.parametrize("how", ["metadata", "old metadata", "header"])
def test_naming_another_user_opens_nothing_of_theirs(school: ChatServer, issuer: TokenIssuer, how: str) -> None:
    ada, ben = issuer.token(), issuer.token(sub="ben-2")

    def ask_as_ada(conversation: str) -> int:
        match how:
            case "metadata":
                answer = ask(school, ben, sluice_conversation_id=conversation, sluice_user="ada-1")
            case "old metadata":
                answer = ask(school, ben, conversation_id=conversation, user="ada-1")
            case _:
                named = {"x-sluice-user": "ada-1"}
                answer = ask(school, ben, headers=named, sluice_conversation_id=conversation)
        return answer.status_code

    assert ask(school, ada, sluice_conversation_id="c-1").status_code == 200
    assert (ask_as_ada("c-1"), turns_of(ben), turns_of(ben, user="ada-1")) == (404, 0, 0)
    # Another one is Ben's, under his own name, whatever is said.
    assert ask_as_ada("c-2") == 200
    assert [turns_of(ben, "c-2"), turns_of(ben, "c-2", user="ada-1"), turns_of(ada, "c-2")] == [1, 1, 0]
    assert (turns_of(ada), turns_of(ada, user="ben-2")) == (1, 1)
    teacher = issuer.token(sub="teacher", groups=["teachers"])
    listed = RestFunction(CONVERSATIONS_ROUTES, teacher).send("GET /v1/tenants/acme/conversations")
    assert {(each["key"], each["user"]) for each in listed.body["data"]} == {
        (login_id(issuer.url, name), name) for name in ("ada-1", "ben-2")
    }


def test_a_key_s_users_and_a_login_of_the_same_name_are_not_the_same(school: ChatServer, issuer: TokenIssuer) -> None:
    assert ask(school, school.api_key, sluice_user="ada-1", sluice_conversation_id="c-1").status_code == 200
    assert turns_of(school.api_key, user="ada-1") == 1
    assert turns_of(issuer.token()) == 0


def test_a_task_s_session_is_its_person_s_too(school: ChatServer, issuer: TokenIssuer) -> None:
    tasks = RestFunction(TASKS_ROUTES)
    ada, ben = issuer.token(), issuer.token(sub="ben-2")
    begun = tasks.send("POST /api/v1/genai/chat", {"message": "Hi.", "user": "somebody", "model": MODEL}, api_key=ada)
    assert begun.status == 200, begun.raw
    session = f"GET /api/v1/genai/context/{begun.body['session_id']}"
    assert tasks.send(session, api_key=ada).status == 200
    assert tasks.send(session, api_key=ada, query={"user": "somebody"}).status == 200
    assert tasks.send(session, api_key=ben).status == 404
    assert tasks.send(session, api_key=ben, query={"user": "ada-1"}).status == 404


def test_where_no_claim_names_users_a_login_names_its_own(
    school: ChatServer, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_USER_CLAIM", "")
    monkeypatch.setenv("USER_REQUESTS_PER_MINUTE", "1")
    school.restart()
    portal, other = issuer.token(sub="portal"), issuer.token(sub="other-portal")
    assert ask(school, portal, sluice_user="ada", sluice_conversation_id="c-1").status_code == 200
    assert ask(school, portal, sluice_user="ada", sluice_conversation_id="c-1").status_code == 429
    assert (turns_of(portal, user="ada"), turns_of(portal), turns_of(other, user="ada")) == (1, 0, 0)


def test_usage_is_kept_by_person_and_by_name(school: ChatServer, issuer: TokenIssuer) -> None:
    ada, teacher = issuer.token(), issuer.token(sub="teacher", groups=["teachers"])
    assert ask(school, ada, sluice_user="somebody").status_code == 200
    usage, own = RestFunction(USAGE_ROUTES), login_id(issuer.url, "ada-1")
    for asking, name in ((ada, own), (ada, "ada-1"), (teacher, own), (teacher, "ada-1")):
        answer = usage.send(f"GET /api/v1/llm/usage/{name}", api_key=asking)
        assert answer.status == 200, answer.raw
        assert (answer.body["tenant"], answer.body["totals"]["requests"]) == ("acme", 1)
    assert usage.send("GET /api/v1/llm/usage/somebody", api_key=teacher).status == 404
    # Of others' tenants there is nothing to see.
    elsewhere = issuer.token(sub="teacher", org="other", groups=["teachers"])
    assert usage.send(f"GET /api/v1/llm/usage/{own}", api_key=elsewhere).body["totals"]["requests"] == 0
    assert usage.send(f"GET /api/v1/llm/usage/{own}", api_key=issuer.token(sub="ben-2")).status == 404


def test_records_and_deletion_of_a_user_know_logins(school: ChatServer, issuer: TokenIssuer) -> None:
    ada, teacher = issuer.token(), issuer.token(sub="teacher", groups=["teachers"])
    assert ask(school, ada, sluice_conversation_id="c-1", sluice_user="somebody").status_code == 200
    operations = RestFunction(OPERATIONS_ROUTES, teacher)
    for query in ({"user": "ada-1"}, {"key": login_id(issuer.url, "ada-1")}):
        [record] = operations.send("GET /v1/requests", query=query).body["data"]
        assert (record["key"], record["user"], record["tenant"]) == (login_id(issuer.url, "ada-1"), "ada-1", "acme")
    conversations, usage = RestFunction(CONVERSATIONS_ROUTES, teacher), RestFunction(USAGE_ROUTES, teacher)
    assert ask(school, issuer.token(sub="ben-2"), sluice_conversation_id="c-2").status_code == 200
    assert ask(school, issuer.token(org="other"), sluice_conversation_id="c-1").status_code == 200
    deleted = conversations.send("DELETE /v1/users/ada-1").body
    assert (deleted["conversations_deleted"], deleted["usage_sums_merged"], deleted["is_finished"]) == (1, 1, True)
    assert turns_of(ada) == 0
    assert usage.send("GET /api/v1/llm/usage/ada-1").status == 404
    # What was used stays counted, of nobody by name; others' stays as it was.
    assert usage.send(f"GET /api/v1/llm/usage/{login_id(issuer.url, 'ada-1')}").body["totals"]["requests"] == 1
    assert usage.send("GET /api/v1/llm/usage/ben-2").body["totals"]["requests"] == 1
    assert (turns_of(issuer.token(sub="ben-2"), "c-2"), turns_of(issuer.token(org="other"))) == (1, 1)
    again = conversations.send("DELETE /v1/users/ada-1").body
    assert (again["conversations_deleted"], again["usage_sums_merged"]) == (0, 0)


def test_a_login_has_what_its_tenant_lets_each_user_spend(school: ChatServer, issuer: TokenIssuer) -> None:
    school.tenant("frugal", user_limits={"tokens_per_day": 2_000})
    token = issuer.token(org="frugal")
    assert ask(school, token, sluice_user="somebody else").status_code == 200
    shown = RestFunction(USAGE_ROUTES, token).send("GET /v1/budget").body
    [left] = shown["user"]["limits"]
    assert (left["limit"], left["capacity"], left["used"] > 0) == ("tokens_per_day", 2_000, True)
    assert [each["used"] for each in shown["key"]["limits"]] == [2, 2]
