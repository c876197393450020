"""What the guards' rules say of texts, in OpenAI's categories. Pure."""

from collections.abc import Mapping
from typing import NoReturn

from sluice.api.moderations.request_models import (
    MODEL,
    ModerationAnswer,
    ModerationPart,
    ModerationRequest,
    ModerationResult,
)
from sluice.chat import Message
from sluice.errors import InvalidRequestError
from sluice.guards.output import check_answer
from sluice.guards.prompt import check_prompt
from sluice.guards.rules import Finding, Mode, rules

# https://platform.openai.com/docs/guides/moderation
_CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent"),
    *("self-harm", "self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors"),
    *("violence", "violence/graphic"),
)


def texts_of(asked: ModerationRequest) -> list[str]:
    """The texts that are to be judged one by one. Raises InvalidRequestError for what is no text."""
    if isinstance(asked.input, str):
        return [asked.input]
    texts = [each for each in asked.input if isinstance(each, str)]
    if texts:
        return texts
    parts = [each for each in asked.input if isinstance(each, ModerationPart)]
    for position, part in enumerate(parts):
        if part.type != "text":
            _refuse(f"input[{position}].type", "the rules read texts only, no images")
        if part.text is None:
            _refuse(f"input[{position}].text", "this field is required")
    # Parts are one input.
    return ["\n".join(part.text or "" for part in parts)]


def moderation(texts: list[str], identity: str, modes: Mapping[str, Mode], max_characters: int) -> ModerationAnswer:
    """What the rules find in texts, each as a prompt and as an answer, for a tenant with these modes.

    Raises InvalidRequestError for more characters than a prompt may have.
    """
    if sum(map(len, texts)) > max_characters:
        _refuse("input", f"should have at most {max_characters} characters")
    return {
        "id": f"modr-{identity}",
        "model": MODEL,
        "results": [_result(text, modes, max_characters) for text in texts],
    }


def _result(text: str, modes: Mapping[str, Mode], most_characters: int) -> ModerationResult:
    found: dict[str, Finding] = {finding.rule_id: finding for finding in check_answer(text, modes=modes)}
    if text.strip():
        message = Message(role="user", content=text)
        for finding in check_prompt([message], max_characters=most_characters, modes=modes):
            found.setdefault(finding.rule_id, finding)
    about = {rule.id: rule.moderation for rule in rules() if rule.mode_of(modes) is not Mode.OFF}
    judged = {category for categories in about.values() for category in categories}
    shown = {category for rule_id in found for category in about.get(rule_id, ())}
    categories = {category: category in shown for category in _CATEGORIES}
    return {
        "flagged": bool(shown) or any(finding.mode is Mode.BLOCK for finding in found.values()),
        "categories": categories,
        "category_scores": {category: float(is_shown) for category, is_shown in categories.items()},
        "category_applied_input_types": {name: ["text"] if name in judged else [] for name in _CATEGORIES},
        "rules": [
            {"id": finding.rule_id, "mode": str(finding.mode), "description": finding.message}
            for finding in found.values()
        ],
    }


def _refuse(param: str, reason: str) -> NoReturn:
    raise InvalidRequestError(f"{param}: {reason}.", param=param)
