"""Finds interview questions: in the cache, else in the question bank, and asks a model for what is missing only."""

import hashlib
import time
from collections.abc import Sequence
from typing import Any, cast

from aws_lambda_powertools import Logger
from pydantic import JsonValue

from sluice.cache.store import CachedAnswer, CacheLookup
from sluice.chat import JsonObject, Message
from sluice.errors import InvalidAnswerError, SluiceError
from sluice.gateway.tenant_settings import TenantSettings
from sluice.guards.prompt import check_prompt
from sluice.guards.rules import Mode
from sluice.tasks.code import Call, with_properties
from sluice.tasks.fields import Inputs, canonical
from sluice.tasks.question_bank.bank import ANY_CATEGORY, QuestionBank, Shelf
from sluice.tasks.question_bank.question import MOST_CHARACTERS, PATTERN, Question, label, read_questions
from sluice.tasks.question_bank.selection import Selection
from sluice.telemetry.best_effort import best_effort

_MOST_ASKS = 4
# The input `avoid` takes so many.
_MOST_AVOIDED = 100
_SOURCE = "question-bank"

logger = Logger(child=True)


def answer(inputs: Inputs, call: Call) -> JsonValue:
    """Exactly as many questions as were asked for; InvalidAnswerError, naming how many there are, if that can't be.

    Valid ones that a model came up with are in the bank then, so that the next request for the same asks for fewer.
    """
    cached = _look_up(inputs, call)
    if cached is not None and cached.answer is not None:
        call.admit(inputs, _SOURCE)
        return cached.answer.body
    avoided = cast("list[str]", inputs["avoid"])
    selection = Selection(cast("int", inputs["question_count"]), cast("list[str]", inputs["categories"]), avoided)
    shelf = Shelf(call.principal.tenant.id, call.task.version, str(inputs["role"]), str(inputs["difficulty"]))
    bank = call.stores.question_bank
    categories = [*selection.categories.values()] or [ANY_CATEGORY]
    for question in bank.read(shelf, categories, selection.wanted + len(avoided), lambda: selection.missing):
        # Who wants a new answer wants other questions than those there are.
        if call.context.skip_cache:
            selection.avoid(question.text)
        else:
            selection.offer(question)
    banked = set(selection.known)
    rejected = 0
    if selection.missing:
        rejected = _ask_for_missing(inputs, call, selection, bank, shelf)
    else:
        call.admit(inputs, _SOURCE)
    if not selection.is_enough:
        too_few = InvalidAnswerError(
            f"Only {selection.number} of {selection.wanted} questions were found. The model wrote no more that are "
            "valid and new; what it wrote is kept, so asking again may do.",
            code="too_few_questions",
        )
        too_few.may_pass = True
        raise too_few
    chosen = selection.chosen()
    found: dict[str, JsonValue] = {
        "questions": [_shown(question) for question in chosen],
        "from_bank": sum(question.text in banked for question in chosen),
        "rejected": rejected,
    }
    if cached is not None:
        _keep(inputs, call, found, cached.generation)
    return found


def _ask_for_missing(inputs: Inputs, call: Call, selection: Selection, bank: QuestionBank, shelf: Shelf) -> int:
    """Ask a model, again while that helps and time is left; returns how many of its questions were no good."""
    rejected = 0
    longest_s = 0.0
    for number in range(_MOST_ASKS):
        # Short of a category's share, others make up for it, once the model was asked for it.
        is_done = not selection.missing or (number > 0 and selection.is_enough)
        if is_done or call.context.deadline.remaining_s < longest_s:
            break
        started_s = time.monotonic()
        try:
            new, invalid = _ask(inputs, call, selection)
        except SluiceError as error:
            if not selection.is_enough:
                raise
            # Only the shares of the categories are uneven: that is better than an error.
            logger.warning("missing questions could not be asked for", extra={"reason": error.code})
            call.admit(inputs, _SOURCE)
            break
        longest_s = max(longest_s, time.monotonic() - started_s)
        kept = [question for question in new if _may_be_repeated(question.text, call) and selection.offer_new(question)]
        rejected += invalid + len(new) - len(kept)
        # With categories the bank has one for each; without, all that the model chose are in one.
        shelved = [(question.category if selection.categories else ANY_CATEGORY, question) for question in kept]
        with best_effort("adding to the question bank"):
            bank.add(shelf, shelved)
    return rejected


