"""Answers in a model's words, where these hold: numbers come from code, claims from passages that are named.

A model never sees usage. For what was computed it gets the composed answer with {1}, {2} in the place of every figure,
and code fills them in again. What it writes is checked, and what does not hold is not used: the composed text is.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from sluice.answering.checking import filled, is_supported
from sluice.answering.figures import Figure
from sluice.answering.passages import Passage
from sluice.answering.request import Asked
from sluice.chat import AUTO, ChatRequest
from sluice.errors import (
    DeadlineExceededError,
    GuardBlockedError,
    GuardUnavailableError,
    InvalidAnswerError,
    NoProviderError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    SluiceError,
)
from sluice.gateway.pipeline import Answer
from sluice.gateway.provenance import Provenance
from sluice.gateway.request import RequestContext
from sluice.loading.dataclass import dataclass
from sluice.tasks.spotlighting import boundary, note, spotlighted, without_tags
from sluice.telemetry.metrics import emit_metric
from sluice.tenants.principal import Principal

logger = logging.getLogger(__name__)

TASK = "question_answering"
"""What its usage is counted as."""
_MOST_TOKENS = {"brief": 120, "detailed": 400}
_LENGTHS = {"brief": "Write one sentence.", "detailed": "Write at most five sentences."}
# After these the composed answer is as good as there is: nobody could be asked, or nothing came of it.
_SURVIVED = (
    DeadlineExceededError,
    GuardBlockedError,
    GuardUnavailableError,
    InvalidAnswerError,
    NoProviderError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
)
_FENCE = re.compile(r"^```[a-z]*\n?|\n?```$")

_FROM_PASSAGES = """
You answer a question from numbered passages, and from nothing else.

- End each sentence with the number of the passage that says it, as [1].
- Write no number, name or claim that is not in the passage that you name.
- If the passages do not answer the question, write only: NOT FOUND
- {length}
{wishes}
{note}
"""

_REWORDED = """
You word an answer anew. Its figures are hidden behind marks: {{1}}, {{2}} and so on, each a figure and what it is of.

- Use every mark, exactly as it is. Write no digit and no number word yourself.
- Say nothing that the answer does not say.
- {length}
{wishes}
{note}
"""


class AsksModels(Protocol):
    """Asks a model; see Gateway."""

    def complete(self, request: ChatRequest, principal: Principal, context: RequestContext) -> Answer:
        """Answer whole."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote that holds, None if it did not; and how its answers came about, also one that is not used."""

    text: str | None
    provenance: Provenance | None = None


class Writer:
    """Has models write answers. Threads may share it. What guards block, or nobody can be asked, is not written."""

    def __init__(self, gateway: AsksModels) -> None:
        self._gateway = gateway

    def from_passages(self, asked: Asked, question: str, passages: Sequence[Passage]) -> Written:
        """An answer from passages, each sentence with those that it is from."""
        texts = {str(number): each.text for number, each in enumerate(passages, 1)}
        mark = boundary(TASK, {"question": question, **texts})
        shown = "\n\n".join(f"[{number}]\n{spotlighted(text, mark)}" for number, text in texts.items())
        user = f"Passages:\n\n{shown}\n\nQuestion:\n{spotlighted(question, mark)}"
        written = self._asked(asked, self._told(_FROM_PASSAGES, asked, mark), user)
        if written.text is None or not is_supported(written.text, question, passages):
            return self._not_used(written)
        return written

    def reworded(self, asked: Asked, question: str, answer: str, figures: Sequence[Figure]) -> Written:
        """A composed answer in other words: its figures are put in by code."""
        values = {number: _with_subject(each) for number, each in enumerate(figures, 1)}
        listed = "\n".join(f"{{{number}}}: {each.name}{_of(each)}" for number, each in enumerate(figures, 1))
        mark = boundary(TASK, {"question": question, "answer": listed})
        user = f"Figures:\n{spotlighted(listed, mark)}\n\nQuestion:\n{spotlighted(question, mark)}"
        written = self._asked(asked, self._told(_REWORDED, asked, mark), user)
        text = None if written.text is None else filled(written.text, values, answer, question)
        if text is None:
            return self._not_used(written)
        return replace(written, text=text)

    def _told(self, prompt: str, asked: Asked, mark: str) -> str:
        wishes = "".join(f"- {each}\n" for each in asked.wishes.customPrompts)
        return prompt.format(
            length=_LENGTHS[asked.wishes.responseStyle],
            wishes=f"\nThe organisation that asks wants of the wording, as far as the rules above allow it:\n{wishes}"
            if wishes
            else "",
            note=note(mark),
        ).strip()

    def _asked(self, asked: Asked, system: str, user: str) -> Written:
        """What a model writes: the preferred one's, or the one's that stands in for it."""
        wishes = asked.wishes
        models = dict.fromkeys(each for each in (wishes.primaryModel or AUTO, wishes.fallbackModel) if each)
        for model in models:
            try:
                answer = self._gateway.complete(
                    _chat(model, system, user, asked),
                    asked.principal,
                    replace(asked.context, operation="task", is_prompt_fixed=True),
                )
            except _SURVIVED as error:
                self._note(error)
            else:
                text = _FENCE.sub("", without_tags(_text_of(answer)).strip())
                return Written(None if "NOT FOUND" in text else text, answer.provenance)
        return Written(None)

    def _not_used(self, written: Written) -> Written:
        """What was written without its text: it does not hold."""
        if written.text is not None:
            emit_metric("AnswersNotUsed", reason="unsupported")
        return replace(written, text=None)

    def _note(self, error: SluiceError) -> None:
        logger.warning("no model wrote an answer", extra={"reason": type(error).__name__})
        emit_metric("AnswersNotUsed", reason=type(error).__name__)


def _chat(model: str, system: str, user: str, asked: Asked) -> ChatRequest:
    metadata = {"sluice_task": TASK, **({"sluice_user": asked.user} if asked.user else {})}
    return ChatRequest.model_validate(
        {
            "model": model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            "max_tokens": _MOST_TOKENS[asked.wishes.responseStyle],
            "temperature": 0,
            "metadata": metadata,
        }
    )


def _text_of(answer: Answer) -> str:
    choice = (answer.body.get("choices") or [{}])[0]
    if choice.get("finish_reason") == "length":
        return ""  # cut off: its last sentence may say half
    return str((choice.get("message") or {}).get("content") or "")


def _with_subject(figure: Figure) -> str:
    """A figure with what it is of, so that no two can be taken for each other."""
    return f"{_subject(figure)}{figure.name} {figure.text}{_when(figure)}"


def _subject(figure: Figure) -> str:
    return f"{', '.join(figure.of.values())}: " if figure.of else ""


def _when(figure: Figure) -> str:
    return f" ({figure.period.first} to {figure.period.last})" if figure.period else ""


def _of(figure: Figure) -> str:
    return f" of {', '.join(figure.of)}" if figure.of else ""
