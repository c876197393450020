"""What an answer is: whole, cut, failed, empty or withheld. The one place where that is decided. Pure."""

from enum import StrEnum

from sluice.chat import JsonObject

# Of a choice's own fields, what makes it an answer; what a model thought is none.
_ANSWERS = ("tool_calls", "function_call", "refusal", "audio", "images", "content_parts")
# What every delta may carry without saying anything.
_FRAME = frozenset({"role", "name", "type", "index", "id"})

_CACHED = frozenset({"stop", "tool_calls"})

# How servers say why an answer ends, in lower case without separators, by OpenAI's word for it. "error" is OpenRouter's
# for an answer that its provider did not finish.
_REASONS = {
    "stop": """
        stop complete completed completion endturn end eos eostoken stopsequence stopstring stoptoken finish finished
        done endofsequence endofturn
    """,
    "length": """
        length maxtokens maxtoken maxlength maxoutputtokens modellength tokenlimit contextlength
        modelcontextwindowexceeded lengthlimit
    """,
    "tool_calls": "toolcalls toolcall tooluse functioncalls",
    "function_call": "functioncall",
    "content_filter": """
        contentfilter contentfiltered contentfiltering safety recitation blocklist prohibitedcontent spii imagesafety
        guardrailintervened blocked sensitive refusal errortoxic toxicity language policyviolation
    """,
    "error": """
        error fail failed failure abort aborted userabort cancel cancelled canceled interrupted timeout timedout
        insufficientsystemresource overloaded networkerror connectionerror servererror loaderror errorlimit
        malformedfunctioncall malformedresponse unexpectedtoolcall
    """,
}
_ENDINGS = {word: reason for reason, words in _REASONS.items() for word in words.split()}


class AnswerState(StrEnum):
    """What an answer is."""

    WHOLE = "whole"
    CUT = "cut"
    """It has no end, or it reached the limit of its length."""
    FAILED = "failed"
    """Its provider says that it failed, or there is none."""
    EMPTY = "empty"
    """It ended in order and says nothing."""
    WITHHELD = "withheld"
    """A filter of its provider ended it."""


# The worst of its choices is what an answer is.
_WORST_FIRST = (AnswerState.FAILED, AnswerState.WITHHELD, AnswerState.CUT, AnswerState.EMPTY, AnswerState.WHOLE)


def ending(finish_reason: object) -> str | None:
    """OpenAI's word for a `finish_reason`, None for what is no end: anything empty, null in a text, or unknown."""
    if not isinstance(finish_reason, str):
        return None
    return _ENDINGS.get("".join(character for character in finish_reason.lower() if character.isalpha()))


def state_of(body: JsonObject) -> AnswerState:
    """What the `chat.completion` in `body` is."""
    states = {_state_of_choice(choice) for choice in body.get("choices") or []}
    if body.get("error") or not states:
        return AnswerState.FAILED
    return next(state for state in _WORST_FIRST if state in states)


def may_be_cached(body: JsonObject) -> bool:
    """Whether the `chat.completion` in `body` may be given to whoever asks the same: it is whole, and meant to end."""
    endings = {ending(choice.get("finish_reason")) for choice in body.get("choices") or []}
    return state_of(body) is AnswerState.WHOLE and endings <= _CACHED


def says_something(delta: JsonObject) -> bool:
    """Whether a part of a streamed answer has anything of the answer in it: a role alone is a greeting."""
    return any(value for name, value in delta.items() if name not in _FRAME)


def _state_of_choice(choice: JsonObject) -> AnswerState:
    match ending(choice.get("finish_reason")):
        case "error":
            return AnswerState.FAILED
        case "content_filter":
            return AnswerState.WITHHELD
        case None | "length":
            return AnswerState.FAILED if choice.get("error") else AnswerState.CUT
    if choice.get("error"):
        return AnswerState.FAILED
    return AnswerState.WHOLE if _is_answer(choice.get("message") or {}) else AnswerState.EMPTY


def _is_answer(message: JsonObject) -> bool:
    content = message.get("content")
    return bool(isinstance(content, str) and content.strip()) or any(message.get(name) for name in _ANSWERS)
