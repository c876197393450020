"""Reads the body of a provider's error answer, whatever shape it has. Pure.

Every provider nests its message, codes and waits elsewhere: OpenAI in `error`, Gemini in a list of `error` with
`details`, FastAPI in `detail`, Cloudflare in `errors`, AWS in `message` and `__type`, OpenRouter the upstream's own
answer as text in `error.metadata.raw`. So the whole of it is walked, and what is found is told apart by its key.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from sluice.loading.dataclass import dataclass

MAX_TEXT_CHARACTERS = 4_000
"""How much of what a provider says is looked at."""

_MOST_VALUES = 400
_MOST_DEPTH = 12
# In this order: what names the error comes before what repeats it.
_PARTS = ("error", "errors", "message", "msg", "detail", "details", "error_message", "error_msg", "metadata")
_MESSAGES = frozenset(
    {"message", "msg", "detail", "error", "errors", "error_message", "error_msg", "raw", "status_msg", "title"}
)
_CODES = frozenset({"code", "type", "status", "reason", "error_type", "error_code", "__type", "kind", "status_code"})
_PLACES = frozenset({"param", "loc", "field"})
# What a model has generated, or a request brought along, is no word of the provider.
_QUOTED = frozenset(
    {"failed_generation", "choices", "input", "inputs", "messages", "content", "request", "ctx", "tools", "parameters"}
)
_IDENTIFIER = re.compile(r"[A-Za-z][\w.#:/ -]{0,127}")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a provider says of an error.

    `message` is the first thing it says and `text` all of it; `codes` are as written; `fields` are those whose names
    speak of waiting, by name in lower case. `is_page`: it is a web page, so that something in front of the provider
    speaks, not its API.
    """

    message: str = ""
    text: str = ""
    codes: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    is_page: bool = False

    @property
    def code(self) -> str | None:
        """The most specific of the codes: OpenAI and those who follow it have a `type` beside it."""
        return self.codes[0] if self.codes else None

    @classmethod
    def read(cls, body: bytes) -> "ErrorBody":
        """Read the bytes of an error answer."""
        text = body.decode("utf-8-sig", "replace").strip()
        try:
            value = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            return cls._of_text(text)
        return cls.of(value)

    @classmethod
    def of(cls, value: object) -> "ErrorBody":
        """Read a decoded error, or an answer that has one in it."""
        if isinstance(value, str):
            return cls._of_text(value)
        walk = _Walk()
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict | list):
                walk.visit(part, "", 0)
        said = list(dict.fromkeys(walk.messages))
        text = " ".join(filter(None, [*said, *walk.places]))[:MAX_TEXT_CHARACTERS]
        return cls(said[0] if said else "", text, tuple(walk.codes), tuple(walk.numbers), walk.fields)

    @classmethod
    def _of_text(cls, text: str) -> "ErrorBody":
        is_page = text[:200].lstrip().lower().startswith(("<!doctype", "<html", "<head", "<?xml", "<!--"))
        shown = text[:MAX_TEXT_CHARACTERS]
        is_said = not is_page and "\ufffd" not in shown and not text.startswith(("{", "["))
        return cls(shown if is_said else "", shown, is_page=is_page)


class _Walk:
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.codes: list[str] = []
        self.numbers: list[int] = []
        self.places: list[str] = []
        self.fields: dict[str, Any] = {}
        self._left = _MOST_VALUES

    def visit(self, value: object, key: str, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > _MOST_DEPTH:
            return
        if isinstance(value, dict):
            for name, inner in _by_importance(value):
                self._field(name.lower(), inner, depth)
        elif isinstance(value, list):
            for inner in value[:_MOST_VALUES]:
                self.visit(inner, key, depth + 1)
        elif isinstance(value, str) and key in _MESSAGES:
            self._message(value, depth)

    def _field(self, name: str, value: object, depth: int) -> None:
        if name in _QUOTED:
            return
        if "retry" in name or "reset" in name or name == "estimated_time":
            self.fields.setdefault(name, value)
        if name in _CODES and not isinstance(value, dict | list):
            self._code(value)
        elif name in _PLACES:
            self.places.append(_place(value))
        else:
            self.visit(value, name, depth + 1)

    def _code(self, value: object) -> None:
        if isinstance(value, bool):
            return
        if isinstance(value, int) or (isinstance(value, str) and value.isdecimal() and len(value) < 6):
            self.numbers.append(int(value))
        elif isinstance(value, str) and _IDENTIFIER.fullmatch(value):
            self.codes.append(value)

    def _message(self, text: str, depth: int) -> None:
        # Gateways put the answer of whom they asked into their own, as text.
        start = text.find("{")
        if 0 <= start < MAX_TEXT_CHARACTERS and text.rstrip().endswith(("}", "]")):
            try:
                inner = json.loads(text[start : start + 4 * MAX_TEXT_CHARACTERS], strict=False)
            except (ValueError, RecursionError):
                pass  # it is text after all
            else:
                self.visit(inner, "", depth + 1)
                text = text[:start]
        if text.strip():
            self.messages.append(text.strip())


def _by_importance(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("code", *_PARTS):
        if name in value:
            yield name, value[name]
    for name, inner in value.items():
        if name != "code" and name not in _PARTS:
            yield name, inner


def _place(value: object) -> str:
    if isinstance(value, list):
        return ".".join(str(step)[:64] for step in value[:8])
    return value[:128] if isinstance(value, str) else ""
