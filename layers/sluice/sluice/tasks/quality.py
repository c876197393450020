"""How good an answer looks, computed without a model. Pure.

Each part is from 0 to 1:

length_fitness  1 for min to max characters; n/min below, max/n above
structure       JSON: share of the properties required at the top that say something; a list may be empty.
                Text: share of the elements asked for that are there, 1 if none are asked for.
                Halved if the answer was cut off; 0 if it is empty
coverage        share of the expected elements and mentions that are there; 1 if none are expected
response_time   1 up to the target, then target/time
tokens          1 up to the target of completion tokens, then target/tokens
score           0.25 length_fitness + 0.25 structure + 0.3 coverage + 0.1 response_time + 0.1 tokens
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Literal, cast

from pydantic import Field, JsonValue

from sluice.loading.dataclass import dataclass
from sluice.tasks.answer import TaskQuality
from sluice.tasks.fields import Name, Strict

_USUAL_RESPONSE_TIME_S = 10.0
_USUAL_COMPLETION_TOKENS = 1000

type Element = Literal["heading", "numbered_list", "bulleted_list", "code_block", "question", "paragraphs"]
type Alternatives = Annotated[str, Field(min_length=1, max_length=300, pattern=r"[^|\s]")]

_ELEMENTS: Mapping[str, str] = {
    "heading": r"(?m)^ {0,3}(?:#{1,6} \S|\*\*[^*\n]{1,120}\*\*:?[ \t]*$)",
    "numbered_list": r"(?m)^[ \t]*\d{1,3}[.)][ \t]+\S",
    "bulleted_list": r"(?m)^[ \t]*[-*•][ \t]+\S",
    "code_block": r"(?m)^[ \t]*(?:```|~~~)",
    "question": r"\?(?=\s|$|[\"')*])",
    "paragraphs": r"\S[ \t]*\n[ \t]*\n[ \t]*\S",
}


class Expectation(Strict):
    """The [quality] table of a task file."""

    min_characters: Annotated[int, Field(ge=0, le=200_000)] = 0
    max_characters: Annotated[int, Field(ge=1, le=200_000)] | None = None
    expected: list[Alternatives] = Field(default_factory=list, max_length=30)
    mentions: list[Name] = Field(default_factory=list, max_length=10)
    structure: list[Element] = Field(default_factory=list, max_length=6)
    max_response_time_s: Annotated[float, Field(gt=0, le=900)] = _USUAL_RESPONSE_TIME_S
    max_completion_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """The parts and their weighted sum, see above."""

    score: float
    length_fitness: float
    structure: float
    coverage: float
    response_time: float
    tokens: float

    def shown(self) -> TaskQuality:
        """As answers carry it: three decimals."""
        return cast("TaskQuality", {name: round(value, 3) for name, value in asdict(self).items()})


def assess(
    output: JsonValue,
    expectation: Expectation,
    *,
    required: Sequence[str] | None,
    mentions: Iterable[str],
    response_time_s: float,
    completion_tokens: int,
    usual_tokens: int | None,
    was_cut_off: bool,
) -> Quality:
    """Judge an output: a text, or a JSON value whose `required` properties are those of its schema."""
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    wanted = [*expectation.expected, *(mention.replace("|", " ") for mention in mentions if mention.strip())]
    length = length_fitness(len(text.strip()), expectation.min_characters, expectation.max_characters)
    shape = text_structure(text, expectation.structure) if required is None else json_structure(output, required)
    shape *= 0.5 if was_cut_off else 1.0
    covered = coverage(text, wanted)
    in_time = within(response_time_s, expectation.max_response_time_s)
    most_tokens = expectation.max_completion_tokens or usual_tokens or _USUAL_COMPLETION_TOKENS
    thrift = within(completion_tokens, most_tokens)
    score = 0.25 * length + 0.25 * shape + 0.3 * covered + 0.1 * in_time + 0.1 * thrift
    return Quality(score, length, shape, covered, in_time, thrift)


def length_fitness(characters: int, least: int, most: int | None) -> float:
    """1 inside the range; an empty answer fits nothing."""
    if characters == 0 or characters < least:
        return characters / least if least else 0.0
    return 1.0 if most is None or characters <= most else most / characters


def text_structure(text: str, elements: Sequence[str]) -> float:
    """The share of `elements` that the text has."""
    if not text.strip():
        return 0.0
    return _share(re.search(_ELEMENTS[element], text) is not None for element in elements)


def json_structure(value: JsonValue, required: Sequence[str]) -> float:
    """The share of the properties `required` that are there and say something."""
    if not isinstance(value, dict):
        return 0.0
    return _share(_says_something(value.get(name)) for name in required)


def coverage(text: str, expected: Iterable[str]) -> float:
    """The share of `expected` elements, each alternatives separated by `|`, that the text has."""
    folded = text.casefold()
    return _share(contains(folded, alternatives) for alternatives in expected)


def contains(folded: str, alternatives: str) -> bool:
    """Whether one of the alternatives stands in the case-folded text, at the beginning of a word."""
    wanted = (alternative.strip().casefold() for alternative in alternatives.split("|"))
    return any(word and re.search(rf"(?<!\w){re.escape(word)}", folded) is not None for word in wanted)


def within(taken: float, target: float) -> float:
    """1 up to the target, then less the more was taken."""
    return 1.0 if taken <= target else target / taken


def _says_something(value: JsonValue) -> bool:
    """An empty list does: that there is none of it."""
    return bool(value.strip()) if isinstance(value, str) else value not in (None, {})


def _share(found: Iterable[bool]) -> float:
    all_found = list(found)
    return sum(all_found) / len(all_found) if all_found else 1.0
