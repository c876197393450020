"""How hard a task is with given inputs: its own thresholds, judged in order. Pure."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from sluice.routing.intent import Complexity
from sluice.tasks.fields import (
    BooleanField,
    EnumField,
    InputField,
    IntegerField,
    ListField,
    Name,
    NumberField,
    Strict,
    StringField,
)


class Rule(Strict):
    """One threshold: of an input's `value`, of its `length`, or of the `prompt`'s characters."""

    level: Annotated[Complexity, Field(strict=False)]
    value: Name | None = None
    length: Name | None = None
    prompt: bool = False
    over: float | None = None
    at_least: float | None = None
    equals: str | bool | float | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.value is not None) + (self.length is not None) + self.prompt != 1:
            raise ValueError("should have one of value, length and prompt")
        if sum(bound is not None for bound in (self.over, self.at_least, self.equals)) != 1:
            raise ValueError("should have one of over, at_least and equals")
        if self.equals is not None and self.value is None:
            raise ValueError("should compare a value by equals; a length or prompt has over and at_least")
        return self

    def check(self, fields: Mapping[str, InputField]) -> None:
        """ValueError if the input it speaks of is not there, or has nothing to compare."""
        name = self.value or self.length
        if name is None:
            return
        field = fields.get(name)
        if self.length is not None:
            fitting: tuple[type, ...] = (StringField, ListField)
        elif self.equals is None:
            fitting = (IntegerField, NumberField)
        elif isinstance(self.equals, bool):
            fitting = (BooleanField,)
        elif isinstance(self.equals, str):
            fitting = (EnumField,)
        else:
            fitting = (IntegerField, NumberField)
        is_fitting = isinstance(field, fitting)
        if not is_fitting:
            kinds = " or ".join(each.__name__.removesuffix("Field").lower() for each in fitting)
            raise ValueError(f"should speak of an input of type {kinds}, which {name!r} is not")
        if isinstance(field, EnumField) and self.equals not in field.values:
            raise ValueError(f"should compare {name!r} with one of its values, {self.equals!r} is none")

    def holds(self, inputs: Mapping[str, JsonValue], prompt_characters: int) -> bool:
        """Whether the threshold is passed."""
        subject: JsonValue = prompt_characters
        if self.length is not None:
            measured = inputs[self.length]
            subject = len(measured) if isinstance(measured, str | list) else 0
        elif self.value is not None:
            subject = inputs[self.value]
        if self.equals is not None:
            return subject == self.equals
        if not isinstance(subject, int | float):
            return False
        return subject > self.over if self.over is not None else subject >= (self.at_least or 0)


class Thresholds(Strict):
    """`rules` in order, the first that holds decides; else `default`."""

    default: Annotated[Complexity, Field(strict=False)]
    rules: list[Rule] = Field(default_factory=list, max_length=20)

    def judge(self, inputs: Mapping[str, JsonValue], prompt_characters: int) -> Complexity:
        """How hard it is. `prompt_characters` are those of the user message."""
        held = (rule.level for rule in self.rules if rule.holds(inputs, prompt_characters))
        return next(held, self.default)


# The same as for free chat (routing/intent.py), which the source material asks for where a task has none of its own.
USUAL = Thresholds(
    default=Complexity.SIMPLE,
    rules=[
        Rule(level=Complexity.COMPLEX, prompt=True, over=1000),
        Rule(level=Complexity.MEDIUM, prompt=True, over=200),
    ],
)
