"""What of a request decides how many tokens it costs: everything in it that reaches the model. Pure."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from sluice.chat import DOCUMENTED_FIELDS, ChatRequest, ContentPart, JsonObject, Message
from sluice.loading.dataclass import dataclass
from sluice.quota.media import file_tokens, image_tokens, sound_tokens, url_of
from sluice.quota.tokens import Measures, measures, most_tokens, price

# Every message carries markers, and chat templates often put a system prompt of their own in front.
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_PROMPT = 40
# What encoders put before and after a text.
_TOKENS_PER_TEXT = 2
# Tools bring instructions for their use along, and each a frame.
_TOKENS_FOR_TOOLS = 350
_TOKENS_PER_TOOL = 10
# A file that the provider fetches or keeps, or a part of a kind that is not known: one page, about.
_TOKENS_PER_UNKNOWN_PART = 5_000

# What a model is not given to read: settings, and names for the provider's own use.
_SETTINGS = DOCUMENTED_FIELDS - {"functions", "function_call", "prediction", "response_format", "tool_choice", "tools"}
_TOOLS = ("tools", "functions")
_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal", "thinking"})


@dataclass(frozen=True, slots=True)
class ModelBounds:
    """What a model can take and say, and how its tokens are counted, as the catalogue has it.

    `limit_tokens` is the deployment's tightest limit of tokens and `room_tokens` what is left of it; None if it has
    none.
    """

    context_window: int
    max_completion_tokens: int
    tokenizer: str = "default"
    image_tokens: str = "largest"
    limit_tokens: int | None = None
    room_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TextSize:
    """One of the texts that vectors are wanted of, measured once for all models."""

    measured: Measures
    most: int
    characters: int

    @classmethod
    def of(cls, text: str) -> "TextSize":
        """Measure a text."""
        return cls(measures(text), most_tokens(text), len(text))

    def tokens(self, tokenizer: str) -> int:
        """The most tokens that it is likely to have, with what a model puts around it."""
        return price(self.measured, self.most, tokenizer) + _TOKENS_PER_TEXT


@dataclass(frozen=True, slots=True)
class RequestSize:
    """A request, measured once for all models."""

    measured: Measures
    most: int
    overhead: int
    images: tuple[tuple[str, str], ...]
    sounds: tuple[str, ...]
    files: tuple[str, ...]
    unknown_parts: int
    predicted: Measures
    most_predicted: int
    completion_limit: int | None
    choices: int
    characters: int
    """Of the prompt, as a provider counts them that bills by them."""
    _media: dict[tuple[str, str], int] = field(default_factory=dict, compare=False)

    @property
    def has_media(self) -> bool:
        """Whether there is more than text in it."""
        return bool(self.images or self.sounds or self.files or self.unknown_parts)

    @classmethod
    def of(cls, request: ChatRequest) -> "RequestSize":
        """Measure a request."""
        parts = _Parts()
        for message in request.messages:
            parts.add_message(message)
        parts.texts += _texts_beside(request)
        measured: Counter[str] = Counter()
        for text in parts.texts:
            measured.update(measures(text))
        extra = request.model_extra or {}
        prediction = "\n".join(_strings(extra.get("prediction")))
        tools = sum(len(extra[name]) for name in _TOOLS if isinstance(extra.get(name), list))
        return cls(
            measured=measured,
            most=sum(most_tokens(text) for text in parts.texts),
            overhead=_TOKENS_PER_PROMPT
            + _TOKENS_PER_MESSAGE * len(request.messages)
            + (_TOKENS_FOR_TOOLS + _TOKENS_PER_TOOL * tools if tools else 0),
            images=tuple(parts.images),
            sounds=tuple(parts.sounds),
            files=tuple(parts.files),
            unknown_parts=parts.unknown,
            predicted=measures(prediction) if prediction else {},
            most_predicted=most_tokens(prediction) if prediction else 0,
            completion_limit=request.completion_limit,
            choices=request.n or 1,
            characters=sum(len(message.text) for message in request.messages),
        )

    @classmethod
    def of_texts(cls, texts: "Iterable[TextSize]") -> "RequestSize":
        """The size of a request for vectors of `texts`: nothing is said in answer."""
        measured: Counter[str] = Counter()
        most = count = characters = 0
        for text in texts:
            measured.update(text.measured)
            most, count, characters = most + text.most, count + 1, characters + text.characters
        return cls(
            measured=measured,
            most=most,
            overhead=_TOKENS_PER_TEXT * count,
            images=(),
            sounds=(),
            files=(),
            unknown_parts=0,
            predicted={},
            most_predicted=0,
            completion_limit=0,
            choices=1,
            characters=characters,
        )

    def prompt_tokens(self, bounds: ModelBounds) -> int:
        """Tokens of the prompt, before anything is learned of the model."""
        return price(self.measured, self.most, bounds.tokenizer) + self.overhead + self._media_tokens(bounds)

    def most_prompt_tokens(self, bounds: ModelBounds) -> int:
        """More tokens than the prompt can have."""
        return self.most + self.overhead + self._media_tokens(bounds)

    def predicted_tokens(self, bounds: ModelBounds) -> int:
        """Tokens of a prediction: those that the answer does not use are billed with it."""
        return price(self.predicted, self.most_predicted, bounds.tokenizer) if self.most_predicted else 0

    def _media_tokens(self, bounds: ModelBounds) -> int:
        if not self.has_media:
            return 0
        rules = bounds.image_tokens, bounds.tokenizer
        if rules not in self._media:
            images = sum(image_tokens(url, detail, bounds.image_tokens) for url, detail in self.images)
            files = sum(file_tokens(data, bounds.tokenizer) for data in self.files)
            sounds = sum(sound_tokens(data) for data in self.sounds)
            self._media[rules] = images + files + sounds + self.unknown_parts * _TOKENS_PER_UNKNOWN_PART
        return self._media[rules]


@dataclass(slots=True)
class _Parts:
    """What messages are made of."""

    texts: list[str] = field(default_factory=list)
    images: list[tuple[str, str]] = field(default_factory=list)
    sounds: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    unknown: int = 0

    def add_message(self, message: Message) -> None:
        if isinstance(message.content, str):
            self.texts.append(message.content)
        for part in message.content if isinstance(message.content, list) else ():
            self._add_part(part)
        if message.model_extra:
            self.texts.append(_json(message.model_extra))

    def _add_part(self, part: ContentPart) -> None:
        rest = dict(part.model_extra or {})
        if part.text:
            self.texts.append(part.text)
        read = _MEDIA.get(part.type)
        if read is not None:
            read(self, rest)
        elif part.type not in _TEXT_PARTS:
            self.unknown += 1
        if rest:
            self.texts.append(_json(rest))

    def add_image(self, rest: JsonObject) -> None:
        """Take the image out of what is known of its part."""
        url, detail = url_of(rest.pop("image_url", None) or rest.pop("image", None))
        self.images.append((url, detail or str(rest.get("detail") or "")))

    def add_sound(self, rest: JsonObject) -> None:
        """Take the sound out of what is known of its part."""
        sound = rest.pop("input_audio", None) or rest.pop("audio_url", None) or rest.pop("audio", None)
        self._add_data(self.sounds, sound)

    def add_file(self, rest: JsonObject) -> None:
        """Take the file out of what is known of its part."""
        file = rest.pop("file", None) or rest.pop("document", None) or rest.pop("video_url", None)
        source = rest.get("source")
        if isinstance(source, dict) and source.get("type") in ("base64", "url"):
            # Anthropic's way; other sources are texts.
            file = rest.pop("source")
        self._add_data(self.files, file or rest.pop("file_data", None))

    def _add_data(self, found: list[str], given: Any) -> None:
        if isinstance(given, dict):
            names = ("file_data", "data", "url")
            given = next((given[name] for name in names if isinstance(given.get(name), str)), None)
        if isinstance(given, str) and not given.startswith(("http:", "https:")):
            found.append(given)
        else:
            self.unknown += 1


_MEDIA: Mapping[str, Callable[[_Parts, JsonObject], None]] = {
    "image_url": _Parts.add_image,
    "input_image": _Parts.add_image,
    "image": _Parts.add_image,
    "input_audio": _Parts.add_sound,
    "audio_url": _Parts.add_sound,
    "file": _Parts.add_file,
    "input_file": _Parts.add_file,
    "document": _Parts.add_file,
    "video_url": _Parts.add_file,
}


def _texts_beside(request: ChatRequest) -> Iterator[str]:
    """What reaches the model beside the messages, as the JSON that it is, and what nobody says that it does not."""
    for name, value in (request.model_extra or {}).items():
        if name not in _SETTINGS and name != "prediction" and value is not None:
            yield _json(value)
    if request.response_format is not None and request.response_format.type != "text":
        yield _json(request.response_format.model_dump(exclude_unset=True))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)
