"""What the fake provider can be told: its settings and its faults, as JSON from outside."""

import re
from typing import Any, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

type Window = Literal["rolling", "clock", "bucket"]
type Flavour = Literal["groq", "huggingface", "openai", "azure", "gemini", "anthropic", "bedrock"]

STATUS_FAULT = re.compile(r"[45]\d\d")
# `"model": "llama+fault:500"` or `"user": "fault:hang"` asks for a fault for this one request.
MARKER = re.compile(r"fault:(\w+)")

FAULTS = frozenset(
    {
        "hang",  # accepts the request, then nothing
        "hang_midway",  # half of the answer, then nothing
        "reset",  # closes without a byte
        "cut",  # half of the answer, then the connection is gone
        "ends_early",  # half of a stream, ended in order but without finish_reason and [DONE]
        "slow",  # `delay_s` before each chunk, or before the whole answer
        "drip",  # one byte of the body every `delay_s`
        "drip_headers",  # one byte of the status line and headers every `delay_s`
        "raw",  # `message`, or the bytes of `body`, as the body of an answer with `raw_status`; see `pieces` and `ends`
        "garbage",  # 200, and not JSON (in a stream: an event that is not JSON)
        "not_utf8",  # 200, and bytes that are no UTF-8
        "array",  # 200, and JSON that is no object
        "html",  # 200, and a web page
        "empty_choices",
        "no_choices",
        "choices_not_a_list",
        "content_not_text",
        "error_in_answer",  # 200, and an error object in the body or as the first event
        "error_midway",  # an error event after half of a stream
        "hang_after_done",  # the whole stream with [DONE], but the body never ends
        "no_usage",
        "negative_usage",
        "huge_usage",
        "string_usage",
    }
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Limits(_Strict):
    """Capacities per API key and model; None is unlimited. `*` matches any key or model."""

    api_key: str = "*"
    model: str = "*"
    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None


class UsageOverride(_Strict):
    """Token counts to report and count instead of the computed ones."""

    prompt_tokens: int
    completion_tokens: int


class EmbeddingSettings(_Strict):
    """How embeddings are answered."""

    dimensions: int = 8
    most_inputs: int = 2048
    ignores_base64: bool = Field(default=False, description="numbers, whatever was asked for")
    refuses_base64: bool = Field(default=False, description="400 where base64 is asked for")
    is_bare: bool = Field(default=False, description="a list of vectors, as Hugging Face answers")


class ExtraFields(_Strict):
    """Fields that no SDK knows, put into every answer at each level."""

    body: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    message: dict[str, Any] = {}
    usage: dict[str, Any] = {}


class GuardVerdicts(_Strict):
    """What a guard model answers: `bad` where what is said last to it has the `word`, else `good`."""

    word: str
    bad: str
    good: str


class FakeSettings(_Strict):
    """Everything that can be configured; POST /_fake/config takes any part of it."""

    api_keys: list[str] | None = Field(default=None, description="keys that are let in; None lets any in")
    models: list[str] | None = Field(default=None, description="models that exist; None lets any exist")
    limits: list[Limits] = []
    windows: list[Window] = ["rolling", "clock", "bucket"]
    minute_s: float = 60.0
    day_s: float = 86_400.0
    refuse: bool = Field(default=True, description="answer 429 to a violation; False only records it")
    count_faults: bool = Field(default=True, description="whether a faulty answer uses up limits, as it does at OpenAI")
    rate_limit_headers: bool = True
    answer: str | None = Field(default=None, description="the text of every answer; None echoes the prompt")
    answers: list[str | list[dict[str, Any]]] = Field(
        default=[], description="texts, or tool calls, of the next answers, in order, before `answer`"
    )
    guards: dict[str, GuardVerdicts] = Field(default={}, description="models that judge, and how")
    usage: UsageOverride | None = None
    embeddings: EmbeddingSettings = EmbeddingSettings()
    latency_s: float = 0.0
    chunk_delay_s: float = 0.0
    extra_fields: ExtraFields = ExtraFields()
    keep_requests: int = Field(default=1000, description="how many of the latest request bodies are kept")


class Fault(_Strict):
    """What goes wrong with the next `times` requests (None: with all) of a key and model."""

    fault: str
    times: int | None = 1
    api_key: str = "*"
    model: str = "*"
    retry_after: str | None = Field(default=None, description="the header's value, with status 429 and 503")
    message: str | None = None
    delay_s: float = 0.05
    headers: dict[str, str] = {}
    body: Base64Bytes | None = Field(default=None, description="the bytes of a raw answer, if they are no text")
    raw_status: int = 200
    pieces: list[int] = Field(default=[], description="how many bytes a raw answer sends at a time; [] is all at once")
    ends: bool = Field(default=True, description="False: after a raw answer the connection is cut")

    @property
    def status(self) -> int | None:
        """The HTTP status of a fault that is one."""
        return int(self.fault) if STATUS_FAULT.fullmatch(self.fault) else None

    def model_post_init(self, context: object) -> None:
        """Refuse a fault that nobody has heard of: a test with a typo must not pass."""
        if self.fault not in FAULTS and self.status is None:
            raise ValueError(f"no such fault: {self.fault!r}; there are {sorted(FAULTS)} and any status from 400 on")

    def matches(self, api_key: str, model: str) -> bool:
        """Whether the fault is meant for this request."""
        return self.api_key in ("*", api_key) and self.model in ("*", model)
