"""Sample events of the API's routes, as API Gateway sends them to their functions: `python -m tools.events`.

Writes a file in events/ for each route, out of what its declaration says, and removes those of routes that are gone.
Samples for other triggers are written by hand.
"""

import json
from pathlib import Path
from typing import Any

from sluice.api.openapi.document import document
from sluice.api.route import Route
from sluice.api.routes import ROUTES
from tools.processes import ROOT

EVENTS = ROOT / "events"

_HOST = "example.execute-api.us-east-1.amazonaws.com"
_AGENT = "sample"


def main() -> None:
    """Write all samples."""
    samples = {path_of(route): text_of(route) for route in ROUTES}
    for path, text in samples.items():
        path.write_text(text)
    for path in sampled() - samples.keys():
        path.unlink()


def sampled() -> set[Path]:
    """The samples there are of requests."""
    return {path for path in EVENTS.glob("*.json") if "httpMethod" in json.loads(path.read_text())}


def path_of(route: Route) -> Path:
    """Where the sample of a route is."""
    return EVENTS / f"{route.handler.__name__}.json"


def text_of(route: Route) -> str:
    """The sample of a route. `sl-<id>-<secret>` stands in the place of an API key."""
    return json.dumps(_sample(route), indent=2, ensure_ascii=False) + "\n"


def _sample(route: Route) -> dict[str, Any]:
    described = document()["paths"][route.path.replace("+}", "}")][route.method.lower()]
    parameters = described.get("parameters", [])
    in_path = {each["name"]: each["example"] for each in parameters if each["in"] == "path"}
    query = {
        each["name"]: each["schema"]["examples"][0] for each in parameters if each["in"] == "query" and each["required"]
    }
    path = route.path.replace("+}", "}").format_map(in_path)
    headers = {
        "Accept": "application/json",
        **({"Authorization": "Bearer sl-<id>-<secret>"} if route.role or route.fuller_for else {}),
        "Content-Type": "application/json",
        "Host": _HOST,
        "User-Agent": _AGENT,
    }
    body = described["requestBody"]["content"]["application/json"]["example"] if route.body else None
    return {
        "resource": route.path,
        "path": path,
        "httpMethod": route.method,
        "headers": headers,
        "multiValueHeaders": _lists(headers),
        "queryStringParameters": query or None,
        "multiValueQueryStringParameters": _lists(query) or None,
        "pathParameters": in_path or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "example",
            "authorizer": None,
            "domainName": _HOST,
            "extendedRequestId": "sample=",
            "httpMethod": route.method,
            "identity": {"sourceIp": "192.0.2.1", "userAgent": _AGENT},
            "path": f"/live{path}",
            "protocol": "HTTP/1.1",
            "requestId": "00000000-0000-4000-8000-000000000000",
            "requestTime": "01/Jan/2026:00:00:00 +0000",
            "requestTimeEpoch": 1_767_225_600_000,
            "resourceId": "example",
            "resourcePath": route.path,
            "stage": "live",
        },
        "body": None if body is None else json.dumps(body, ensure_ascii=False),
        "isBase64Encoded": False,
    }


def _lists(values: dict[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in values.items()}


if __name__ == "__main__":
    main()
