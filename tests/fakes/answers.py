"""What the fake provider answers: OpenAI's shapes with Groq's and Hugging Face's additions. Deterministic.

Usage rule: `prompt_tokens = ceil(characters / 4) + 3 * messages + 3`, characters being those of all text in the
messages; `completion_tokens` is the number of words (separated by white space) of all choices, at least 1 per choice.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fakes.settings import ExtraFields, FakeSettings, Flavour

type Json = dict[str, Any]

_DEEPEST_EXAMPLE = 50


type Canned = str | list[Json] | None
"""What a test says is answered: a text, tool calls, or nothing in particular."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of an answer: its pieces as they would be streamed, or tool calls."""

    pieces: tuple[str, ...]
    finish_reason: str
    tool_calls: tuple[Json, ...] = ()

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        said = [call["function"]["arguments"] for call in self.tool_calls] or [self.text]
        return max(1, sum(len(text.split()) for text in said))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is written as one body or as chunks."""

    request: Json
    flavour: Flavour
    number: int
    created: int
    choices: tuple[Choice, ...]
    prompt_tokens: int
    completion_tokens: int
    extra: ExtraFields

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def usage(self) -> Json:
        counted: Json = {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.tokens,
        }
        if self.flavour == "groq":
            counted |= {"queue_time": 0.01, "prompt_time": 0.002, "completion_time": 0.05, "total_time": 0.052}
        return counted | self.extra.usage

    def body(self) -> Json:
        """The `chat.completion` object."""
        body = self._envelope("chat.completion")
        body["choices"] = [self._whole_choice(index, choice) for index, choice in enumerate(self.choices)]
        body["usage"] = self.usage
        if self.flavour == "groq":
            body["x_groq"] = {"id": f"req_{self.number:08x}"}
        return body

    def chunks(self) -> Iterator[Json]:
        """The `chat.completion.chunk` objects, the usage chunk last if it was asked for."""
        for index, choice in enumerate(self.choices):
            first = {"role": "assistant", "content": None if choice.tool_calls else ""}
            opening = self._chunk(index, first)
            if self.flavour == "groq" and index == 0:
                opening["x_groq"] = {"id": f"req_{self.number:08x}"}
            yield opening
            for number, call in enumerate(choice.tool_calls):
                yield from self._tool_chunks(index, number, call)
            for piece in choice.pieces:
                yield self._chunk(index, {"content": piece}, logprobs=self._logprobs((piece,)))
        for index, choice in enumerate(self.choices):
            closing = self._chunk(index, {}, finish_reason=choice.finish_reason)
            if self.flavour == "groq" and index == len(self.choices) - 1:
                closing["x_groq"] = {"id": f"req_{self.number:08x}", "usage": self.usage}
            yield closing
        if (self.request.get("stream_options") or {}).get("include_usage"):
            yield self._envelope("chat.completion.chunk") | {"choices": [], "usage": self.usage}

    def _envelope(self, kind: str) -> Json:
        return {
            "id": f"chatcmpl-{self.number:08x}",
            "object": kind,
            "created": self.created,
            "model": self.request["model"],
            "system_fingerprint": "fp_fake",
            **self.extra.body,
        }

    def _whole_choice(self, index: int, choice: Choice) -> Json:
        message: Json = {"role": "assistant", "content": None if choice.tool_calls else choice.text}
        if choice.tool_calls:
            message["tool_calls"] = list(choice.tool_calls)
        return {
            "index": index,
            "message": message | self.extra.message,
            "logprobs": self._logprobs(choice.pieces),
            "finish_reason": choice.finish_reason,
            **self.extra.choice,
        }

    def _chunk(
        self, index: int, delta: Json, *, finish_reason: str | None = None, logprobs: Json | None = None
    ) -> Json:
        choice = {
            "index": index,
            "delta": delta | self.extra.message,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
            **self.extra.choice,
        }
        return self._envelope("chat.completion.chunk") | {"choices": [choice]}

    def _tool_chunks(self, index: int, number: int, call: Json) -> Iterator[Json]:
        arguments = call["function"]["arguments"]
        middle = len(arguments) // 2
        opening = {**call, "index": number, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield self._chunk(index, {"tool_calls": [opening]})
        for piece in (arguments[:middle], arguments[middle:]):
            yield self._chunk(index, {"tool_calls": [{"index": number, "function": {"arguments": piece}}]})

    def _logprobs(self, pieces: tuple[str, ...]) -> Json | None:
        if not self.request.get("logprobs"):
            return None
        wanted = self.request.get("top_logprobs") or 0
        entries = []
        for piece in pieces:
            entry = {"token": piece, "logprob": -0.25, "bytes": list(piece.encode())}
            others = [{"token": f"{piece}{rank}", "logprob": -1.0 - rank, "bytes": None} for rank in range(wanted)]
            entries.append(entry | {"top_logprobs": others})
        return {"content": entries, "refusal": None}


def prompt_tokens(messages: list[Json]) -> int:
    """The documented rule."""
    return math.ceil(sum(len(text_of(message)) for message in messages) / 4) + 3 * len(messages) + 3


def text_of(message: Json) -> str:
    """All text of a message, of whatever shape its content is."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def build(
    request: Json,
    flavour: Flavour,
    number: int,
    created: int,
    settings: FakeSettings,
    made: type[Answer] = Answer,
) -> Answer:
    """Decide what is answered, taking the next canned text if there is one."""
    guard = settings.guards.get(request["model"])
    if guard is not None:
        canned: Canned = guard.bad if guard.word in text_of(request["messages"][-1]) else guard.good
    else:
        canned = settings.answers.pop(0) if settings.answers else settings.answer
    choices = tuple(_choice(request, index, canned) for index in range(request.get("n") or 1))
    prompt, completion = prompt_tokens(request["messages"]), sum(choice.tokens for choice in choices)
    if settings.usage is not None:
        prompt, completion = settings.usage.prompt_tokens, settings.usage.completion_tokens
    return made(request, flavour, number, created, choices, prompt, completion, settings.extra_fields)


