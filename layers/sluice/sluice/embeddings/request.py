"""The provider-neutral request for embeddings: OpenAI's shape."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, FailFast, Field

from sluice.catalog.model import MOST_INPUTS
from sluice.chat import Count, JsonObject, Labels, Metadata, PassThrough
from sluice.validation.text import IN_ANY_CASE

type EncodingFormat = Literal["float", "base64"]

_PLAIN_FIELDS = frozenset({"model", "input", "encoding_format", "user", "metadata"})


def _checked(value: Any) -> Any:
    """What `input` is, if it can be read at all: pydantic would complain once for each form that it may have."""
    match value:
        case str():
            texts: list[Any] = [value]
        case list():
            texts = value
        case _:
            raise ValueError("must be a text or a list of texts")
    if any(isinstance(each, int | float | list) for each in texts):
        raise ValueError("arrays of tokens are not taken, as each model has a tokenizer of its own: send texts")
    if not texts:
        raise ValueError("must have at least one text")
    if len(texts) > MOST_INPUTS:
        raise ValueError(f"has {len(texts)} texts; the most is {MOST_INPUTS}")
    wrong = next((position for position, text in enumerate(texts) if not isinstance(text, str) or not text), None)
    if wrong is not None:
        what = "an empty text" if texts[wrong] == "" else "something that is no text"
        raise ValueError(f"has {what} at position {wrong}")
    return value


type _Text = Annotated[str, Field(min_length=1)]
type _Input = Annotated[
    _Text | Annotated[list[_Text], Field(min_length=1, max_length=MOST_INPUTS), FailFast()], BeforeValidator(_checked)
]


class EmbeddingRequest(PassThrough):
    """The body of POST /v1/embeddings. Null means the same as leaving a field out."""

    # Built by the first request that is one: chats share its function, and pay nothing for it.
    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    model: str = Field(min_length=1, max_length=256)
    input: _Input
    dimensions: Count | None = None
    encoding_format: Annotated[EncodingFormat, IN_ANY_CASE] | None = None
    user: str | None = None
    metadata: Metadata | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """What vectors are wanted of, in order."""
        return (self.input,) if isinstance(self.input, str) else tuple(self.input)

    @property
    def labels(self) -> Labels:
        """What the request says of itself to Sluice."""
        own = self.metadata
        if own is None:
            return Labels()
        return own.old_labels or Labels(own.sluice_user, own.sluice_task)

    def labelled(self, labels: Labels) -> Self:
        """The request with `labels` in place of its own, as far as they say something."""
        own = self.labels
        said = {"sluice_user": labels.user or own.user, "sluice_task": labels.task or own.task}
        kept = {} if self.metadata is None else self.metadata.model_dump(exclude_unset=True)
        named = {name: value for name, value in said.items() if value is not None}
        return self.model_copy(update={"metadata": Metadata.model_validate(kept | named)}) if named else self

    @property
    def is_plain(self) -> bool:
        """Whether it asks no more of a model than vectors of texts: what is refused of it is refused of anybody."""
        given = self.model_fields_set | (self.model_extra or {}).keys()
        return {name for name in given if getattr(self, name, None) is not None} <= _PLAIN_FIELDS

    @property
    def further_fields(self) -> JsonObject:
        """What OpenAI does not document, as it came."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}
