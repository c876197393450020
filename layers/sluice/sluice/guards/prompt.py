"""The prompt guard: what is wrong with the messages of a request, before anything is spent on them."""

from collections.abc import Mapping, Sequence

from sluice.chat import Message
from sluice.errors import GuardBlockedError
from sluice.guards.rules import PROMPT_EMPTY, PROMPT_OVERSIZED, Direction, Finding, Mode, scanner


def check_prompt(messages: Sequence[Message], *, max_characters: int, modes: Mapping[str, Mode]) -> tuple[Finding, ...]:
    """Everything that the rules find in a prompt, each rule at most once.

    `modes` is the tenant's: rule id to mode, the rule's own default where it says nothing. `max_characters` is for all
    messages together. Injection and jailbreak rules judge user, tool and function messages; system and developer
    messages are the tenant's own words.
    """
    found: dict[str, Finding] = {}

    def find(rule_id: str, default: Mode, message: str) -> None:
        mode = modes.get(rule_id, default)
        if mode is not Mode.OFF and rule_id not in found:
            found[rule_id] = Finding(rule_id, mode, message)

    if _is_empty(messages):
        find(PROMPT_EMPTY, Mode.BLOCK, "The prompt is empty: the last user message must have content")
    characters = sum(len(message.text) for message in messages)
    if characters > max_characters:
        message = f"The prompt has {characters} characters, at most {max_characters} are allowed"
        find(PROMPT_OVERSIZED, Mode.BLOCK, message)
    if any(finding.mode is Mode.BLOCK for finding in found.values()):
        return tuple(found.values())

    rules = scanner(Direction.PROMPT)
    for judged in messages:
        text = judged.text
        numbers = rules.text_signals(text) if text else set()
        if text and rules.reads_words(judged.role):
            numbers |= rules.word_signals(text)
            numbers |= rules.hidden_signals(text, {number for number in numbers if number < 0})
        for rule in rules.fired(numbers, judged.role):
            find(rule.id, rule.mode, rule.description)
    return tuple(found.values())


def raise_if_blocked(findings: Sequence[Finding], *, param: str | None = "messages") -> None:
    """Raise GuardBlockedError for the first finding in mode `block`; its code is the rule's id."""
    for finding in findings:
        if finding.mode is Mode.BLOCK:
            message = f"{finding.message} (guard rule {finding.rule_id})"
            raise GuardBlockedError(message, param=param, code=finding.rule_id)


def _is_empty(messages: Sequence[Message]) -> bool:
    for message in reversed(messages):
        if message.role == "user":
            return _is_blank(message)
    return all(_is_blank(message) for message in messages)


def _is_blank(message: Message) -> bool:
    if isinstance(message.content, list) and any(part.type != "text" for part in message.content):
        return False
    return not message.text.strip() and not (message.model_extra or {}).get("tool_calls")
