"""Suites that are programs with a report in JSON: llm-comply, compatcanary, trustedrouter-provider-check."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.compat.environments import Command
from tools.compat.exclusions import TestResult, Verdict

TIMEOUT_S = 300
MODEL = "gpt-4o-mini"
"""What they ask for; the scripted provider serves it."""
CLAUDE = "claude-haiku-4-5"
"""The same for tests that ask for what only models of that name are asked for."""
_LONGEST_EVIDENCE = 2_000


def llm_comply(program: Path, part: str, env: Mapping[str, str], directory: Path) -> Sequence[TestResult]:
    """One of its formats: openai-chat, open-responses or anthropic."""
    options = ["--format", part, "--json", "--model", CLAUDE if part == "anthropic" else MODEL]
    options += ["--base-url", env["OPENAI_BASE_URL"], "--api-key", env["OPENAI_API_KEY"]]
    if part == "anthropic":
        options += ["--auth-header", "x-api-key", "--no-bearer", "--header", "anthropic-version:2023-06-01"]
    report = _json(_run([program / "llm-comply", *options], env, directory))
    return [
        TestResult(each["id"], _verdict(each["status"]), "; ".join(each.get("errors", ())))
        for each in report["results"]
    ]


def compatcanary(program: Path, part: str, env: Mapping[str, str], directory: Path) -> Sequence[TestResult]:
    """The probes of its profile `modern` that belong to chat or to responses."""
    options = ["--format", "json", "--fail-on", "never", "--base-url", env["OPENAI_BASE_URL"], "--model", MODEL]
    report = _json(_run([program / "compatcanary", "scan", *options], env, directory))
    return [
        TestResult(each["id"], _verdict(each["status"]), each["summary"])
        for each in report["results"]
        if each["id"].startswith("responses.") == (part == "responses")
    ]


def provider_check(program: Path, part: str, env: Mapping[str, str], directory: Path) -> Sequence[TestResult]:
    """All tiers up to the one that `part` names, `tier 5`. A warning is a failure unless it is known."""
    path = directory / "report.json"
    options = ["--model", MODEL, "--tier", part.removeprefix("tier "), "--base-url", env["OPENAI_BASE_URL"]]
    output = _run(
        [program / "trustedrouter-provider-check", *options, "--json", path],
        {**env, "TR_PROVIDER_API_KEY": env["OPENAI_API_KEY"]},
        directory,
    )
    report = _json(path.read_text() if path.exists() else output)
    return [
        TestResult(each["id"], _verdict(each["status"]), json.dumps(each["measured"])[:_LONGEST_EVIDENCE])
        for each in report["checks"]
    ]


PROGRAMS: Mapping[str, Callable[[Path, str, Mapping[str, str], Path], Sequence[TestResult]]] = {
    "llm-comply": llm_comply,
    "compatcanary": compatcanary,
    "trustedrouter-provider-check": provider_check,
}


class ReportError(Exception):
    """A program wrote no report. The message is what it wrote instead."""


def _verdict(status: str) -> Verdict:
    if status in ("pass", "passed"):
        return "passed"
    return "skipped" if status in ("skip", "skipped") else "failed"


def _run(command: Command, env: Mapping[str, str], directory: Path) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        command, cwd=directory, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return done.stdout or done.stderr


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ReportError(text[-1000:]) from None
