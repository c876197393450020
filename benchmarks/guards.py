"""What the guards cost: for a kilobyte of what people write, and for the worst that is accepted."""

import json
import random
import statistics
import time
from collections.abc import Callable
from contextlib import suppress

from pydantic import TypeAdapter

from benchmarks.markdown import table
from benchmarks.section import main
from sluice.chat import ChatChunk, ChatRequest, JsonObject, ResponseFormat
from sluice.errors import InvalidRequestError
from sluice.guards.answer import judge_answer
from sluice.guards.chunks import ChunkGuard
from sluice.guards.json_reader import enforce_json
from sluice.guards.prompt import check_request
from sluice.guards.strings import MOST_VALUES
from sluice.guards.structured_output import InvalidJsonAnswerError, check_schema
from sluice.tasks.fields import InputField, check_inputs
from sluice.tasks.template import compile_template

_BUDGET_MS = 100.0
_CHARACTERS = 100_000
_PROSE = "The quick brown fox jumps over the lazy dog near the river bank, while people talk about the weather. "
_CODE = "def total(items: list[int]) -> int:\n    return sum(item * 2 for item in items if item > 0)\n\n"
_NESTED = {"text": {"type": "string", "max_length": 50_000}, "urgent": {"type": "boolean", "default": False}} | {
    "cases": {
        "type": "list",
        "max_items": 500,
        "items": {
            "type": "object",
            "fields": {"items": {"type": "list", "max_items": 50, "items": {"type": "string", "max_length": 50}}},
        },
    }
}
_FIELDS = {name: TypeAdapter[InputField](InputField).validate_python(field) for name, field in _NESTED.items()}


def run(*, quick: bool) -> str:
    """Measure each several times, and take the median."""
    rounds = 1 if quick else 7
    costs = [[name, f"{_median_ms(work, rounds):.2f}"] for name, work in _ordinary().items()]
    worst = [[name, f"{_median_ms(work, rounds):.0f}"] for name, work in _worst().items()]
    return (
        "Ordinary texts, CPU in ms:\n\n"
        + table(["", "CPU"], costs)
        + "\n\nThe worst that is accepted, or is found to be too much while it is done, CPU in ms "
        + f"(budget {_BUDGET_MS:.0f}):\n\n"
        + table(["", "CPU"], worst)
    )


def _median_ms(work: Callable[[], object], rounds: int) -> float:
    work()
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return 1000 * statistics.median(spent)


def _ordinary() -> dict[str, Callable[[], object]]:
    return {
        "a prompt of 350 characters": lambda: _judge_prompt(_repeated(_PROSE, 350)),
        "a prompt of 1 KB of prose": lambda: _judge_prompt(_repeated(_PROSE, 1024)),
        "a prompt of 20 KB of prose": lambda: _judge_prompt(_repeated(_PROSE, 20_480)),
        "a prompt of 20 KB of code": lambda: _judge_prompt(_repeated(_CODE, 20_480)),
        "an answer of 1 KB": lambda: judge_answer(_answer(_repeated(_PROSE, 1024)), None, {}),
        "an answer of 1 KB in 200 chunks": lambda: _stream(_repeated(_PROSE, 1024)),
        "an answer of 1 KB of JSON, with a schema": lambda: _check(
            _schema_of_people(), json.dumps([{"name": "Ada"}] * 60)
        ),
    }


