"""The prompt guard: what is wrong with a request, before anything is spent on it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sluice.chat import ChatRequest, JsonObject, Message
from sluice.errors import ContextOverflowError, GuardBlockedError
from sluice.guards.rules import PROMPT_EMPTY, PROMPT_OVERSIZED, Direction, Finding, Mode
from sluice.guards.scanner import scanner
from sluice.guards.strings import MOST_VALUES, Reading, read
from sluice.guards.work import WorkLimitError, WorkMeter
from sluice.loading.dataclass import dataclass

# Whose words a field of the request is, where it is not the user's. What describes tools may come from somebody else's
# server, as what tools return; the other fields are the application's own.
_TOOL_FIELDS = frozenset(("functions", "tools"))
_APPLICATION_FIELDS = frozenset(
    ("function_call", "model", "reasoning_effort", "response_format", "service_tier", "stop", "tool_choice", "user")
)
# More are read as one.
_MOST_TOOLS = 256


@dataclass(frozen=True, slots=True)
class _Passage:
    """What somebody says in one place. The signals of a message add up; those of definitions stand for themselves.

    `counts`: its characters are part of the prompt's size.
    """

    role: str
    reading: Reading
    adds_up: bool = True
    counts: bool = True


def check_request(request: ChatRequest, *, max_characters: int, modes: Mapping[str, Mode]) -> tuple[Finding, ...]:
    """Everything that the rules find in a request, in every string of it. Arguments as in `check_prompt`."""
    fields = request.model_dump(exclude_unset=True, exclude={"messages"})
    return _check(request.messages, fields, max_characters, modes)


def check_prompt(messages: Sequence[Message], *, max_characters: int, modes: Mapping[str, Mode]) -> tuple[Finding, ...]:
    """Everything that the rules find in messages, each rule at most once.

    `modes` is the tenant's: rule id to mode, the rule's own default where it says nothing. `max_characters` is for all
    texts together. Rules about instructions judge user, tool and function messages; system and developer messages are
    the tenant's own words.
    """
    return _check(messages, {}, max_characters, modes)


def check_texts(texts: Iterable[str], modes: Mapping[str, Mode]) -> tuple[Finding, ...]:
    """Everything that the rules find in texts that no model follows, each rule at most once.

    They are judged as an application's own words are: by the rules about what must not leave, as secrets, and not by
    those about instructions, for there is nobody to instruct.
    """
    found: dict[str, Finding] = {}
    meter = WorkMeter(MOST_VALUES)
    for text in texts:
        for finding in _findings(_Passage("system", read(text, meter)), modes):
            found.setdefault(finding.rule_id, finding)
    return tuple(found.values())


def raise_if_blocked(findings: Sequence[Finding], *, param: str | None = "messages") -> None:
    """Raise GuardBlockedError for the first finding in mode `block`; its code is the rule's id.

    A prompt that is too long is a ContextOverflowError, by whose code clients know to shorten it.
    """
    for finding in findings:
        if finding.mode is Mode.BLOCK and finding.rule_id == PROMPT_OVERSIZED:
            raise ContextOverflowError(f"{finding.message} (guard rule {finding.rule_id})", param=param)
        if finding.mode is Mode.BLOCK:
            message = f"{finding.message} (guard rule {finding.rule_id})"
            raise GuardBlockedError(message, param=param, code=finding.rule_id)


def _check(
    messages: Sequence[Message], fields: JsonObject, max_characters: int, modes: Mapping[str, Mode]
) -> tuple[Finding, ...]:
    found: dict[str, Finding] = {}

    def find(rule_id: str, default: Mode, message: str) -> None:
        mode = modes.get(rule_id, default)
        if mode is not Mode.OFF and rule_id not in found:
            found[rule_id] = Finding(rule_id, mode, message)

    if all(_is_blank(message) for message in messages):
        find(PROMPT_EMPTY, Mode.BLOCK, "The prompt is empty: a message must have content")
    try:
        passages = list(_passages(messages, fields))
    except WorkLimitError:
        # Whatever the tenant says: what is not read must not pass.
        return (Finding(PROMPT_OVERSIZED, Mode.BLOCK, f"The prompt has more than {MOST_VALUES} values"),)
    characters = sum(passage.reading.characters for passage in passages if passage.counts)
    if characters > max_characters:
        message = f"The prompt has {characters} characters, at most {max_characters} are allowed"
        find(PROMPT_OVERSIZED, Mode.BLOCK, message)
    if not any(finding.mode is Mode.BLOCK for finding in found.values()):
        for passage in passages:
            for finding in _findings(passage, modes):
                found.setdefault(finding.rule_id, finding)
    return tuple(found.values())


def _passages(messages: Sequence[Message], fields: JsonObject) -> Iterator[_Passage]:
    meter = WorkMeter(MOST_VALUES)
    for message in messages:
        yield _Passage(message.role, read(message.model_dump(exclude_unset=True, exclude={"role"}), meter))
    for name, value in fields.items():
        role = "tool" if name in _TOOL_FIELDS else "system" if name in _APPLICATION_FIELDS else "user"
        is_list_of_tools = name in _TOOL_FIELDS and isinstance(value, list) and len(value) <= _MOST_TOOLS
        for one in value if is_list_of_tools else [value]:
            yield _Passage(role, read(one, meter), adds_up=False, counts=name != "model")


def _findings(passage: _Passage, modes: Mapping[str, Mode]) -> Iterator[Finding]:
    rules = scanner(Direction.PROMPT)
    reads_words = rules.reads_words(passage.role)
    shown = [rules.signals(text.said, reads_words=reads_words and not text.is_joined) for text in passage.reading.texts]
    for numbers in [set[int]().union(*shown)] if passage.adds_up else shown:
        yield from rules.findings(numbers, modes, passage.role)


def _is_blank(message: Message) -> bool:
    if isinstance(message.content, list) and any(part.type != "text" for part in message.content):
        return False
    return not message.text.strip() and not (message.model_extra or {}).get("tool_calls")
