"""How many tokens a request will cost, before it is sent. Pure.

The prompt is weighed by what it is made of. The completion is bounded by the caller, or else guessed from what the
model usually says. What a model's provider really counts is learned on top, quick to expect more and slow to expect
less, and never less than what was weighed.
"""

import json
import math
import re
import string
from collections.abc import Mapping

from sluice.chat import ChatRequest, Message, Usage
from sluice.loading.dataclass import dataclass
from sluice.quota.request_size import ModelBounds, RequestSize

# Shorter prompts are mostly template: what their provider adds to them is learned as such.
_LEARN_FROM_TOKENS = 400
_MOST_OVERHEAD_TOKENS = 4_000.0
_MOST_RATIO = 4.0
# How much of the way to a lower count is believed after a call.
_DOWN = 0.02

_FIRST_COMPLETION_TOKENS = 512.0
_COMPLETION_QUANTILE = 0.95
# A guess shrinks to fit in beside the prompt, but not below this part of the limit: then the request waits.
_SMALLEST_GUESS = 0.25
# With fewer such requests than this left in a budget, an estimate that was too low could overrun it.
_BOUND_FROM_REQUESTS = 10

# About, in text that is surely too long.
_MOST_CHARACTERS_PER_TOKEN = 5
_CHARACTERS_PER_TOKEN = 4.0
# Beside the text of a message in a conversation, about.
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_MEDIA_PART = 1000
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
    """What has been learned of a model.

    `prompt_ratio` is what its provider counts for an estimated token of a prompt, 1 at least; `prompt_overhead` what it
    adds to each prompt; and `completion_tokens` a completion's size at a high quantile.
    """

    prompt_ratio: float = 1.0
    prompt_overhead: float = 0.0
    completion_tokens: float = _FIRST_COMPLETION_TOKENS

    @classmethod
    def from_notes(cls, notes: Mapping[str, float]) -> "TokenHabits":
        """Read back what `notes` wrote."""
        return cls(
            notes.get("prompt_ratio", 1.0),
            notes.get("prompt_overhead", 0.0),
            notes.get("completion_tokens", _FIRST_COMPLETION_TOKENS),
        )

    def notes(self) -> dict[str, float]:
        """The form the ledger keeps."""
        return {
            "prompt_ratio": self.prompt_ratio,
            "prompt_overhead": self.prompt_overhead,
            "completion_tokens": self.completion_tokens,
        }

    def after(self, size: RequestSize, usage: Usage, bounds: ModelBounds) -> "TokenHabits":
        """The habits once a request of this size turned out to use `usage`."""
        ratio, overhead = self.prompt_ratio, self.prompt_overhead
        estimated = size.prompt_tokens(bounds)
        if not size.has_media and estimated >= _LEARN_FROM_TOKENS:
            ratio = min(max(_learned(ratio, (usage.prompt_tokens - overhead) / estimated), 1.0), _MOST_RATIO)
        elif not size.has_media:
            seen = usage.prompt_tokens - estimated * ratio
            overhead = min(max(_learned(overhead, seen), 0.0), _MOST_OVERHEAD_TOKENS)
        per_choice = usage.completion_tokens / size.choices
        step = max(16.0, self.completion_tokens / 10) * (_COMPLETION_QUANTILE - 1)
        if per_choice > self.completion_tokens:
            # Half of what it fell short by, at once: the next answers may be as long.
            step = max(16.0, (per_choice - self.completion_tokens) / 2)
        return TokenHabits(ratio, overhead, max(self.completion_tokens + step, 16.0))


def _learned(known: float, seen: float) -> float:
    return seen if seen > known else known + _DOWN * (seen - known)


def estimate(size: RequestSize, habits: TokenHabits, bounds: ModelBounds) -> TokenEstimate:
    """Tokens to reserve for a request on a model."""
    prompt = size.prompt_tokens(bounds) * habits.prompt_ratio + habits.prompt_overhead
    prompt_tokens = min(math.ceil(prompt), bounds.context_window)
    predicted = size.predicted_tokens(bounds)
    if size.completion_limit is not None:
        completion = min(size.completion_limit, bounds.max_completion_tokens)
        return TokenEstimate(prompt_tokens, (completion + predicted) * size.choices)
    guess = (min(habits.completion_tokens, bounds.max_completion_tokens) + predicted) * size.choices
    guessed = TokenEstimate(prompt_tokens, math.ceil(guess))
    return guessed if bounds.limit_tokens is None else fitted(guessed, bounds.limit_tokens, bounds.room_tokens)


def fitted(guessed: TokenEstimate, limit: int, room: int | None = None) -> TokenEstimate:
    """An estimate whose guessed completion is at most what a limit leaves beside the prompt; `room` is what is free.

    The answer may turn out longer, but what was only guessed is no reason to refuse a request for ever.
    """
    prompt_tokens = guessed.prompt_tokens
    room = limit if room is None else room
    left = max(room - prompt_tokens, math.floor(limit * _SMALLEST_GUESS))
    return TokenEstimate(prompt_tokens, max(min(guessed.completion_tokens, left, limit - prompt_tokens), 1))


def upper_bound(size: RequestSize, bounds: ModelBounds) -> TokenEstimate:
    """More tokens than a request can cost on a model."""
    limit = bounds.max_completion_tokens if size.completion_limit is None else size.completion_limit
    completion = (min(limit, bounds.max_completion_tokens) + size.most_predicted) * size.choices
    return TokenEstimate(min(size.most_prompt_tokens(bounds), bounds.context_window), completion)


def needs_upper_bound(left: int, estimated: int) -> bool:
    """Whether so little is left of a budget that an estimate that was too low could overrun it."""
    return left < _BOUND_FROM_REQUESTS * estimated


def least_tokens(request: ChatRequest) -> int:
    """Fewer tokens than a prompt is likely to have: beyond the window by this count, it is surely too long."""
    return sum(text_weight(message.text) for message in request.messages) // _MOST_CHARACTERS_PER_TOKEN


def message_tokens(message: Message) -> int:
    """Tokens of one message within a prompt, about: what of a conversation is remembered needs no upper bound."""
    media_tokens = _TOKENS_PER_MEDIA_PART * _media_parts_of(message)
    weight = text_weight(message.text)
    if message.model_extra:
        weight += text_weight(json.dumps(message.model_extra, default=str))
    return math.ceil(weight / _CHARACTERS_PER_TOKEN) + _TOKENS_PER_MESSAGE + media_tokens


def text_weight(text: str) -> int:
    """A text's length in characters, each weighing what it costs in tokens, about.

    A letter within words costs a quarter of a token or less, a digit or a sign about half of one, and what lies
    outside ASCII up to a whole one.
    """
    raw = text.encode("utf-8", "surrogatepass")
    outside = sum(map(len, _OUTSIDE_ASCII.findall(raw))) if len(raw) != len(text) else 0
    return len(raw) - outside + len(raw.translate(None, _WORDS)) - outside + outside * 4 // 3


def _media_parts_of(message: Message) -> int:
    if not isinstance(message.content, list):
        return 0
    return sum(part.type not in {"text", "input_text", "refusal"} for part in message.content)
