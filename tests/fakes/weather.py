"""Sends an answer, or what a fault makes of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from tests.fakes import http
from tests.fakes.answers import Answer
from tests.fakes.converse import ConverseAnswer, InvokedVectors
from tests.fakes.messages import MessagesAnswer
from tests.fakes.settings import Fault
from tests.fakes.vectors import VectorAnswer

type Json = dict[str, Any]

# Longer than any test waits: the client is expected to give up first.
HANG_S = 120.0
DONE = b"data: [DONE]\n\n"


def _raw(fault: Fault | None) -> bytes:
    if fault is None:
        return b""
    return fault.body if fault.body is not None else (fault.message or "").encode("utf-8", "surrogatepass")


class Weather:
    """One answer on its way out."""

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        answer: Answer | VectorAnswer | MessagesAnswer | ConverseAnswer | InvokedVectors,
        fault: Fault | None,
        headers: Mapping[str, str],
        chunk_delay_s: float,
    ) -> None:
        self.writer = writer
        self.answer = answer
        self.fault = fault.fault if fault else ""
        self.delay_s = fault.delay_s if fault else 0.0
        self.raw = _raw(fault)
        self.raw_status = fault.raw_status if fault else 200
        self.raw_headers = fault.headers if fault else {}
        self.pieces = fault.pieces if fault else []
        self.ends = fault is None or fault.ends
        self.chunk_delay_s = self.delay_s if self.fault == "slow" else chunk_delay_s
        self.headers = headers

    async def send(self, streamed: bool) -> bool:
        """Send the answer; False if the connection must not be used again."""
        if self.fault == "reset":
            return False
        if self.fault == "hang":
            await asyncio.sleep(HANG_S)
            return False
        if self.fault == "raw":
            return await self._send_raw(streamed)
        if streamed:
            return await self._send_events()
        return await self._send_whole(self._whole_body())

    async def _send_whole(self, body: bytes) -> bool:
        if self.chunk_delay_s:
            await asyncio.sleep(self.chunk_delay_s)
        if self.fault in ("cut", "hang_midway"):
            return await self._send_half(http.whole(200, body, self.headers), at=-len(body) // 2)
        if self.fault == "drip_headers":
            return await self._drip(http.whole(200, body, self.headers))
        if self.fault == "drip":
            start = len(body)
            whole = http.whole(200, body, self.headers)
            self.writer.write(whole[:-start])
            return await self._drip(whole[-start:])
        self.writer.write(http.whole(200, body, self.headers))
        await self.writer.drain()
        return True

    async def _send_raw(self, streamed: bool) -> bool:
        """Send the bytes of the fault as they are: in chunks where a stream was asked for, else with their length."""
        length = {"transfer-encoding": "chunked"} if streamed else {"content-length": str(len(self.raw))}
        kind = "text/event-stream" if streamed else "application/json"
        self.writer.write(
            http.head(self.raw_status, {"content-type": kind, **length, **self.headers, **self.raw_headers})
        )
        rest = self.raw
        for size in (*self.pieces, len(rest)):
            piece, rest = rest[:size], rest[size:]
            if piece:
                self.writer.write(http.chunked(piece) if streamed else piece)
                await self.writer.drain()
        if not self.ends:
            return False
        if streamed:
            self.writer.write(http.LAST_CHUNK)
        await self.writer.drain()
        return True

    async def _send_half(self, content: bytes, at: int) -> bool:
        self.writer.write(content[:at])
        await self.writer.drain()
        if self.fault == "hang_midway":
            await asyncio.sleep(HANG_S)
        return False

    async def _drip(self, content: bytes) -> bool:
        for position in range(len(content)):
            self.writer.write(content[position : position + 1])
            await self.writer.drain()
            await asyncio.sleep(self.delay_s)
        return True

    async def _send_events(self) -> bool:
        head = http.head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked", **self.headers})
        if self.fault == "drip_headers":
            await self._drip(head)
        else:
            self.writer.write(head)
        if self.chunk_delay_s:
            async for content in self._events():
                await asyncio.sleep(self.chunk_delay_s)
                self.writer.write(http.chunked(content))
                await self.writer.drain()
        else:
            content = b"".join([content async for content in self._events()])
            if self.fault == "drip":
                return await self._drip(http.chunked(content))
            self.writer.write(http.chunked(content))
        await self.writer.drain()
        match self.fault:
            case "hang_midway" | "hang_after_done":
                await asyncio.sleep(HANG_S)
                return False
            case "cut":
                return False
        self.writer.write(http.LAST_CHUNK)
        await self.writer.drain()
        return True

    async def _events(self) -> AsyncIterator[bytes]:
        """The stream's events, as far as the fault lets them come."""
        match self.fault:
            case "garbage":
                yield b'data: {"id": oops\n\n'
                return
            case "not_utf8":
                yield b'data: {"id": "\xff\xfe"}\n\n'
                return
            case "array":
                yield b"data: [1, 2, 3]\n\n"
                return
            case "html":
                yield b"<html><body>Bad gateway</body></html>\n"
                return
            case "error_in_answer":
                yield self._event(self._error())
                return
        chunks = [self._bent(chunk, "delta") for chunk in self.answer.chunks()]
        if self.fault in ("cut", "hang_midway", "ends_early", "error_midway"):
            for chunk in chunks[: len(chunks) // 2]:
                yield self._event(chunk)
            if self.fault == "error_midway":
                yield self._event(self._error())
            return
        for chunk in chunks:
            yield self._event(chunk)
        if not isinstance(self.answer, MessagesAnswer | ConverseAnswer):
            yield DONE

    def _event(self, value: Json) -> bytes:
        return (
            self.answer.event(value) if isinstance(self.answer, MessagesAnswer | ConverseAnswer) else http.event(value)
        )

    def _whole_body(self) -> bytes:
        match self.fault:
            case "garbage":
                return b'{"id": "chatcmpl-1", "choices": [oops'
            case "not_utf8":
                return b'{"id": "\xff\xfe"}'
            case "array":
                return b"[1, 2, 3]"
            case "html":
                return b"<html><body>Bad gateway</body></html>"
            case "error_in_answer" | "error_midway":
                return http.json_bytes(self._error())
        body = self.answer.body()
        return http.json_bytes(self._bent(body, "message") if isinstance(body, dict) else body)

    def _error(self) -> Json:
        if isinstance(self.answer, MessagesAnswer | ConverseAnswer):
            return self.answer.error()
        return {"error": {"message": "Fault on demand", "type": "server_error", "code": None}}

    def _bent(self, body: Json, message: str) -> Json:
        """The body with what the fault changes in it; `message` names the choice's part that holds the text."""
        if isinstance(self.answer, MessagesAnswer | ConverseAnswer):
            return self.answer.bent(body, self.fault)
        usage = body.get("usage")
        match self.fault:
            case "empty_choices":
                body["choices"] = []
            case "no_choices":
                del body["choices"]
            case "choices_not_a_list":
                body["choices"] = {"0": body["choices"]}
            case "content_not_text":
                for choice in body["choices"]:
                    choice[message]["content"] = 42
            case "no_usage":
                body.pop("usage", None)
                body.pop("x_groq", None)
            case "negative_usage" | "huge_usage" | "string_usage" if usage:
                wrong = {"negative_usage": -5, "huge_usage": 10**30, "string_usage": "twelve"}[self.fault]
                body["usage"] = usage | {"prompt_tokens": wrong, "completion_tokens": wrong, "total_tokens": wrong}
        if self.fault.endswith("_usage") and isinstance(body.get("x_groq"), dict):
            body["x_groq"].pop("usage", None)
        return body
