"""`make bench` runs, and prints what docs/measurements.md shows. How fast anything was is not looked at."""

import os
import subprocess
import sys

import pytest

from tools.processes import ROOT, free_port


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(["layers/sluice", "."])}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)


def _tables(output: str) -> dict[str, dict[str, list[str]]]:
    """By heading: the rows of its tables, by first cell."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in output.splitlines():
        if line.startswith("### "):
            rows = found.setdefault(line.removeprefix("### "), {})
        elif line.startswith("| ") and not line.startswith("| ---"):
            first, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            rows[first] = cells
    return found


def test_a_quick_run_measures_requests_and_dynamodb() -> None:
    run = _bench("--quick", "times", "configuration", "dynamodb")
    assert run.returncode == 0, run.stderr
    tables = _tables(run.stdout)
    asked = tables["AI configuration"]
    assert asked["`GET /api/v1/ai/configuration`"][1] == "1.0 GetItem, 1.0 UpdateItem"
    assert not any("Scan" in cells[1] for cells in asked.values())
    assert {"cache hit, whole", "cache miss, streamed", "floor: one GetItem of boto3"} <= tables["Requests"].keys()
    dynamodb = tables["DynamoDB"]
    assert dynamodb["cache hit"][0].startswith("4 ")
    assert dynamodb["cache hit"][2] == "2"
    assert dynamodb["cache miss"][2] == "2 + 1"
    assert "A saturated deployment's item (77 slots of 4 limits)" in run.stdout


def test_a_quick_run_starts_every_function_and_weighs_the_layers() -> None:
    run = _bench("--quick", "starts")
    assert run.returncode == 0, run.stderr
    rows = _tables(run.stdout)["Cold start and size"]
    assert {"floor: boto3 and a client", "chat, groq", "keys", "layer dependencies", "both"} <= rows.keys()


def test_a_quick_run_simulates_a_fleet() -> None:
    run = _bench("--quick", "scale")
    assert run.returncode == 0, run.stderr
    rows = _tables(run.stdout)["Quotas at scale"]
    assert rows["deployment, 400/s"][:2] == [rows["deployment, 400/s"][0]] * 2  # a unit for each write
    assert rows["3,000 requests a minute, 1.2 times offered"][-1] == "0"


def test_a_quick_run_measures_the_guards() -> None:
    run = _bench("--quick", "guards")
    assert run.returncode == 0, run.stderr
    rows = _tables(run.stdout)["Guards"]
    assert {
        "a prompt of 1 KB of prose",
        "references that fan out 40 to 6",
        "filters in loops of a template",
    } <= rows.keys()


def test_a_quick_run_puts_another_gateway_beside_this_one() -> None:
    """The other is the provider itself, which speaks the same protocol."""
    port = free_port()
    run = _bench("--quick", "--vs", f"http://127.0.0.1:{port}/v1", "--provider-port", str(port))
    assert run.returncode == 0, run.stderr
    rows = _tables(run.stdout)["Beside another gateway"]
    assert all(float(rows[name][-1]) > 0 for name in ("Sluice", "the other"))
    assert float(rows["Sluice"][-3]) + float(rows["Sluice"][-2]) > 0
    # It was found by its port; what it took is too little to be seen in ten requests.
    assert "not on this machine" not in rows["the other"]


@pytest.mark.parametrize("name", ["nonsense", "requests"])
def test_an_unknown_section_is_refused(name: str) -> None:
    run = _bench(name)
    assert run.returncode == 2
    assert f"there is no section '{name}'" in run.stderr


def test_a_quick_run_measures_the_embedding_model() -> None:
    run = _bench("--quick", "embedding")
    assert run.returncode == 0, run.stderr
    rows = _tables(run.stdout)["The embedding model"]
    assert rows["potion-base-8M, as it is deployed"][0] == "256"
    assert 0.4 < float(rows["potion-base-8M, as it is deployed"][5]) < 0.6
    assert {"2,048 of 20 words, base64", "1 of 20 words, float"} <= rows.keys()


def test_a_client_s_month_of_embeddings_costs_what_is_to_be_spent_on_it() -> None:
    run = _bench("embedding-cost")
    assert run.returncode == 0, run.stderr
    rows = _tables(run.stdout)["What embeddings cost"]
    assert rows["`text-embedding-3-small`"][-1] == rows["`potion-base-8M`"][-1] == "kept"
    assert rows["`potion-base-8M`"][3] == "$0.00"


def test_a_quick_run_measures_search_and_says_whether_exact_words_are_worth_it() -> None:
    run = _bench("--quick", "search")
    assert run.returncode == 0, run.stderr
    assert "exact words are not worth it" in run.stdout
    rows = _tables(run.stdout)["Search in stores"]
    assert float(rows["stretches of documentation"][-1]) > 0.95