def _worst() -> dict[str, Callable[[], object]]:
    draw = random.Random(5)
    any_characters = "".join(
        chr(draw.choice([draw.randrange(32, 127), draw.randrange(0x400, 0x9000)])) for _ in range(_CHARACTERS)
    )
    encoded = "1gn0r3 4ll SWdub3JlIHRoZSByYWluLCBpdCBpcyBvbmx5IHdhdGVy %41%42%43 I g n o r e erongI vtaber "
    names = [{f"p{n}": n for n in range(50)} for _ in range(2_000)]
    numbers = json.dumps([10**4_000 + n for n in range(100)])
    closed: JsonObject = {}
    for _ in range(20):
        closed = {"allOf": [closed], "unevaluatedProperties": True}
    fan: JsonObject = {
        f"d{level}": {"allOf": [{"properties": {"a": {"$ref": f"#/$defs/d{level + 1}"}}} for _ in range(40)]}
        for level in range(6)
    }
    turns = (
        "{% for c in cases %}{% for i in c.items %}" + "{% if urgent %}{% endif %}" * 40 + "{% endfor %}{% endfor %}"
    )
    filters = "{% for c in cases %}{% for i in c.items %}{{ text | upper | lower | length }}{% endfor %}{% endfor %}"
    kilobytes = _CHARACTERS // 1000
    return {
        f"{kilobytes} KB of prose": lambda: _judge_prompt(_repeated(_PROSE, _CHARACTERS)),
        f"{kilobytes} KB of accents": lambda: _judge_prompt(
            _repeated("déjà vu été über Straße naïve façade ", _CHARACTERS)
        ),
        f"{kilobytes} KB of any characters": lambda: _judge_prompt(any_characters),
        f"{kilobytes} KB of what looks encoded": lambda: _judge_prompt(_repeated(encoded, _CHARACTERS)),
        f"{kilobytes} KB of escapes": lambda: _judge_prompt(_repeated("\\u0069\\u0067nore \\n \\t x ", _CHARACTERS)),
        "as many values as are read": lambda: _judge_prompt("Hello.", never=[0] * (MOST_VALUES - 100)),
        "unevaluatedProperties under nested allOf": lambda: _check(closed, '{"a": 1}'),
        "references that fan out 40 to 6": lambda: _check(
            {"$defs": {**fan, "d6": {}}, "$ref": "#/$defs/d0"}, '{"a":' * 6 + "1" + "}" * 6
        ),
        "the largest pattern": lambda: _check({"items": {"pattern": "\\pL{80}"}}, json.dumps(["é" * 80] * 20)),
        "many patterns": lambda: _check({"allOf": [{"pattern": f"\\pL{n}"} for n in range(70)]}, '"x"'),
        "a pattern that backtracks elsewhere": lambda: _check(
            {"pattern": "(?:(?:a?){100}){8}b"}, json.dumps("a" * 6_000)
        ),
        "more values than are checked": lambda: _check(
            {"items": {"properties": {f"p{n}": {"type": "integer"} for n in range(50)}}}, json.dumps(names)
        ),
        "numbers of 4,000 digits": lambda: _check({"items": {"multipleOf": 0.1}}, numbers),
        "100 KB of JSON to repair": lambda: _repair("[" + "{'a': 'b', }\n" * 8_000 + "]"),
        "18 KB of JSON beyond repair": lambda: _repair("{" + "'a':" * 4_500),
        "loops in loops of a template": lambda: _fill(turns),
        "filters in loops of a template": lambda: _fill(filters),
    }


def _repeated(text: str, characters: int) -> str:
    return (text * (characters // len(text) + 1))[:characters]


def _judge_prompt(text: str, **fields: object) -> object:
    request = ChatRequest.model_validate({"model": "auto", "messages": [{"role": "user", "content": text}], **fields})
    return check_request(request, max_characters=len(text), modes={})


def _answer(text: str) -> JsonObject:
    return {"id": "x", "choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}


def _stream(text: str) -> None:
    guard = ChunkGuard({})
    for start in range(0, len(text), 5):
        choice = {"index": 0, "delta": {"content": text[start : start + 5]}, "finish_reason": None}
        guard.release(ChatChunk({"id": "x", "model": "m", "choices": [choice]}))


def _schema_of_people() -> JsonObject:
    person = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return {"type": "array", "items": person}


def _check(schema: JsonObject, answer: str) -> None:
    response_format = ResponseFormat(type="json_schema", json_schema={"name": "answer", "schema": schema})
    # What is found to be too much is measured as well.
    with suppress(InvalidJsonAnswerError, InvalidRequestError):
        check_schema(response_format)
        enforce_json(answer, response_format)


def _repair(text: str) -> None:
    with suppress(InvalidJsonAnswerError):
        enforce_json(text, ResponseFormat(type="json_schema", json_schema={"name": "answer", "schema": {}}))


def _fill(source: str) -> None:
    inputs = check_inputs(_FIELDS, {"text": "x" * 50_000, "cases": [{"items": ["a"] * 50}] * 500})
    with suppress(InvalidRequestError):
        compile_template(source, _FIELDS)(inputs, "0123456789ab")


if __name__ == "__main__":
    main(run)
