"""Routes as a function answers them, called as API Gateway's REST API calls it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from sluice.api.rest import lambda_handler
from sluice.api.route import Route
from sluice.composition import App
from tests.tenants import make_key, make_tenant

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONTEXT = SimpleNamespace(
    function_name="function",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:function",
    aws_request_id="5f3c7b0a",
    get_remaining_time_in_millis=lambda: 30_000,
)


@dataclass(frozen=True)
class RestAnswer:
    """What the function answered."""

    status: int
    headers: Mapping[str, list[str]]
    raw: str

    @property
    def body(self) -> Any:
        """What its JSON says."""
        return json.loads(self.raw)

    @property
    def error(self) -> Any:
        """What went wrong."""
        return self.body["error"]


def rest_event(
    method: str,
    path: str,
    headers: Mapping[str, str],
    *,
    query: Mapping[str, str] | None = None,
    body: str | None = None,
    is_base64: bool = False,
) -> dict[str, Any]:
    """An event as API Gateway's REST APIs send it."""
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "apiId": "abc",
            "httpMethod": method,
            "path": f"/live{path}",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "resourcePath": path,
            "stage": "live",
            "identity": {"sourceIp": "192.0.2.1"},
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }


class RestFunction:
    """A function that answers some routes, and the API key that is sent unless another is."""

    def __init__(self, routes: Iterable[Route], api_key: str = "") -> None:
        self._routes = routes
        self.api_key = api_key
        self.restart()

    def restart(self) -> None:
        """Answer from now on as a fresh process does, with what the environment says now."""
        self.app = App.from_environment()
        self._handler = lambda_handler(self._routes, self.app)

    def tenant(self, name: str, **fields: Any) -> str:
        """Make a tenant and return an API key of it."""
        return make_tenant(self.app, name, **fields)

    def key(self, tenant: str = "acme", **fields: Any) -> str:
        """Make an API key."""
        return make_key(self.app, tenant, **fields)

    def send(
        self,
        route: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RestAnswer:
        """Send a request: `GET /v1/things`."""
        method, path = route.split(maxsplit=1)
        key = self.api_key if api_key is None else api_key
        sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
        event = rest_event(method, path, sent, query=query, body=None if body is None else json.dumps(body))
        answer = self._handler(event, cast("LambdaContext", CONTEXT))
        return RestAnswer(answer["statusCode"], answer["multiValueHeaders"], answer["body"])
