"""Sample events of the API's routes, as API Gateway sends them to their functions: `python -m tools.events`.

Writes a file in events/ for each route, out of what its declaration says, and one for the console's page, and removes
those of routes that are gone. Samples for other triggers are written by hand.
"""

import base64
import json
from pathlib import Path
from typing import Any

from sluice.api.form import SentFile
from sluice.api.openapi.document import body_example, document
from sluice.api.route import Route
from sluice.api.routes import ROUTES
from tools.processes import ROOT

EVENTS = ROOT / "events"

PAGE = EVENTS / "show_console.json"
"""The sample of a request for a page."""

_HOST = "example.execute-api.us-east-1.amazonaws.com"
_AGENT = "sample"
_BOUNDARY = "sample-boundary"


def main() -> None:
    """Write all samples."""
    samples = {path_of(route): text_of(route) for route in ROUTES} | {PAGE: page_text()}
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


def page_text() -> str:
    """The sample of a request for the console's page."""
    headers = {"Accept": "text/html", "Host": _HOST, "User-Agent": _AGENT}
    return json.dumps(_event("GET", "/console", "/console", headers), indent=2) + "\n"


def _sample(route: Route) -> dict[str, Any]:
    described = document()["paths"][route.path.replace("+}", "}")][route.method.lower()]
    parameters = described.get("parameters", [])
    in_path = {each["name"]: each["example"] for each in parameters if each["in"] == "path"}
    query = {
        each["name"]: each["schema"]["examples"][0] for each in parameters if each["in"] == "query" and each["required"]
    }
    path = route.path.replace("+}", "}").format_map(in_path)
    content_type, body = _body(route)
    headers = {
        "Accept": "application/json",
        **({"Authorization": "Bearer sl-<id>-<secret>"} if route.role or route.fuller_for else {}),
        "Content-Type": content_type,
        "Host": _HOST,
        "User-Agent": _AGENT,
    }
    return {
        **_event(route.method, path, route.path, headers),
        "queryStringParameters": query or None,
        "multiValueQueryStringParameters": _lists(query) or None,
        "pathParameters": in_path or None,
        "body": body if body is None or not route.is_form else base64.b64encode(body.encode()).decode(),
        "isBase64Encoded": route.is_form,
    }


def _event(method: str, path: str, resource: str, headers: dict[str, str]) -> dict[str, Any]:
    """A request as API Gateway sends it to a function, without query and body."""
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": _lists(headers),
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "example",
            "authorizer": None,
            "domainName": _HOST,
            "extendedRequestId": "sample=",
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.1", "userAgent": _AGENT},
            "path": f"/live{path}",
            "protocol": "HTTP/1.1",
            "requestId": "00000000-0000-4000-8000-000000000000",
            "requestTime": "01/Jan/2026:00:00:00 +0000",
            "requestTimeEpoch": 1_767_225_600_000,
            "resourceId": "example",
            "resourcePath": resource,
            "stage": "live",
        },
        "body": None,
        "isBase64Encoded": False,
    }


def _body(route: Route) -> tuple[str, str | None]:
    """The type and text of the example that a route has for its body."""
    example = body_example(route)
    if route.body is None or not route.is_form:
        return "application/json", None if example is None else json.dumps(example, ensure_ascii=False)
    parts = []
    for name, value in (example or {}).items():
        filename = f'; filename="{name}.jsonl"' if route.body.model_fields[name].annotation is SentFile else ""
        parts.append(f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n{value}\r\n')
    return f"multipart/form-data; boundary={_BOUNDARY}", "".join(parts) + f"--{_BOUNDARY}--\r\n"


def _lists(values: dict[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in values.items()}


if __name__ == "__main__":
    main()
