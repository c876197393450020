"""Amazon Bedrock, by the function's role: boto3 writes and signs the requests, Sluice's own connections carry them.

boto3's time-outs are a client's and count anew for each read, and it reads an answer in its own way. It lets a handler
of its event `before-send` answer in its place: ours sends the request within the call's deadline, keeps the answer for
the adapter, and hands boto3 an empty one. See docs/decisions/0057-bedrock-is-asked-by-the-function-s-role.md.
"""

import io
import json
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sluice.chat import ChatRequest, JsonObject
from sluice.embeddings.vectors import TextBatch
from sluice.errors import (
    ProviderAuthenticationError,
    ProviderProtocolError,
    ProviderRejectedError,
    ProviderUnsuitedError,
)
from sluice.providers.adapter import Adapter
from sluice.providers.base import ProviderConfig, RateLimitHeaders
from sluice.providers.bedrock_vectors import vectors_call
from sluice.providers.converse_answer import ConverseDialect
from sluice.providers.converse_request import converse_params
from sluice.providers.exchange import Call, HttpResponse, base_url, check_request
from sluice.providers.tool_calls import new_id

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

    from sluice.providers.connections import Parts

CONVERSE, CONVERSE_STREAM, INVOKE = "converse", "converse_stream", "invoke_model"
_OK = 200


class BedrockProvider(Adapter):
    """Amazon Bedrock in one region: `config.region`, or the function's own.

    `config.base_url` is an endpoint of it, of a VPC or for FIPS. Raises ValueError if that is no http(s) URL.
    """

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._endpoint = base_url(config, "") if config.base_url else None

    def warm_up(self) -> None:
        """Import and build what a call needs, without calling."""
        _ = self._client

    def _chat_call(self, request: ChatRequest, model: str, *, streamed: bool) -> Call:
        check_request(request, self.config)
        params = converse_params(request, model, self.config.allowed_fields)
        dialect = ConverseDialect(int(time.time()), f"chatcmpl-{new_id()}", model)
        return Call(params, self.config.api_key, CONVERSE_STREAM if streamed else CONVERSE, dialect)

    def _embedding_call(self, batch: TextBatch, model: str) -> Call:
        body, dialect = vectors_call(batch, model)
        return Call({"model": model, **body}, self.config.api_key, INVOKE, dialect)

    def _send(self, call: Call, deadline_s: float) -> HttpResponse:
        from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

        params = _params(call)
        exchange = _Exchange(deadline_s)
        token = _current.set(exchange)
        try:
            getattr(self._client, call.path)(**params)
        except (NoCredentialsError, PartialCredentialsError):
            raise ProviderAuthenticationError("the function has no credentials of AWS", was_sent=False) from None
        except BotoCoreError as error:
            # Its words may quote the request.
            raise ProviderUnsuitedError(
                f"boto3 cannot write the request ({type(error).__name__})", status=400, was_sent=False
            ) from None
        finally:
            _current.reset(token)
        if exchange.response is None:
            raise ProviderProtocolError("boto3 sent no request")
        return exchange.response

    def _limits(self, headers: Mapping[str, str]) -> RateLimitHeaders:
        # Bedrock names its limits in no header.
        return RateLimitHeaders()

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        # The router alone retries.
        config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, parameter_validation=True)
        client = boto3.session.Session().client(
            "bedrock-runtime", region_name=self.config.region, endpoint_url=self._endpoint, config=config
        )
        client.meta.events.register("before-send.bedrock-runtime", _carry)
        return client


class _Exchange:
    """What goes around boto3 in one call."""

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        self.response: HttpResponse | None = None


_current: ContextVar[_Exchange | None] = ContextVar("_current", default=None)


class _Response:
    """An answer whose body is read later; an error's has been read, with its code put where the others have it."""

    def __init__(
        self, status: int, headers: Mapping[str, str], extensions: Mapping[str, Any], parts: "Parts | list[bytes]"
    ) -> None:
        self.status_code = status
        self.headers = headers
        self.extensions = extensions
        self._parts = parts

    def iter_raw(self) -> Iterator[bytes]:
        """Yield the body as it arrives."""
        return iter(self._parts)

    def close(self) -> None:
        """Let go of the connection."""
        if not isinstance(self._parts, list):
            self._parts.close()


def _carry(request: "AWSPreparedRequest", **_: Any) -> "AWSResponse":
    """Send what boto3 has signed. Raises ProviderError, which boto3 passes on."""
    import httpcore
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders

    from sluice.providers import connections

    exchange = _current.get()
    if exchange is None:
        raise ProviderProtocolError("boto3 sent a request of its own")
    url = urlsplit(request.url)
    headers = [(b"host", url.netloc.encode())]
    for name, value in request.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        headers.append((str(name).encode("latin-1"), text.encode("latin-1")))
    body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
    sent = connections.send(
        request.method, httpcore.URL(request.url), headers, body, exchange.deadline_s - time.monotonic()
    )
    is_error = sent.status != _OK
    content = connections.read_error(sent) if is_error else b""
    pairs = connections.error_headers(sent) if is_error else sent.headers
    answered = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}
    parts = [_with_code(content, answered)] if is_error else connections.Parts(sent)
    exchange.response = _Response(sent.status, answered, sent.extensions, parts)
    # boto3 reads this one, and the adapter the real one.
    return AWSResponse(request.url, _OK, HTTPHeaders.from_dict({"content-type": "application/json"}), _Empty())


class _Empty(io.BytesIO):
    """The body of an answer that says nothing."""

    def __init__(self) -> None:
        super().__init__(b"{}")

    def stream(self, **_: Any) -> Iterator[bytes]:
        """Yield the body, as urllib3 does."""
        yield self.getvalue()


def _with_code(content: bytes, headers: Mapping[str, str]) -> bytes:
    """An error's body with its code, which has a header of its own, and without names of the account and its role."""
    try:
        said = json.loads(content)
    except ValueError:
        return content
    code = headers.get("x-amzn-errortype", "").partition(":")[0]
    if not isinstance(said, dict):
        return content
    return json.dumps(_without_arns({**said, "__type": code} if code else said)).encode()


def _without_arns(said: JsonObject) -> JsonObject:
    words = {name: value for name, value in said.items() if isinstance(value, str)}
    shown = {
        name: " ".join("[...]" if "arn:aws" in word else word for word in text.split(" "))
        for name, text in words.items()
    }
    return {**said, **shown}


def _params(call: Call) -> JsonObject:
    """The parameters of boto3's method. Raises ProviderRejectedError if they cannot be written as JSON."""
    try:
        # Data of images and documents is bytes here, which boto3 writes.
        text = json.dumps(call.body, ensure_ascii=False, allow_nan=False, default=_nothing)
    except ValueError:
        raise ProviderRejectedError("the request has a number that JSON cannot carry", was_sent=False) from None
    if call.path != INVOKE:
        return call.body
    body = {name: value for name, value in json.loads(text).items() if name != "model"}
    return {
        "modelId": call.body["model"],
        "body": json.dumps(body).encode(),
        "contentType": "application/json",
        "accept": "application/json",
    }


def _nothing(_: object) -> None:
    return None
