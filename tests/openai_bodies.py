"""Streams of providers that speak OpenAI's protocol, as they come over a socket."""

import json
from typing import Any

type Json = dict[str, Any]


def chunk(delta: Json, reason: Any = None, **more: Any) -> Json:
    """A chunk of a streamed answer; `more` are fields of its choice."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason, **more}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def events(*bodies: Json, done: bool = True) -> bytes:
    """A stream of server-sent events, with its end unless it is not `done`."""
    said = b"".join(b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies)
    return said + (b"data: [DONE]\n\n" if done else b"")
