"""A streamed response is the whole one, in events that are in order."""

import json
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel

from sluice.api.responses.answer import ResponseFrame, answered_message, whole_response
from sluice.api.responses.body import ResponseRequest
from sluice.api.responses.events import ResponseEvents
from sluice.api.responses.items import messages_of
from sluice.api.responses.request import response_frame
from sluice.api.responses.stream_format import ResponseFormat
from sluice.chat import ChatChunk, JsonObject
from sluice.errors import InterruptedAnswerError


def _id_of(call: JsonObject) -> str:
    return str(call["id"])


type Draw = Callable[[st.SearchStrategy[Any]], Any]

texts = st.text(min_size=1, max_size=12)
thinking = st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts})
calls: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries(
        {
            "id": texts,
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": texts, "arguments": texts}),
        },
        optional={"extra_content": st.fixed_dictionaries({"google": st.dictionaries(texts, texts, max_size=1)})},
    ),
    st.fixed_dictionaries(
        {"id": texts, "type": st.just("custom"), "custom": st.fixed_dictionaries({"name": texts, "input": texts})}
    ),
)
required: Any = {"role": st.just("assistant"), "content": st.one_of(st.none(), texts)}
messages = st.fixed_dictionaries(
    required,
    optional={
        "reasoning_content": texts,
        "thinking_blocks": st.lists(thinking, min_size=1, max_size=2),
        "refusal": texts,
        "phase": st.just("commentary"),
        "tool_calls": st.lists(calls, min_size=1, max_size=3, unique_by=_id_of),
    },
).map(lambda message: _without_phase_of_nothing(message))


def _without_phase_of_nothing(message: JsonObject) -> JsonObject:
    says = message.get("content") or message.get("refusal")
    return message if says else {name: value for name, value in message.items() if name != "phase"}


usages = st.one_of(
    st.none(),
    st.just(
        {
            "prompt_tokens": 9,
            "completion_tokens": 7,
            "total_tokens": 16,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 5},
        }
    ),
)
EVENTS: dict[str, type[BaseModel]] = {
    typing.get_args(event.model_fields["type"].annotation)[0]: event
    for event in typing.get_args(typing.get_args(ResponseStreamEvent)[0])
}
OPTIONS = response_frame(ResponseRequest(model="m", input="Hi"))
FRAME = ResponseFrame(
    id="resp_" + "0" * 32 + "_1", created_at=1, model="m", options=OPTIONS, is_stored=True, summarizes=False
)
SUMMARY = ResponseFrame(
    id="resp_" + "0" * 32 + "_1", created_at=1, model="m", options=OPTIONS, is_stored=True, summarizes=True
)


@st.composite
def bodies(draw: st.DrawFn) -> JsonObject:
    """A whole answer."""
    reason = draw(st.sampled_from(["stop", "tool_calls", "length", "content_filter", None]))
    choice: JsonObject = {"index": 0, "message": draw(messages), "finish_reason": reason}
    if choice["message"]["content"] and not choice["message"].get("refusal"):
        tokens = draw(st.lists(st.fixed_dictionaries({"token": texts, "logprob": st.just(-0.5)}), max_size=3))
        choice["logprobs"] = {"content": tokens}
    body: JsonObject = {"id": "c", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [choice]}
    usage = draw(usages)
    return body if usage is None else {**body, "usage": usage}


