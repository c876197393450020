"""/v1/keys and /v1/tenants, through the function's own handler, with events as API Gateway's REST APIs send them."""

import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from functions.keys.app import ROUTES
from sluice.api.rest import lambda_handler
from sluice.composition import App
from sluice.tenants.tenant import Tenant
from sluice.validation.body import MAX_BODY_BYTES
from tests.rest_function import rest_event
from tests.tenants import ADMIN

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from tests.conftest import Aws

CONTEXT = SimpleNamespace(
    function_name="keys",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:keys",
    aws_request_id="5f3c7b0a",
)

UNLIMITED = {"budget_usd_per_month": None, "tokens_per_minute": None, "tokens_per_day": None}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, list[str]]
    body: Any
    raw: str

    @property
    def error(self) -> Any:
        return self.body["error"]


class Keys:
    """The function, as API Gateway calls it."""

    def __init__(self, admin_key: str) -> None:
        self.admin_key = admin_key
        self.app = App.from_environment()
        self._handler = lambda_handler(ROUTES, self.app)

    def event(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        authorization: str | None = "",
        is_base64: bool = False,
    ) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Host": "abc.execute-api.us-east-1.amazonaws.com"}
        if authorization is not None:
            headers["Authorization"] = authorization or f"Bearer {self.admin_key}"
        said = body if body is None or isinstance(body, str) else json.dumps(body)
        return rest_event(method, path, headers, query=query, body=said, is_base64=is_base64)

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        authorization: str | None = "",
        is_base64: bool = False,
    ) -> Answer:
        event = self.event(method, path, body, query=query, authorization=authorization, is_base64=is_base64)
        # The runtime's context, as far as it is read.
        answer = self._handler(event, cast("LambdaContext", CONTEXT))
        raw = answer["body"]
        return Answer(answer["statusCode"], answer["multiValueHeaders"], json.loads(raw), raw)

    def make_key(self, **more: object) -> Any:
        answer = self.send("POST", "/v1/keys", {"tenant": "acme", "name": "app", **more})
        assert answer.status == 201, answer.raw
        return answer.body


@pytest.fixture
def keys(aws: "Aws") -> Keys:
    keys = Keys(aws.admin_key)
    assert keys.send("POST", "/v1/tenants", {"id": "acme", "name": "ACME"}).status == 201
    return keys


def test_a_tenant_is_made_with_all_it_owns_and_listed(keys: Keys) -> None:
    wanted = {
        "id": "zoo",
        "name": "The Zoo",
        "budget_usd_per_month": 12.345678901,
        "guard_modes": {"personal-email": "block", "prompt-oversized": "off"},
        "allowed_models": ["auto", "llama-3.1-8b-instant"],
        "cache_ttl_seconds": 60,
        "cache_policy": "all",
        "fallbacks": {"llama-3.3-70b-versatile": ["llama-3.1-8b-instant"]},
        "user_limits": {"budget_usd_per_month": 0.5, "tokens_per_minute": 2_000, "tokens_per_day": None},
        "guard_models": {
            "prompt": {"model": "llama-prompt-guard-2-86m", "threshold": 0.75, "when_unavailable": "block"},
            "answer": {"model": "own-guard", "threshold": 0.5, "when_unavailable": "allow"},
        },
        "smart_model_max_percent": 12.5,
        "guard_mode": "flag",
        "routing_enabled": False,
        "default_max_tokens": 2000,
        "default_temperature": 0.7,
        "conversation_messages": 20,
        "conversation_tokens": 8000,
        "time_zone": "Europe/Berlin",
    }
    made = keys.send("POST", "/v1/tenants", wanted)
    assert made.status == 201
    assert made.body == wanted | {"object": "tenant", "created_at": made.body["created_at"]}
    listed = keys.send("GET", "/v1/tenants")
    assert listed.status == 200
    assert listed.body["object"] == "list"
    assert listed.body["has_more"] is False
    assert [tenant["id"] for tenant in listed.body["data"]] == ["acme", "zoo"]
    assert listed.body["data"][1] == made.body


@pytest.mark.parametrize(
    ("chosen", "param"),
    [
        ({"prompt": {"model": "llama-3.1-8b-instant"}}, "guard_models.prompt.model"),
        ({"answer": {"model": "llama-guard-4-12b", "threshold": 0}}, "guard_models.answer.threshold"),
        (
            {"answer": {"model": "llama-guard-4-12b", "when_unavailable": "maybe"}},
            "guard_models.answer.when_unavailable",
        ),
        ({"prompt": {}}, "guard_models.prompt.model"),
        ({"both": {"model": "llama-guard-4-12b"}}, "guard_models.both"),
    ],
)
def test_a_guard_model_that_can_not_be_one_is_refused(keys: Keys, chosen: Any, param: str) -> None:
    for answer in (
        keys.send("PATCH", "/v1/tenants/acme", {"guard_models": chosen}),
        keys.send("POST", "/v1/tenants", {"id": "zoo", "name": "Zoo", "guard_models": chosen}),
    ):
        assert (answer.status, answer.error["param"]) == (400, param)


