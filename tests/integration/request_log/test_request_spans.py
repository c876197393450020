"""Spans that a collector is sent."""

from collections.abc import Iterator

import pytest

from sluice.settings import Settings
from tests.chat_server import ChatServer, logged
from tests.scripted_server import ScriptedServer, answer, raw

QUESTION = {"model": "small", "messages": [{"role": "user", "content": "Quokkaprompt, please."}]}


@pytest.fixture
def collector() -> Iterator[ScriptedServer]:
    """A collector that takes everything."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def traced(chat: ChatServer, collector: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    """The chat API, with a collector."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    chat.restart()
    return chat


def ask(chat: ChatServer, seed: int = 0, **headers: str) -> int:
    return chat.post(QUESTION | {"seed": seed}, headers=headers).status_code


def test_a_collector_is_sent_the_trace_of_each_request(traced: ChatServer, collector: ScriptedServer) -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    assert [ask(traced), ask(traced, 1, traceparent=f"00-{trace}-{span}-01")] == [200, 200]
    assert ask(traced, 2, traceparent=f"00-{trace}-{span}-00") == 200
    assert [request.line for request in collector.requests] == ["POST /v1/traces HTTP/1.1"] * 2
    assert collector.connections == 1
    whole, call = collector.requests[1].json["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (whole["traceId"], whole["parentSpanId"], call["parentSpanId"]) == (trace, span, whole["spanId"])
    assert b"Quokka" not in b"".join(request.body for request in collector.requests)


def test_without_a_collector_nothing_is_loaded_for_it(chat: ChatServer) -> None:
    assert ask(chat) == 200
    assert "span_exporter" not in chat.app.__dict__


@pytest.mark.parametrize("status", [400, 503])
def test_a_collector_that_fails_costs_no_answer_and_is_left_alone(
    traced: ChatServer, collector: ScriptedServer, status: int
) -> None:
    collector.otherwise = lambda _: answer({}, status)
    with logged() as lines:
        assert [ask(traced, seed) for seed in range(3)] == [200] * 3
        failed = [line for line in lines() if "SpansNotSent" in line]
    assert (len(failed), len(collector.requests)) == (1, 1)


def test_a_connection_that_was_closed_meanwhile_is_made_anew(traced: ChatServer, collector: ScriptedServer) -> None:
    closing = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", then_close=True)
    collector.otherwise = lambda _: closing
    assert ask(traced) == 200
    collector.wait_for_closed(1)
    assert ask(traced, 1) == 200
    assert len(collector.requests) == 2


@pytest.mark.parametrize(
    "text", ["localhost", "ftp://host", "http://", "http://:4318", "http://me:secret@host", "http://h:x"]
)
def test_a_url_that_is_none_ends_the_start_with_its_name_and_not_its_value(text: str) -> None:
    with pytest.raises(ValueError, match="OTEL_EXPORTER_OTLP_ENDPOINT") as refused:
        Settings.from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": text})
    assert text not in str(refused.value)
