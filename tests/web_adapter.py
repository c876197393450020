"""A small stand-in for AWS's Lambda Web Adapter, as an extension of Lambda: `python tests/web_adapter.py`.

It waits until the web app answers, takes API Gateway's events from Lambda's runtime API, asks the app, and streams its
answers back as they come. Sources: "Lambda runtime API" and "Lambda Extensions API" in Lambda's developer guide, and
"Response streaming for custom runtimes" there.
"""

import http.client
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPResponse

_RUNTIME_API = os.environ["AWS_LAMBDA_RUNTIME_API"]
_APP = ("127.0.0.1", int(os.environ["AWS_LWA_PORT"]))
_STREAMED = {
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Content-Type": "application/vnd.awslambda.http-integration-response",
    "Transfer-Encoding": "chunked",
}


def _call(method: str, path: str, body: str | None = None, **headers: str) -> HTTPResponse:
    connection = http.client.HTTPConnection(_RUNTIME_API)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse()


def _register() -> None:
    """Become an extension that waits for nothing: without a next event, Lambda would not think it ready."""
    answer = _call(
        "POST",
        "/2020-01-01/extension/register",
        json.dumps({"events": []}),
        Lambda_Extension_Name="lambda-adapter",
    )
    answer.read()
    identifier = answer.headers["Lambda-Extension-Identifier"]

    def wait() -> None:
        _call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=identifier).read()

    threading.Thread(target=wait, daemon=True).start()


def _wait_for_app() -> None:
    while True:
        try:
            socket.create_connection(_APP, 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def _streamed(answer: HTTPResponse) -> Iterator[bytes]:
    prelude = {"statusCode": answer.status, "headers": dict(answer.headers)}
    yield json.dumps(prelude).encode() + b"\0" * 8
    pieces = 0
    while piece := answer.read1(65_536):
        pieces += 1
        yield piece
    sys.stdout.write(f"passed on {pieces} pieces\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until Lambda ends it."""
    _register()
    _wait_for_app()
    while True:
        invocation = _call("GET", "/2018-06-01/runtime/invocation/next")
        event = json.loads(invocation.read())
        deadline = {"deadline": int(invocation.headers["Lambda-Runtime-Deadline-Ms"])}
        app = http.client.HTTPConnection(*_APP)
        headers = {**event["headers"], "x-amzn-lambda-context": json.dumps(deadline)}
        app.request(event["httpMethod"], event["path"], event["body"].encode(), headers)
        request_id = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        sent = http.client.HTTPConnection(_RUNTIME_API)
        path = f"/2018-06-01/runtime/invocation/{request_id}/response"
        sent.request("POST", path, _streamed(app.getresponse()), _STREAMED, encode_chunked=True)
        sent.getresponse().read()


if __name__ == "__main__":
    main()
