"""The pages: each found in one click, no link that leads nowhere, no name of what there is not."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import sluice
from sluice.api.openapi.document import document
from sluice.catalog.catalog import catalog
from sluice.providers.credentials import Credential, CredentialModel, parse_credentials
from sluice.providers.registry import Registry
from tests.snippets import PROGRAMS, snippets
from tools import docs, template
from tools.processes import ROOT

README = ROOT / "README.md"
SOURCE = ROOT / "layers" / "sluice" / "sluice"

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"(?m)^#{1,6} (.+)$")
_QUOTED = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"(?<![\w./<-])[\w.-]+(?:/[\w.-]+)*\.(?:py|toml|yaml|in)\b(?!-)")
_FOLDER = re.compile(r"(?:[\w.-]+/)+")
_DECISION = re.compile(r"decisions/(\d{4}-[a-z0-9-]+\.md)")
# One of several of this name.
_NOT_IN_THE_TREE = frozenset({"app.py", "requirements.in"})

each_page = pytest.mark.parametrize("page", docs.pages(), ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"(?ms)^( *)```.*?^\1```$", "", page.read_text())


def links(page: Path) -> list[str]:
    return [link for link in _LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in _HEADING.findall(prose(page)))
    return {re.sub(r"\s", "-", heading) for heading in plain}


def test_readme_leads_to_the_architecture_first_and_to_every_page_in_one_click() -> None:
    found = [link.partition("#")[0] for link in links(README)]
    assert found[0] == "docs/architecture.md"
    expected = {str(page.relative_to(ROOT)) for page in docs.pages() if page.parent != docs.DECISIONS}
    assert expected - set(found) == {"README.md"}
    assert "docs/decisions/README.md" in found


@each_page
def test_a_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_a_decision_that_is_referred_to_is_there() -> None:
    numbers = [path.name[:4] for path in sorted(docs.DECISIONS.glob("*.md")) if path.name != "README.md"]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    for folder in ("layers", "functions", "tools", "tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert not re.search(r"docs/decisions/[a-z]", text), f"{path}: without its number"
            for name in _DECISION.findall(text):
                assert (docs.DECISIONS / name).exists(), f"{path}: {name}"


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_a_file_that_is_named_is_there(name: str) -> None:
    text = (ROOT / name).read_text()
    files = set(_FILE.findall(text))
    assert len(files) > 5
    folders = {quoted for quoted in _QUOTED.findall(text) if _FOLDER.fullmatch(quoted)}
    named = (files | folders) - _NOT_IN_THE_TREE
    assert {path for path in named if not ((ROOT / path).exists() or (SOURCE / path).exists())} == set()


def test_every_room_function_and_table_is_on_the_map() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = [f"`{path.name}/`" for path in SOURCE.iterdir() if (path / "__init__.py").exists()]
    modules = [f"`{path.name}`" for path in SOURCE.glob("*.py") if path.name != "__init__.py"]
    pipeline = [f"gateway/{path.name}" for path in (SOURCE / "gateway").glob("*.py") if path.name != "__init__.py"]
    assert [name for name in (*rooms, *modules, *pipeline) if name not in text] == []
    functions = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert _first_cells(text, "function") == functions
    resources = template.load()["Resources"].items()
    tables = {name for name, resource in resources if resource["Type"] == "AWS::DynamoDB::Table"}
    assert _first_cells(text, "table") == tables


def _first_cells(text: str, head: str) -> set[str]:
    """The names in the first column of the table whose first column is called `head`."""
    [table] = re.findall(rf"(?m)^\| {head} \|.*\n\| ---.*\n((?:\| .*\n)+)", text)
    return set(re.findall(r"(?m)^\| `([^`]+)` \|", table))


@each_page
def test_a_target_of_make_that_is_named_is_there(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    named = {name for quoted in _QUOTED.findall(page.read_text()) for name in re.findall(r"^make ([a-z-]+)", quoted)}
    shown = {name for each in snippets(page) for name in re.findall(r"(?m)^make ([a-z-]+)", each.code)}
    assert (named | shown) - targets == set()


def codes(path: Path) -> Iterator[str]:
    """The codes of errors that a module names: as a class's `code`, or as an argument of that name."""
    for node in ast.walk(ast.parse(path.read_text())):
        value: ast.expr | None = None
        if isinstance(node, ast.keyword) and node.arg == "code":
            value = node.value
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names = node.targets if isinstance(node, ast.Assign) else [node.target]
            value = node.value if any(isinstance(name, ast.Name) and name.id == "code" for name in names) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value


