"""Which requests may share an answer. Pure."""

import hashlib
import json
from collections.abc import Sequence

from sluice.chat import ChatRequest, ResponseFormat

# How an answer is delivered, not what it says: a stream and a whole answer share an entry.
_DELIVERY = ("stream", "stream_options")
# Raise it when entries written before must not be read any more.
_VERSION = 1


def cache_key(
    request: ChatRequest,
    *,
    tenant: str,
    model: str,
    answer_format: ResponseFormat | None = None,
    judged_by: Sequence[str] = (),
) -> str:
    """SHA-256, as hex, of everything that determines the answer to `request`.

    The lookup comes before routing, so `model` is what was asked for, with aliases and replacements resolved; `auto`
    stays `auto`. The task is part of the key: it decides which tier answers `auto`. So is the format that an answer was
    held against: what a chat got that names a task was not judged by that task's rules. Who asks within the tenant is
    not; what a conversation adds is, being among the messages by then. `judged_by` names the guard models that have let
    through what is kept under the key, so that a hit need not ask them again.
    """
    body = request.body_for(model)
    for name in _DELIVERY:
        body.pop(name, None)
    held_against = None if answer_format is None else answer_format.model_dump(exclude_unset=True)
    determinants = {
        "version": _VERSION,
        "tenant": tenant,
        "task": request.labels.task,
        "format": held_against,
        "body": body,
    }
    if judged_by:
        determinants["judged_by"] = list(judged_by)
    canonical = json.dumps(determinants, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
