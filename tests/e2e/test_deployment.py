"""The deployed template answers, can be deployed again, and has the tables it declares."""

import json

import httpx
import pytest

from sluice.api.route import Route
from sluice.api.routes import ROUTES
from tests.e2e.conftest import FAKE_MODEL
from tests.fakes import FakeProcess
from tools import deployment, events, template
from tools.stack import RunningStack

# What these speak of is not there, which only a request that got through is told.
SPEAK_OF_WHAT_IS_NOT_THERE = {
    "revokeKey",
    "giveFeedback",
    "showUsage",
    "genaiShowSession",
    "genaiDeleteSession",
    "readConversation",
    "deleteConversation",
    "changeKey",
    "rotateKey",
    "resetDeployment",
    "tryDeployment",
    "readTenantConversation",
    "deleteTenantConversation",
    "getRequest",
    "getFile",
    "deleteFile",
    "downloadFile",
    "addUploadPart",
    "completeUpload",
    "cancelUpload",
    "createBatch",
    "getBatch",
    "cancelBatch",
    "getWebhookEndpoint",
    "deleteWebhookEndpoint",
    "rotateWebhookSecret",
}
# More than a model as small as the local one can be expected to do; what is said then.
ASK_MUCH_OF_A_MODEL = {"generateQuestions": "too_few_questions", "generateTestCases": "invalid_answer"}
# Another sample makes what these speak of, if it came before. The day of a report is any, a future one too.
MAY_SPEAK_OF_WHAT_IS_NOT_THERE = {
    "showReport",
    "compareTaskVersions",
    "changeTenant",
    "showGatewayKeys",
    "showBudget",
    "addToBudget",
    "resetBudget",
}

# Their samples speak of stores, sources and integrations that nobody has made.
OF_WHAT_IS_NOT_THERE = {"VectorStores", "IngestReceiver", "AiConfiguration", "Embeddings", "Chat"}


def _all_routes() -> dict[template.Route, str]:
    source = template.load()
    functions = [name for name, resource in source["Resources"].items() if resource["Type"].endswith("::Function")]
    return {route: function for function in functions for route in template.routes(source, function)}


@pytest.fixture(scope="module")
def operator_key(stack: RunningStack) -> str:
    """Of a tenant whose tasks nobody else runs: the samples store versions of one, and let them answer."""

    def make(path: str, **body: str) -> dict[str, str]:
        headers = {"authorization": f"Bearer {stack.stack.admin_key}"}
        answer = httpx.post(f"{stack.stack.base_url}/{path}", headers=headers, json=body, timeout=60)
        assert answer.status_code == 201, answer.text
        made: dict[str, str] = answer.json()
        return made

    make("tenants", id="samples", name="Sample events")
    return make("keys", tenant="samples", name="samples", role="operator")["api_key"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.id)
