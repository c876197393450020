"""Labels in headers: for whom a request is, for which task, and in which conversation, whatever its body looks like."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sluice.chat import MAX_LABEL_CHARACTERS, Labels
from sluice.errors import InvalidRequestError, SluiceError

_USER, _TASK, _CONVERSATION = "x-sluice-user", "x-sluice-task", "x-sluice-conversation-id"


def labels_in(headers: Mapping[str, str]) -> Labels:
    """The labels in a request's headers, whose names are in lower case. An empty one says nothing.

    InvalidRequestError for one that is too long.
    """
    found = {name: _text(headers[name]) for name in (_USER, _TASK, _CONVERSATION) if headers.get(name, "").strip()}
    for name, label in found.items():
        if len(label) > MAX_LABEL_CHARACTERS:
            reason = f"{name}: should have at most {MAX_LABEL_CHARACTERS} characters, and has {len(label)}."
            raise InvalidRequestError(reason, param=name)
    return Labels(found.get(_USER), found.get(_TASK), found.get(_CONVERSATION))


@contextmanager
def naming_headers(labels: Labels) -> Iterator[None]:
    """Let an error about a conversation name the header that the conversation was named in."""
    try:
        yield
    except SluiceError as error:
        is_of_conversation = error.param in {"metadata.sluice_conversation_id", "conversation_id"}
        if is_of_conversation and labels.conversation_id is not None:
            error.param = _CONVERSATION
        raise


def _text(value: str) -> str:
    """A header's text, which servers read as Latin-1 and clients write as UTF-8."""
    try:
        return value.strip().encode("latin-1").decode()
    except UnicodeError:
        return value.strip()
