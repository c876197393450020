"""Templates: what may be said, and that inputs stay where they were put."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import TypeAdapter

from sluice.api.compat.genai.validation import PromptReport, fill
from sluice.errors import InvalidRequestError
from sluice.tasks.fields import Bare, InputField, Inputs, check_inputs
from sluice.tasks.grammar import TemplateError
from sluice.tasks.spotlighting import boundary, spotlighted, without_tags
from sluice.tasks.template import MOST_PROMPT_CHARACTERS, MOST_STEPS, compile_template
from tests.examples import examples
from tests.task_inputs import inputs_of, texts

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
NESTED = {
    "if": ("{% if urgent %}", "x", "{% endif %}"),
    "for": ("{% for x in tags %}{% else %}", "x", "{% endfor %}"),
    "not": ("{{ ", "not ", "urgent }}"),
    "and": ("{{ urgent", " and urgent", " }}"),
    "else": ("{{ ", "level if urgent else ", "level }}"),
    "filter": ("{{ text", " | trim", " }}"),
    "minus": ("{{ ", "-", "1 }}"),
    "attribute": ("{{ cases", ".items", " }}"),
    "bracket": ("{{ ", "(", "text"),
}
"""What nests: the begin tag, body and end tag of a statement, or the beginning, a step and the end of an expression."""


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


def nested(kind: str, times: int) -> str:
    before, step, after = NESTED[kind]
    if kind in {"if", "for"}:
        return before * times + step + after * times
    closing = ")" * times + " }}" if kind == "bracket" else ""
    return before + step * times + after + closing


@pytest.mark.parametrize("times", [21, 120, 250, 390, 2000])
@pytest.mark.parametrize("kind", NESTED)
def test_what_is_nested_too_deeply_is_refused_before_anything_recursive(kind: str, times: int) -> None:
    with pytest.raises(TemplateError, match=r"^line 1: (is nested deeper than 20 levels|a template may have at most)"):
        compile_template(nested(kind, times), FIELDS)


@pytest.mark.parametrize("kind", [kind for kind in NESTED if kind not in {"minus", "attribute"}])
def test_what_is_nested_less_deeply_renders(kind: str) -> None:
    assert compile_template(nested(kind, 18), FIELDS)(check_inputs(FIELDS, {"urgent": True}), MARK)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("1" * 31, "a number may have at most 30 characters, and this one has 31"),
        ("1" * 5000, "a number may have at most 30 characters, and this one has 5000"),
        # Python reads as many hexadecimal digits as there are, and can't write them down.
        ("0x" + "f" * 4000, "a number may have at most 30 characters, and this one has 4002"),
        ("1" * 5000 + ".5", "a number may have at most 30 characters, and this one has 5002"),
        ("1e999", "1e999 is too large for a number"),
        ("1_0.5E+99_9", r"1_0.5E\+99_9 is too large for a number"),
        ("\u0663.\u0664", "a number is written with the digits 0 to 9, and \u0663.\u0664 is not"),
    ],
)
def test_a_number_is_finite_and_short(number: str, reason: str) -> None:
    for source in (f"\n{{{{ {number} }}}}", f"\n{{{{ count in [{number}] }}}}"):
        with pytest.raises(TemplateError, match=f"^line 2: {reason}$"):
            compile_template(source, FIELDS)


@pytest.mark.parametrize("number", ["9" * 30, "0xff", "0b1", "0o7", "1_000", "1e308", "1.5e-400"])
def test_other_numbers_render(number: str) -> None:
    assert rendered(f"{{{{ {number} }}}}")


def test_a_template_has_few_tokens() -> None:
    with pytest.raises(TemplateError, match=r"^line 1: a template may have at most 3500 tokens$"):
        compile_template("{{ 1 in [" + "1," * 20_000 + "1] }}", FIELDS)


@pytest.mark.parametrize("tag", ["set x = 1", "macro x()", "filter upper", "break"])
def test_a_tag_that_is_not_allowed_is_named(tag: str) -> None:
    with pytest.raises(
        TemplateError, match=f"^line 2: the tag {tag.split()[0]} is not allowed; allowed are for and if$"
    ):
        compile_template(f"\n{{%- {tag} %}}", FIELDS)


@pytest.mark.parametrize("name", ["loop", "self"])
def test_what_jinja2_gives_a_meaning_is_no_input(name: str) -> None:
    fields = {**FIELDS, name: FIELDS["text"]}
    assert compile_template("{% for x in tags %}{% endfor %}.", fields)(check_inputs(fields, {}), MARK) == "."
    for source in (f"{{{{ {name} }}}}", f"{{% for {name} in tags %}}{{% endfor %}}"):
        with pytest.raises(TemplateError, match=f"'{name}'"):
            compile_template(source, fields)


def test_a_loop_variable_that_python_takes_for_another_is_refused() -> None:
    full_width = "\uff4coop"
    with pytest.raises(TemplateError, match="has to be in ASCII letters"):
        compile_template(
            f"{{% for {full_width} in tags %}}{{{{ loop.index }}}}{{{{ {full_width} }}}}{{% endfor %}}", FIELDS
        )


@pytest.mark.parametrize("source", [*(nested(kind, 390) for kind in NESTED), "{{ " + "1" * 5000 + " }}", "{{ 1e999 }}"])
def test_a_prompt_that_can_not_be_filled_is_reported(source: str) -> None:
    report = PromptReport()
    assert fill(source, {"urgent": True, "level": "low", "text": "a", "tags": [], "cases": []}, report) is None
    assert [error["param"] for error in report.errors] == ["prompt"]


NUMBERS = ["count", "loop.index", "0", "1.5", "9e307", "1e999", "0x" + "f" * 40]
TEXTS = ["text", "level", "x", "x.name", "'a'", '"\\ud800"']
OTHERS = ["urgent", "tags", "numbers", "cases", "anything", "x.items", "loop.last", "true", "none", "loop", "self"]
ATOMS = st.sampled_from([*NUMBERS, *TEXTS, *OTHERS])
SIGNS = st.sampled_from(["{{", "}}", "{%", "%}", "{#", "#}", "(", "]", "|", "-", ".", "if", "else", "for", "in", "not"])


def expressions() -> SearchStrategy[str]:
    return st.recursive(
        ATOMS,
        lambda inner: (
            st.tuples(inner, st.sampled_from((" and ", " or ", " == ", " != ", " in ")), inner).map("".join)
            | st.tuples(st.sampled_from(NUMBERS), st.sampled_from((" < ", " >= ")), inner).map("".join)
            | st.tuples(inner, st.sampled_from((" | length", " | upper", " | trim", " | join"))).map("".join)
            | st.tuples(inner, inner, inner).map(lambda three: f"({three[0]} if {three[1]} else {three[2]})")
            | st.tuples(inner, st.integers(1, 25)).map(lambda many: "not " * many[1] + many[0])
        ),
        max_leaves=6,
    )


def templates() -> SearchStrategy[str]:
    names = st.sampled_from(("x", "y", "z", "\xaa", "self", "\uff4coop"))
    lists = st.sampled_from(("tags", "numbers", "cases", "x.items"))
    outputs = (ATOMS | expressions()).map(lambda inner: f"{{{{ {inner} }}}}")
    nonsense = st.lists(SIGNS | ATOMS, max_size=12).map(" ".join)
    well_formed = st.recursive(
        outputs | st.sampled_from(("a\n", "\ud800", "{% print %}", "{# b #}")),
        lambda body: (
            st.tuples(body, body).map("".join)
            | st.tuples(expressions(), body, expressions(), body).map(
                lambda four: f"{{% if {four[0]} %}}{four[1]}{{% elif {four[2]} %}}{four[3]}{{% endif %}}"
            )
            | st.tuples(names, lists, body, body).map(
                lambda four: f"{{% for {four[0]} in {four[1]} %}}{four[2]}{{% else %}}{four[3]}{{% endfor %}}"
            )
            | st.tuples(body, st.integers(1, 25)).map(
                lambda many: "{% if urgent %}" * many[1] + many[0] + "{% endif %}" * many[1]
            )
        ),
        max_leaves=6,
    )
    return well_formed | nonsense


@pytest.mark.slow
@given(templates(), inputs_of(FIELDS))
@settings(max_examples=examples(1000))
def test_what_is_accepted_renders(source: str, values: dict[str, Any]) -> None:
    try:
        render = compile_template(source, FIELDS)
    except TemplateError:
        return
    render(check_inputs(FIELDS, values), MARK)


def _by_jinja2(source: str) -> Callable[[Inputs], str]:
    """How Jinja2 itself renders a template that the grammar has let in."""

    class Fields(ImmutableSandboxedEnvironment):
        def getattr(self, obj: Any, attribute: str) -> Any:
            return obj[attribute] if isinstance(obj, dict) else super().getattr(obj, attribute)

    def joined(values: list[Any], separator: str = "") -> str:
        text = separator.join(str(value) for value in values)
        return Bare(text) if values and all(isinstance(value, Bare | int | float) for value in values) else text

    environment = Fields(trim_blocks=True, lstrip_blocks=True, optimized=False, finalize=lambda x: spotlighted(x, MARK))
    environment.filters = {
        "length": len,
        "join": joined,
        "upper": lambda text: type(text)(text.upper()),
        "lower": lambda text: type(text)(text.lower()),
        "trim": lambda text: type(text)(text.strip()),
    }
    template = environment.from_string(source)
    return lambda values: template.render(values).strip()


@given(templates(), inputs_of(FIELDS))
@settings(max_examples=examples(300), deadline=None)
def test_templates_come_out_as_jinja2_renders_them(source: str, values: dict[str, Any]) -> None:
    try:
        render = compile_template(source, FIELDS)
    except TemplateError:
        return
    checked = check_inputs(FIELDS, values)
    assert render(checked, MARK) == _by_jinja2(source)(checked)


FILTERED = "text | upper | lower | trim | length"
MANY = [{"items": ["a"] * 50}] * 500


@pytest.mark.parametrize(
    ("source", "values"),
    [
        pytest.param(
            "{% for c in cases %}{% for i in c.items %}{{ " + FILTERED + " }}{% endfor %}{% endfor %}",
            {"text": "x" * 50_000, "cases": MANY},
            id="nested loops with filters",
        ),
        pytest.param(
            "{% for c in cases %}{% for i in c.items %}{% if text == text or 'y' in text %}{% endif %}"
            "{% endfor %}{% endfor %}",
            {"text": "x" * 50_000, "cases": MANY},
            id="nested loops that compare",
        ),
        pytest.param(
            "{% for c in cases %}{% if tags | join | length > 1 %}{% endif %}{% endfor %}",
            {"tags": ["x" * 1_000] * 100, "cases": [{"items": ["a"]}] * 500},
            id="a join in a loop",
        ),
        pytest.param(
            "{% for c in cases %}{% if cases == cases %}{% endif %}{% endfor %}",
            {"cases": MANY},
            id="lists that compare",
        ),
        pytest.param(
            "{% for c in cases %}{% for i in c.items %}"
            + "{% if urgent %}{% endif %}" * 50
            + "{% endfor %}{% endfor %}",
            {"cases": MANY},
            id="nothing but turns",
        ),
    ],
)
def test_a_template_that_would_take_too_much_work_stops(source: str, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=f"takes over {MOST_STEPS} steps"):
        rendered(source, **values)


def test_a_long_honest_template_takes_few_steps() -> None:
    source = (
        "{% for c in cases %}{{ loop.index }}. {{ c.name | upper }}: {{ c.items | join(', ') }}\n{% endfor %}{{ text }}"
    )
    cases = [{"name": f"Case {n}", "items": ["one", "two"]} for n in range(500)]
    assert rendered(source, text="x" * 50_000, cases=cases).count("CASE") == 500


@given(texts(0, 300), texts(0, 300))
def test_a_template_with_other_texts_differs_only_inside_the_tags(one: str, other: str) -> None:
    source = "Before {{ text }} between\n{% for tag in tags %}- {{ tag }}\n{% endfor %}{{ tags }} {{ anything }} after"

    def outside(text: str) -> str:
        result = rendered(source, text=text or "x", tags=[text or "x"] * 2, anything={"a": text or "x"})
        return re.sub(rf"<data-{MARK}>.*?</data-{MARK}>", "DATA", result, flags=re.DOTALL)

    assert outside(one) == outside(other)


@given(texts(0, 300))
def test_nothing_inside_the_tags_looks_like_a_tag(text: str) -> None:
    inside = spotlighted(text or "x", MARK).removeprefix(f"<data-{MARK}>").removesuffix(f"</data-{MARK}>")
    assert not re.search(r"<\s*/?\s*data\s*-", inside, re.IGNORECASE)


@given(st.text(alphabet="ab <>/\n", max_size=50).filter(bool))
def test_harmless_texts_are_not_changed(text: str) -> None:
    assert without_tags(spotlighted(text, MARK)).strip("\n") == text.strip("\n")


def test_the_boundary_is_stable_for_equal_inputs_and_differs_with_them() -> None:
    assert boundary("a", {"x": 1, "y": 2}) == boundary("a", {"y": 2, "x": 1})
    assert len({boundary("a", {"x": 1}), boundary("b", {"x": 1}), boundary("a", {"x": 2})}) == 3


def test_a_caller_s_text_does_not_become_the_author_s_by_a_filter() -> None:
    assert "data-" in rendered("{{ tags | join }}", tags=["1"])
    assert "data-" in rendered("{{ text | trim }}", text="low")
    assert spotlighted(Bare("low"), MARK) == "low"


def test_a_prompt_has_a_bound() -> None:
    source = "{% for tag in tags %}{{ tag }}{{ tag }}{{ tag }}{% endfor %}"
    with pytest.raises(InvalidRequestError, match=f"over {MOST_PROMPT_CHARACTERS} characters"):
        rendered(source, tags=["x" * 45_000] * 4)