def test_guard_models_are_changed_as_a_whole_and_taken_away(keys: Keys) -> None:
    both = {side: {"model": "llama-guard-4-12b"} for side in ("prompt", "answer")}
    full = {"model": "llama-guard-4-12b", "threshold": 0.5, "when_unavailable": "allow"}
    changed = keys.send("PATCH", "/v1/tenants/acme", {"guard_models": both})
    assert changed.body["guard_models"] == {"prompt": full, "answer": full}
    changed = keys.send("PATCH", "/v1/tenants/acme", {"guard_models": {"answer": full}})
    assert changed.body["guard_models"] == {"prompt": None, "answer": full}
    assert keys.send("PATCH", "/v1/tenants/acme", {"name": "Other"}).body["guard_models"]["answer"] == full
    changed = keys.send("PATCH", "/v1/tenants/acme", {"guard_models": None})
    assert changed.body["guard_models"] == {"prompt": None, "answer": None}
    recorded = [each["changes"] for each in keys.send("GET", "/v1/audit").body["data"]]
    assert recorded[0] == {"guard_models.answer": {"before": full, "after": None}}


def test_a_tenant_is_made_once(keys: Keys) -> None:
    answer = keys.send("POST", "/v1/tenants", {"id": "acme", "name": "Other"})
    assert (answer.status, answer.error["param"]) == (409, "id")
    assert keys.send("GET", "/v1/tenants").body["data"][0]["name"] == "ACME"
    assert keys.send("POST", "/v1/tenants", {"id": "admin", "name": "x"}).status == 409


def test_of_many_requests_to_make_a_tenant_at_once_one_is_answered_201(keys: Keys) -> None:
    admin = keys.app.administration

    def make(number: int) -> str:
        try:
            admin.create_tenant(Tenant(id="zoo", name=f"n{number}"), ADMIN)
        except Exception as error:  # noqa: BLE001 - the kind of error is what is counted
            return type(error).__name__
        return "made"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(make, range(8)))
    assert sorted(outcomes) == ["ConflictError"] * 7 + ["made"]


def test_a_key_is_shown_once_and_works(keys: Keys) -> None:
    made = keys.make_key(role="operator", limits={"requests_per_minute": 7})
    assert made["role"] == "operator"
    assert made["limits"] == {"requests_per_minute": 7, "requests_per_day": 14_400, **UNLIMITED}
    assert made["user_limits"] == UNLIMITED
    assert made["api_key"].startswith(f"sl-{made['id']}-")
    used = keys.send("GET", "/v1/tenants", authorization=f"Bearer {made['api_key']}")
    assert (used.status, used.error["type"]) == (403, "permission_error")
    listed = keys.send("GET", "/v1/keys", query={"tenant": "acme"})
    secret = made.pop("api_key").rpartition("-")[2]
    assert listed.body["data"] == [made]
    assert secret not in listed.raw
    assert "hash" not in listed.raw


def test_an_admin_key_can_make_admin_keys(keys: Keys) -> None:
    made = keys.make_key(role="admin")
    other = keys.send("GET", "/v1/tenants", authorization=f"bearer {made['api_key']}")
    assert other.status == 200


def test_a_deleted_key_is_refused_and_deleting_it_again_changes_nothing(keys: Keys) -> None:
    made = keys.make_key()
    first = keys.send("DELETE", f"/v1/keys/{made['id']}")
    assert (first.status, first.body) == (200, {"id": made["id"], "object": "key", "deleted": True})
    [revoked] = keys.send("GET", "/v1/keys", query={"tenant": "acme"}).body["data"]
    assert revoked["revoked_at"] >= made["created_at"]
    again = keys.send("DELETE", f"/v1/keys/{made['id']}")
    assert (again.status, again.body) == (first.status, first.body)
    assert keys.send("GET", "/v1/keys", query={"tenant": "acme"}).body["data"] == [revoked]
    refused = keys.send("GET", "/v1/tenants", authorization=f"Bearer {made['api_key']}")
    assert refused.status == 401
    assert "revoked" in refused.error["message"]


@pytest.mark.parametrize("key_id", ["nope", "admin", "A_B", "x" * 5000, "a%20b", "a:b"])
def test_deleting_what_is_not_there_is_not_found(keys: Keys, key_id: str) -> None:
    answer = keys.send("DELETE", f"/v1/keys/{key_id}")
    assert (answer.status, answer.error["code"]) == (404, "not_found")


