"""Why a request came out as it did, in words, and by whose fault if it was refused or failed. Pure.

Both are made of its record alone, once, here: lists, the console and reports say the same.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

from sluice.request_log.record import Attempted, RequestOutcome, RequestRecord

_ANSWERED = "answered"
_GIVEN = {RequestOutcome.ANSWERED, RequestOutcome.ABANDONED}
_TOO_MANY_REQUESTS, _REFUSED, _FAILED = 429, 400, 500
_OF_PROVIDERS = {"no_provider_available", "invalid_answer", "answer_interrupted"}
_DEADLINE = "deadline_exceeded"
_GUARD_UNAVAILABLE = "guard-model-unavailable"
_MOST_NAMED = 3
_UNEXPLAINED = {
    RequestOutcome.ANSWERED: "It failed after the answer.",
    RequestOutcome.WITHHELD: "The answer was withheld.",
    RequestOutcome.INTERRUPTED: "The provider broke off in the middle of the answer.",
    RequestOutcome.ABANDONED: "The caller hung up.",
    RequestOutcome.REFUSED: "It was refused.",
    RequestOutcome.FAILED: "It failed.",
}
_OUT_OF = re.compile(r"out of (\w+)", re.ASCII)
# What a provider failed with, as records name it, after the name of a deployment.
_FAILED_WITH = {
    "RateLimited": "was over a limit of its provider",
    "Timeout": "gave no answer in time",
    "Authentication": "was refused its key",
    "Unavailable": "failed or could not be reached",
    "Spoiled": "generated what its provider could not use",
    "Protocol": "broke off, or answered what is no answer",
    "Context": "could not take so long a prompt",
    "Model": "does not serve the model",
    "Unsuited": "could not take this request",
    "Rejected": "refused the request as it was",
}
# Why a deployment was not called.
_PASSED_OVER = {
    "circuit open": "was left alone after failures",
    "credential refused": "was left alone, as its provider refuses the key",
    "model not served": "does not serve the model",
    "cannot take this request": "could not take this request",
    "no attempt left": "was not tried any more",
    "its quota cannot be counted": "could not be counted",
    "out of blocked_by_provider": "was left alone, as its provider had asked",
}


class Cause(StrEnum):
    """What a request counts as: answered, or by whose fault it was not. Each counts as one."""

    ANSWERED = "answered"
    FELL_BACK = "fell_back"
    """Answered after a provider had failed."""
    LIMIT = "limit"
    """Refused by a limit or a budget."""
    GUARD = "guard"
    """Refused or withheld by a guard rule or model."""
    CALLER = "caller"
    """Refused for what it was."""
    PROVIDER = "provider"
    """Not answered, as no provider did."""
    SLUICE = "sluice"
    """Not answered, as Sluice failed."""


def cause_of(record: RequestRecord) -> Cause:
    """What a request counts as."""
    if record.status < _REFUSED and record.outcome in _GIVEN:
        return Cause.FELL_BACK if _failures(record.attempts) else Cause.ANSWERED
    code = record.error_code
    if code and (code in record.guard_rules or code == _GUARD_UNAVAILABLE):
        return Cause.GUARD
    if record.outcome is RequestOutcome.WITHHELD and record.guard_rules:
        return Cause.GUARD
    if record.status == _TOO_MANY_REQUESTS:
        return Cause.LIMIT
    was_called = any(each.time_ms for each in record.attempts)
    if record.outcome is RequestOutcome.INTERRUPTED or code in _OF_PROVIDERS or (code == _DEADLINE and was_called):
        return Cause.PROVIDER
    return Cause.CALLER if record.status < _FAILED else Cause.SLUICE


def why(record: RequestRecord) -> str:
    """Why this model answered, or why none did, in a sentence or three. It holds nothing of what was said."""
    attempts = _attempts(record)
    if record.status >= _REFUSED or record.outcome not in _GIVEN:
        reason = record.reason or _UNEXPLAINED[record.outcome]
        return " ".join([reason, *attempts])
    if record.cache == "hit":
        return "Answered from the cache: the same had been answered before, so no model was asked."
    if not record.model:
        return "Answered without asking a model."
    said = [_choice(record), *attempts]
    if record.outcome is RequestOutcome.ABANDONED:
        said.append("The caller hung up before the end of the answer.")
    if record.asks > 1:
        said.append(f"Models were asked {record.asks} times.")
    return " ".join(said)


def _choice(record: RequestRecord) -> str:
    if record.asked_model == "auto":
        kind = f"{record.complexity} request" if record.complexity else "request"
        tier = f" of tier {record.tier}" if record.tier else ""
        return f"auto had the choice: for a {kind} it came to {record.model}{tier}."
    if record.asked_model and record.asked_model != record.model:
        return f"{record.asked_model} was asked for, and {record.model} stood in for it."
    return f"{record.model} was asked for, and answered."


def _attempts(record: RequestRecord) -> list[str]:
    """What became of the deployments that did not answer, and which did."""
    failures = _failures(record.attempts)
    skipped = [each for each in record.attempts if not each.time_ms and each.result != _ANSWERED]
    answered = [each for each in record.attempts if each.result == _ANSWERED]
    said = [_listed([failed_in_words(each) for each in failures])] if failures else []
    if skipped and (failures or not answered or len(record.attempts) > 1):
        said.append(_listed([passed_over_in_words(each) for each in skipped]))
    if answered and said:
        said.append(f"{answered[-1].deployment} answered in {_duration(answered[-1].time_ms)}.")
    return said


def _failures(attempts: Sequence[Attempted]) -> list[Attempted]:
    """Those whose provider was called, and failed."""
    return [each for each in attempts if each.time_ms and each.result != _ANSWERED]


def failed_in_words(attempt: Attempted) -> str:
    """What a provider that was called failed with, after the name of its deployment."""
    status = f" ({attempt.status})" if attempt.status else ""
    what = _FAILED_WITH.get(attempt.result, f"failed with {attempt.result}")
    return f"{attempt.deployment} {what}{status} after {_duration(attempt.time_ms)}"


def passed_over_in_words(attempt: Attempted) -> str:
    """Why a deployment was not called, after its name."""
    known = _PASSED_OVER.get(attempt.result)
    limit = _OUT_OF.fullmatch(attempt.result)
    if known is None and limit:
        known = f"was out of {limit[1].replace('_', ' ')}"
    return f"{attempt.deployment} {known or f'was passed over: {attempt.result}'}"


def _listed(parts: Sequence[str]) -> str:
    """Some of them as a sentence."""
    named, more = parts[:_MOST_NAMED], len(parts) - _MOST_NAMED
    if more > 0:
        return f"{', '.join(named)}, and so on with {more} more."
    return f"{', '.join(named[:-1])} and {named[-1]}." if len(named) > 1 else f"{named[0]}."


def _duration(time_ms: int) -> str:
    return f"{time_ms} ms" if time_ms < 1_000 else f"{time_ms / 1_000:.1f} s"
