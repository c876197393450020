"""What the APIs of older systems make of a task's result, and of its errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sluice.chat import JsonObject
from sluice.errors import SluiceError
from sluice.gateway.provenance import Provenance
from sluice.tasks.running import TaskResult


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """A body, and how it came about."""

    body: JsonObject
    provenance: Provenance


def account(result: TaskResult) -> JsonObject:
    """What an answer took. `response_time` is in seconds."""
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
        if before in {"conversation_id", "metadata.conversation_id"}:
            error.param = "session_id"
        elif before == "inputs":
            error.param = whole
        elif before.startswith("inputs."):
            field, *rest = re.split(r"(?=[.\[])", before.removeprefix("inputs."), maxsplit=1)
            error.param = "".join((names.get(field, field), *rest))
        if before and error.message.startswith(f"{before}:"):
            error.message = f"{error.param}{error.message.removeprefix(before)}"
        raise