def chunks(draw: Draw, body: JsonObject) -> Iterator[JsonObject]:
    """The answer in small pieces, as providers stream it: thoughts, what is said, calls."""
    choice = body["choices"][0]
    message = choice["message"]
    frame = {name: value for name, value in body.items() if name not in {"choices", "usage"}}

    def chunk(delta: JsonObject, finish_reason: str | None = None) -> JsonObject:
        return {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    yield chunk({"role": "assistant", "content": ""} | {name: message[name] for name in ("phase",) if name in message})
    for piece in pieces(draw, message.get("reasoning_content") or ""):
        yield chunk({"reasoning_content": piece})
    for index, block in enumerate(message.get("thinking_blocks") or []):
        yield chunk({"thinking_blocks": [{"index": index, "type": "thinking", "thinking": block["thinking"]}]})
        yield chunk({"thinking_blocks": [{"index": index, "signature": block["signature"]}]})
    likely = list((choice.get("logprobs") or {}).get("content") or [])
    for name in ("content", "refusal"):
        for piece in pieces(draw, message.get(name) or ""):
            # Some come before their text, and some after the last of it.
            yield with_logprobs(chunk({name: ""}), likely[:1])
            yield chunk({name: piece})
            del likely[:1]
    if likely:
        yield with_logprobs(chunk({}), likely)
    for index, call in enumerate(message.get("tool_calls") or []):
        kind = call["type"]
        field = "arguments" if kind == "function" else "input"
        opening = {"index": index, "id": call["id"], "type": kind, kind: {"name": call[kind]["name"], field: ""}}
        opening |= {name: call[name] for name in ("extra_content",) if name in call}
        yield chunk({"tool_calls": [opening]})
        for piece in pieces(draw, call[kind][field]):
            yield chunk({"tool_calls": [{"index": index, kind: {field: piece}}]})
    yield chunk({}, choice["finish_reason"])
    if "usage" in body:
        yield {**frame, "choices": [], "usage": body["usage"]}


def with_logprobs(part: JsonObject, tokens: list[JsonObject]) -> JsonObject:
    part["choices"][0]["logprobs"] = {"content": list(tokens)}
    return part


def pieces(draw: Draw, text: str) -> list[str]:
    cut = draw(st.integers(0, len(text)))
    return [piece for piece in (text[:cut], text[cut:]) if piece]


def streamed(frame: ResponseFrame, parts: list[JsonObject]) -> list[JsonObject]:
    events = ResponseEvents(frame)
    found = list(events.opening())
    for part in parts:
        found += events.chunk(ChatChunk(part))
    found += events.items_done()
    found.append(events.closing(events.response()))
    return [json.loads(json.dumps(event)) for event in found]


@given(st.data(), bodies(), st.sampled_from([FRAME, SUMMARY]))
def test_the_last_event_has_the_whole_response(data: st.DataObject, body: JsonObject, frame: ResponseFrame) -> None:
    found = streamed(frame, list(chunks(data.draw, body)))
    whole = json.loads(json.dumps(whole_response(frame, body)))
    # It is the time: the clock may turn between the two.
    times = [each.pop("completed_at") for each in (found[-1]["response"], whole)]
    assert len({each is None for each in times}) == 1
    assert found[-1]["response"] == whole
    assert found[-1]["type"] == f"response.{whole['status']}"


@given(st.data(), bodies())
def test_events_are_in_order(data: st.DataObject, body: JsonObject) -> None:
    found = streamed(FRAME, list(chunks(data.draw, body)))
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"] for event in found[:2]] == ["response.created", "response.in_progress"]
    added = [event["output_index"] for event in found if event["type"] == "response.output_item.added"]
    done = {event["output_index"]: event["item"] for event in found if event["type"] == "response.output_item.done"}
    assert added == sorted(done) == list(range(len(found[-1]["response"]["output"])))
    assert [done[index] for index in added] == found[-1]["response"]["output"]
    for index in added:
        own = [event for event in found if event.get("output_index") == index]
        assert own[0]["type"] == "response.output_item.added"
        assert own[-1]["type"] == "response.output_item.done"
        said: dict[str, str] = {}
        for event in own:
            kind = event["type"]
            if kind.endswith(".delta"):
                said[kind.removesuffix(".delta")] = said.get(kind.removesuffix(".delta"), "") + event["delta"]
            elif kind.removesuffix(".done") in said:
                field = next(name for name in ("text", "refusal", "arguments", "input") if name in event)
                assert event[field] == said.pop(kind.removesuffix(".done"))
        assert said == {}


@given(st.data(), bodies(), st.sampled_from([FRAME, SUMMARY]))
def test_openai_s_own_sdk_puts_the_same_response_together(
    data: st.DataObject, body: JsonObject, frame: ResponseFrame
) -> None:
    state: Any = ResponseStreamState(input_tools=[], text_format=omit)
    last: Any = None
    for event in streamed(frame, list(chunks(data.draw, body))):
        last = EVENTS[event["type"]].model_validate(event)
        state.handle_event(last)
    kinds = [item.type for item in last.response.output]
    assert kinds == [item["type"] for item in whole_response(frame, body)["output"]]


@given(bodies())
def test_an_answer_comes_back_as_it_was(body: JsonObject) -> None:
    output = whole_response(FRAME, body)["output"]
    again = messages_of(output)
    answer = answered_message(body)
    if answer is None:
        message = body["choices"][0]["message"]
        assert not any(message.get(name) for name in ("content", "refusal", "tool_calls", "thinking_blocks"))
    else:
        assert again == [{name: value for name, value in answer.items() if value is not None}]


def test_a_signature_that_comes_after_its_call_has_begun_is_the_last_item() -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    late = {"index": 0, "extra_content": {"google": {"thought_signature": "s"}}}
    parts = [{"choices": [{"index": 0, "delta": {"tool_calls": [each]}}]} for each in (call, late)]
    done = streamed(FRAME, [*parts, {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}])
    output = done[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["function_call", "reasoning"]
    [message] = messages_of(output)
    assert message["tool_calls"][0]["extra_content"] == late["extra_content"]


def test_what_breaks_off_ends_with_an_error_and_a_response_that_failed() -> None:
    events, written = ResponseEvents(FRAME), ResponseFormat()
    text = {"choices": [{"index": 0, "delta": {"content": "Half"}, "finish_reason": None}]}
    sent = b"".join(written.event(event) for event in [*events.opening(), *events.chunk(ChatChunk(text))])
    last = sent.decode().strip().split("\n\n")[-1]
    assert last.startswith("event: response.output_text.delta\ndata: {")
    number = json.loads(last.partition("data: ")[2])["sequence_number"]
    error, failed = written.error(InterruptedAnswerError("x broke off")).decode().strip().split("\n\n")
    told = json.loads(error.partition("data: ")[2])
    assert error.startswith("event: error\n")
    assert (told["type"], told["sequence_number"]) == ("error", number + 1)
    response = json.loads(failed.partition("data: ")[2])
    assert (response["type"], response["sequence_number"]) == ("response.failed", number + 2)
    assert response["response"]["status"] == "failed"
    assert response["response"]["error"]["code"] == "server_error"
    assert response["response"]["id"] == FRAME.id


def test_what_a_provider_says_beside_a_text_stays_beside_it() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 2}}
    message = {"role": "assistant", "content": "Hi", "annotations": [cited], "images": [{"url": "x"}]}
    body = {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    [item] = whole_response(FRAME, body)["output"]
    assert item["content"][0]["annotations"] == [{"type": "url_citation", **cited["url_citation"]}]  # type: ignore[dict-item]
    assert item["images"] == [{"url": "x"}]
    delta = {"index": 0, "delta": message, "finish_reason": "stop"}
    assert streamed(FRAME, [{"model": "m", "choices": [delta]}])[-1]["response"]["output"] == [item]


@pytest.mark.parametrize(
    "thought",
    [
        {"reasoning_tokens": 5},
        {"completion_tokens_details": {"reasoning_tokens": 5.0}},
        {"completion_tokens_details": {"reasoning_tokens": "5"}},
        {"output_tokens_details": {"reasoning_tokens": 5}},
    ],
)
def test_what_was_thought_is_counted_however_its_provider_writes_it(thought: JsonObject) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16, **thought}
    message = {"role": "assistant", "content": "Hi."}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
    counted = whole_response(FRAME, answer)["usage"]
    assert (counted["output_tokens"], counted["output_tokens_details"]) == (7, {"reasoning_tokens": 5})