def test_a_function_answers_its_sample_event(route: Route, stack: RunningStack, operator_key: str) -> None:
    function = _all_routes()[template.Route(route.method, route.path)].removesuffix("Function")
    # The others do not take the admin key, or speak of a tenant of one's own, which it has none of.
    is_admins = function in {"Keys", "Operations", "Usage", "Conversations"} and route.tag != "Ingestion"
    key = stack.stack.admin_key if is_admins else operator_key
    functions = stack.ministack.aws.session().client("lambda", endpoint_url=stack.ministack.endpoint_url)
    result = functions.invoke(
        FunctionName=stack.deployment.outputs[f"{function}FunctionName"],
        Qualifier="live",
        Payload=events.text_of(route).replace("sl-<id>-<secret>", key),
    )
    assert "FunctionError" not in result
    answer = json.loads(result["Payload"].read())
    body = json.loads(answer["body"])
    if route.id in ASK_MUCH_OF_A_MODEL and answer["statusCode"] == 502:
        assert body["error"]["code"] == ASK_MUCH_OF_A_MODEL[route.id]
        return
    if route.id == "createTenant" and answer["statusCode"] == 409:
        # The examples of the API's description were sent before.
        assert body["error"]["code"] == "conflict"
        return
    is_refused = isinstance(body, dict) and body.get("error") is not None
    if route.is_signed:
        assert answer["statusCode"] == 401, answer["body"]
        return
    is_missing = route.id in SPEAK_OF_WHAT_IS_NOT_THERE or (
        (route.id in MAY_SPEAK_OF_WHAT_IS_NOT_THERE or function in OF_WHAT_IS_NOT_THERE or route.tag == "Ingestion")
        and is_refused
    )
    assert answer["statusCode"] == (404 if is_missing else route.status), answer["body"]
    assert is_refused == is_missing


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/meta-llama/llama-4-scout-17b-16e-instruct"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("PATCH", "/v1/keys/abc"),
        ("DELETE", "/v1/keys/abc"),
        ("GET", "/v1/audit"),
        ("GET", "/v1/tenants"),
        ("POST", "/v1/tenants"),
        ("GET", "/v1/tasks"),
        ("POST", "/v1/tasks/explanation"),
        ("POST", "/v1/tasks/explanation/versions/1/activate"),
        ("POST", "/v1/feedback"),
        ("POST", "/api/v1/genai/chat"),
        ("DELETE", "/api/v1/genai/context/abc"),
        ("POST", "/api/v1/questions/generate"),
        ("GET", "/v1/conversations"),
        ("GET", "/v1/conversations/abc"),
        ("DELETE", "/v1/conversations/abc"),
        ("GET", "/v1/tenants/abc/conversations/abc"),
        ("DELETE", "/v1/users/a/b"),
    ],
)
def test_every_route_answers_through_the_deployed_api(method: str, path: str, stack: RunningStack) -> None:
    answer = httpx.request(method, stack.deployment.api_url + path, headers=stack.deployment.api_headers, timeout=60)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_a_whole_answer_comes_through_the_deployed_api(stack: RunningStack, fake_provider: FakeProcess) -> None:
    fake_provider.configure(answer="hello from afar")
    answer = httpx.post(
        f"{stack.deployment.api_url}/v1/chat/completions",
        headers={**stack.deployment.api_headers, "authorization": f"Bearer {stack.stack.api_key}"},
        json={"model": FAKE_MODEL, "messages": [{"role": "user", "content": "hello"}]},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "hello from afar"


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_what_is_sent_twice_with_a_key_is_answered_once(
    stack: RunningStack, fake_provider: FakeProcess, is_streamed: bool
) -> None:
    fake_provider.configure(answer="The sky scatters blue.")
    before = len(fake_provider.requests())
    asked = {"model": FAKE_MODEL, "messages": [{"role": "user", "content": "Why?"}], "stream": is_streamed}
    headers = {"authorization": f"Bearer {stack.stack.api_key}", "idempotency-key": f"why-{is_streamed}"}
    url = f"{stack.stack.base_url}/chat/completions"
    # A temperature, so that the cache has no part in it.
    first, second = (httpx.post(url, json=asked | {"temperature": 1}, headers=headers, timeout=60) for _ in range(2))
    assert (first.status_code, second.content) == (200, first.content)
    assert ("idempotent-replayed" in first.headers, second.headers["idempotent-replayed"]) == (False, "true")
    assert len(fake_provider.requests()) == before + 1


def test_deploying_again_changes_for_callers_what_was_changed(stack: RunningStack) -> None:
    """Not only of $LATEST, which nobody calls."""

    def limit() -> str:
        answer = httpx.post(
            f"{stack.deployment.api_url}/v1/chat/completions",
            headers={**stack.deployment.api_headers, "authorization": f"Bearer {stack.stack.api_key}"},
            json={"model": FAKE_MODEL, "messages": [{"role": "user", "content": "hello"}]},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        return answer.headers["x-ratelimit-limit-requests"]

    assert limit() == "100"
    again = deployment.deploy(stack.ministack, {"CallerRequestsPerMinute": "200"})
    assert again == stack.deployment
    assert limit() == "200"


def test_deployed_tables_have_the_declared_keys_and_expire(stack: RunningStack) -> None:
    variables = deployment.all_variables(stack.ministack, stack.deployment.outputs)
    dynamodb = stack.ministack.aws.session().client("dynamodb", endpoint_url=stack.ministack.endpoint_url)
    for variable, schema in template.tables(template.load()).items():
        table = dynamodb.describe_table(TableName=variables[variable])["Table"]
        assert table["KeySchema"] == schema.definition["KeySchema"]
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        ttl = dynamodb.describe_time_to_live(TableName=variables[variable])["TimeToLiveDescription"]
        assert ttl.get("AttributeName") == schema.ttl_attribute


def test_a_function_has_only_the_variables_of_its_own_tables(stack: RunningStack) -> None:
    keys = deployment.function_environment(stack.ministack, stack.deployment.outputs["KeysFunctionName"])
    own = {"DIRECTORY_TABLE", "STORES_TABLE", "INGESTION_TABLE", "ADMIN_KEY_SECRET", "WEBHOOK_SECRET"}
    assert {name for name in keys if name.endswith(("_TABLE", "_SECRET"))} == own
