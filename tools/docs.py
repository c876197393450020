"""The tables of the documentation that repeat what code and data say. `python -m tools.docs` writes them.

A page holds a table between two comments, `<!-- tasks -->` and `<!-- /tasks -->`; what stands between them is replaced.
A test holds the pages equal to what would be written.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from sluice.api.absent import ABSENT
from sluice.api.openapi.document import document
from sluice.catalog.catalog import catalog
from sluice.catalog.model import Model
from sluice.catalog.reader import SHARED
from sluice.guards.rules import (
    GUARD_MODEL_ANSWER,
    GUARD_MODEL_PROMPT,
    GUARD_MODEL_UNAVAILABLE,
    PROMPT_EMPTY,
    PROMPT_OVERSIZED,
    Direction,
    rules,
)
from sluice.tasks.task import read_task
from tools import template
from tools.compat import tables
from tools.processes import ROOT

DECISIONS = ROOT / "docs" / "decisions"
_STATUS = re.compile(
    r"(?m)^Accepted, (\d{4}-\d\d-\d\d)(?: \(.+\))?(?:; (superseded by \[\d{4}\]\(.+\.md\)), \d{4}-\d\d-\d\d)?$"
)

_TITLE = re.compile(r"# (\d{4})\. (.+)")
_BLOCK = re.compile(r"(?s)(<!-- ([a-z]+) -->\n).*?(<!-- /\2 -->)")

# Rules that do not match words, so that no file in shared/guards can hold them: what they read, and fire on.
_OTHER_RULES = {
    PROMPT_EMPTY: ("prompt", "No message has content: a model answers to a system prompt or a history alone"),
    PROMPT_OVERSIZED: (
        "prompt",
        "The messages have more characters than `PROMPT_MAX_CHARACTERS`. The code is `context_length_exceeded`, by "
        "which clients know to shorten them",
    ),
    GUARD_MODEL_PROMPT: ("prompt", "The tenant's guard model takes the prompt for an attack"),
    GUARD_MODEL_ANSWER: ("answer", "The tenant's guard model finds the answer unsafe"),
    GUARD_MODEL_UNAVAILABLE: (
        "prompt and answer",
        "The tenant's guard model could not judge. It blocks, with 503, or flags as `when_unavailable` says",
    ),
}

_READ = {Direction.PROMPT: "prompt", Direction.OUTPUT: "answer"}


def pages() -> list[Path]:
    """Every page of the documentation."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def written(page: str) -> str:
    """The text of a page with its tables as they should be; ValueError for a table that there is none of."""

    def block(found: re.Match[str]) -> str:
        opening, name, closing = found.groups()
        if name not in TABLES:
            raise ValueError(f"there is no table {name!r}, only {', '.join(TABLES)}")
        return f"{opening}\n{TABLES[name]()}\n\n{closing}"

    return _BLOCK.sub(block, page)


def routes() -> str:
    """The API's routes by subject, from its own description."""
    described = document()
    rows: dict[str, list[tuple[str, str, str]]] = {tag["name"]: [] for tag in described["tags"]}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            security = operation["security"]
            roles = dict.fromkeys(scope for scheme in security for scopes in scheme.values() for scope in scopes)
            needed = ", ".join(roles) or "anybody"
            needed = f"anybody, {needed} for more" if {} in security else needed
            text = ". ".join(filter(None, (operation["summary"], operation.get("description"))))
            rows[operation["tags"][0]].append((f"`{method.upper()} {path}`", needed, text))
    return "\n\n".join(
        f"**{tag['name']}.** {tag['description']}\n\n{_table(('route', 'role', 'what it does'), rows[tag['name']])}"
        for tag in described["tags"]
    )


def headers() -> str:
    """The headers of an answer that a model gave, from the API's description."""
    return _table(
        ("header", "what it says", "for example"),
        (
            (f"`{name}`", header["description"], f"`{header['example']}`" if "example" in header else "")
            for name, header in document()["components"]["headers"].items()
        ),
    )


def parameters() -> str:
    """The parameters of template.yaml."""
    return _table(
        ("parameter", "default", "meaning"),
        (
            (f"`{name}`", f"`{found['Default']}`" if found["Default"] != "" else "", _meaning(found))
            for name, found in template.load()["Parameters"].items()
        ),
    )


def tasks() -> str:
    """The tasks, by group and name."""
    found = [read_task(path) for path in sorted((SHARED / "tasks").glob("*.toml"))]
    return _table(
        ("task", "group", "what it does", "answers with"),
        (
            (f"`{task.name}`", task.file.group, task.file.description, _format(task.file.output.format))
            for task in sorted(found, key=lambda task: (task.file.group, task.name))
        ),
    )


