"""What the deployed API does is what its description says, whatever is sent: schemathesis makes it up.

No 5xx, and no status, content type, body or field that is not described. What is made up is the same each time.
"""

import base64
import copy
import json
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from sluice.api.openapi.document import document
from sluice.api.route import Route
from sluice.api.routes import ROUTES
from sluice.tenants.tenant import Role
from tests.e2e.conftest import EMBEDDING_MODEL, FAKE_MODEL
from tests.fakes import FakeProcess
from tools import events
from tools.stack import RunningStack

# Of each kind, for each of a hundred and more operations: all of them share the half hour that a check may take.
EXAMPLES = 3
TENANT = "openapi"
# More than all of these tests ask for together: a 429 would hide what is behind it.
LIMITS = {"requests_per_minute": 100_000, "requests_per_day": 1_000_000}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

# What there is, so that not all that is made up ends at a 404.
KNOWN_FIELDS: Mapping[str, dict[str, Any]] = {
    "createKey": {"tenant": TENANT},
    "generateQuestions": {"categories": ["Databases", "API design"]},
    "runTask": {"inputs": {"issue_details": "FATAL: sorry, too many clients already"}},
}
KNOWN_QUERIES = {"listKeys": {"tenant": TENANT}}

# The fake model says the same to everybody: interview questions, as only these have to be good ones.
CATEGORIES = ("Databases", "API design")
TOPICS = [f"{part}{letter * 3}" for part in ("cache", "index", "queue") for letter in string.ascii_lowercase[:10]]
SAID = json.dumps(
    {
        "questions": [
            {
                "question": f"How would you test {topic} before a release?",
                "category": CATEGORIES[number % 2],
                "expected_points": [f"Knows what {topic} is for"],
            }
            for number, topic in enumerate(TOPICS)
        ]
    }
)
# A 502 that is not Sluice's fault: what was asked of the fake model is something that it does not say.
MODEL_IS_AT_FAULT = {"invalid_answer", "too_few_questions"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: keys by role, of a tenant of their own, and path parameters of what there is, by operation.

    Who chooses is of another tenant, where nobody else is refused what was turned off.
    """

    url: str
    client: httpx.Client
    keys: Mapping[Role | None, str]
    choosing: Mapping[Role | None, str]
    known: Mapping[str, Mapping[str, str]]

    def headers(self, role: Role | None, operation: Route | None = None) -> dict[str, str]:
        is_choice = operation is not None and operation.path.startswith("/api/v1/ai/")
        keys = self.choosing if is_choice else self.keys
        # What a manager may do, an operator may.
        key = keys.get(Role.OPERATOR if role is Role.MANAGER else role)
        return {"authorization": f"Bearer {key}"} if key else {}

    def known_path_parameters(self, operation: Route) -> dict[str, str]:
        examples = {name: parameter.example for name, parameter in operation.parameters.items()}
        return {**examples, **self.known.get(operation.id, {})}


@pytest.fixture(scope="module")
def caller(stack: RunningStack, fake_provider: FakeProcess) -> Iterator[Caller]:
    fake_provider.configure(answer=SAID)
    url = stack.stack.base_url.removesuffix("/v1")
    with httpx.Client(timeout=60) as client:

        def make(path: str, key: str = stack.stack.admin_key, **body: object) -> Any:
            answer = client.post(f"{url}{path}", headers={"authorization": f"Bearer {key}"}, json=body)
            assert answer.is_success, answer.text
            return answer.json()

        def keys_of(tenant: str) -> dict[Role | None, str]:
            make("/v1/tenants", id=tenant, name="Who calls what schemathesis makes up")
            keys: dict[Role | None, str] = {
                role: make("/v1/keys", tenant=tenant, role=role, name=role, limits=LIMITS)["api_key"]
                for role in (Role.CALLER, Role.OPERATOR)
            }
            return keys | {Role.ADMIN: stack.stack.admin_key}

        keys, choosing = keys_of(TENANT), keys_of("choosing")
        spare, other = (make("/v1/keys", tenant=TENANT, name=name) for name in ("spare", "other"))
        for tenant in ("changed", "deleted", "budgeted"):
            make("/v1/tenants", id=tenant, name=tenant, budget_usd_per_month=1)
        key = keys[Role.CALLER]
        for conversation in ("lesson-1", "lesson-2"):
            metadata = {"conversation_id": conversation}
            messages = [{"role": "user", "content": "Hello"}]
            make("/v1/chat/completions", key, model=FAKE_MODEL, messages=messages, metadata=metadata)
        sessions = [make("/api/v1/genai/chat", key, message="Hello")["session_id"] for _ in range(2)]
        known = {
            "getModel": {"id": FAKE_MODEL},
            "revokeKey": {"id": spare["id"]},
            "changeKey": {"id": other["id"]},
            "changeTenant": {"id": "changed"},
            "deleteTenant": {"id": "deleted"},
            **{operation: {"id": "budgeted"} for operation in ("showBudget", "addToBudget", "resetBudget")},
            "readConversation": {"conversation_id": "lesson-1"},
            "deleteConversation": {"conversation_id": "lesson-2"},
            "genaiShowSession": {"session_id": sessions[0]},
            "genaiDeleteSession": {"session_id": sessions[1]},
        }
        yield Caller(url, client, keys, choosing, known)


@pytest.fixture(scope="module")
def schema() -> OpenApiSchema:
    """The document, with fields that are not in it forbidden where Sluice alone makes the answer."""
    described = copy.deepcopy(document())
    schemas = described["components"]["schemas"]
    answers = [operation["responses"] for path in described["paths"].values() for operation in path.values()]
    pending, seen = _named_in(answers), set()
    while pending:
        seen |= pending
        pending = set().union(*(_named_in(schemas[name]) for name in pending)) - seen
    for name in seen - {"OpenApiDocument"}:
        if "properties" in schemas[name]:
            schemas[name].setdefault("additionalProperties", False)
    return schemathesis.openapi.from_dict(described)


def _named_in(described: object) -> set[str]:
    """The schemas that a part of the document refers to."""
    return set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))


def is_excused(answer: Response) -> bool:
    return answer.status_code == 502 and answer.json()["error"]["code"] in MODEL_IS_AT_FAULT


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        (operation, mode)
        for operation in ROUTES
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        # Nothing is wrong with nothing.
        if mode.is_positive or operation.takes_anything
    ],
    ids=lambda each: each.id if isinstance(each, Route) else str(each),
)
def test_an_operation_answers_as_described(
    operation: Route, mode: GenerationMode, schema: OpenApiSchema, caller: Caller
) -> None:
    is_valid = mode.is_positive
    tested = schema.find_operation_by_id(operation.id)
    made_up = tested.as_strategy(
        mode,
        path_parameters=caller.known_path_parameters(operation) if is_valid else None,
        query=KNOWN_QUERIES.get(operation.id) if is_valid else None,
    )

    @settings(
        max_examples=EXAMPLES if operation.takes_anything else 1,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(made_up)
    def holds(case: Case[Any]) -> None:
        if is_valid and isinstance(case.body, dict):
            known = KNOWN_FIELDS.get(operation.id, {})
            served = EMBEDDING_MODEL if operation.id == "createEmbeddings" else FAKE_MODEL
            case.body |= {**known, "model": served} if "model" in case.body else known
        answer = case.call(caller.url, session=session, headers=caller.headers(operation.role, operation), timeout=60)
        case.validate_response(
            answer, checks=CHECKS, excluded_checks=[not_a_server_error] if is_excused(answer) else []
        )

    with requests.Session() as session:
        holds()


def test_what_is_served_is_the_description(caller: Caller) -> None:
    answer = caller.client.get(f"{caller.url}/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.json() == document()


def test_a_deployed_function_serves_it_too(stack: RunningStack) -> None:
    answer = httpx.get(f"{stack.deployment.api_url}/openapi.json", headers=stack.deployment.api_headers, timeout=60)
    assert answer.status_code == 200
    assert answer.json() == document()


@pytest.mark.parametrize("operation", ROUTES, ids=lambda operation: operation.id)
def test_an_operation_wants_the_role_it_is_said_to_want(operation: Route, caller: Caller) -> None:
    path = operation.path.replace("+}", "}").format_map(caller.known_path_parameters(operation))

    def status(role: Role | None) -> int:
        headers = caller.headers(role)
        return caller.client.request(operation.method, caller.url + path, headers=headers).status_code

    # What is signed in place of a key is refused without a signature.
    assert (status(None) == 401) == (operation.role is not None or operation.is_signed)
    if operation.role in {Role.OPERATOR, Role.ADMIN}:
        assert status(Role.CALLER) == 403
    if operation.role is Role.ADMIN:
        assert status(Role.OPERATOR) == 403


def test_the_examples_work(caller: Caller) -> None:
    """In the order of the document: what one makes, another may use."""
    described = document()["paths"]
    answers = {}
    for operation in sorted(ROUTES, key=lambda operation: operation.role is not Role.ADMIN):
        path = operation.path.replace("+}", "}")
        body = described[path][operation.method.lower()].get("requestBody")
        if body is not None:
            sample = json.loads(events.text_of(operation))
            content = base64.b64decode(sample["body"]) if sample["isBase64Encoded"] else sample["body"]
            # The tenant of the example is another one than the operator's.
            role = Role.ADMIN if operation.id in {"createKey", "createKeys"} else operation.role
            answers[operation.id] = caller.client.request(
                operation.method,
                caller.url + path.format_map(caller.known_path_parameters(operation)),
                headers={**caller.headers(role, operation), "content-type": sample["headers"]["Content-Type"]},
                content=content,
            ).status_code
    # Nobody has made the request that its example is about; the tenant may have been made before.
    assert answers.pop("giveFeedback") == 404
    # Nor is there such a file, or upload.
    assert {answers.pop(name) for name in ("createBatch", "addUploadPart", "completeUpload")} == {404}
    assert answers.pop("rotateWebhookSecret") == 404
    # As often as tests have made one, there may be as many as may be.
    assert answers.pop("createWebhookEndpoint") in {200, 409}
    # Of the stack's own credentials there is another one.
    assert answers.pop("resetDeployment") == 404
    assert answers.pop("createTenant") in {201, 409}
    # What their examples are about is nobody's here.
    for name in {operation.id for operation in ROUTES if operation.parameters and not caller.known.get(operation.id)}:
        if answers.get(name) == 404:
            del answers[name]
    assert {answers.pop(name) for name in ("createIngestSource", "tryDeployment")} == {404}
    # Nobody has signed them.
    assert {answers.pop(operation.id) for operation in ROUTES if operation.is_signed} == {401}
    # What the fake model says are questions, and no test cases.
    assert answers.pop("generateTestCases") == 502
    assert answers == {operation.id: operation.status for operation in ROUTES if operation.id in answers}


# As they stand in a URL: a NUL, half a surrogate pair, no UTF-8, a slash, a line break, a long one.
ODD_IDS = ("%00", "%ED%A0%80", "%FF", "a%2Fb", "%0A", "x" * 2000)
ODD_BODIES = {
    "nothing": b"",
    "an array": b"[]",
    "no UTF-8": b"\xff\xfe",
    "a number that is not finite": b'{"x": 1e999}',
    "a number of many digits": b'{"x": ' + b"9" * 5000 + b"}",
    "half a surrogate pair": rb'{"\ud800": "\ud800"}',
    "deep nesting": b'{"x":' * 5000 + b"1" + b"}" * 5000,
}


def is_refused(answer: httpx.Response) -> bool:
    return 400 <= answer.status_code < 500 and answer.json()["error"].keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("odd", ODD_IDS)
def test_an_odd_id_is_refused_in_the_envelope(odd: str, caller: Caller) -> None:
    # A line break at the end of a path is none to the router of functions: /v1/tasks/%0A is /v1/tasks.
    methods = {"DELETE", "PATCH", "POST"} if odd == "%0A" else {"DELETE", "GET", "PATCH", "POST"}
    for operation in ROUTES:
        # Any text may be the name of a user.
        if not operation.parameters or operation.method not in methods or operation.id == "deleteUser":
            continue
        path = operation.path.replace("+}", "}").format_map(dict.fromkeys(operation.parameters, odd))
        url = httpx.URL(caller.url).copy_with(raw_path=path.encode())
        answer = caller.client.request(operation.method, url, headers=caller.headers(operation.role))
        if operation.id == "generateDashboardInsights" and answer.status_code == 200:
            # Whatever it is called, it is a series, and one that can't be judged keeps no other from being judged.
            assert answer.json()["skipped"], answer.text
            continue
        assert is_refused(answer), (operation.id, answer.status_code, answer.text)
        assert answer.status_code in operation.error_statuses, (operation.id, answer.status_code)


@pytest.mark.parametrize("odd", ODD_BODIES)
def test_an_odd_body_is_refused_in_the_envelope(odd: str, caller: Caller) -> None:
    for operation in ROUTES:
        if operation.body is None and operation.task is None:
            continue
        path = operation.path.format_map(caller.known_path_parameters(operation))
        headers = caller.headers(operation.role) | {"content-type": "application/json"}
        answer = caller.client.request(operation.method, caller.url + path, headers=headers, content=ODD_BODIES[odd])
        if operation.id == "generateDashboardInsights" and answer.status_code == 200:
            # Whatever it is called, it is a series, and one that can't be judged keeps no other from being judged.
            assert answer.json()["skipped"], answer.text
            continue
        assert is_refused(answer), (operation.id, answer.status_code, answer.text)
        assert answer.status_code in operation.error_statuses, (operation.id, answer.status_code)
