"""The API's description is valid, and as its routes have it."""

import base64
import json
import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from sluice.api.form import parse_form
from sluice.api.openapi.document import body_example, document
from sluice.api.route import Route
from sluice.api.routes import ROUTES
from tools import events


def _described(route: Route) -> Any:
    return document()["paths"][route.path.replace("+}", "}")][route.method.lower()]


@pytest.mark.slow
def test_the_document_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(document()).validate()


@pytest.mark.slow
def test_the_document_is_plain_json() -> None:
    assert json.loads(json.dumps(document())) == document()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.id)
def test_an_operation_says_what_may_come_of_it(route: Route) -> None:
    described = _described(route)
    responses = described["responses"]
    assert str(route.status.value) in responses
    assert {"429", "500", "503", "504"} <= responses.keys()
    assert ("401" in responses) == bool(described["security"] or route.is_signed)
    assert ("413" in responses) == ("requestBody" in described)
    names = {parameter["name"] for parameter in described.get("parameters", ()) if parameter["in"] == "path"}
    assert names == set(re.findall(r"\{(\w+)\+?\}", route.path))
    assert ("text/event-stream" in responses[str(route.status.value)]["content"]) == bool(route.events)
    assert described["tags"][0] in {tag["name"] for tag in document()["tags"]}


@pytest.mark.parametrize("route", [each for each in ROUTES if each.body is not None], ids=lambda route: route.id)
def test_an_operation_s_example_is_what_it_takes(route: Route) -> None:
    assert route.body is not None
    if route.is_form:
        sample = json.loads(events.text_of(route))
        parse_form(base64.b64decode(sample["body"]), sample["headers"]["Content-Type"], route.body)
        return
    route.body.model_validate_json(json.dumps(body_example(route)), strict=True)


def test_names_of_the_code_alone_are_not_shown() -> None:
    assert not [name for name in document()["components"]["schemas"] if "_" in name]


def test_no_two_parts_have_the_same_name() -> None:
    """Pydantic tells such models apart by their modules, which would show."""
    described = json.dumps(document())
    assert "sluice__" not in described
    assert "/schemas/_" not in described


def test_nothing_is_described_that_nobody_refers_to() -> None:
    described = document()
    text = json.dumps(described)
    for kind in ("schemas", "responses", "headers"):
        for name in described["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text