def test_an_expiry_is_a_time_with_a_zone_or_seconds(keys: Keys) -> None:
    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    seconds = int(tomorrow.timestamp())
    for expires_at in (seconds, tomorrow.isoformat(), tomorrow.strftime("%Y-%m-%dT%H:%M:%SZ")):
        assert keys.make_key(expires_at=expires_at)["expires_at"] == seconds
    assert keys.make_key(expires_at=None)["expires_at"] is None


def test_lists_are_paged(keys: Keys) -> None:
    made = sorted(keys.make_key(name=f"key {number}")["id"] for number in range(5))
    seen: list[str] = []
    query = {"tenant": "acme", "limit": "2"}
    sizes: list[int] = []
    while len(sizes) < 10:
        page = keys.send("GET", "/v1/keys", query=query).body
        seen += [key["id"] for key in page["data"]]
        sizes.append(len(page["data"]))
        if not page["has_more"]:
            break
        query["after"] = seen[-1]
    assert seen == made
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "tenant"),
        ({"tenant": "acme"}, "name"),
        ({"tenant": "A cme", "name": "x"}, "tenant"),
        ({"tenant": "acme", "name": "  "}, "name"),
        ({"tenant": "acme", "name": "x" * 129}, "name"),
        ({"tenant": "acme", "name": "x", "role": "boss"}, "role"),
        ({"tenant": "acme", "name": "x", "expires_at": 5}, "expires_at"),
        ({"tenant": "acme", "name": "x", "expires_at": 1_900_000_000_000}, "expires_at"),
        ({"tenant": "acme", "name": "x", "expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"tenant": "acme", "name": "x", "expires_at": "tomorrow"}, "expires_at"),
        ({"tenant": "acme", "name": "x", "expires_at": True}, "expires_at"),
        ({"tenant": "acme", "name": "x", "limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"tenant": "acme", "name": "x", "limits": {"requests_per_day": "9"}}, "limits.requests_per_day"),
        ({"tenant": "acme", "name": "x", "limits": {"request_per_day": 9}}, "limits.request_per_day"),
        ({"tenant": "acme", "name": "x", "expires": 9}, "expires"),
    ],
)
def test_a_wrong_key_is_refused_at_its_field_and_nothing_is_stored(keys: Keys, body: object, param: str) -> None:
    answer = keys.send("POST", "/v1/keys", body)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert answer.error["param"] == param
    assert keys.send("GET", "/v1/keys", query={"tenant": "acme"}).body["data"] == []


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"id": "Zoo"}, "id"),
        ({"id": "z" * 64}, "id"),
        ({"id": "a#b"}, "id"),
        ({"budget_usd_per_month": -0.01}, "budget_usd_per_month"),
        ({"budget_usd_per_month": 1e10}, "budget_usd_per_month"),
        ({"budget_usd_per_month": 0.1234567891}, "budget_usd_per_month"),
        ({"budget_usd_per_month": "a lot"}, "budget_usd_per_month"),
        ({"guard_modes": {"personal-email": "loud"}}, "guard_modes.personal-email"),
        ({"guard_modes": {"personal-emial": "off"}}, "guard_modes.personal-emial"),
        ({"guard_modes": {"no spaces": "off"}}, "guard_modes.no spaces"),
        ({"guard_modes": ["secrets"]}, "guard_modes"),
        ({"allowed_models": []}, "allowed_models"),
        ({"allowed_models": [""]}, "allowed_models[0]"),
        ({"allowed_models": "auto"}, "allowed_models"),
        ({"cache_ttl_seconds": -1}, "cache_ttl_seconds"),
        ({"budget": 5}, "budget"),
    ],
)
def test_a_wrong_tenant_is_refused_at_its_field(keys: Keys, more: dict[str, object], param: str) -> None:
    answer = keys.send("POST", "/v1/tenants", {"id": "zoo", "name": "Zoo"} | more)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert len(keys.send("GET", "/v1/tenants").body["data"]) == 1


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        (None, 400, "tenant"),
        ({"tenant": ""}, 400, "tenant"),
        ({"tenant": "acme", "limit": "0"}, 400, "limit"),
        ({"tenant": "acme", "limit": "101"}, 400, "limit"),
        ({"tenant": "acme", "limit": "ten"}, 400, "limit"),
        ({"tenant": "acme", "after": "\U0010ffff"}, 400, "after"),
        ({"tenant": "nobody"}, 404, "tenant"),
    ],
)
def test_a_wrong_query_is_refused_at_its_field(
    keys: Keys, query: Mapping[str, str] | None, status: int, param: str
) -> None:
    answer = keys.send("GET", "/v1/keys", query=query)
    assert (answer.status, answer.error["param"]) == (status, param)


def test_a_key_for_an_unknown_tenant_is_not_found(keys: Keys) -> None:
    answer = keys.send("POST", "/v1/keys", {"tenant": "nobody", "name": "x"})
    assert (answer.status, answer.error["param"]) == (404, "tenant")


