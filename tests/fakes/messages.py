"""What a fake Anthropic takes and answers: https://platform.claude.com/docs/en/api/messages. Deterministic.

Usage rule: that of `answers`; where anything is marked for the cache, 5 tokens more are written to it and 7 more read
from it. Where it may think, it thinks of what was said last.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fakes import http
from tests.fakes.answers import Answer, build
from tests.fakes.settings import FakeSettings

type Json = dict[str, Any]

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
FIELDS = frozenset(
    (
        *("model", "max_tokens", "messages", "system", "stream", "stop_sequences", "temperature", "top_p", "top_k"),
        *("tools", "tool_choice", "thinking", "metadata", "output_config", "service_tier", "cache_control"),
    )
)
ENDINGS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
WRITTEN, READ = 5, 7


def error_body(status: int, message: str) -> Json:
    """An error as Anthropic writes it."""
    return {
        "type": "error",
        "error": {"type": KINDS.get(status, "api_error"), "message": message},
        "request_id": "req_fake",
    }


@dataclass(frozen=True, slots=True)
class MessagesAnswer:
    """An answer before it is written. `said` is what is answered, in OpenAI's terms."""

    request: Json
    said: Answer

    @classmethod
    def of(cls, request: Json, number: int, created: int, settings: FakeSettings) -> "MessagesAnswer":
        """The answer to a request, which is checked as strictly as Anthropic does. Raises ValueError."""
        _check(request)
        return cls(request, build(_as_chat(request), "openai", number, created, settings))

    @property
    def prompt_tokens(self) -> int:
        return self.said.prompt_tokens

    @property
    def completion_tokens(self) -> int:
        return self.said.completion_tokens

    @property
    def tokens(self) -> int:
        return self.said.tokens

    def body(self) -> Json:
        """The message."""
        return self._frame() | {
            "content": [block for block, _ in self._blocks()],
            "stop_reason": self._ending(),
            "usage": self._usage() | {"output_tokens": self.completion_tokens},
        }

    def chunks(self) -> Iterator[Json]:
        """The events of the stream."""
        yield {"type": "message_start", "message": self._frame() | {"usage": self._usage() | {"output_tokens": 1}}}
        yield {"type": "ping"}
        for index, (block, deltas) in enumerate(self._blocks()):
            empty = {name: "" if isinstance(value, str) else {} for name, value in block.items() if name in _GROWING}
            yield {"type": "content_block_start", "index": index, "content_block": block | empty}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": self._ending(), "stop_sequence": None},
            "usage": {"output_tokens": self.completion_tokens},
        }
        yield {"type": "message_stop"}

    def error(self) -> Json:
        """What is sent in place of an event when something goes wrong."""
        return error_body(500, "Fault on demand")

    def event(self, value: Json) -> bytes:
        """An event with its name."""
        return f"event: {value['type']}\n".encode() + http.event(value)

    def bent(self, body: Json, fault: str) -> Json:
        """A message or event with what a fault changes in it."""
        for usage in (body.get("usage"), (body.get("message") or {}).get("usage")):
            wrong = {"negative_usage": -5, "huge_usage": 10**30, "string_usage": "twelve"}.get(fault)
            if usage and fault == "no_usage":
                usage.clear()
            elif usage and wrong is not None:
                usage.update(dict.fromkeys(("input_tokens", "output_tokens"), wrong))
        if fault in ("empty_choices", "no_choices"):
            for name in ("content", "content_block", "delta", "message"):
                body.pop(name, None)
        elif fault == "choices_not_a_list" and "content" in body:
            body["content"] = {"0": body["content"]}
        elif fault in ("choices_not_a_list", "content_not_text") and body["type"] == "content_block_delta":
            body["delta"]["text"] = 42
        elif fault == "content_not_text":
            for block in body.get("content", ()):
                block["text"] = 42
        return body

    def _blocks(self) -> Iterator[tuple[Json, list[Json]]]:
        """Each block, and the deltas that it grows by."""
        if (self.request.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
            thought = "They said: " + str(self.said.request["messages"][-1].get("content"))
            halves = (thought[: len(thought) // 2], thought[len(thought) // 2 :])
            parts: list[Json] = [{"type": "thinking_delta", "thinking": half} for half in halves]
            yield (
                {"type": "thinking", "thinking": thought, "signature": "c2lnbmVk"},
                [*parts, {"type": "signature_delta", "signature": "c2lnbmVk"}],
            )
            yield {"type": "redacted_thinking", "data": "c2VjcmV0"}, []
        [choice] = self.said.choices
        for number, call in enumerate(choice.tool_calls):
            function = call["function"]
            text = function["arguments"]
            block = {
                "type": "tool_use",
                "id": f"toolu_{number}",
                "name": function["name"],
                "input": json.loads(text),
            }
            halves = (text[: len(text) // 2], text[len(text) // 2 :])
            yield block, [{"type": "input_json_delta", "partial_json": half} for half in ("", *halves) if text != "{}"]
        if not choice.tool_calls:
            deltas: list[Json] = [{"type": "text_delta", "text": piece} for piece in choice.pieces]
            yield {"type": "text", "text": choice.text}, deltas

    def _ending(self) -> str:
        return ENDINGS[self.said.choices[0].finish_reason]

    def _frame(self) -> Json:
        return {
            "id": f"msg_{self.said.number:08x}",
            "type": "message",
            "role": "assistant",
            "model": self.request["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }

    def _usage(self) -> Json:
        is_marked = '"cache_control"' in json.dumps(self.request)
        long = WRITTEN if is_marked and '"ttl": "1h"' in json.dumps(self.request) else 0
        return {
            "input_tokens": self.prompt_tokens,
            "cache_creation_input_tokens": WRITTEN if is_marked else 0,
            "cache_read_input_tokens": READ if is_marked else 0,
            "cache_creation": {
                "ephemeral_5m_input_tokens": (WRITTEN if is_marked else 0) - long,
                "ephemeral_1h_input_tokens": long,
            },
        }


_GROWING = frozenset({"text", "thinking", "signature", "input"})


def _check(request: Json) -> None:
    if unknown := request.keys() - FIELDS:
        raise ValueError(f"{min(unknown)}: Extra inputs are not permitted")
    if not isinstance(request.get("max_tokens"), int) or request["max_tokens"] < 1:
        raise ValueError("max_tokens: Field required")
    asked: set[str] = set()
    for position, turn in enumerate(request["messages"]):
        if turn["role"] != ("user", "assistant")[position % 2]:
            raise ValueError(f"messages.{position}: roles must alternate, beginning with user")
        blocks = turn["content"]
        if not blocks:
            raise ValueError(f"messages.{position}: content must not be empty")
        answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if answered != asked:
            raise ValueError(f"messages.{position}: `tool_use` ids were found without `tool_result` blocks after them")
        asked = {block["id"] for block in blocks if block["type"] == "tool_use"}
        for block in blocks:
            if block["type"] == "text" and not block["text"].strip():
                raise ValueError("messages: text content blocks must be non-empty")
            if block["type"] == "thinking" and block["signature"] != "c2lnbmVk":
                raise ValueError(f"messages.{position}: Invalid `signature` in `thinking` block")
            if block["type"] == "tool_use" and not isinstance(block["input"], dict):
                raise ValueError("input: Input should be a valid dictionary")


def _as_chat(request: Json) -> Json:
    messages: list[Json] = []
    if request.get("system"):
        messages.append({"role": "system", "content": request["system"]})
    for turn in request["messages"]:
        results = [block for block in turn["content"] if block["type"] == "tool_result"]
        messages += [{"role": "tool", "content": block.get("content")} for block in results]
        rest = [block for block in turn["content"] if block["type"] in ("text", "image", "document")]
        if rest:
            texts = [block for block in rest if block["type"] == "text"]
            is_text = len(texts) == 1 == len(rest)
            messages.append({"role": turn["role"], "content": texts[0]["text"] if is_text else rest})
    asked: Json = {"model": request["model"], "messages": messages, "max_tokens": request["max_tokens"]}
    if request.get("stop_sequences"):
        asked["stop"] = request["stop_sequences"]
    if tools := [tool for tool in request.get("tools") or [] if "input_schema" in tool]:
        functions = [{"name": tool["name"], "parameters": tool["input_schema"]} for tool in tools]
        asked["tools"] = [{"type": "function", "function": function} for function in functions]
        choice = request.get("tool_choice") or {"type": "auto"}
        if choice["type"] == "none":
            asked["tool_choice"] = "none"
        elif choice["type"] == "tool":
            asked["tool_choice"] = {"function": {"name": choice["name"]}}
    output = (request.get("output_config") or {}).get("format")
    if output:
        asked["response_format"] = {"type": "json_schema", "json_schema": {"schema": output["schema"]}}
    return asked
