"""JSON answers: what is repaired, what is not, and that a stream comes out as the whole answer does."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.chat import ResponseFormat
from sluice.guards.json_reader import JsonReader, Parted, enforce_json, read_json, read_unfinished
from sluice.guards.lenient_json import MOST_DEPTH, LenientJson
from sluice.guards.structured_output import InvalidJsonAnswerError
from tests.examples import examples

OBJECT = ResponseFormat(type="json_object")
ANY_VALUE = ResponseFormat(type="json_schema", json_schema={"name": "any", "schema": {}})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
places = st.lists(st.integers(0, 400), max_size=12)
# What answers in JSON are made of, and what models put around them and get wrong in them.
pieces = st.sampled_from(
    [
        *"{}[]\":,'\\ \n`",
        *("```json\n", "```", "<think>", "</think>", "Sure, here: ", "\u00a0"),
        *("true", "None", "NaN", "1.5", "-1", "a", "key", "\\u0041", '"a": 1', '"b"', "\u201cx\u201d"),
    ]
)
messy = st.lists(pieces, max_size=30).map("".join)


def cut(text: str, where: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in where)})
    return [text[start:end] for start, end in pairwise(edges)]


def streamed(text: str, where: list[int], response_format: ResponseFormat, *, is_cut: bool = False) -> Parted:
    reader = JsonReader(response_format)
    parts = [reader.feed(piece) for piece in cut(text, where)]
    parts.append(reader.give_up() if is_cut else reader.finish())
    return Parted("".join(part.content for part in parts), "".join(part.thought for part in parts))


@given(value=st.dictionaries(st.text(), json_values), indent=st.sampled_from([None, 2]), is_ascii=st.booleans())
def test_valid_json_stays_as_it_is(value: object, indent: int | None, is_ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii) + "\n"
    assert enforce_json(text, OBJECT) is text
    assert enforce_json(text, ANY_VALUE) is text


@given(value=json_values, indent=st.sampled_from([None, 2]), where=places)
def test_a_stream_of_valid_json_comes_out_byte_for_byte(value: object, indent: int | None, where: list[int]) -> None:
    text = f" {json.dumps(value, indent=indent)}\n"
    assert streamed(text, where, ANY_VALUE) == Parted(text)


@settings(max_examples=examples(500))
@given(text=messy, where=places, is_object=st.booleans())
def test_a_stream_and_a_whole_answer_agree(text: str, where: list[int], is_object: bool) -> None:
    response_format = OBJECT if is_object else ANY_VALUE
    try:
        whole = read_json(text, response_format)
    except InvalidJsonAnswerError:
        with pytest.raises(InvalidJsonAnswerError):
            streamed(text, where, response_format)
        return
    assert streamed(text, where, response_format) == whole
    json.loads(whole.content)


@settings(max_examples=examples(500))
@given(text=messy, where=places)
def test_an_unfinished_stream_and_whole_answer_agree(text: str, where: list[int]) -> None:
    assert streamed(text, where, OBJECT, is_cut=True) == read_unfinished(text)


@given(value=st.dictionaries(st.text(), json_values, min_size=1), length=st.integers(0, 400))
def test_json_that_was_cut_off_comes_out_as_it_came(value: object, length: int) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)[:length]
    assert read_unfinished(text) == Parted(text)
    assert read_unfinished(f"```json\n{text}").content in (text, f"```json\n{text}")


@given(st.text(alphabet=st.characters()))
def test_nothing_is_done_unless_json_was_asked_for(text: str) -> None:
    assert enforce_json(text, None) is text
    assert enforce_json(text, ResponseFormat(type="text")) is text


@given(st.text(alphabet="{}[]\":,ab1 \n\\'-.`", max_size=60))
def test_any_text_becomes_json_or_a_typed_error(text: str) -> None:
    try:
        answer = enforce_json(text, OBJECT)
    except InvalidJsonAnswerError:
        return
    assert isinstance(json.loads(answer), dict)


@settings(max_examples=examples(500))
@given(text=messy)
def test_a_repair_changes_no_letter_digit_sign_or_bracket(text: str) -> None:
    def said(part: str) -> str:
        said = "".join(character for character in part if character.isalnum() or character in "+-.{}[]")
        return said.replace("True", "true").replace("False", "false").replace("None", "null")

    reader = LenientJson()
    written = reader.feed("[" + text) + reader.finish()
    if reader.is_complete:
        read = "[" + text[: len(text) - len(reader.unwritten)]
        # A control character is written as an escape, whose letter was not there.
        assert said(written.replace("\\n", "")) == said(read.replace("\\n", ""))
        json.loads(written)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('```json\n{"name": "Ada", "age": 36}\n```', {"name": "Ada", "age": 36}),
        ('```\n\n{"name": "Ada"}', {"name": "Ada"}),
        ('Sure! Here it is: {"name": "Ada"} Anything else?', {"name": "Ada"}),
        ('{"name": "Ada", "age": 36,}', {"name": "Ada", "age": 36}),
        ("{'name': 'Ada', 'ok': True, 'none': None}", {"name": "Ada", "ok": True, "none": None}),
        ('{name: "Ada", "tags": ["a", "b",]}', {"name": "Ada", "tags": ["a", "b"]}),
        ('{"a": 1\n "b": [1\n2], "c": {}\n}', {"a": 1, "b": [1, 2], "c": {}}),
        ('{"a": 1 "b": ["x" "y"]}', {"a": 1, "b": ["x", "y"]}),
        ('{"pattern": "\\d+\\.\\w"}', {"pattern": "\\d+\\.\\w"}),
        ('{"lines": "one\n\ttwo\x01"}', {"lines": "one\n\ttwo\x01"}),
        ("{'quoted': 'she said \"no\"', 'it\\'s': 1}", {"quoted": 'she said "no"', "it's": 1}),
        ("{\u201cname\u201d: \u201cAda\u201d,\u00a0}", {"name": "Ada"}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('{"a": "\\u00e9\\/"}', {"a": "\u00e9/"}),
    ],
)
def test_what_can_be_repaired_safely_is(text: str, value: object) -> None:
    assert json.loads(enforce_json(text, OBJECT)) == value
    for size in range(1, 9):
        assert json.loads(streamed(text, list(range(0, len(text), size)), OBJECT).content) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I'd rather not.",
        '{"name": "Ada", "text": "and then she sa',
        '{"a": 1} {"b": 2}',
        '{"a": 1}}',
        '{"a": NaN}',
        '{"a": -Infinity, }',
        '{"a": {"b": 1}, "text": "and then she sa',
        '[{"a": 1}, {"a": 2',
        "[1, 2]",
        '{"price": 1 // in euros\n}',
        '{"price": 1 000}',
        '{"range": [1 200]}',
        '{"a": "say "hi" now"}',
        '{"a": 01}',
        '{"a": +1}',
        '{"a":: 1}',
        '{"a": 1,, "b": 2}',
        '{"a" 1}',
        "{1: 2}",
        '{"a": [1}',
        "[" * 100_000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        '{"a": ' + "1" * 6_000 + "}",
    ],
)
def test_what_would_have_to_be_guessed_is_not_repaired(text: str) -> None:
    with pytest.raises(InvalidJsonAnswerError):
        enforce_json(text, OBJECT)
    with pytest.raises(InvalidJsonAnswerError):
        streamed(text, list(range(0, min(len(text), 1000), 7)), OBJECT)


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ('<think>Say {"a": 2}? No.</think>{"a": 1}', 'Say {"a": 2}? No.'),
        ('\n<think>\nHm.\n</think>\n\n```json\n{"a": 1}\n```', "\nHm.\n"),
        ('<think>a</think> <think>b</think> {"a": 1}', "ab"),
        ('<think></think>Here: {"a": 1}', ""),
        ('The template opened the tag. </think>{"a": 1}', "The template opened the tag. "),
    ],
)
@given(where=places)
def test_a_thought_before_json_is_set_aside(text: str, thought: str, where: list[int]) -> None:
    assert read_json(text, OBJECT) == Parted('{"a": 1}', thought)
    assert streamed(text, where, OBJECT) == Parted('{"a": 1}', thought)


def test_a_thought_that_never_ends_is_no_answer() -> None:
    with pytest.raises(InvalidJsonAnswerError):
        enforce_json('<think>{"a": 1}', OBJECT)
    assert read_unfinished("<think>I was sa") == Parted("", "I was sa")


def test_json_is_passed_on_as_it_arrives() -> None:
    reader = JsonReader(OBJECT)
    assert [
        reader.feed(piece).content for piece in ("```js", "on\n", '{"a"', ': "wo', "rd", '", ', "}", "\n``", "`")
    ] == [
        "",
        "",
        '{"a"',
        ': "wo',
        "rd",
        '"',
        " }",
        "",
        "",
    ]
    assert reader.finish() == Parted("")


def test_only_so_much_is_mended() -> None:
    long = json.dumps([f"{n}" for n in range(20_000)])
    assert enforce_json(f"```json\n{long}\n```", ANY_VALUE) == long
    assert streamed(f"```json\n{long}\n```", list(range(0, 400, 7)), ANY_VALUE) == Parted(long)
    assert read_unfinished(long[:-2]) == Parted(long[:-2])
    for text in (long.replace('"', "'"), long[:-1] + ",]"):
        with pytest.raises(InvalidJsonAnswerError, match="longer than"):
            enforce_json(text, ANY_VALUE)
        with pytest.raises(InvalidJsonAnswerError, match="longer than"):
            streamed(text, list(range(0, 400, 7)), ANY_VALUE)


def test_reading_takes_one_pass_however_the_text_arrives() -> None:
    # Every token is looked at once, and once more for each text that ends within it.
    class Counted(LenientJson):
        tokens = 0

        def _token(self, text: str, start: int, is_last: bool) -> int:
            Counted.tokens += 1
            return super()._token(text, start, is_last)

        def _string(self, text: str, start: int, is_last: bool) -> int:
            Counted.tokens += 1
            return super()._string(text, start, is_last)

    for text in ("[" + '"x" "' * 3_000, "{" + "'a':" * 4_500, '{"a":[' * 2_000, '["' + "\\" * 9_000, "[" + "1" * 9_000):
        Counted.tokens = 0
        reader = Counted()
        for character in text:
            reader.feed(character)
        reader.finish()
        assert Counted.tokens <= 2 * len(text) + 1


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_what_is_nested_deeper_than_can_be_read_is_not_read_on(opening: str) -> None:
    reader = LenientJson()
    for _ in range(3 * MOST_DEPTH // len(opening.strip('"a:'))):
        reader.feed(opening)
    assert reader.is_broken
    assert len(reader.unwritten) > MOST_DEPTH


def test_what_is_nested_as_deep_as_python_reads_comes_out_whole_and_streamed() -> None:
    text = "[" * 5_000 + "]" * 5_000
    assert enforce_json(text, ANY_VALUE) is text
    assert streamed(text, [7, 4_999, 5_001], ANY_VALUE) == Parted(text)
