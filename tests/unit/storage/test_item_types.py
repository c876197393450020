"""Python values in DynamoDB's typed form, as boto3 writes and reads them."""

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.storage.item_types import from_item, from_typed, to_item, to_typed
from tests.examples import examples

# Beyond 2**53 a float is not the decimal number that it is written as, and would come back as that.
_NUMBERS = st.integers(-(10**37), 10**37) | st.floats(-1e15, 1e15).filter(lambda each: each == 0 or abs(each) > 1e-100)
_LEAVES = st.none() | st.booleans() | st.text() | st.binary() | _NUMBERS
_SETS = (
    st.frozensets(st.text(), min_size=1, max_size=4)
    | st.frozensets(st.binary(), min_size=1, max_size=4)
    | st.frozensets(st.integers(-(10**37), 10**37), min_size=1, max_size=4)
)
_VALUES = st.recursive(
    _LEAVES | _SETS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)
_ITEMS = st.dictionaries(st.text(), _VALUES, max_size=5)


@settings(max_examples=examples(50))
@given(_ITEMS)
def test_an_item_comes_back_as_it_was(item: dict[str, Any]) -> None:
    travelled = json.loads(json.dumps(to_item(item)))
    assert from_item(travelled) == item


def _for_boto3(value: Any) -> Any:
    """boto3 takes no floats."""
    match value:
        case float():
            return Decimal(repr(value))
        case list():
            return [_for_boto3(each) for each in value]
        case dict():
            return {key: _for_boto3(each) for key, each in value.items()}
        case _:
            return value


def _as_it_travels(typed: Any) -> Any:
    """What boto3 leaves to botocore: bytes in Base64. The order in a set says nothing."""
    match typed:
        case bytes():
            return base64.b64encode(typed).decode()
        case {"SS": list(values)} | {"NS": list(values)} | {"BS": list(values)}:
            return {kind: sorted(map(str, map(_as_it_travels, values))) for kind in typed}
        case dict():
            return {key: _as_it_travels(each) for key, each in typed.items()}
        case list():
            return [_as_it_travels(each) for each in typed]
        case _:
            return typed


_WITHOUT_FLOATS = st.recursive(
    st.none() | st.booleans() | st.text() | st.binary() | st.integers(-(10**37), 10**37) | _SETS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@settings(max_examples=examples(50))
@given(_WITHOUT_FLOATS)
def test_a_value_is_typed_as_boto3_types_it(value: Any) -> None:
    assert _as_it_travels(to_typed(value)) == _as_it_travels(TypeSerializer().serialize(value))


@settings(max_examples=examples(50))
@given(_VALUES)
def test_boto3_reads_what_is_written(value: Any) -> None:
    def with_bytes(typed: dict[str, Any]) -> Any:
        ((kind, content),) = typed.items()
        match kind:
            case "B":
                return {"B": base64.b64decode(content)}
            case "BS":
                return {"BS": [base64.b64decode(each) for each in content]}
            case "L":
                return {"L": [with_bytes(each) for each in content]}
            case "M":
                return {"M": {key: with_bytes(each) for key, each in content.items()}}
            case _:
                return typed

    assert TypeDeserializer().deserialize(with_bytes(to_typed(value))) == _for_boto3(value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-0", 0),
        ("12", 12),
        ("1.0", 1),
        ("1E+2", 100),
        ("-1.50", -1.5),
        ("1E-3", 0.001),
        ("9" * 38, 10**38 - 1),
    ],
)
def test_whole_numbers_are_ints_however_they_are_written(text: str, number: float) -> None:
    found = from_typed({"N": text})
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), set(), {"a", 1}, {None}, {(1,)}, object(), Decimal(1), [1, object()], {"a": {1j}}],
)
def test_what_dynamodb_has_no_type_for_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        to_typed(value)


@pytest.mark.parametrize("typed", [{}, {"X": 1}, {"S": "a", "N": "1"}, {"B": "not Base64!"}, {"N": ""}])
def test_what_is_no_typed_value_is_refused(typed: dict[str, Any]) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        from_typed(typed)
