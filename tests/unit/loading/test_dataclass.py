"""What Sluice's dataclasses do, beside what Python's own do."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from typing import Any

import pytest
from pydantic import TypeAdapter

from sluice.loading.dataclass import dataclass

_OPTIONS = [
    {"frozen": True, "slots": True},
    {"frozen": True, "slots": True, "kw_only": True},
    {"frozen": True},
    {"frozen": True, "eq": False},
    {"slots": True},
    {"slots": True, "kw_only": True},
    {},
]


def _defined(decorate: Callable[..., Any], options: dict[str, Any]) -> Any:
    """A class with all kinds of fields, below another."""

    @decorate(**options)
    class Base:
        """A base."""

        first: int
        second: str = "two"

    @decorate(**options | {"kw_only": True})
    class Thing[Item](Base):
        third: list[Item] = field(default_factory=list)
        fourth: int = field(default=4, repr=False)
        fifth: int = field(default=5, compare=False)
        sixth: int = field(default=6, init=False)
        seventh: list[int] = field(default_factory=lambda: [7], init=False)

    return Thing


@pytest.fixture(params=_OPTIONS, ids=str)
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """The same class by either decorator."""
    return _defined(dataclass, request.param), _defined(dataclasses.dataclass, request.param)


_ARGUMENTS: list[dict[str, Any]] = [
    {"first": 1},
    {"first": 1, "fourth": 44},
    {"first": 1, "fifth": 55},
    {"first": 2, "second": "b", "third": [3], "fourth": 4, "fifth": 6},
]


def test_objects_have_the_same_fields_and_description(pair: tuple[Any, Any]) -> None:
    own, pythons = pair
    for arguments in _ARGUMENTS:
        assert repr(own(**arguments)) == repr(pythons(**arguments))
        assert dataclasses.asdict(own(**arguments)) == dataclasses.asdict(pythons(**arguments))
    assert own.__match_args__ == pythons.__match_args__
    assert [each.name for each in dataclasses.fields(own)] == [each.name for each in dataclasses.fields(pythons)]
    assert hasattr(own(first=1), "__dict__") == hasattr(pythons(first=1), "__dict__")


def test_a_constructor_takes_the_same_arguments(pair: tuple[Any, Any]) -> None:
    described = [
        [(each.name, each.kind, str(each.annotation)) for each in inspect.signature(kind).parameters.values()]
        for kind in pair
    ]
    assert described[0] == described[1]
    for arguments in ({}, {"first": 1, "unknown": 2}, {"first": 1, "sixth": 6}):
        for kind in pair:
            with pytest.raises(TypeError, match="__init__"):
                kind(**arguments)


def test_what_a_factory_makes_is_made_for_each_object(pair: tuple[Any, Any]) -> None:
    own, _ = pair
    assert own(first=1).third is not own(first=1).third
    given: list[int] = []
    assert own(first=1, third=given).third is given


def test_equality_and_hashes_are_of_the_same_fields(pair: tuple[Any, Any]) -> None:
    own, pythons = pair
    for one in _ARGUMENTS:
        for other in _ARGUMENTS:
            assert (own(**one) == own(**other)) == (pythons(**one) == pythons(**other))
    assert own(first=1) != pythons(first=1)
    assert (own.__hash__ is None) == (pythons.__hash__ is None)
    # A list is among the fields that are compared, if any is.
    assert _outcome(hash, own(first=1)) == _outcome(hash, pythons(first=1)) or own.__eq__ is object.__eq__


def test_what_is_frozen_stays_as_it_is(pair: tuple[Any, Any]) -> None:
    own, pythons = pair
    assert _outcome(setattr, own(first=1), "first", 2) == _outcome(setattr, pythons(first=1), "first", 2)
    assert _outcome(delattr, own(first=1), "first") == _outcome(delattr, pythons(first=1), "first")


def test_it_is_copied_and_replaced(pair: tuple[Any, Any]) -> None:
    own, _ = pair
    thing = own(first=1, third=[3])
    for copied in (copy.copy(thing), copy.deepcopy(thing)):
        assert dataclasses.asdict(copied) == dataclasses.asdict(thing)
    assert dataclasses.asdict(dataclasses.replace(thing, first=9)) == dataclasses.asdict(thing) | {"first": 9}


def _outcome(act: Callable[..., object], *arguments: object) -> object:
    """What is returned, or what an error says."""
    try:
        return act(*arguments)
    except FrozenInstanceError as error:
        return str(error)
    except (AttributeError, TypeError) as error:
        return type(error), str(error)


@dataclass(frozen=True, slots=True)
class Pair:
    """Of the module, as pickle wants it."""

    left: int
    right: int = 0


@dataclass(frozen=True)
class Checked:
    """Looks at what it is made of, and compares in its own way."""

    text: str

    def __post_init__(self) -> None:
        if not self.text:
            raise ValueError("empty")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checked) and self.text.lower() == other.text.lower()

    def __hash__(self) -> int:
        return hash(self.text.lower())

    def __repr__(self) -> str:
        return f"<{self.text}>"


class Named(Pair):
    """A class that is no dataclass, below one."""

    __slots__ = ()


def test_it_is_pickled() -> None:
    assert pickle.loads(pickle.dumps(Pair(1, 2))) == Pair(1, 2)  # noqa: S301


def test_equal_objects_have_equal_hashes() -> None:
    assert hash(Pair(1, 2)) == hash(Pair(1, 2))
    assert len({Pair(1), Pair(1, 0), Pair(2)}) == 2


def test_methods_of_its_own_are_kept_and_the_last_step_of_the_constructor_is_taken() -> None:
    with pytest.raises(ValueError, match="empty"):
        Checked("")
    assert Checked("A") == Checked("a")
    assert hash(Checked("A")) == hash(Checked("a"))
    assert repr(Checked("A")) == "<A>"


def test_a_class_below_one_is_made_by_the_same_constructor() -> None:
    assert Named(1, 2).right == 2
    assert Named(1) != Pair(1)
    assert type(Named(3)) is Named


def test_pydantic_reads_it() -> None:
    assert TypeAdapter(Pair).validate_python({"left": "1"}) == Pair(1)
    assert TypeAdapter(Pair).dump_python(Pair(1)) == {"left": 1, "right": 0}


def test_nothing_is_compiled_before_the_first_object() -> None:
    @dataclass(frozen=True, slots=True)
    class Late:
        """Made late."""

        value: int

    assert not inspect.isfunction(vars(Late)["__init__"])
    Late(1)
    assert inspect.isfunction(vars(Late)["__init__"])
