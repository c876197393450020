"""Batches from a terminal."""

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tools import batch


def answered(status: str, completed: int = 0, **more: Any) -> dict[str, Any]:
    counts = {"total": 4, "completed": completed, "failed": 1}
    fixed = {"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": "file-1"}
    return {**fixed, "completion_window": "24h", "created_at": 0, "status": status, "request_counts": counts, **more}


def client(*answers: dict[str, Any] | bytes, seen: list[httpx.Request] | None = None) -> openai.OpenAI:
    """OpenAI's client, over a transport that answers in this order."""
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        given = left.pop(0)
        return httpx.Response(200, content=given) if isinstance(given, bytes) else httpx.Response(200, json=given)

    transport: Any = httpx.Client(transport=httpx.MockTransport(answer))
    return openai.OpenAI(base_url="http://sluice.test/v1", api_key="k", http_client=transport, max_retries=0)


def test_a_batch_is_watched_until_it_has_ended_and_less_often_the_longer_it_takes() -> None:
    shown: list[str] = []
    pauses: list[float] = []
    asked = client(answered("validating"), answered("in_progress", 1), answered("completed", 3))
    ended = batch.watch(asked, "batch_1", lambda each: shown.append(batch.bar(each)), pause=pauses.append)
    assert ended.status == "completed"
    assert shown[-1] == f"completed   [{'#' * 40}] 3 of 4, 1 failed"
    assert pauses == sorted(pauses)
    assert len(pauses) == 2


def test_what_there_is_is_written_whole_or_not(tmp_path: Path) -> None:
    asked = client(answered("expired", output_file_id="file-o"), b'{"custom_id": "a"}\n')
    [path] = batch.download(asked, "batch_1", tmp_path)
    assert path.name == "batch_1_output.jsonl"
    assert json.loads(path.read_text()) == {"custom_id": "a"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_sent_with_its_priority(tmp_path: Path) -> None:
    seen: list[httpx.Request] = []
    path = tmp_path / "q.jsonl"
    path.write_text("{}\n")
    file = {"id": "file-1", "object": "file", "bytes": 3, "created_at": 0, "filename": "q", "purpose": "batch"}
    made = batch.submit(
        client({**file, "status": "processed"}, answered("validating"), seen=seen),
        path,
        endpoint="/v1/tasks/x",
        priority="low",
    )
    assert made.id == "batch_1"
    assert json.loads(seen[1].content) == {
        "input_file_id": "file-1",
        "endpoint": "/v1/tasks/x",
        "completion_window": "24h",
        "priority": "low",
    }


def test_without_a_stack_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(batch, "LOCAL", tmp_path)
    monkeypatch.delenv("SLUICE_URL", raising=False)
    with pytest.raises(SystemExit, match="make run"):
        batch.main(["watch", "batch_1"])
    with pytest.raises(SystemExit):
        batch.main(["submit", str(tmp_path / "nothing.jsonl")])
