"""How many tokens a request will cost, before it is sent. Pure.

The prompt is estimated from its characters, the completion is bounded by the caller or else guessed from what the
model usually says; both ratios are learned from actual usage, cautiously: quick to expect more, slow to expect less.
"""

import json
import math
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass

from sluice.chat import ChatRequest, Message, Usage

# Every message carries markers, and chat templates often put a system prompt of their own in front.
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_PROMPT = 40
# An image or audio part: OpenAI's high-detail images cost 765 tokens and up.
_TOKENS_PER_MEDIA_PART = 1000
# In fields that become part of the prompt.
_PROMPT_FIELDS = ("tools", "functions", "response_format")
# Shorter prompts are mostly template, and say little about the text.
_LEARN_FROM_CHARACTERS = 400

FIRST_CHARACTERS_PER_TOKEN = 4.0
_FIRST_COMPLETION_TOKENS = 512.0
_COMPLETION_QUANTILE = 0.95
_WORDS = (string.ascii_letters + string.whitespace).encode()
_OUTSIDE_ASCII = re.compile(rb"[\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """Tokens to reserve for one request."""

    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class TokenHabits:
    """What has been learned of a model: characters to a token, and a completion's size at a high quantile."""

    characters_per_token: float = FIRST_CHARACTERS_PER_TOKEN
    completion_tokens: float = _FIRST_COMPLETION_TOKENS

    @classmethod
    def from_notes(cls, notes: Mapping[str, float]) -> "TokenHabits":
        """Read back what `notes` wrote."""
        return cls(
            notes.get("characters_per_token", FIRST_CHARACTERS_PER_TOKEN),
            notes.get("completion_tokens", _FIRST_COMPLETION_TOKENS),
        )

    def notes(self) -> dict[str, float]:
        """The form the ledger keeps."""
        return {"characters_per_token": self.characters_per_token, "completion_tokens": self.completion_tokens}

    def after(self, request: ChatRequest, usage: Usage) -> "TokenHabits":
        """The habits once `request` turned out to use `usage`."""
        ratio = self.characters_per_token
        weight = prompt_weight(request)
        tokens = usage.prompt_tokens - _TOKENS_PER_PROMPT - _TOKENS_PER_MESSAGE * len(request.messages)
        if weight >= _LEARN_FROM_CHARACTERS and tokens > 0 and not _media_parts(request):
            seen = weight / tokens
            ratio += (0.5 if seen < ratio else 0.02) * (seen - ratio)
        per_choice = usage.completion_tokens / (request.n or 1)
        step = max(16.0, self.completion_tokens / 10) * (_COMPLETION_QUANTILE - 1)
        if per_choice > self.completion_tokens:
            # Half of what it fell short by, at once: the next answers may be as long.
            step = max(16.0, (per_choice - self.completion_tokens) / 2)
        return TokenHabits(min(max(ratio, 1.0), 8.0), max(self.completion_tokens + step, 16.0))


def estimate(request: ChatRequest, habits: TokenHabits, max_completion_tokens: int) -> TokenEstimate:
    """Tokens to reserve for `request` on a model that can say `max_completion_tokens` at most."""
    prompt = (
        prompt_weight(request) / habits.characters_per_token
        + _TOKENS_PER_MESSAGE * len(request.messages)
        + _TOKENS_PER_PROMPT
        + _TOKENS_PER_MEDIA_PART * _media_parts(request)
    )
    limit = request.completion_limit
    completion = habits.completion_tokens if limit is None else limit
    return TokenEstimate(
        int(prompt) + 1, int(min(completion, max_completion_tokens) * (request.n or 1)) + (limit is None)
    )


def prompt_weight(request: ChatRequest) -> int:
    """The prompt's length in characters, those outside ASCII weighing what they cost in tokens: about four each."""
    weight = sum(_message_weight(message) for message in request.messages)
    extra = request.model_extra or {}
    for name in _PROMPT_FIELDS:
        value = extra.get(name) if name != "response_format" else request.response_format
        if value is not None:
            weight += len(json.dumps(value, default=lambda model: model.model_dump()))
    return weight


def message_tokens(message: Message) -> int:
    """Tokens of one message within a prompt, by the ratio that is expected of a model nothing is known of yet."""
    media_tokens = _TOKENS_PER_MEDIA_PART * _media_parts_of(message)
    return math.ceil(_message_weight(message) / FIRST_CHARACTERS_PER_TOKEN) + _TOKENS_PER_MESSAGE + media_tokens


def text_weight(text: str) -> int:
    """A text's length in characters, each weighing what it costs in tokens.

    A letter within words costs a quarter of a token or less, a digit or a sign about half of one, and what lies
    outside ASCII up to a whole one.
    """
    raw = text.encode("utf-8", "surrogatepass")
    outside = sum(map(len, _OUTSIDE_ASCII.findall(raw))) if len(raw) != len(text) else 0
    return len(raw) - outside + len(raw.translate(None, _WORDS)) - outside + outside * 4 // 3


def _message_weight(message: Message) -> int:
    weight = text_weight(message.text)
    if message.model_extra:
        weight += text_weight(json.dumps(message.model_extra, default=str))
    return weight


def _media_parts(request: ChatRequest) -> int:
    return sum(_media_parts_of(message) for message in request.messages)


def _media_parts_of(message: Message) -> int:
    if not isinstance(message.content, list):
        return 0
    return sum(part.type not in {"text", "input_text", "refusal"} for part in message.content)
