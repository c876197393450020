"""Every file in shared/tasks: it loads, its examples render, and no input makes it fail or leaves its place."""

import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.catalog.reader import SHARED
from sluice.tasks.spotlighting import boundary
from sluice.tasks.task import Task, read_task
from tests.examples import examples
from tests.task_inputs import inputs_of

FILES = sorted((SHARED / "tasks").glob("*.toml"))

GUIDE = Path(__file__).parents[3] / "docs" / "tasks.md"

few = settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@cache
def task(path: Path) -> Task:
    return read_task(path)


each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_the_guide_s_example_is_a_task(tmp_path: Path) -> None:
    [example] = re.findall(r"(?s)```toml\n(.*?)```", GUIDE.read_text())
    (tmp_path / "example.toml").write_text(example)
    made = read_task(tmp_path / "example.toml")
    made.compile()
    assert made.file.inputs.keys() == {"alert", "audience", "events"}
    assert made.render(made.check_inputs(made.file.examples[0].inputs)).complexity == "simple"


@each_file
def test_a_file_is_complete(path: Path) -> None:
    task(path).compile()
    file = task(path).file
    assert file.examples, "a task has at least one example"
    used = " ".join((file.system, file.user))
    # An input may also be there for the thresholds or for the task's own code.
    judged = {rule.value or rule.length for rule in file.complexity.rules}
    for name in file.inputs:
        assert name in judged or re.search(rf"\b{name}\b", used), f"the input {name} is not used"


@each_file
def test_its_examples_render(path: Path) -> None:
    for example in task(path).file.examples:
        rendered = task(path).render(task(path).check_inputs(example.inputs))
        assert rendered.user
        assert rendered.system
        assert example.contains, f"{example.title}: says nothing of what a good answer contains"


@pytest.mark.slow
@each_file
@given(data=st.data())
@few
def test_no_valid_input_makes_it_fail_or_leaves_its_place(path: Path, data: st.DataObject) -> None:
    inputs = task(path).check_inputs(data.draw(inputs_of(task(path).file.inputs)))
    rendered = task(path).render(inputs)
    mark = boundary(path.stem, inputs)
    for text in (rendered.user, rendered.system.split("\n\nText between <data-")[0]):
        # Tags come in pairs, none inside another, and nothing else in the text looks like one.
        outside = re.sub(
            rf"<data-{mark}>(?:(?!<\s*/?\s*data\s*-).)*</data-{mark}>", "", text, flags=re.DOTALL | re.IGNORECASE
        )
        assert not re.search(r"<\s*/?\s*data\s*-", outside, re.IGNORECASE)


@pytest.mark.slow
@each_file
@given(data=st.data())
@few
def test_equal_inputs_make_equal_prompts(path: Path, data: st.DataObject) -> None:
    given_inputs = data.draw(inputs_of(task(path).file.inputs))
    turned = dict(reversed(given_inputs.items()))
    first, second = (task(path).render(task(path).check_inputs(values)) for values in (given_inputs, turned))
    assert first == second
