"""What of a conversation goes in front of a new question. Pure.

An **exchange** is what a user says and what follows until the user speaks again. Whole exchanges are remembered, the
newest first, as many as fit: so what is remembered begins with a user, which some models insist on. Where even the
newest is too long, its longest texts are cut.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from sluice.chat import ContentPart, Message
from sluice.loading.dataclass import dataclass
from sluice.quota.estimate import message_tokens, text_weight

_SYSTEM_ROLES = frozenset({"system", "developer"})
_RESULT_ROLES = frozenset({"tool", "function"})

_CHARACTERS_PER_TOKEN = 4
# Less of a text than this says nothing.
_FEWEST_TOKENS = 16
_CUT_MARK = "… "
# A cut moves to the next word, if that is near.
_LONGEST_WORD = 24

# An estimate may be a quarter too low, and a model needs room to answer in when nobody says how much.
_SURE_SHARE = 0.75
_ROOM_TO_ANSWER_TOKENS = 512


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """The most messages and estimated tokens, the new question's included. The system prompt counts towards neither."""

    messages: int = 10
    tokens: int = 4000

    def for_model(
        self, context_window: int, system: Sequence[Message], completion_tokens: int | None
    ) -> "WindowLimits":
        """Narrowed to what a model takes beside the system prompt and its answer."""
        answer = min(_ROOM_TO_ANSWER_TOKENS, context_window // 4) if completion_tokens is None else completion_tokens
        room = int(context_window * _SURE_SHARE) - answer - _tokens(system)
        return replace(self, tokens=min(self.tokens, room))


@dataclass(frozen=True, slots=True)
class Window:
    """What a turn may go on from: a tenant's `limits`, and the context window of the smallest model that may answer."""

    limits: WindowLimits
    context_window: int

    def beside(self, system: Sequence[Message], completion_tokens: int | None) -> WindowLimits:
        """The limits, narrowed to what such a model takes beside the system prompt and its answer."""
        return self.limits.for_model(self.context_window, system, completion_tokens)


def split_system(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """The system prompt, which is what leads, and the rest."""
    system = tuple(takewhile(lambda message: message.role in _SYSTEM_ROLES, messages))
    return system, tuple(messages[len(system) :])


def remembered(history: Sequence[Message], asked: Sequence[Message], limits: WindowLimits) -> tuple[Message, ...]:
    """What of `history` goes in front of `asked`, in its order; neither has a system prompt in front.

    `asked` is never cut, nor is a call that it brings the results of: these are the question. Calls without results
    and results without calls are left out, because providers refuse them.
    """
    results = tuple(takewhile(lambda message: message.role in _RESULT_ROLES, asked))
    units = _units(history, results)
    pending: tuple[Message, ...] = ()
    if units and _is_answered_by(units[-1][0], results):
        pending = units.pop()
    spoken = (*pending, *asked)
    left = WindowLimits(limits.messages - len(spoken), limits.tokens - _tokens(spoken))
    return (*_newest(_exchanges(units), left), *pending)


type _Unit = tuple[Message, ...]
"""Messages that only make sense together: a call with its results, or any other message by itself."""


def _units(history: Sequence[Message], results: Sequence[Message]) -> list[_Unit]:
    """What may be remembered of `history`; `results` came after it."""
    units: list[_Unit] = []
    rest = list(history)
    while rest:
        message = rest.pop(0)
        calls = _calls(message)
        if calls:
            answers = tuple(takewhile(lambda each: each.role in _RESULT_ROLES, rest))
            del rest[: len(answers)]
            answers = tuple(each for each in answers if _call_of(each) in calls)
            is_pending = not rest and _is_answered_by(message, results)
            if is_pending or calls == {_call_of(each) for each in answers}:
                units.append((message, *answers))
        elif message.role not in _RESULT_ROLES:
            units.append((message,))
    return units


def _exchanges(units: Sequence[_Unit]) -> list[list[_Unit]]:
    exchanges: list[list[_Unit]] = []
    is_user = False
    for unit in units:
        was_user, is_user = is_user, unit[0].role == "user"
        if not exchanges or (is_user and not was_user):
            exchanges.append([])
        exchanges[-1].append(unit)
    return exchanges


def _newest(exchanges: Sequence[Sequence[_Unit]], limits: WindowLimits) -> tuple[Message, ...]:
    kept: tuple[Message, ...] = ()
    for exchange in reversed(exchanges):
        more = (*_flat(exchange), *kept)
        if len(more) > limits.messages or _tokens(more) > limits.tokens:
            break
        kept = more
    if exchanges and not kept:
        return _shortened(exchanges[-1], limits)
    return kept


def _shortened(exchange: Sequence[_Unit], limits: WindowLimits) -> tuple[Message, ...]:
    """As many of the newest units as there may be, their longest texts cut so that all fit; perhaps none."""
    for start in range(len(exchange)):
        messages = _flat(exchange[start:])
        if len(messages) > limits.messages:
            continue
        bare = [message_tokens(_cut(message, 0)) for message in messages]
        texts = [message_tokens(message) - tokens for message, tokens in zip(messages, bare, strict=True)]
        level = _level(texts, limits.tokens - sum(bare))
        if level >= min(_FEWEST_TOKENS, max(texts)):
            return tuple(
                _cut(message, level * _CHARACTERS_PER_TOKEN) if size > level else message
                for message, size in zip(messages, texts, strict=True)
            )
    return ()


def _level(sizes: Sequence[int], capacity: int) -> int:
    """The size to which the largest of `sizes` must be cut so that their sum is at most `capacity`."""
    left = capacity
    for position, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - position)
        if size > share:
            return share
        left -= size
    return max(sizes)


def _cut(message: Message, weight: int) -> Message:
    """The message with no more than `weight` of text, in characters as they cost tokens.

    The end is what is kept: a window slides, and what was said last is what a conversation goes on from.
    """
    if text_weight(message.text) <= weight:
        return message
    if not isinstance(message.content, list):
        return message.model_copy(update={"content": _ending(message.text, weight)})
    parts: list[ContentPart] = []
    for part in reversed(message.content):
        if not part.text:
            parts.append(part)
        elif text := _ending(part.text, weight):
            parts.append(part if text == part.text else part.model_copy(update={"text": text}))
            # Texts of parts are joined by a line break, and their weights are rounded down.
            weight -= text_weight(text) + 2
        else:
            weight = 0
    return message.model_copy(update={"content": parts[::-1] or ""})


def _ending(text: str, weight: int) -> str:
    if text_weight(text) <= weight:
        return text
    room = weight - text_weight(_CUT_MARK)
    if room <= 0:
        return ""
    # A character weighs at least 1, so the end lies within this.
    tail = text[-room:]
    low, high = 0, len(tail)
    while low < high:
        middle = (low + high) // 2
        if text_weight(tail[middle:]) <= room:
            high = middle
        else:
            low = middle + 1
    ending = tail[low:]
    word, _, rest = ending[:_LONGEST_WORD].partition(" ")
    return _CUT_MARK + (ending[len(word) + 1 :] if rest else ending)


def _calls(message: Message) -> frozenset[str]:
    """What an assistant's message calls: ids of tool calls, or the function's name in the form before tools."""
    extra = message.model_extra or {}
    calls = [call.get("id") for call in extra.get("tool_calls") or [] if isinstance(call, dict)]
    if isinstance(function := extra.get("function_call"), dict):
        calls.append(function.get("name"))
    return frozenset(str(call) for call in calls) if message.role == "assistant" else frozenset()


def _call_of(result: Message) -> str:
    """The call that a tool's message answers."""
    return str((result.model_extra or {}).get("tool_call_id" if result.role == "tool" else "name"))


def _is_answered_by(message: Message, results: Sequence[Message]) -> bool:
    calls = _calls(message)
    return any(_call_of(result) in calls for result in results)


def _flat(units: Sequence[_Unit]) -> tuple[Message, ...]:
    return tuple(message for unit in units for message in unit)


def _tokens(messages: Sequence[Message]) -> int:
    return sum(message_tokens(message) for message in messages)