@pytest.mark.slow
def test_the_page_on_errors_has_every_code_and_no_other() -> None:
    in_code = {code for path in SOURCE.rglob("*.py") for code in codes(path)}
    rows = re.findall(r"(?m)^\| \d{3} \| (.+?) \|", (ROOT / "docs" / "errors.md").read_text())
    on_page = {code for cell in rows for code in _QUOTED.findall(cell)}
    assert in_code - on_page == set()
    text = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    assert {code for code in on_page if f'"{code}"' not in text} == set()
    statuses = set(re.findall(r"(?m)^\| (\d{3}) \|", (ROOT / "docs" / "errors.md").read_text()))
    described = {status for path in document()["paths"].values() for op in path.values() for status in op["responses"]}
    assert {status for status in described if status >= "400"} <= statuses


def test_the_tour_repeats_a_question_whose_answer_is_kept() -> None:
    [tour] = [each for each in snippets(README) if each.heading == "Five minutes more"]
    first, second = (line for line in tour.code.splitlines() if line.startswith("ask /api/v1/llm/completion"))
    assert first == second
    assert "max_tokens" not in first, "an answer that is cut off is not kept"


def test_what_a_class_pays_at_rest_is_the_sum_of_what_is_billed() -> None:
    [at_rest] = re.findall(
        r"(?s)\nRequests, storage and logs.*?reports and alerts", (ROOT / "docs" / "deploying.md").read_text()
    )
    parts = re.findall(r"three secrets, \$(\d\.\d\d)|so \$(\d\.\d\d)", at_rest)
    assert len(parts) == 3
    total = sum(float(secrets or other) for secrets, other in parts)
    assert f"[${total:.2f} is billed]" in (ROOT / "docs" / "choosing.md").read_text()


def test_what_the_example_of_an_env_file_refers_to_is_there() -> None:
    [(name, heading)] = re.findall(r"\(([\w/.]+\.md), ([A-Z]\w+)\)", (ROOT / ".env.example").read_text())
    assert heading.lower() in anchors(ROOT / name)


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    released = re.findall(r"(?m)^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text())
    assert project["version"] == sluice.__version__ == document()["info"]["version"] == released[0]


def test_the_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    [first, *_] = re.findall(r"(?m)^## (.+)$", text)
    assert first == "[Unreleased]"
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"(?m)^### (.+)$", text)) <= kinds


def shown_credentials() -> list[dict[str, Any]]:
    return [json.loads(each.code) for each in snippets(ROOT / "docs" / "providers.md") if each.language == "json"]


def test_the_credentials_that_are_shown_make_deployments() -> None:
    document, *_ = shown_credentials()
    registry = Registry.build(catalog(), parse_credentials(json.dumps(document)))
    assert {deployment.alias for deployment in registry.deployments} == {"groq-1", "hf-1", "gw-1"}


def test_there_is_a_credential_to_copy_for_each_provider_and_all_of_them_can_be_used() -> None:
    _, *entries = shown_credentials()
    registry = Registry.build(catalog(), parse_credentials(json.dumps({"credentials": entries})))
    assert registry.broken == ()
    assert {deployment.alias for deployment in registry.deployments} == {entry["alias"] for entry in entries}
    assert catalog().providers.keys() - {entry["provider"] for entry in entries} == {"local"}
    for deployment in registry.deployments:
        assert registry.provider(deployment).config is deployment.config


def test_each_field_of_a_credential_is_on_the_page() -> None:
    page = (ROOT / "docs" / "providers.md").read_text()
    names = set(
        re.findall(r"(?m)^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \|", page[page.index("### Fields") : page.index("### What")])
    )
    found = {name for group in names for name in re.findall(r"`([a-z_]+)`", group)}
    assert found == Credential.model_fields.keys() | CredentialModel.model_fields.keys()


def test_each_field_of_a_credential_is_in_an_example() -> None:
    _, *entries = shown_credentials()
    models = [model for entry in entries for model in entry.get("models", {}).values()]
    assert Credential.model_fields.keys() == {name for entry in entries for name in entry}
    assert CredentialModel.model_fields.keys() == {name for model in models for name in model}


@cache
def fences(page: Path) -> list[str]:
    return re.findall(r"(?m)^ *```(\w+)", page.read_text())


@each_page
def test_a_program_that_is_not_run_says_why(page: Path) -> None:
    found = list(snippets(page))
    assert [each.language for each in found if each.language] == fences(page), "every block is found"
    for each in found:
        if each.reason is not None:
            assert each.language in PROGRAMS, each.name
            assert len(each.reason) > 5, each.name
