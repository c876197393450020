"""The gate as an ASGI app: what it passes on, and as what."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tools.gate import FRONT_DOOR_HEADER, Admission, Gate, Message, Receive, Scope, Send
from tools.signature import AccessKey

KEY = AccessKey("123456789012", "a secret access key")
ADMISSION = Admission(4242, KEY, "the front door's token")
API_PATH = "/restapis/abc/live/_user_request_/v1/keys"
type Headers = Sequence[tuple[str, str]]


class Recorder:
    """An app that keeps what it is asked."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            body = b""
            while (message := await receive())["type"] == "http.request":
                body += message["body"]
                if not message["more_body"]:
                    break
            self.bodies.append(body)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})


def ask(app: Gate, scope: Scope, *messages: Message) -> list[Message]:
    """Ask an app, and return what it sends."""
    incoming = [*messages]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": f"{scope['type']}.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def http(headers: Headers, path: str = "/", method: str = "POST") -> Scope:
    """A request's scope."""
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": raw,
    }


def signed_headers(body: bytes, host: str = "127.0.0.1:4242") -> Headers:
    """The headers of a POST to / that botocore signs."""
    request = AWSRequest("POST", f"http://{host}/", data=body)
    SigV4Auth(Credentials(KEY.access_key_id, KEY.secret_access_key), "dynamodb", "us-east-1").add_auth(request)
    return [("host", host), *((name.lower(), str(value)) for name, value in request.headers.items())]


def status(sent: list[Message]) -> int:
    """The status of an answer."""
    answered: int = sent[0]["status"]
    return answered


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:4242", "localhost:4242", "172.17.0.1:4242", "host.docker.internal:4242"],
)
def test_a_signed_request_is_passed_on_with_its_body(host: str) -> None:
    app = Recorder()
    chunks: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"a":', "more_body": True},
        {"type": "http.request", "body": b" 1}", "more_body": True},
        {"type": "http.request", "body": b"", "more_body": False},
    ]
    assert status(ask(Gate(app, ADMISSION), http(signed_headers(b'{"a": 1}', host)), *chunks)) == 200
    assert app.bodies == [b'{"a": 1}']


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "127.0.0.1:4242")],
        [*signed_headers(b""), ("origin", "null")],
        [*signed_headers(b""), ("Origin", "http://127.0.0.1:4242")],
        [*signed_headers(b""), ("sec-fetch-site", "none")],
        [*signed_headers(b""), ("sec-fetch-anything", "x")],
        [*signed_headers(b""), ("host", "127.0.0.1:4242")],
        signed_headers(b"", "attacker.example:4242"),
        signed_headers(b"", "127.0.0.1:80"),
        signed_headers(b"", "127.0.0.1"),
        signed_headers(b"", "172.17.0.2:4242"),
        signed_headers(b"another body"),
        [("host", "127.0.0.1:4242"), (FRONT_DOOR_HEADER, ADMISSION.front_door_token)],
    ],
)
def test_what_is_not_ours_is_refused_and_never_reaches_ministack(headers: Headers) -> None:
    app = Recorder()
    sent = ask(Gate(app, ADMISSION), http(headers), {"type": "http.request", "body": b"", "more_body": False})
    assert status(sent) == 403
    assert app.scopes == []
    assert not [name for name, _ in sent[0]["headers"] if name.startswith(b"access-control")]


def test_the_front_door_s_callers_speak_to_the_deployed_api() -> None:
    app = Recorder()
    caller = [("host", "127.0.0.1:4242"), ("authorization", "Bearer sl-1"), ("origin", "http://localhost:3000")]
    headers = [*caller, (FRONT_DOOR_HEADER, ADMISSION.front_door_token)]
    assert status(ask(Gate(app, ADMISSION), http(headers, API_PATH), {"type": "http.disconnect"})) == 200
    [scope] = app.scopes
    assert scope["headers"] == [(name.encode(), value.encode()) for name, value in caller]


@pytest.mark.parametrize(
    "headers",
    [
        [("host", "127.0.0.1:4242"), (FRONT_DOOR_HEADER, "a guess")],
        [("host", "127.0.0.1:4242"), (FRONT_DOOR_HEADER, "")],
        [
            ("host", "127.0.0.1:4242"),
            *[(FRONT_DOOR_HEADER, token) for token in ("a guess", ADMISSION.front_door_token)],
        ],
        [("host", "attacker.example:4242"), (FRONT_DOOR_HEADER, ADMISSION.front_door_token)],
        [("host", "127.0.0.1:4242")],
    ],
)
def test_the_deployed_api_is_for_the_front_door(headers: Headers) -> None:
    app = Recorder()
    scope = http(headers, API_PATH)
    assert status(ask(Gate(app, ADMISSION), scope, {"type": "http.disconnect"})) == 403
    assert app.scopes == []


@pytest.mark.parametrize(
    "path", ["/restapis", "/restapis/abc", "/_ministack/reset", f"/bucket{API_PATH}", "/restapis/a/b"]
)
def test_the_front_door_s_token_opens_nothing_else(path: str) -> None:
    headers = [("host", "127.0.0.1:4242"), (FRONT_DOOR_HEADER, ADMISSION.front_door_token)]
    assert status(ask(Gate(Recorder(), ADMISSION), http(headers, path), {"type": "http.disconnect"})) == 403


def test_a_websocket_is_closed() -> None:
    app = Recorder()
    headers = [(name.encode(), value.encode()) for name, value in signed_headers(b"")]
    sent = ask(Gate(app, ADMISSION), {"type": "websocket", "path": "/", "headers": headers})
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert app.scopes == []


def test_ministack_starts_and_ends_with_its_server() -> None:
    app = Recorder()
    ask(Gate(app, ADMISSION), {"type": "lifespan"})
    assert [scope["type"] for scope in app.scopes] == ["lifespan"]