def _choice(request: Json, index: int, canned: Canned) -> Choice:
    if isinstance(canned, list):
        return Choice((), "tool_calls", tuple(canned))
    if canned is None and _calls_tool(request):
        return Choice((), "tool_calls", tuple(_tool_calls(request, index)))
    text = _text(request, index) if canned is None else canned
    stops = request.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop)[0]
    pieces = _pieces(text)
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    if limit is not None and len(pieces) > limit:
        return Choice(tuple(pieces[:limit]), "length")
    return Choice(tuple(pieces), "stop")


def _pieces(text: str) -> list[str]:
    """Words with the white space before them, so that joining them gives the text back."""
    pieces: list[str] = []
    start = 0
    for position in range(1, len(text)):
        if text[position].isspace() and not text[position - 1].isspace() and text[start:position].strip():
            pieces.append(text[start:position])
            start = position
    return [*pieces, text[start:]] if text else []


def _text(request: Json, index: int) -> str:
    response_format = request.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        return json.dumps(example(response_format["json_schema"].get("schema", {})))
    said = text_of(request["messages"][-1])
    if response_format.get("type") == "json_object":
        return json.dumps({"echo": said, "choice": index}, ensure_ascii=False)
    return f"Echo: {said}" if index == 0 else f"Echo {index}: {said}"


def _calls_tool(request: Json) -> bool:
    answered = request["messages"][-1].get("role") == "tool"
    return bool(request.get("tools")) and request.get("tool_choice") != "none" and not answered


def _tool_calls(request: Json, index: int) -> Iterator[Json]:
    """A call of the tool that is chosen, else of the first; of each where some are required and may be parallel."""
    chosen = request.get("tool_choice")
    functions = [tool["function"] for tool in request["tools"]]
    if isinstance(chosen, dict):
        functions = [next(each for each in functions if each["name"] == chosen["function"]["name"])]
    elif chosen != "required" or not request.get("parallel_tool_calls"):
        functions = functions[:1]
    for number, function in enumerate(functions):
        arguments = json.dumps(example(function.get("parameters") or {"type": "object"}))
        call = {"name": function["name"], "arguments": arguments}
        yield {"id": f"call_{index + number}", "type": "function", "function": call}


def example(schema: Json, root: Json | None = None, depth: int = 0) -> Any:
    """A small value that satisfies the common part of JSON Schema; `root` is what references are to."""
    root = schema if root is None else root
    if depth > _DEEPEST_EXAMPLE:
        raise ValueError("the schema is too deep, or refers to itself")
    if "$ref" in schema:
        return example(_referred(schema["$ref"], root), root, depth + 1)
    for several in ("anyOf", "oneOf", "allOf"):
        if schema.get(several):
            return example(schema[several][0], root, depth + 1)
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {name: example(part, root, depth + 1) for name, part in schema.get("properties", {}).items()}
        case "array":
            count = max(1, schema.get("minItems", 1))
            return [example(schema.get("items", {}), root, depth + 1) for _ in range(count)]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "x" * schema.get("minLength", 1)


def _referred(reference: str, root: Json) -> Json:
    """What `#/$defs/Step` stands for."""
    found = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found[part] if part else found
    return found
