"""The question that a model is asked again, after what it searched for was found. Pure."""

from collections.abc import Sequence

from sluice.api.responses.file_search import NAME
from sluice.chat import ChatRequest, JsonObject, Message


def further(chat: ChatRequest, said: Sequence[Message], *, searches: bool) -> ChatRequest:
    """`chat` with what was `said` since; without `searches` the model is to search no more.

    A tool that it had to call was called: what it had to call first it may call now.
    """
    fields = chat.model_extra or {}
    tools, choice = list(fields.get("tools") or []), _free(fields.get("tool_choice"))
    if not searches:
        others = [tool for tool in tools if not _is_search(tool)]
        allowed = choice["allowed_tools"]["tools"] if isinstance(choice, dict) else others
        left = [tool for tool in allowed if not _is_search(tool)]
        if not left:
            # The tool stays declared: some providers take no outputs of a tool that is not.
            choice = "none"
        else:
            tools = others
            if isinstance(choice, dict):
                choice = {**choice, "allowed_tools": {**choice["allowed_tools"], "tools": left}}
    update: dict[str, object] = {"messages": [*chat.messages, *said], "tools": tools}
    if choice is not None:
        update["tool_choice"] = choice
    return chat.model_copy(update=update)


def _free(choice: object) -> str | JsonObject | None:
    """The choice of a tool once one was called."""
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        return {**choice, "allowed_tools": {**choice["allowed_tools"], "mode": "auto"}}
    if choice is None or choice == "none":
        return choice
    return "auto"


def _is_search(tool: JsonObject) -> bool:
    return (tool.get("function") or {}).get("name") == NAME
