"""What OpenAI's API describes as always there in an answer is there, whatever a provider leaves out."""

from sluice.api.chat import described
from sluice.chat import JsonObject


def test_what_a_provider_left_out_is_null() -> None:
    body = {"id": "c-1", "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Hello."}}]}
    assert described(body)["choices"] == [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "Hello.", "refusal": None},
        }
    ]


def test_what_a_provider_said_stays_and_the_answer_itself_is_not_changed() -> None:
    calls = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = {"role": "assistant", "content": None, "refusal": "No.", "tool_calls": calls, "reasoning": "Hm."}
    body = {"id": "c-1", "x": 1, "choices": [{"index": 0, "logprobs": {"content": []}, "message": message}]}
    assert described(body) == body
    bare: JsonObject = {"choices": [{"message": {}}]}
    described(bare)
    assert bare == {"choices": [{"message": {}}]}
