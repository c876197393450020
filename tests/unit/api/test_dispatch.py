"""What becomes of a request, whichever framework it came through."""

import json
from typing import Any, TypedDict
from unittest.mock import Mock

import pytest

from sluice.api.dispatch import Api, Request, StreamedResponse
from sluice.api.envelope import Response
from sluice.api.route import Call, PathParameter, Routes
from sluice.composition import App, part
from sluice.gateway.counting import CallerCounter
from sluice.settings import Settings
from sluice.tenants.tenant import ApiKey, Role, Tenant
from sluice.tenants.verification import KeyVerifier, VerifiedKey
from tests.unlimited import UnlimitedCounter

ROUTES = Routes("Things")
KEY = f"sl-k-{'x' * 43}"
OWN_ID = {"x-request-id", "x-sluice-request-id"}


class Thing(TypedDict):
    """A thing."""

    id: str


@ROUTES.get("/v1/things", role=None)
def list_things(call: Call) -> list[Thing]:
    """List things."""
    return [{"id": "a"}]


@ROUTES.post("/v1/things", role=Role.CALLER)
def make_thing(call: Call) -> Thing:
    """Make a thing."""
    return {"id": call.principal.caller_id}


@ROUTES.get("/v1/things/{id}", role=None, parameters={"id": PathParameter("An id.", "a")})
def get_thing(call: Call) -> Thing:
    """Show a thing."""
    return {"id": call.path["id"]}


@ROUTES.get("/v1/files/{path+}", role=None, parameters={"path": PathParameter("A path.", "a/b")})
def get_file(call: Call) -> Thing:
    """Show a file."""
    return {"id": call.path["path"]}


@ROUTES.delete("/v1/things/{id}", role=None, parameters={"id": PathParameter("An id.", "a")})
def delete_thing(call: Call) -> Thing:
    """Fail."""
    raise RuntimeError("a secret")


class AppWithOneKey(App):
    @part
    def verifier(self) -> KeyVerifier:
        verified = VerifiedKey(ApiKey("k", "acme", Role.CALLER, "n"), Tenant("acme", "ACME"))
        return Mock(verify=Mock(return_value=verified))

    @part
    def caller_counter(self) -> CallerCounter:
        return UnlimitedCounter()


def respond(request: str, headers: dict[str, str] | None = None, **environment: str) -> Response:
    method, path = request.split(" ", 1)
    api = Api(ROUTES, AppWithOneKey(Settings.from_environment(environment)))
    response = api.respond(Request(method=method, path=path, headers=headers or {}))
    assert not isinstance(response, StreamedResponse)
    assert response.headers.keys() >= OWN_ID
    return response


def body(response: Response) -> Any:
    return json.loads(response.body)


def message(response: Response) -> str:
    return str(body(response)["error"]["message"])


@pytest.mark.parametrize("path", ["/v1/things", "/v1/things/", "/openai/v1/things", "/openai/v1/things/"])
def test_a_slash_at_the_end_and_openai_in_front_make_no_difference(path: str) -> None:
    response = respond(f"GET {path}")
    assert (response.status, body(response)) == (200, [{"id": "a"}])


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/v1/things/a%20b", "a b"),
        ("/v1/things/a%2Fb", "a/b"),
        ("/v1/things/%C3%A4/", "ä"),
        ("/v1/files/a/b%2Fc", "a/b/c"),
    ],
)
def test_a_path_s_parameters_are_decoded(path: str, given: str) -> None:
    assert body(respond(f"GET {path}")) == {"id": given}


@pytest.mark.parametrize("path", ["/v1/things/a/b", "/v1//things", "/v1/things/\n/x", "/things", "/", "/openai", "//"])
def test_a_path_that_no_route_has_is_not_found_and_named(path: str) -> None:
    response = respond(f"GET {path}")
    assert (response.status, body(response)["error"]["code"]) == (404, "not_found")
    assert message(response).startswith(f"There is no route GET {path}.")


@pytest.mark.parametrize(
    ("request_", "near"),
    [
        ("POST /chat/completions", "POST /v1/chat/completions"),
        ("POST /v1/completions", "POST /v1/chat/completions"),
        ("GET /v1/model", "GET /v1/models"),
        ("GET /openai/v1/modles", "GET /v1/models"),
        ("GET /v1/tasks/x/version", "GET /v1/tasks/{name}/versions"),
    ],
)
def test_a_path_that_is_nearly_a_route_s_is_told_which(request_: str, near: str) -> None:
    assert near in message(respond(request_)).partition(" Near it: ")[2].removesuffix(".").split(", ")


def test_a_long_path_is_not_repeated_whole() -> None:
    assert len(message(respond(f"GET /{'x' * 5000}"))) < 200


def test_a_method_that_a_path_does_not_have_is_refused_with_those_it_has() -> None:
    response = respond("PUT /v1/things")
    assert (response.status, response.headers["allow"]) == (405, "GET, POST")
    assert "takes GET, POST, not PUT" in message(response)


def test_head_is_answered_as_get_is() -> None:
    assert respond("HEAD /v1/things").status == 200
    assert respond("HEAD /v1/thing").status == 404
    assert respond("HEAD /v1/things/a").headers.keys() == respond("GET /v1/things/a").headers.keys()


def test_options_says_what_a_path_takes_to_anybody() -> None:
    response = respond("OPTIONS /v1/things/")
    assert (response.status, response.body) == (204, b"")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert "access-control-allow-methods" not in response.headers
    assert respond("OPTIONS /v1/nothing").status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"x-api-key": KEY},
        {"authorization": "", "x-api-key": KEY},
        {"authorization": f"Bearer {KEY}", "x-api-key": "nonsense"},
    ],
)
def test_a_key_may_come_in_either_header(headers: dict[str, str]) -> None:
    response = respond("POST /v1/things", headers)
    assert (response.status, body(response)) == (200, {"id": "k"})


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "missing"),
        ({"x-api-key": "nonsense"}, "malformed"),
        ({"authorization": KEY, "x-api-key": KEY}, "malformed"),
    ],
)
def test_without_a_key_of_ours_nobody_is_let_in(headers: dict[str, str], said: str) -> None:
    response = respond("POST /v1/things", headers)
    assert response.status == 401
    assert said in message(response)


def test_a_page_of_an_allowed_origin_may_read_errors_too() -> None:
    page = {"origin": "https://a.example"}
    for request in (
        "GET /v1/things",
        "GET /v1/nothing",
        "POST /v1/things",
        "DELETE /v1/things/a",
        "OPTIONS /v1/things",
    ):
        open_to_page = respond(request, page, CORS_ORIGINS="https://b.example, https://a.example").headers
        assert open_to_page["access-control-allow-origin"] == "https://a.example"
        assert not [name for name in respond(request, page).headers if name.startswith("access-control")]


def test_a_preflight_is_answered_without_a_key() -> None:
    headers = {
        "origin": "https://a.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, x-stainless-lang",
    }
    response = respond("OPTIONS /v1/things", headers, CORS_ORIGINS="*")
    assert response.status == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "POST" in response.headers["access-control-allow-methods"]
    assert response.headers["access-control-allow-headers"] == "authorization, x-stainless-lang"


def test_a_fault_of_our_own_tells_nothing() -> None:
    response = respond("DELETE /v1/things/a")
    assert response.status == 500
    assert b"secret" not in response.body
