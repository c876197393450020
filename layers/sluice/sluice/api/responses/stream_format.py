"""How a streamed response is written: events with names, the last of which says how it ended, also if it failed."""

from typing import Any

from sluice.api.envelope import to_json
from sluice.api.sse import StreamFormat
from sluice.chat import JsonObject
from sluice.errors import SluiceError

_TOO_MANY_REQUESTS = 429
_OURS = 500


class ResponseFormat(StreamFormat):
    """Writes one streamed response."""

    def __init__(self) -> None:
        self._next = 0
        self._response: JsonObject = {}
        self._output: dict[int, JsonObject] = {}

    def event(self, value: Any) -> bytes:
        """An event, named after its type."""
        self._next = value["sequence_number"] + 1
        self._response = value.get("response", self._response)
        if value["type"] == "response.output_item.done":
            self._output[value["output_index"]] = value["item"]
        return f"event: {value['type']}\ndata: ".encode() + to_json(value) + b"\n\n"

    def done(self) -> bytes:
        """Nothing: the event before has said so."""
        return b""

    def error(self, error: SluiceError) -> bytes:
        """What went wrong, and the response as it has failed, with the items that are whole."""
        told = {"type": "error", "code": error.code, "message": error.message, "param": error.param}
        failed = {
            **self._response,
            "status": "failed",
            "error": {"code": failure_code(error), "message": error.message},
            "output": [self._output[index] for index in sorted(self._output)],
            "store": False,
        }
        number = self._next
        return self.event({**told, "sequence_number": number}) + self.event(
            {"type": "response.failed", "sequence_number": number + 1, "response": failed}
        )


def failure_code(error: SluiceError) -> str:
    """OpenAI's code of a response that failed with `error`."""
    if error.status == _TOO_MANY_REQUESTS:
        return "rate_limit_exceeded"
    return "server_error" if error.status >= _OURS else "invalid_prompt"
