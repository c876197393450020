"""What is recorded of outside clients: whole, of the versions that are pinned, and read back as it was written."""

from pathlib import Path

import pytest

from tests.fakes import FakeProviderClient
from tools.compat import __main__ as compat
from tools.compat import outcomes, tables
from tools.compat.clients import QUICKSTARTS, Client, clients, version_of
from tools.compat.environments import EnvironmentMissingError
from tools.compat.exclusions import Exclusion, TestResult, exclusions, sorted_out, unused
from tools.compat.outcomes import LeftOut, Outcome, read, record
from tools.compat.quickstart import environment_of_a_run, error_in
from tools.compat.server import CompatServer
from tools.stack import Stack

WORKS = Outcome(client="a", version="1", surface="chat", part="a.py", verdict="works", passed=3)
FAILS = Outcome(client="b", version="2", surface="files", part="b.py", verdict="fails", why="404", failed=("test_b",))
LEFT_OUT = (LeftOut(reason="names a file that is not there", tests=2),)


def test_every_run_is_recorded_and_of_the_version_that_is_pinned() -> None:
    versions = {run: client.version for client in clients() for run in client.runs}
    recorded = {outcome.key: outcome.version for outcome in read()}
    assert recorded == versions, "make compat runs them anew"


def test_every_quickstart_is_a_client_s_and_every_client_has_one_or_a_suite() -> None:
    scripts = [each.script for client in clients() for each in client.quickstarts]
    assert sorted(scripts) == sorted(path.name for path in QUICKSTARTS.iterdir() if path.is_file())
    assert [client.name for client in clients() if not client.runs] == []


def test_a_quickstart_asks_where_make_run_answers_and_with_a_key_to_fill_in() -> None:
    for client in clients():
        for quickstart in client.quickstarts:
            assert "http://localhost:8080" in quickstart.code, quickstart.script
            assert "sl-..." in quickstart.code, quickstart.script


def test_every_package_is_pinned() -> None:
    for client in clients():
        assert all(version_of(package) for package in client.packages)
    assert version_of("@ai-sdk/openai@4.0.118") == "4.0.118"
    with pytest.raises(ValueError, match="'openai' has no pinned version"):
        version_of("openai")
    with pytest.raises(ValueError, match="'@ai-sdk/openai' has no pinned version"):
        version_of("@ai-sdk/openai")


def test_outcomes_replace_those_of_the_same_run_and_keep_the_others(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.json"
    gone = WORKS.model_copy(update={"part": "gone.py"})
    record([FAILS, gone], [FAILS.key, gone.key], path)
    mended = FAILS.model_copy(update={"verdict": "works", "why": "", "failed": (), "left_out": LEFT_OUT})
    record([mended, WORKS], [WORKS.key, FAILS.key], path)
    assert list(read(path)) == [WORKS, mended]


def test_a_failure_says_by_what_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    client = clients()[0]
    _, surface, part = client.runs[0]
    refused = Outcome(
        client=client.name, version="1", surface=surface, part=part, verdict="fails", why="404 | `gone`\nhere"
    )
    monkeypatch.setattr(outcomes, "read", lambda: [refused])
    link = f"[`{part}`](../tools/compat/quickstarts/{part})"
    assert tables.client_rows()[0] == (client.title, "1", surface, link, "no: `404 | 'gone'\nhere`")


def test_a_client_that_there_is_none_of_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compat.main(["openia"])
    assert "there is no client 'openia'; there are openai" in capsys.readouterr().err


UNKNOWN_FILE = Exclusion(suite="s", message="There is no file 'file_id'", reason="names what is not there")
NO_DELETING = Exclusion(suite="s", test="_delete$", message="404", reason="nothing to delete")


def test_a_test_is_left_out_only_if_it_fails_by_what_is_known() -> None:
    results = [
        TestResult("test_create", "passed"),
        TestResult("test_retrieve", "failed", "404 - There is no file 'file_id'."),
        TestResult("test_content", "skipped", "404 - There is no file 'file_id'."),
        TestResult("test_delete", "failed", "404 - There is no such path"),
        TestResult("test_list", "failed", "404 - There is no such path"),
    ]
    passed, failed, left_out = sorted_out("s", results, [UNKNOWN_FILE, NO_DELETING])
    assert passed == 1
    assert [each.name for each in failed] == ["test_list"]
    assert left_out == (
        LeftOut(reason="names what is not there", tests=2),
        LeftOut(reason="nothing to delete", tests=1),
    )


def test_another_suite_s_exclusions_and_tests_that_pass_are_not_left_out() -> None:
    failing = TestResult("test_a", "failed", "There is no file 'file_id'")
    assert sorted_out("other", [failing], [UNKNOWN_FILE])[1:] == ((failing,), ())
    passing = TestResult("test_a", "passed", "There is no file 'file_id'")
    assert sorted_out("s", [passing], [UNKNOWN_FILE]) == (1, (), ())


def test_every_exclusion_is_of_a_suite_and_used_by_what_is_recorded() -> None:
    assert {each.suite for each in exclusions()} <= {client.name for client in clients() if client.suites}
    assert unused(read()) == []
    assert unused([]) == []


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("Traceback:\n  File x\nopenai.NotFoundError: 404\n\nFor more, see a page\n", "openai.NotFoundError: 404"),
        ("APIError: 400 no\n    at x\n\nNode.js v20.20.2\n", "APIError: 400 no"),
        ("Error [ERR_X]: bad\n    at x\n", "Error [ERR_X]: bad"),
        ("something is wrong\n", "something is wrong"),
        ("\n", ""),
    ],
)
def test_the_line_that_says_what_was_wrong_is_found(output: str, told: str) -> None:
    assert error_in(output) == told


def test_a_run_sees_no_secret_of_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    env = environment_of_a_run(tmp_path / "bin", tmp_path)
    assert "OPENAI_API_KEY" not in env
    assert env["HOME"] == str(tmp_path)
    assert env["PATH"].startswith(f"{tmp_path / 'bin'}:")


def test_what_was_not_installed_is_recorded_as_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(client: Client) -> Path:
        raise EnvironmentMissingError(f"{client.name} takes Node.js with npm, which is not installed here")

    monkeypatch.setattr(compat, "environment", missing)
    client = clients()[0]
    server = CompatServer(Stack("http://localhost:1/v1", *["k"] * 6), FakeProviderClient("http://localhost:1"))
    found = list(compat.run_client(client, server, Path("nowhere")))
    assert [each.key for each in found] == list(client.runs)
    assert {each.verdict for each in found} == {"not run"}
    assert "which is not installed here" in capsys.readouterr().out
