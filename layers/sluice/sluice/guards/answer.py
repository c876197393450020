"""The output guard on a whole answer."""

from collections.abc import Mapping

from sluice.chat import JsonObject, ResponseFormat
from sluice.errors import InvalidAnswerError
from sluice.guards.output import check_value
from sluice.guards.prompt import raise_if_blocked
from sluice.guards.rules import Finding, Mode
from sluice.guards.structured_output import asks_for_json
from sluice.guards.work import WorkLimitError


def judge_answer(
    body: JsonObject, response_format: ResponseFormat | None, modes: Mapping[str, Mode]
) -> tuple[JsonObject, tuple[Finding, ...]]:
    """The `chat.completion` in `body` with its JSON repaired where that was needed, and what the rules found.

    Every string of it is judged. Raises GuardBlockedError, InvalidJsonAnswerError when asking again may help,
    InvalidAnswerError when it won't.
    """
    found: dict[str, Finding] = {}
    frame = {name: value for name, value in body.items() if name not in {"choices", "usage"}}
    try:
        # Logprobs spell out what is judged as a text.
        for part in (frame, *({**choice, "logprobs": None} for choice in body["choices"])):
            findings = check_value(part, modes=modes)
            raise_if_blocked(findings, param=None)
            found |= {finding.rule_id: finding for finding in findings}
    except WorkLimitError:
        raise InvalidAnswerError("The answer has too many values to be judged.") from None
    if not asks_for_json(response_format):
        return body, tuple(found.values())
    from sluice.guards.structured_stream import structured_message  # for those few requests alone

    choices = []
    for choice in body["choices"]:
        message = choice.get("message") or {}
        structured = structured_message(message, choice.get("finish_reason"), response_format)
        choices.append(choice if structured is message else {**choice, "message": structured})
    is_as_it_was = all(new is old for new, old in zip(choices, body["choices"], strict=True))
    return body if is_as_it_was else {**body, "choices": choices}, tuple(found.values())
