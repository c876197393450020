"""Tells tool calls apart, whole and streamed, as providers really send them. Pure.

OpenAI gives each call of a stream an index and repeats it in every part. Gemini leaves the index out; Ollama sends
index 0 with every call; Text Generation Inference sends one object in place of the list, with arguments that are an
object; vLLM has made up a new id for every part, others repeat id and name in each. A part belongs to the call of its
id, else of its index, else of its position. What comes out is OpenAI's form: each call with an index of its own, and
its id, type and name once.
"""

import json
import secrets
import string
from collections.abc import Callable
from typing import Any

from sluice.chat import JsonObject
from sluice.providers.decoding import UnreadableError

# Mistral takes back ids of exactly nine letters and digits, and nobody minds them.
_ID_CHARACTERS = 9
_ALPHABET = string.ascii_letters + string.digits

type NewId = Callable[[], str]


def new_id() -> str:
    """An id for a call that its provider gave none."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARACTERS))


def whole_calls(value: object, make_id: NewId = new_id) -> list[JsonObject]:
    """The calls of a whole message, each with an id of its own. Raises UnreadableError if they can't be told."""
    calls: list[JsonObject] = []
    for part in _listed(value):
        call = {name: inner for name, inner in _shaped(part).items() if name != "index"}
        if not _text(call.get("id")) or any(call["id"] == other["id"] for other in calls):
            call["id"] = make_id()
        if "function" in call and not isinstance(call["function"].get("arguments"), str):
            call["function"] = {**call["function"], "arguments": "{}"}
        call.setdefault("type", _kind(call))
        calls.append(call)
    return calls


def arguments_text(value: object) -> str | None:
    """Arguments as the JSON text that they are to be; None if there are none. Raises UnreadableError."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    raise UnreadableError("a tool call's arguments are not a text")


class CallTracker:
    """The tool calls of one choice of a stream."""

    def __init__(self, make_id: NewId = new_id) -> None:
        self._make_id = make_id
        self._calls: list[_Call] = []

    def parts(self, value: object) -> list[JsonObject]:
        """The parts of one delta, with indexes that tell the calls apart. Raises UnreadableError."""
        shaped = [_shaped(part) for part in _listed(value)]
        found = []
        for position, part in enumerate(shaped):
            call = self._call_of(part, position if len(shaped) > 1 else None)
            found.append(self._shown(call, part))
        return found

    def _call_of(self, part: JsonObject, position: int | None) -> "_Call | None":
        """The call that a part goes on with; None if it begins one."""
        identity, index = _text(part.get("id")), whole_number(part.get("index"))
        if identity and (known := self._newest(lambda call: call.identity == identity)):
            return known
        if index is not None:
            known = self._newest(lambda call: call.given_index == index)
            if known is None and index < len(self._calls) and self._calls[index].given_index is None:
                # What began had no index, and what goes on with it has.
                known = self._calls[index]
        elif identity or not self._calls:
            known = None
        elif position is not None and not _name(part) and position < len(self._calls):
            known = self._calls[position]
        else:
            known = self._calls[-1]
        return None if known is None or _begins_another(known, part) else known

    def _newest(self, is_it: "Callable[[_Call], bool]") -> "_Call | None":
        return next((call for call in reversed(self._calls) if is_it(call)), None)

    def _shown(self, call: "_Call | None", part: JsonObject) -> JsonObject:
        kind = _kind(part)
        said = dict(part.get(kind) or {})
        if call is None:
            call = _Call(len(self._calls), whole_number(part.get("index")), _text(part.get("id")), _name(part))
            self._calls.append(call)
            shown = {**part, "index": call.index, "id": call.identity or self._make_id()}
            shown.setdefault("type", kind)
        else:
            shown = {name: inner for name, inner in part.items() if name not in ("id", "type")} | {"index": call.index}
            if call.name:
                said.pop("name", None)
            call.name = call.name or _name(part)
        call.arguments += _arguments(part)
        shown.pop(kind, None)
        return {**shown, kind: said} if said else shown


class _Call:
    def __init__(self, index: int, given_index: int | None, identity: str, name: str) -> None:
        self.index = index
        self.given_index = given_index
        self.identity = identity
        self.name = name
        self.arguments = ""


def _begins_another(known: _Call, part: JsonObject) -> bool:
    """Whether a part that would belong to a call by its index or position is the beginning of the next one."""
    name = _name(part)
    if not name or not known.name:
        return False
    if name != known.name:
        return True
    # The same name again is another call to the same function if the first has its arguments.
    has_own = bool(_text(part.get("id")) and known.identity) or bool(_arguments(part))
    return has_own and _is_complete(known.arguments)


def _is_complete(arguments: str) -> bool:
    try:
        json.loads(arguments)
    except (ValueError, RecursionError):
        return False
    return True


def _listed(value: object) -> list[JsonObject]:
    if isinstance(value, dict):
        # One call in place of a list, or calls by their number.
        is_call = not value or value.keys() & {"function", "id", "name", "index", "type", "custom", "arguments"}
        value = [value] if is_call else list(value.values())
    if not isinstance(value, list):
        raise UnreadableError("tool_calls are not a list")
    calls = [call for call in value if call is not None and call != {}]
    if not all(isinstance(call, dict) for call in calls):
        raise UnreadableError("a tool call is not an object")
    return calls


def _shaped(call: JsonObject) -> JsonObject:
    """A call, or a part of one, as OpenAI writes it: name and arguments in its function, arguments as a text."""
    shaped = {name: value for name, value in call.items() if value is not None or name not in ("id", "type", "index")}
    if isinstance(shaped.get("id"), int):
        shaped["id"] = str(shaped["id"])
    function = call.get("function")
    if isinstance(function, str):
        function = {"name": function, "arguments": shaped.pop("arguments", None)}
    elif function is None and not isinstance(call.get("custom"), dict) and call.keys() & {"name", "arguments"}:
        function = {name: shaped.pop(name) for name in ("name", "arguments") if name in shaped}
    if function is None:
        shaped.pop("function", None)
        if not isinstance(shaped.get("custom", {}), dict):
            raise UnreadableError("a tool call's input is not an object")
        return shaped
    if not isinstance(function, dict):
        raise UnreadableError("a tool call's function is not an object")
    arguments = arguments_text(function.get("arguments", function.get("parameters")))
    kept = {name: value for name, value in function.items() if name not in ("arguments", "parameters")}
    if kept.get("name") is not None and not isinstance(kept["name"], str):
        raise UnreadableError("a tool call's name is not a text")
    shaped["function"] = kept if arguments is None else {**kept, "arguments": arguments}
    return shaped


def _kind(part: JsonObject) -> str:
    return "custom" if "custom" in part else "function"


def _name(part: JsonObject) -> str:
    return _text((part.get(_kind(part)) or {}).get("name"))


def _arguments(part: JsonObject) -> str:
    said = part.get(_kind(part)) or {}
    return _text(said.get("arguments")) or _text(said.get("input"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def whole_number(value: object) -> int | None:
    """A number from 0 on, however it is written; None for anything else."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 9:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