def guards() -> str:
    """The guard rules, the blocking ones first."""
    rows = [(f"`{name}`", "block", reads, said) for name, (reads, said) in _OTHER_RULES.items()]
    rows += [
        (
            f"`{rule.id}`",
            str(rule.mode),
            " and ".join(_READ[each] for each in sorted(rule.applies, reverse=True)),
            rule.description,
        )
        for rule in sorted(rules(), key=lambda rule: rule.mode)
    ]
    return _table(("rule", "mode", "reads", "fires on"), rows)


def providers() -> str:
    """The rows of shared/providers.toml."""
    return _table(
        ("provider", "adapter", "time-out", "where it is"),
        (
            (f"`{row.name}`", row.adapter, f"{row.timeout_s:g} s", _where(row.adapter, row.base_url))
            for row in catalog().providers.values()
        ),
    )


def models() -> str:
    """The models of shared/models.toml, with their limits for each credential."""
    return _table(
        ("model", "provider", "tier", "context window", "limits of a credential", "also called"),
        (
            (
                f"`{model.id}`",
                f"`{model.provider}`",
                _serves(model),
                f"{model.context_window:,}",
                ", ".join(f"{capacity:,} {_words(name)}" for name, capacity in model.limits.items()),
                ", ".join(f"`{alias}`" for alias in model.aliases),
            )
            for model in catalog().models
        ),
    )


def replacements() -> str:
    """Models that are gone, and what answers to their names."""
    return _table(
        ("asked for", "answered by"), ((f"`{name}`", f"`{model}`") for name, model in catalog().replacements.items())
    )


def decisions() -> str:
    """The decision records by number; ValueError for one without a title, a number, a status or a date."""
    rows = []
    for path in sorted(DECISIONS.glob("[0-9]*.md")):
        text = path.read_text()
        title, status = _TITLE.match(text), _STATUS.search(text)
        if title is None or status is None or not path.name.startswith(title[1]):
            raise ValueError(f"{path.name} begins with '# <its number>. <title>' and 'Accepted, <date>', or should")
        rows.append((f"[{title[1]}]({path.name})", title[2], status[2] or "accepted", status[1]))
    return _table(("number", "decision", "status", "decided"), rows)


def clients() -> str:
    """What came of the quickstarts of clients, as `make compat` recorded it."""
    return _table(("client", "version", "API", "program", "works"), tables.client_rows())


def quickstarts() -> str:
    """How to point each client at Sluice."""
    return tables.quickstart_sections()


def suites() -> str:
    """What came of outside test suites."""
    return _table(("suite", "version", "licence", "part", "API", "passed", "failed", "left out"), tables.suite_rows())


def absent() -> str:
    """What the APIs of OpenAI and Anthropic have and Sluice has not."""
    return _table(
        ("path", "what", "instead"),
        ((f"`{_methods(each.methods)}{each.path.replace('{}', '{id}')}`", each.name, each.instead) for each in ABSENT),
    )


def exclusions() -> str:
    """Which tests of outside suites are left out, and why."""
    return _table(("suite", "part", "tests", "because each"), tables.left_out_rows())


TABLES: Mapping[str, Callable[[], str]] = {
    table.__name__: table
    for table in (
        *(routes, headers, parameters, tasks, guards, providers, models, replacements, decisions),
        *(clients, quickstarts, suites, exclusions, absent),
    )
}


def main() -> None:
    """Write all tables, and name the pages that changed."""
    for page in pages():
        before = page.read_text()
        after = written(before)
        if after != before:
            page.write_text(after)
            print(page.relative_to(ROOT))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(_line(cell).replace("|", r"\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _methods(methods: Collection[str]) -> str:
    """Methods as they stand before a path, nothing if all are meant."""
    return "" if len(methods) > len(("POST", "PATCH")) else f"{', '.join(sorted(methods, reverse=True))} "


def _meaning(parameter: Mapping[str, Any]) -> str:
    choices = [str(value) for value in parameter.get("AllowedValues", ())]
    listed = f" One of {', '.join(choices)}." if choices and choices != ["true", "false"] else ""
    return f"{parameter['Description']}{listed}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _format(output: str) -> str:
    return {"json": "JSON"}.get(output, output)


def _where(adapter: str, base_url: str | None) -> str:
    if base_url is not None:
        return base_url
    if adapter == "builtin":
        return "Sluice's own functions"
    has_none = adapter in {"openai_compatible", "custom_gateway"}
    return "`base_url` of the credential" if has_none else "the SDK knows"


def _serves(model: Model) -> str:
    if model.vectors is not None:
        return f"embeddings, {model.vectors.dimensions:,} dimensions"
    if not model.answers_callers:
        return "guard"
    return str(model.tier) if model.serves is None or model.serves else "by name only"


def _words(limit: str) -> str:
    return limit.replace("_per_", " a ").replace("_", " ")


if __name__ == "__main__":
    main()
