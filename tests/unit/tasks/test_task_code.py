"""What the tasks' own code and thresholds decide, without a model."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from sluice.catalog.reader import SHARED
from sluice.routing.intent import Complexity
from sluice.tasks.code import question_generation, test_case_generation
from sluice.tasks.code.grade_feedback import bounded, rule_based_score
from sluice.tasks.code.test_case_generation import sift
from sluice.tasks.complexity import USUAL, Thresholds
from sluice.tasks.task import Task, TaskFile, read_task
from sluice.tasks.versions import Traffic
from tests.unit.tasks.test_task_files import FILES

results = st.lists(st.fixed_dictionaries({"passed": st.booleans(), "points": st.floats(0, 1000)}), max_size=20)
cases = st.lists(
    st.fixed_dictionaries(
        {
            "input": st.sampled_from(["", "1", "1\n", " 1", "2"]) | st.integers(),
            "expected_output": st.sampled_from(["", " ", "3"]),
            "description": st.sampled_from(["", "It adds."]),
            "category": st.sampled_from(["typical", "edge", "odd"]),
        }
    )
    | st.integers(),
    max_size=12,
)


@given(results, st.floats(1, 1000))
def test_the_rule_based_score_is_from_nothing_to_the_most(test_results: list[dict[str, Any]], most: float) -> None:
    score = rule_based_score(test_results, most)
    assert 0 <= score <= most + 0.01
    if test_results and all(each["passed"] and each["points"] > 1 for each in test_results):
        assert score == pytest.approx(most, abs=0.01)


@given(st.floats(-50, 1500), st.floats(0, 1), st.floats(1, 1000), st.integers(0, 100))
def test_a_model_s_score_stays_within_the_leeway(by_model: float, share: float, most: float, leeway: int) -> None:
    by_rule = share * most
    score = bounded(by_model, by_rule, most, leeway)
    assert -0.01 <= score <= most + 0.01
    assert abs(score - by_rule) <= most * leeway / 100 + 0.01
    if abs(by_model - by_rule) <= most * leeway / 100 and 0 <= by_model <= most:
        assert score == pytest.approx(by_model, abs=0.01)


@given(cases, st.booleans(), st.sets(st.sampled_from(["1", "2"])))
def test_cases_that_are_kept_are_valid_new_and_different(
    proposed: list[Any], takes_edges: bool, known: set[str]
) -> None:
    before = set(known)
    kept, rejected = sift({"test_cases": proposed}, known, takes_edges=takes_edges)
    assert len(kept) + rejected == len(proposed)
    inputs = [case["input"].replace("\r\n", "\n").removesuffix("\n") for case in kept]
    assert len(set(inputs)) == len(inputs)
    assert not before & set(inputs)
    assert all(case["expected_output"].strip() and case["description"] for case in kept)
    assert all(case["category"] == "typical" or takes_edges for case in kept)
    assert all(case.keys() == {"input", "expected_output", "description", "category"} for case in kept)


@pytest.mark.parametrize("output", [None, [], {}, {"test_cases": 1}, {"test_cases": None}, "x"])
def test_an_output_without_cases_has_none(output: Any) -> None:
    assert sift(output, set(), takes_edges=True) == ([], 0)


def _task(name: str) -> Task:
    return read_task(SHARED / "tasks" / f"{name}.toml")


@pytest.mark.parametrize(("takes_edges", "category"), [(True, "edge"), (False, "typical")])
def test_a_model_held_to_a_schema_writes_the_cases_asked_for(takes_edges: bool, category: str) -> None:
    own = _task("test_case_generation").schema or {}
    schema = test_case_generation.narrowed(own, 2, takes_edges=takes_edges)
    case = {"input": "1", "expected_output": "1", "description": "One.", "category": category}
    is_valid = Draft202012Validator(schema).is_valid
    assert [is_valid({"test_cases": [case] * number}) for number in (1, 2, 3)] == [False, True, False]
    assert is_valid({"test_cases": [case, case | {"category": "edge"}]}) == takes_edges
    assert not is_valid({"test_cases": [case, case | {"description": "x" * 301}]})
    assert own == _task("test_case_generation").schema


@pytest.mark.parametrize("categories", [[], ["Databases"]])
def test_a_model_held_to_a_schema_writes_the_questions_asked_for(categories: list[str]) -> None:
    own = _task("question_generation").schema or {}
    is_valid = Draft202012Validator(question_generation.narrowed(own, 2, categories)).is_valid
    question = {"question": "What is an index?", "category": "Databases", "expected_points": ["Faster reads."]}
    assert [is_valid({"questions": [question] * number}) for number in (1, 2, 3)] == [False, True, False]
    assert is_valid({"questions": [question, question | {"category": "Cooking"}]}) == (not categories)
    for points in ([], ["It is fast."] * 6, ["x" * 161]):
        assert not is_valid({"questions": [question, question | {"expected_points": points}]})
    assert own == _task("question_generation").schema


@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        ("test_case_generation", {"num_cases": 3}, "simple"),
        ("test_case_generation", {"num_cases": 4}, "medium"),
        ("test_case_generation", {"num_cases": 10}, "medium"),
        ("test_case_generation", {"num_cases": 11}, "complex"),
        ("grade_feedback", {"has_complex_errors": True, "code": ""}, "complex"),
        ("grade_feedback", {"has_complex_errors": False, "code": "x" * 3001}, "complex"),
        ("grade_feedback", {"has_complex_errors": False, "code": "x" * 3000}, "medium"),
        ("grade_feedback", {"has_complex_errors": False, "code": "x" * 1001}, "medium"),
        ("grade_feedback", {"has_complex_errors": False, "code": "x" * 1000}, "simple"),
        ("deadline_suggestion", {}, "complex"),
        ("statement_analysis", {"problem_statement": "x" * 2001}, "complex"),
        ("statement_analysis", {"problem_statement": "x" * 2000}, "medium"),
        ("statement_analysis", {"problem_statement": "x"}, "medium"),
        ("hint_generation", {"hint_level": 3}, "medium"),
        ("hint_generation", {"hint_level": 2}, "simple"),
        ("hint_generation", {"hint_level": 1}, "simple"),
        ("grade_insights", {"submission_count": 51}, "complex"),
        ("grade_insights", {"submission_count": 50}, "medium"),
        ("grade_insights", {"submission_count": 1}, "medium"),
    ],
)
def test_thresholds_of_tasks(name: str, inputs: dict[str, Any], expected: str) -> None:
    assert _task(name).file.complexity.judge(inputs, 5000) is Complexity(expected)


# Those that have thresholds of their own for this: "feedback" is both of a grade and of a lesson.
_OTHERWISE_JUDGED = {
    "test_case_generation",
    "grade_feedback",
    "feedback_generation",
    "statement_analysis",
    "hint_generation",
    "grade_insights",
    "insight_narrative",
}


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem not in _OTHERWISE_JUDGED], ids=lambda path: path.stem
)
def test_any_other_task_is_complex_over_a_thousand_characters_of_prompt(path: Path) -> None:
    task = read_task(path)
    for example in task.file.examples:
        assert task.file.complexity.judge(task.check_inputs(example.inputs), 1001) is Complexity.COMPLEX


@given(st.integers(0, 3000))
def test_a_task_without_thresholds_is_judged_by_its_prompt(characters: int) -> None:
    expected = "complex" if characters > 1000 else "medium" if characters > 200 else "simple"
    assert USUAL.judge({}, characters) is Complexity(expected)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=5), st.integers(0, 120))
def test_the_first_threshold_that_holds_decides(bounds: list[int], value: int) -> None:
    rules = [
        {"level": "complex" if number % 2 else "medium", "value": "n", "over": bound}
        for number, bound in enumerate(bounds)
    ]
    thresholds = Thresholds.model_validate({"default": "simple", "rules": rules})
    first = next((rule["level"] for rule in rules if value > float(str(rule["over"]))), "simple")
    assert thresholds.judge({"n": value}, 0) is Complexity(str(first))


def definition(**change: Any) -> dict[str, Any]:
    return {
        "group": "teaching",
        "description": "A task.",
        "system": "Be kind.",
        "user": "{{ code }} {{ level }} {{ count }}",
        "inputs": {
            "code": {"type": "string", "description": "Code.", "max_length": 10},
            "level": {"type": "enum", "description": "Level.", "values": ["a", "b"], "default": "a"},
            "count": {"type": "integer", "description": "Count.", "minimum": 0, "maximum": 9, "default": 1},
        },
        "output": {"format": "text"},
        **change,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"complexity": {"default": "hard"}},
        {"complexity": {"default": "simple", "rules": [{"level": "medium", "value": "code", "over": 1}]}},
        {"complexity": {"default": "simple", "rules": [{"level": "medium", "value": "nothing", "over": 1}]}},
        {"complexity": {"default": "simple", "rules": [{"level": "medium", "length": "count", "over": 1}]}},
        {"complexity": {"default": "simple", "rules": [{"level": "medium", "value": "level", "equals": "c"}]}},
        {"complexity": {"default": "simple", "rules": [{"level": "medium", "value": "count"}]}},
        {"complexity": {"default": "simple", "rules": [{"level": "medium", "over": 1}]}},
        {"complexity": {"default": "simple", "rules": [{"level": "medium", "value": "count", "over": 1, "equals": 2}]}},
        {"quality": {"mentions": ["count"]}},
        {"quality": {"expected": ["|"]}},
        {"quality": {"structure": ["table"]}},
        {"output": {"format": "json"}},
        {"output": {"format": "text", "schema": "{}"}},
        {"output": {"format": "json", "schema": '{"type": "array"}'}},
        {"examples": [{"title": "x", "inputs": {"nothing": 1}}]},
        {"inputs": {}},
        {"cache_ttl_s": -1},
        {"user": " "},
    ],
)
def test_a_task_that_does_not_hang_together_is_refused(change: dict[str, Any]) -> None:
    TaskFile.model_validate(definition())
    with pytest.raises(ValidationError):
        TaskFile.model_validate(definition(**change))


def test_a_wrong_file_is_named_with_its_field(tmp_path: Any) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(
        'group = "x"\ndescription = "y"\nsystem = "s"\nuser = "u"\ncolour = 1\n[inputs]\n[output]\nformat = "text"\n'
    )
    with pytest.raises(ValueError, match=r"^broken\.toml: (inputs|colour)"):
        read_task(path)
    path.write_text("group =")
    with pytest.raises(ValueError, match=r"^broken\.toml: "):
        read_task(path)


@given(st.text(max_size=20), st.integers(1, 99))
def test_a_subject_always_gets_the_same_version(subject: str, percent: int) -> None:
    traffic = Traffic("1", "2", percent)
    assert traffic.version_for(subject) == traffic.version_for(subject)
    assert Traffic("1").version_for(subject) == "1"


@given(st.text(max_size=20), st.integers(1, 98))
def test_a_larger_share_only_adds_to_a_version_s_subjects(subject: str, percent: int) -> None:
    if Traffic("1", "2", percent).version_for(subject) == "2":
        assert Traffic("1", "2", percent + 1).version_for(subject) == "2"


@pytest.mark.parametrize("percent", [1, 20, 50, 99])
def test_a_split_comes_near_its_percentage(percent: int) -> None:
    traffic = Traffic("1", "2", percent)
    drawn = [traffic.version_for(f"caller-{number}") for number in range(4000)]
    assert drawn.count("2") / 4000 == pytest.approx(percent / 100, abs=0.03)