@pytest.mark.parametrize(
    ("route", "role"),
    [
        ("POST /v1/keys", "operator"),
        ("GET /v1/keys", "operator"),
        ("PATCH /v1/keys/x", "operator"),
        ("DELETE /v1/keys/x", "operator"),
        ("GET /v1/audit", "operator"),
        ("POST /v1/tenants", "admin"),
        ("GET /v1/tenants", "admin"),
        ("PATCH /v1/tenants/acme", "admin"),
        ("DELETE /v1/tenants/acme", "admin"),
    ],
)
def test_a_route_is_for_its_role_alone_and_says_so_before_anything_else(keys: Keys, route: str, role: str) -> None:
    method, path = route.split()
    below = keys.make_key(role="caller" if role == "operator" else "operator")["api_key"]
    for authorization, status in ((None, 401), ("Bearer nonsense", 401), (f"Bearer {below}", 403)):
        answer = keys.send(method, path, "{not json", authorization=authorization)
        assert answer.status == status
        assert set(answer.error) == {"message", "type", "param", "code"}


def test_routes_and_methods_that_are_not_there(keys: Keys) -> None:
    assert keys.send("GET", "/v1/other").status == 404
    wrong = keys.send("PUT", "/v1/tenants")
    assert wrong.status == 405
    assert wrong.headers["allow"] == ["GET, POST"]
    assert keys.send("GET", "/v1/keys/abc").headers["allow"] == ["DELETE, PATCH"]
    # A line break at the end of a path is a part of it.
    assert keys.send("DELETE", "/v1/tenants/\n").status == 404


def test_a_body_may_come_as_base64(keys: Keys) -> None:
    body = json.dumps({"id": "zoo", "name": "Zoo ☃"})
    made = keys.send("POST", "/v1/tenants", base64.b64encode(body.encode()).decode(), is_base64=True)
    assert (made.status, made.body["name"]) == (201, "Zoo ☃")
    for broken in ("!", base64.b64encode(b"\xff\xfe").decode()):
        assert keys.send("POST", "/v1/tenants", broken, is_base64=True).status == 400


def test_bodies_that_are_no_object_or_too_large(keys: Keys) -> None:
    assert keys.send("POST", "/v1/tenants").status == 400
    assert keys.send("POST", "/v1/tenants", "{").status == 400
    assert keys.send("POST", "/v1/tenants", []).status == 400
    assert keys.send("POST", "/v1/tenants", " " * (MAX_BODY_BYTES + 1)).status == 413


@pytest.fixture
def odd_item(aws: "Aws", keys: Keys) -> None:
    """Something that no version of Sluice wrote, where the tenants are listed."""
    assert keys
    item = {"owner": {"S": "tenants"}, "entry": {"S": "tenant#odd"}, "very private": {"S": "very private"}}
    aws.dynamodb.put_item(TableName=aws.table("DIRECTORY_TABLE"), Item=item)


@pytest.mark.usefixtures("odd_item")
def test_a_fault_of_our_own_is_a_500_in_the_envelope_and_tells_nothing(keys: Keys) -> None:
    answer = keys.send("GET", "/v1/tenants")
    assert (answer.status, answer.error["code"]) == (500, "internal_error")
    assert "private" not in answer.raw


@pytest.mark.usefixtures("odd_item")
def test_a_fault_of_our_own_is_one_structured_line_without_what_was_sent(keys: Keys, aws: "Aws") -> None:
    event = keys.event("GET", "/v1/tenants", "very private", query={"after": "acme"})
    program = f"""
from types import SimpleNamespace
from functions.keys import app
print(app.handler({event!r}, SimpleNamespace(**{vars(CONTEXT)!r}))["statusCode"])
"""
    environment = aws.process_environment(POWERTOOLS_SERVICE_NAME="sluice", POWERTOOLS_LOGGER_LOG_EVENT="true")
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    line, status = ran.stdout.splitlines()
    logged = json.loads(line)
    assert status == "500"
    assert logged["message"] == "Unexpected KeyError"
    assert any("directory.py" in place for place in logged["raised"])
    assert logged["correlation_id"] == event["requestContext"]["requestId"]
    assert "private" not in ran.stdout + ran.stderr
    assert keys.admin_key not in ran.stdout + ran.stderr


def test_without_dynamodb_nobody_is_let_in(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    made = keys.make_key(role="admin")
    monkeypatch.setenv("DIRECTORY_TABLE", "no-such-table")
    cut_off = Keys(keys.admin_key)
    for api_key in (made["api_key"], keys.admin_key):
        answer = cut_off.send("GET", "/v1/tenants", authorization=f"Bearer {api_key}")
        assert (answer.status, answer.error["code"]) == (503, "storage_unavailable")
