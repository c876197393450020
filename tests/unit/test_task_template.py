"""Templates: what may be said, and that inputs stay where they were put."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from sluice.errors import InvalidRequestError
from sluice.tasks.delimiting import boundary, delimited, without_tags
from sluice.tasks.fields import Bare, InputField, check_inputs
from sluice.tasks.grammar import TemplateError
from sluice.tasks.template import MOST_PROMPT_CHARACTERS, compile_template
from tests.task_inputs import texts

FIELDS: dict[str, InputField] = {
    name: TypeAdapter(InputField).validate_python(field)
    for name, field in {
        "text": {"type": "string", "max_length": 50_000},
        "count": {"type": "integer", "minimum": 0, "maximum": 9, "default": 2},
        "urgent": {"type": "boolean", "default": False},
        "level": {"type": "enum", "values": ["low", "high"], "default": "low"},
        "tags": {"type": "list", "max_items": 100, "items": {"type": "string", "max_length": 50_000}},
        "numbers": {"type": "list", "max_items": 9, "items": {"type": "integer", "minimum": 0, "maximum": 9}},
        "cases": {
            "type": "list",
            "max_items": 500,
            "items": {
                "type": "object",
                "fields": {
                    "items": {"type": "list", "max_items": 50, "items": {"type": "string", "max_length": 50}},
                    "name": {"type": "string", "max_length": 50},
                },
            },
        },
        "resource": {"type": "object", "max_bytes": 1000},
        "anything": {"type": "json", "max_bytes": 1000},
    }.items()
}
MARK = "0123456789ab"


def rendered(source: str, **values: Any) -> str:
    return compile_template(source, FIELDS)(check_inputs(FIELDS, values), MARK)


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        ("Level {{ level }}, {{ count }}, {{ urgent }}", {}, "Level low, 2, no"),
        ("{{ text }}", {"text": "a"}, f"<data-{MARK}>a</data-{MARK}>"),
        ("{{ text }}", {"text": "a\nb"}, f"<data-{MARK}>\na\nb\n</data-{MARK}>"),
        ("{{ text }}{{ tags }}{{ resource }}{{ anything }}", {}, "(not given)" * 4),
        ("{{ level | upper }}{{ text | upper }}", {"text": "a"}, f"LOW<data-{MARK}>A</data-{MARK}>"),
        ("{{ numbers | join('+') }}", {"numbers": [1, 2]}, "1+2"),
        ("{{ tags | join(', ') }}", {"tags": ["a", "b"]}, f"<data-{MARK}>a, b</data-{MARK}>"),
        ("{{ resource }}", {"resource": {"a": 1}}, f'<data-{MARK}>\n{{\n  "a": 1\n}}\n</data-{MARK}>'),
        ("{% if text | length > 3 and level == 'low' %}yes{% elif urgent %}no{% endif %}", {"text": "abcd"}, "yes"),
        ("{% if 'b' in tags or level in ['high'] %}yes{% else %}no{% endif %}", {"tags": ["a"]}, "no"),
        (
            "{% for t in tags %}{{ loop.index }}{% if not loop.last %},{% endif %}{% endfor %}",
            {"tags": ["a", "b"]},
            "1,2",
        ),
        (
            "{% for c in cases %}{% for i in c.items %}{{ i }}{% endfor %}{% endfor %}",
            {"cases": [{"items": ["x"]}]},
            f"<data-{MARK}>x</data-{MARK}>",
        ),
        ("{{ text if urgent else level }}", {}, "low"),
    ],
)
def test_what_templates_can_do(source: str, values: dict[str, Any], expected: str) -> None:
    assert rendered(source, **values) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ secret }}",
        "{{ text.upper() }}",
        "{{ text.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ cases.items }}",
        "{{ resource.name }}",
        "{{ tags[0] }}",
        "{{ text ~ text }}",
        "{{ text * 1000000 }}",
        "{{ 2 ** 100000 }}",
        "{{ range(9) }}",
        "{{ none }}",
        "{{ text | attr('x') }}",
        "{{ text | safe }}",
        "{{ text | length(3) }}",
        "{{ count | length }}",
        "{{ count | upper }}",
        "{{ cases | join }}",
        "{{ tags | join(text) }}",
        "{{ loop.index }}",
        "{{ self }}",
        "{{ text if urgent }}",
        "{% if text > 3 %}{% endif %}",
        "{% if text in count %}{% endif %}",
        "{% if count in text %}{% endif %}",
        "{% if level is defined %}{% endif %}",
        "{% set x = 1 %}",
        "{% macro x() %}{% endmacro %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{% for x in text %}{% endfor %}",
        "{% for x in resource %}{% endfor %}",
        "{% for x in [1, 2] %}{% endfor %}",
        "{% for a, b in cases %}{% endfor %}",
        "{% for text in tags %}{% endfor %}",
        "{% for _boundary in tags %}{% endfor %}",
        "{% for x in tags if x %}{% endfor %}",
        "{% for x in tags recursive %}{% endfor %}",
        "{% for x in tags %}{% for y in tags %}{% endfor %}{% endfor %}",
        "{% for x in tags %}{{ loop.previtem }}{% endfor %}",
        "{% for x in tags %}{{ loop }}{% endfor %}",
        "{% for x in tags %}" + "{{ x }}" * 61 + "{% endfor %}",
        "{{ text }}" * 401,
        "{% if text",
        "{{ " + "(" * 500 + "text" + ")" * 500 + " }}",
        "{% filter upper %}x{% endfilter %}",
        "{% autoescape true %}{% endautoescape %}",
        "{{ _boundary }}",
    ],
)
def test_what_templates_may_not_do(source: str) -> None:
    with pytest.raises(TemplateError, match=r"^line \d+: "):
        compile_template(source, FIELDS)


@given(texts(0, 300), texts(0, 300))
def test_a_template_with_other_texts_differs_only_inside_the_tags(one: str, other: str) -> None:
    source = "Before {{ text }} between\n{% for tag in tags %}- {{ tag }}\n{% endfor %}{{ tags }} {{ anything }} after"

    def outside(text: str) -> str:
        result = rendered(source, text=text or "x", tags=[text or "x"] * 2, anything={"a": text or "x"})
        return re.sub(rf"<data-{MARK}>.*?</data-{MARK}>", "DATA", result, flags=re.DOTALL)

    assert outside(one) == outside(other)


@given(texts(0, 300))
def test_nothing_inside_the_tags_looks_like_a_tag(text: str) -> None:
    inside = delimited(text or "x", MARK).removeprefix(f"<data-{MARK}>").removesuffix(f"</data-{MARK}>")
    assert not re.search(r"<\s*/?\s*data\s*-", inside, re.IGNORECASE)


@given(st.text(alphabet="ab <>/\n", max_size=50).filter(bool))
def test_harmless_texts_are_not_changed(text: str) -> None:
    assert without_tags(delimited(text, MARK), MARK).strip("\n") == text.strip("\n")


def test_the_boundary_is_stable_for_equal_inputs_and_differs_with_them() -> None:
    assert boundary("a", {"x": 1, "y": 2}) == boundary("a", {"y": 2, "x": 1})
    assert len({boundary("a", {"x": 1}), boundary("b", {"x": 1}), boundary("a", {"x": 2})}) == 3


def test_a_caller_s_text_does_not_become_the_author_s_by_a_filter() -> None:
    assert "data-" in rendered("{{ tags | join }}", tags=["1"])
    assert "data-" in rendered("{{ text | trim }}", text="low")
    assert delimited(Bare("low"), MARK) == "low"


def test_a_prompt_has_a_bound() -> None:
    source = "{% for tag in tags %}{{ tag }}{{ tag }}{{ tag }}{% endfor %}"
    with pytest.raises(InvalidRequestError, match=f"over {MOST_PROMPT_CHARACTERS} characters"):
        rendered(source, tags=["x" * 45_000] * 4)
