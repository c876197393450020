"""Whatever the SDKs of OpenAI and Anthropic ask is a route of Sluice's, or named as what it has not."""

import ast
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import anthropic
import openai
import pytest

from sluice.api.absent import ABSENT
from sluice.api.matching import RouteTable, route_of
from sluice.api.routes import ROUTES
from sluice.errors import MethodNotAllowedError, NotFoundError
from tools import template

TABLE = RouteTable(ROUTES)
_REQUESTS = frozenset({"_get", "_post", "_put", "_patch", "_delete", "_get_api_list"})


@cache
def asked_by(sdk: ModuleType, prefix: str) -> list[tuple[str, str]]:
    """The methods and paths that the resources of an SDK ask, with `x` for each part that is a parameter."""
    found = set()
    for module in (Path(str(sdk.__file__)).parent / "resources").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _REQUESTS:
                path = _path(node.args[0]) if node.args else None
                if path is not None:
                    found.add((_method(node, node.func.attr), prefix + path.partition("?")[0]))
    return sorted(found)


def _path(argument: ast.expr) -> str | None:
    if isinstance(argument, ast.Call):
        return _path(argument.args[0])
    if isinstance(argument, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in argument.values)
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return re.sub(r"\{\w+\}", "x", argument.value)
    return None


def _method(call: ast.Call, name: str) -> str:
    if name != "_get_api_list":
        return name.removeprefix("_").upper()
    stated = (each.value for each in call.keywords if each.arg == "method")
    return next((str(each.value).upper() for each in stated if isinstance(each, ast.Constant)), "GET")


@pytest.mark.slow
def test_the_lists_of_the_sdks_are_found() -> None:
    openai_s, anthropic_s = asked_by(openai, "/v1"), asked_by(anthropic, "")
    assert len(openai_s) > 350
    assert len(anthropic_s) > 250
    assert ("POST", "/v1/chat/completions") in openai_s
    assert ("GET", "/v1/vector_stores/x/files/x/content") in openai_s
    assert ("DELETE", "/v1/messages/batches/x") in anthropic_s


@pytest.mark.slow
@pytest.mark.parametrize(("sdk", "prefix"), [(openai, "/v1"), (anthropic, "")], ids=["openai", "anthropic"])
def test_whatever_an_sdk_asks_is_a_route_or_is_named_as_absent(sdk: ModuleType, prefix: str) -> None:
    lost = []
    for method, path in asked_by(sdk, prefix):
        try:
            route_of(TABLE.of_path(method, path), method, path)
        except NotFoundError as error:
            if "Sluice has no " not in error.message or "GET /openapi.json" not in error.message:
                lost.append((method, path, error.message))
        except MethodNotAllowedError as error:
            lost.append((method, path, error.message))
    assert lost == []


def test_nothing_that_there_is_is_named_as_absent() -> None:
    for route in ROUTES:
        path = re.sub(r"\{[^}]+\}", "x", route.path)
        named = [each.name for each in ABSENT if each.includes(route.method, path)]
        # /v1/responses/compact is below a route with a parameter, whose ids never look so.
        assert named == [], f"{route.method} {route.path}"


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("DELETE", "/v1/models/openai/gpt", "deletion of models"),
        ("GET", "/v1/chat/completions", "stored chat completions"),
        ("POST", "/v1/responses/compact", "compaction of responses"),
        ("POST", "/openai/v1/images/edits/", "images"),
        ("GET", "/v1/organization/usage/completions", "POST /v1/keys"),
    ],
)
def test_what_is_absent_says_so_by_name_and_where_to_look(method: str, path: str, told: str) -> None:
    with pytest.raises(NotFoundError, match=re.escape(told)) as raised:
        route_of(TABLE.of_path(method, path), method, path)
    assert f"{method} {path} is not there" in raised.value.message


def test_another_method_of_a_route_is_told_which_it_takes() -> None:
    for method, path in (("PATCH", "/v1/chat/completions"), ("PUT", "/v1/models/x")):
        with pytest.raises(MethodNotAllowedError):
            route_of(TABLE.of_path(method, path), method, path)


def test_api_gateway_which_knows_no_path_names_all_that_is_absent() -> None:
    api = template.load()["Resources"]["Api"]["Properties"]["DefinitionBody"]
    answers = api["x-amazon-apigateway-gateway-responses"]["MISSING_AUTHENTICATION_TOKEN"]["responseTemplates"]
    told = answers["application/json"]
    assert [each.name for each in ABSENT if each.name not in told] == []
    assert "GET /openapi.json" in told
