"""Batches whose lines ask for responses."""

from typing import Any

from tests.batches import Batches
from tests.fakes.client import FakeProvider

RESPONSES = "/v1/responses"


def line(custom_id: str, **body: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": RESPONSES, "body": {"model": "small", **body}}


def test_lines_are_answered_with_responses(fake: FakeProvider, batches: Batches) -> None:
    lines = [line("one", input="one"), line("two", input=[{"role": "user", "content": "two"}], store=False)]
    batch = batches.run_until(batches.create(lines, endpoint=RESPONSES)["id"])
    assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    answers = {each["custom_id"]: each["response"]["body"] for each in batches.content(batch["output_file_id"])}
    assert {name: answer["status"] for name, answer in answers.items()} == {"one": "completed", "two": "completed"}
    assert {name: answer["store"] for name, answer in answers.items()} == {"one": True, "two": False}
    assert batch["usage"]["total_tokens"] == fake.state()["tokens"]


def test_what_is_wrong_with_a_line_is_said_before_any_is_asked(fake: FakeProvider, batches: Batches) -> None:
    lines = [
        line("streams", input="one", stream=True),
        line("searches", input="one", tools=[{"type": "web_search"}]),
        line("goes-on", input="one", previous_response_id="resp_nobody"),
    ]
    batch = batches.run_until(batches.create(lines, endpoint=RESPONSES)["id"])
    codes = {each["line"]: each["code"] for each in batch["errors"]["data"]}
    assert codes == {1: "invalid_request", 2: "unsupported_tool", 3: "response_not_found"}
    assert not fake.requests()
