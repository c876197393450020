"""The page for users of older systems: what its tables name is there, with the defaults that they say."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import pytest

from sluice.api.openapi.document import document
from sluice.catalog.catalog import catalog
from sluice.catalog.reader import SHARED
from sluice.guards.rules import rule_ids
from sluice.providers.credentials import Credential, CredentialModel
from sluice.settings import Settings
from tools import template
from tools.processes import ROOT

PAGE = ROOT / "docs" / "coming-from.md"
SOURCE = ROOT / "layers" / "sluice" / "sluice"

NOTHING = "nothing"
_REFERENCE = re.compile(r"((?:tenant )?[a-z]+) `([^`]+)`")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: what there was, what there is, and what differs."""

    line: int
    before: str
    now: str
    differs: str

    @property
    def references(self) -> list[tuple[str, str]]:
        """Kind and name of each thing in the middle column: `route`, `POST /v1/keys`."""
        return [(kind, name) for kind, name in _REFERENCE.findall(self.now)]


def rows() -> Iterator[Row]:
    for number, line in enumerate(PAGE.read_text().splitlines(), start=1):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if line.startswith("| ") and not line.startswith(("| in the older system", "| ---")):
            assert len(cells) == 3, f"line {number}"
            yield Row(number, *cells)


ROWS = list(rows())


class Recorder(dict[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return default


@cache
def _deployed() -> dict[str, Any]:
    return template.load()


@cache
def _described() -> dict[str, Any]:
    return document()


@cache
def _source() -> str:
    return "".join(path.read_text() for path in SOURCE.rglob("*.py"))


def _is_route(name: str) -> bool:
    method, path = name.split(" ")
    return method.lower() in _described()["paths"].get(path, {})


def _is_setting(name: str) -> bool:
    environment = Recorder()
    Settings.from_environment(environment)
    return name in environment.asked


def _is_parameter(name: str) -> bool:
    name, _, default = name.partition("=")
    found = _deployed()["Parameters"].get(name)
    return found is not None and (not default or str(found["Default"]) == default)


def _value(dotted: str) -> Any:
    """What a name like `sluice.quota.limits.Limit` stands for. `()` after a name makes one of that class."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part.removesuffix("()"))
            found = found() if part.endswith("()") else found
        return found
    raise AssertionError(f"no such module: {dotted}")


def _is_class(name: str) -> bool:
    return isinstance(_value(name), type)


def _is_function(name: str) -> bool:
    return callable(_value(name)) and not isinstance(_value(name), type)


def _is_constant(name: str) -> bool:
    name, value = name.split("=")
    return bool(_value(name) == ast.literal_eval(value))


def _is_table(name: str) -> bool:
    return bool(_deployed()["Resources"].get(name, {}).get("Type") == "AWS::DynamoDB::Table")


def _is_model(name: str) -> bool:
    known = catalog()
    return name in known.replacements or any(model.is_among([name]) for model in known.models)


def _is_error(code: str) -> bool:
    return f'"{code}"' in _source()


def _is_metric(name: str) -> bool:
    return f'emit_metric("{name}"' in _source()


def _is_tenant_setting(name: str) -> bool:
    """What a tenant may have of its own; it is shown, and PATCH changes it."""
    schemas = _described()["components"]["schemas"]
    return all(name in schemas[each]["properties"] for each in ("Tenant", "TenantChange"))


IS_THERE: Mapping[str, Callable[[str], bool]] = {
    "route": _is_route,
    "setting": _is_setting,
    "tenant setting": _is_tenant_setting,
    "field": lambda name: name in Credential.model_fields or name in CredentialModel.model_fields,
    "parameter": _is_parameter,
    "class": _is_class,
    "function": _is_function,
    "constant": _is_constant,
    "table": _is_table,
    "model": _is_model,
    "provider": lambda name: name in catalog().providers,
    "task": lambda name: (SHARED / "tasks" / f"{name}.toml").exists(),
    "rule": lambda name: name in rule_ids(),
    "header": lambda name: name in _described()["components"]["headers"],
    "error": _is_error,
    "metric": _is_metric,
    "file": lambda name: (ROOT / name).exists(),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"line-{row.line}")
def test_what_a_row_names_is_there(row: Row) -> None:
    if row.now == NOTHING:
        assert row.differs, "a row that leads nowhere says why"
        return
    assert row.references
    assert _REFERENCE.sub("", row.now).strip(" ,") == "", "the middle column names things, and nothing else"
    for kind, name in row.references:
        assert kind in IS_THERE, f"{kind} is none of {', '.join(IS_THERE)}"
        assert IS_THERE[kind](name), f"there is no {kind} {name}"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("route", "GET /v1/keyz"),
        ("route", "PUT /v1/keys"),
        ("setting", "GROQ_API_KEY"),
        ("tenant setting", "circuit_failures"),
        ("field", "temperature"),
        ("parameter", "CacheTtl"),
        ("parameter", "CacheTtlSeconds=60"),
        ("class", "sluice.chat.AUTO"),
        ("function", "sluice.chat.ChatRequest"),
        ("constant", "sluice.chat.AUTO='smart'"),
        ("table", "DirectoryFunction"),
        ("model", "gpt-9"),
        ("provider", "redis"),
        ("task", "poetry"),
        ("rule", "prompt-rude"),
        ("header", "x-sluice-mood"),
        ("error", "is_tired"),
        ("metric", "Applause"),
        ("file", "shared/redis.toml"),
    ],
)
def test_what_is_not_there_is_not_found(kind: str, name: str) -> None:
    assert not IS_THERE[kind](name)


@pytest.mark.parametrize(
    "name",
    [
        "GROQ_ENABLE_ROUTING",
        "GROQ_ENABLE_GUARDS",
        "GROQ_ENABLE_CACHING",
        "GROQ_CACHE_TTL_SECONDS",
        "GROQ_MAX_RETRIES",
        "GROQ_TIMEOUT",
        "LLM_PRIMARY_PROVIDER",
        "LLM_FALLBACK_PROVIDER",
        "LLM_MAX_TOKENS",
        "LLM_TEMPERATURE",
        "failure threshold",
        "timeout duration",
        "success threshold",
        "10 messages, 4,000 tokens",
        "fallback_integration_id",
    ],
)
def test_a_setting_of_an_older_system_is_a_parameter_a_tenant_s_or_a_credential_s(name: str) -> None:
    [row] = [row for row in ROWS if name in row.before]
    assert {kind for kind, _ in row.references} & {"parameter", "tenant setting", "field"}


def test_every_kind_of_thing_is_looked_for() -> None:
    assert {kind for row in ROWS for kind, _ in row.references} == set(IS_THERE)


def test_the_paths_of_older_systems_are_all_on_the_page() -> None:
    named = {name for row in ROWS for kind, name in row.references if kind == "route"}
    kept = {
        f"{method.upper()} {path}"
        for path, methods in document()["paths"].items()
        for method in methods
        if path.startswith("/api/")
    }
    assert kept - named == set()
