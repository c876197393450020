"""Answers of the older APIs that tasks stand behind: what each took, and errors that name what their callers sent."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypedDict

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sluice.errors import SluiceError
from sluice.tasks.answer import TaskQuality
from sluice.tasks.running import TaskResult


class TaskInputs(BaseModel):
    """A body that is the inputs of one task."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)
    __pydantic_extra__: dict[str, JsonValue]

    @property
    def inputs(self) -> dict[str, JsonValue]:
        """By name."""
        return dict(self.__pydantic_extra__)


class TaskAccount(TypedDict):
    """What an answer took."""

    model: Annotated[str | None, Field(description="null if no model was asked.")]
    tokens_used: int
    response_time: Annotated[float, Field(description="Seconds.")]
    cached: bool
    request_id: str
    quality: TaskQuality


def account(result: TaskResult) -> TaskAccount:
    """What a task's answer took."""
    body = result.body
    return {
        "model": body["model"],
        "tokens_used": body["usage"]["total_tokens"],
        "response_time": body["response_time_ms"] / 1000,
        "cached": body["cached"],
        "request_id": body["request_id"],
        "quality": body["quality"],
    }


@contextmanager
def named(whole: str, **names: str) -> Iterator[None]:
    """Let errors name what a caller sent instead of a task's inputs; `whole` is what stands for all of them."""
    try:
        yield
    except SluiceError as error:
        before = error.param or ""
        if before in {"conversation_id", "metadata.sluice_conversation_id"}:
            error.param = "session_id"
        elif before == "inputs":
            error.param = whole
        elif before.startswith("inputs."):
            field, *rest = re.split(r"(?=[.\[])", before.removeprefix("inputs."), maxsplit=1)
            error.param = "".join((names.get(field, field), *rest))
        if before and error.message.startswith(f"{before}:"):
            error.message = f"{error.param}{error.message.removeprefix(before)}"
        raise