def _ask(inputs: Inputs, call: Call, selection: Selection) -> tuple[list[Question], int]:
    missing = selection.missing
    number, categories = sum(missing.values()), [category for category in missing if category != ANY_CATEGORY]
    asked: Inputs = {
        **inputs,
        "question_count": number,
        "categories": cast("list[JsonValue]", categories),
        "avoid": _avoidable(selection.known, cast("list[str]", inputs["avoid"]), call),
    }
    try:
        # What the same question was answered before is in the bank by now, as far as it was any good.
        schema = narrowed(call.task.schema or {}, number, categories)
        found = call.ask(asked, anew=True, keep=False, schema=schema)
    except InvalidAnswerError as error:
        if error.param == "max_tokens":
            # It would be cut off again.
            raise
        # Not even JSON: as good as no questions.
        return [], 0
    return read_questions(found, selection.categories)


# What the prompt asks for, where a server holds a model to it: a small one fills all the room that it is given.
_POINTS: JsonObject = {
    "type": "array",
    "minItems": 1,
    "maxItems": 5,
    "items": {"type": "string", "minLength": 3, "maxLength": 160},
}


def output(schema: JsonObject) -> JsonObject:
    """See TaskCode."""
    number: JsonObject = {"type": "integer", "minimum": 0}
    properties: JsonObject = {"questions": schema["properties"]["questions"], "from_bank": number, "rejected": number}
    return with_properties(schema, properties)


def narrowed(schema: JsonObject, number: int, categories: Sequence[str]) -> JsonObject:
    """The task's schema for just so many questions that are questions, of these categories if there are any."""
    questions = schema["properties"]["questions"]
    items = questions["items"]
    changed: JsonObject = {"question": {"type": "string", "pattern": PATTERN}, "expected_points": _POINTS}
    if categories:
        changed["category"] = {"type": "string", "enum": list(categories)}
    items = {**items, "properties": {**items["properties"], **changed}}
    exactly = {**questions, "items": items, "minItems": number, "maxItems": number}
    return {**schema, "properties": {**schema["properties"], "questions": exactly}}


def _avoidable(known: Sequence[str], given: Sequence[str], call: Call) -> list[JsonValue]:
    """What a model is told to avoid: not what a guard would block, unless the caller said it, who is then told."""
    return [text for text in known[-_MOST_AVOIDED:] if text in given or _may_be_repeated(text, call)]


def _may_be_repeated(text: str, call: Call) -> bool:
    """Whether a question can stand in a prompt: models are asked for others than those there are."""
    modes = _settings(call).guard_modes
    findings = check_prompt([Message(role="user", content=text)], max_characters=MOST_CHARACTERS, modes=modes)
    return not any(finding.mode is Mode.BLOCK for finding in findings)


def _shown(question: Question) -> JsonValue:
    return {
        "question": question.text,
        "category": question.category,
        "expected_points": list(question.expected_points),
    }


def _look_up(inputs: Inputs, call: Call) -> CacheLookup | None:
    with best_effort("reading the cache"):
        is_asked = _settings(call).is_caching and not call.context.skip_cache
        key = _cache_key(inputs, call) if is_asked else None
        return call.stores.response_cache.look_up(call.principal.tenant.id, key)
    return None


def _keep(inputs: Inputs, call: Call, found: dict[str, JsonValue], generation: int) -> None:
    ttl_s = _settings(call).answer_lifetime_s(call.task.file.cache_ttl_s)
    if ttl_s > 0:
        with best_effort("writing the cache"):
            kept = CachedAnswer(cast("dict[str, Any]", found), _SOURCE, _SOURCE)
            changes = call.stores.response_cache.put(_cache_key(inputs, call), kept, ttl_s, generation)
            call.stores.cache_sums.add(call.principal.tenant.id, changes)


def _settings(call: Call) -> TenantSettings:
    return TenantSettings.of(call.principal.tenant, call.stores.settings)


def _cache_key(inputs: Inputs, call: Call) -> str:
    same: Inputs = {
        **inputs,
        "role": label(str(inputs["role"])),
        "tenant": call.principal.tenant.id,
        "task": f"{call.task.name}#{call.task.version}",
    }
    return hashlib.sha256(canonical(same)).hexdigest()
