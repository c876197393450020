"""What is recorded of outside clients: whole, of the versions that are pinned, and read back as it was written."""

from pathlib import Path

import pytest

from tools.compat import outcomes, tables
from tools.compat.__main__ import main
from tools.compat.clients import QUICKSTARTS, clients, version_of
from tools.compat.outcomes import LeftOut, Outcome, read, record

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
    assert tables.client_rows()[0] == (client.title, "1", surface, "no: `404 | 'gone'\nhere`")


def test_a_client_that_there_is_none_of_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["openia"])
    assert "there is no client 'openia'; there are openai" in capsys.readouterr().err
