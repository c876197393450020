"""Options of a response as a chat has them: tools and the choice of them, the format of the text, thinking. Pure."""

from collections.abc import Sequence

from sluice.api.responses.file_search import FUNCTION, NAME, file_search_of
from sluice.api.responses.refusal import invalid, of_type, only, refused, text_in
from sluice.chat import JsonObject

_CHOICES = frozenset({"none", "auto", "required"})
_NO_TOOL = "Sluice runs no tools of this type. Declare a function, and run it yourself"
# What a function may say beside its own, and means nothing if it says this.
_MEANINGLESS = {"defer_loading": False, "async": False, "allowed_callers": ["direct"]}


def chat_tools(tools: Sequence[object]) -> list[JsonObject]:
    """The tools of a chat. Raises InvalidRequestError for those that somebody else would have to run."""
    given = [of_type(tool, dict, f"tools[{index}]") for index, tool in enumerate(tools)]
    file_search_of(given)
    return [_tool(tool, f"tools[{index}]") for index, tool in enumerate(given)]


def chat_tool_choice(choice: object) -> str | JsonObject:
    """The choice of a tool as a chat has it."""
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise invalid("tool_choice", f"should be one of {', '.join(sorted(_CHOICES))}, or an object.")
        return choice
    given = of_type(choice, dict, "tool_choice")
    match given.get("type"):
        case "function" | "custom" as kind:
            only(given, {"type", "name"}, "tool_choice")
            return _named(kind, text_in(given, "name", "tool_choice"))
        case "file_search":
            only(given, {"type"}, "tool_choice")
            return _named("function", NAME)
        case "allowed_tools":
            only(given, {"type", "mode", "tools"}, "tool_choice")
            allowed = of_type(given.get("tools"), list, "tool_choice.tools")
            tools = [_allowed(tool, f"tool_choice.tools[{index}]") for index, tool in enumerate(allowed)]
            return {"type": "allowed_tools", "allowed_tools": {"mode": given.get("mode"), "tools": tools}}
        case kind:
            raise refused("tool_choice.type", f"{str(kind)[:64]!r}: {_NO_TOOL}.")


def chat_format(text: JsonObject) -> JsonObject:
    """The fields of a chat for what `text` says: the format of the answer, and how much it is to say."""
    only(text, {"format", "verbosity"}, "text")
    found: JsonObject = {}
    if text.get("verbosity") is not None:
        found["verbosity"] = text["verbosity"]
    if text.get("format") is None:
        return found
    given = of_type(text["format"], dict, "text.format")
    match given.get("type"):
        case "text":
            only(given, {"type"}, "text.format")
        case "json_object":
            only(given, {"type"}, "text.format")
            found["response_format"] = {"type": "json_object"}
        case "json_schema":
            only(given, {"type", "name", "description", "schema", "strict"}, "text.format")
            text_in(given, "name", "text.format")
            of_type(given.get("schema"), dict, "text.format.schema")
            stated = {name: value for name, value in given.items() if name != "type" and value is not None}
            found["response_format"] = {"type": "json_schema", "json_schema": stated}
        case kind:
            raise refused("text.format.type", f"should be text, json_object or json_schema, not {str(kind)[:64]!r}.")
    return found


def chat_reasoning(reasoning: JsonObject) -> JsonObject:
    """The fields of a chat for what `reasoning` says. A summary is all that a provider shows of its thoughts."""
    only(reasoning, {"effort", "summary", "generate_summary", "context", "mode"}, "reasoning")
    if reasoning.get("mode") not in (None, "standard"):
        raise refused("reasoning.mode", "Sluice can't carry this field to a model.")
    if reasoning.get("context") not in (None, "auto", "current_turn", "all_turns"):
        raise invalid("reasoning.context", "should be auto, current_turn or all_turns.")
    for name in ("summary", "generate_summary"):
        if reasoning.get(name) not in (None, "auto", "detailed"):
            reason = "should be auto or detailed: thoughts are shown as the provider shows them, and not made shorter."
            raise refused(f"reasoning.{name}", reason)
    effort = reasoning.get("effort")
    return {} if effort is None else {"reasoning_effort": of_type(effort, str, "reasoning.effort")}


def asks_for_summary(reasoning: JsonObject | None) -> bool:
    """Whether thoughts are to be shown as a summary."""
    return reasoning is not None and any(reasoning.get(name) for name in ("summary", "generate_summary"))


def _tool(tool: JsonObject, where: str) -> JsonObject:
    match tool.get("type"):
        case "function":
            fields = {name: value for name, value in tool.items() if _MEANINGLESS.get(name, tool) != value}
            only(fields, {"type", "name", "description", "parameters", "strict"}, where)
            text_in(tool, "name", where)
            stated = ("name", "description", "parameters", "strict")
            return {"type": "function", "function": {name: tool[name] for name in stated if tool.get(name) is not None}}
        case "custom":
            fields = {name: value for name, value in tool.items() if _MEANINGLESS.get(name, tool) != value}
            only(fields, {"type", "name", "description", "format"}, where)
            text_in(tool, "name", where)
            custom = {name: tool[name] for name in ("name", "description") if tool.get(name) is not None}
            if tool.get("format") is not None:
                custom["format"] = _custom_format(of_type(tool["format"], dict, f"{where}.format"), f"{where}.format")
            return {"type": "custom", "custom": custom}
        case "file_search":
            return FUNCTION
        case None:
            raise invalid(f"{where}.type", "this field is required.")
        case kind:
            raise refused(f"{where}.type", f"{str(kind)[:64]!r}: {_NO_TOOL}.", code="unsupported_tool")


def _custom_format(given: JsonObject, where: str) -> JsonObject:
    """The format of a custom tool's input, whose grammar a chat has one level deeper."""
    if given.get("type") != "grammar":
        return dict(given)
    only(given, {"type", "syntax", "definition"}, where)
    return {"type": "grammar", "grammar": {name: text_in(given, name, where) for name in ("syntax", "definition")}}


def _named(kind: str, name: str) -> JsonObject:
    return {"type": kind, kind: {"name": name}}


def _allowed(tool: object, where: str) -> JsonObject:
    given = of_type(tool, dict, where)
    kind = given.get("type")
    if kind == NAME:
        return _named("function", NAME)
    if kind not in ("function", "custom"):
        raise refused(f"{where}.type", f"{str(kind)[:64]!r}: {_NO_TOOL}.", code="unsupported_tool")
    return _named(str(kind), text_in(given, "name", where))
