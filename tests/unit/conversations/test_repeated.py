"""What of a request with a history of its own is new."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.chat import Message
from sluice.conversations.conversation import Turn
from sluice.conversations.repeated import told_apart


def said(text: str, **more: Any) -> Message:
    """A message: questions end with a question mark."""
    role = "user" if text.endswith("?") else "assistant"
    return Message.model_validate({"role": role, "content": text, **more})


def turns(*exchanges: str) -> list[Turn]:
    """Turns, each with its messages separated by blanks."""
    return [
        Turn(number, tuple(said(text) for text in exchange.split()), "req", 0, 0)
        for number, exchange in enumerate(exchanges, start=1)
    ]


def told(asked: str, *exchanges: str) -> tuple[str, str]:
    """What is new, and what may be put in front."""
    found = told_apart([said(text) for text in asked.split()], turns(*exchanges))
    return " ".join(each.text for each in found.new), " ".join(each.text for each in found.past)


TWO = ("1? 1.", "2? 2.")


@pytest.mark.parametrize(
    ("asked", "new"),
    [
        # The whole history; one that begins late; one whose end is missing.
        ("1? 1. 2? 2. 3?", "3?"),
        ("2? 2. 3?", "3?"),
        ("2. 3?", "3?"),
        ("1? 1. 3?", "3?"),
        # Reordered, edited on one side or the other, an answer left out, a question twice.
        ("2? 2. 1? 1. 3?", "3?"),
        ("1? 1. 2? other. 3?", "3?"),
        ("1? 1. other? 2. 3?", "3?"),
        ("1? other. 2? 2. 3?", "3?"),
        ("1? other. 2? other. 3?", "3?"),
        ("1? 2? 2. 3?", "3?"),
        ("1? 1. 2? 2. 2?", "2?"),
        # Older than what is remembered here, in front.
        ("0? 0. 1? 1. 2? 2. 3?", "3?"),
        # Said elsewhere meanwhile.
        ("1? 1. 2? 2. else? else. 3?", "else? else. 3?"),
        # Several questions at once, a beginning of the answer, and an answer to go on with.
        ("1? 1. 2? 2. 3? more?", "3? more?"),
        ("1? 1. 2? 2. 3? Well,", "3? Well,"),
        ("1? 1. 2? 2.", ""),
    ],
)
def test_a_history_that_a_client_sends_is_what_the_model_sees(asked: str, new: str) -> None:
    assert told(asked, *TWO) == (new, "")


@pytest.mark.parametrize("asked", ["3?", "3? more?", "1?", "2?", "ex? ex. 3?", "ex? ex. ex2? ex2. 3?", "Well, 3?"])
def test_what_brings_no_earlier_turn_has_them_in_front(asked: str) -> None:
    assert told(asked, *TWO) == (asked, "1? 1. 2? 2.")


def test_examples_that_come_with_each_turn_are_there_once() -> None:
    assert told("ex? ex. 2?", "ex? ex. 1? 1.") == ("2?", "1? 1.")
    assert told("ex? ex. 3?", "ex? ex. 1? 1.", "2? 2.") == ("3?", "1? 1. 2? 2.")
    assert told("ex? ex. 9?", "2? 2.", "3? 3.") == ("ex? ex. 9?", "2? 2. 3? 3.")
    assert told("ex? ex. new? new. 2?", "ex? ex. 1? 1.") == ("ex? ex. new? new. 2?", "1? 1.")


def test_the_first_turn_is_all_new() -> None:
    assert told("ex? ex. 1?") == ("ex? ex. 1?", "")


def test_a_message_is_the_same_in_another_form() -> None:
    parts = Message.model_validate(
        {"role": "assistant", "content": [{"type": "text", "text": "1. \n"}], "refusal": None, "annotations": []}
    )
    found = told_apart([said("1?", name="ann"), parts, said("2?")], turns("1? 1."))
    assert ([each.text for each in found.new], found.past) == (["2?"], ())


def test_calls_and_their_results_are_known_by_their_ids() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    called = Message.model_validate({"role": "assistant", "content": None, "tool_calls": [call]})
    history = [Turn(1, (said("go?"), called), "req", 0, 0)]
    again = Message.model_validate({"role": "assistant", "content": "", "tool_calls": [{**call, "index": 0}]})
    result = Message.model_validate({"role": "tool", "tool_call_id": "c1", "content": "42"})
    found = told_apart([said("go?"), again, result], history)
    assert (found.new, found.past) == ((result,), ())
    # What only has no text in common is not the same.
    other = Message.model_validate({"role": "assistant", "content": "", "tool_calls": [{**call, "id": "c2"}]})
    assert told_apart([said("do?"), other, result], history).past == history[0].messages


@given(st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_no_turn_is_there_twice_whatever_part_of_the_history_is_sent(first: int, count: int, is_reversed: bool) -> None:
    history = [f"{number}? {number}." for number in range(5)]
    brought = history[first : first + count]
    asked = " ".join([*(reversed(brought) if is_reversed else brought), "new?"])
    new, past = told(asked, *history)
    seen = [*past.split(), *asked.split()]
    assert len(seen) == len(set(seen))
    assert new == "new?"
