"""Who may call which route: each route that template.yaml deploys is declared, with the role that its caller needs."""

import importlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from sluice.api.rest import lambda_handler
from sluice.api.route import Route
from sluice.api.routes import ROUTES
from sluice.composition import App, part
from sluice.errors import AuthenticationError
from sluice.gateway.counting import CallerCounter
from sluice.settings import Settings
from sluice.tenants.api_key_token import ApiKeyToken
from sluice.tenants.tenant import ApiKey, Role, Tenant
from sluice.tenants.verification import KeyVerifier, VerifiedKey
from tests.rest_function import CONTEXT
from tests.unlimited import UnlimitedCounter
from tools import events, template
from tools.processes import ROOT

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Those that answer the API's routes; the others take messages and events, or serve pages.
FUNCTIONS = sorted(
    path.parent.name
    for path in (ROOT / "functions").glob("*/app.py")
    if not path.parent.name.startswith(("batch_", "webhook_", "quota_", "store_", "console", "ingest_worker"))
)


class RoleVerifier(KeyVerifier):
    """Knows a key of each role, whose id is the role's name."""

    def __init__(self) -> None:
        """Without a directory."""

    def verify(self, presented: ApiKeyToken) -> VerifiedKey:
        if presented.id not in set(Role):
            raise AuthenticationError("This API key is unknown.")
        return VerifiedKey(ApiKey(presented.id, "acme", Role(presented.id), "a key"), Tenant("acme", "ACME"))


class AppWithRoles(App):
    """An App that reaches nobody."""

    @part
    def verifier(self) -> KeyVerifier:
        return RoleVerifier()

    @part
    def caller_counter(self) -> CallerCounter:
        return UnlimitedCounter()


def status(route: Route, key_id: str | None) -> int:
    """What the sample event of a route is answered, by a handler that does nothing, to a key of this id."""
    event: dict[str, Any] = json.loads(events.text_of(route))
    event["headers"].pop("Authorization", None)
    if key_id is not None:
        event["headers"]["Authorization"] = f"Bearer sl-{key_id}-{'x' * 43}"
    handler = lambda_handler([replace(route, handler=lambda call: {})], AppWithRoles(Settings.from_environment({})))
    return int(handler(event, cast("LambdaContext", CONTEXT))["statusCode"])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.id)
def test_a_route_is_for_who_has_its_role_and_nobody_else(route: Route) -> None:
    # A key that says more to an open route has to be one.
    is_open = route.role is None
    without, with_none = (route.status if is_open else 401), (route.status if is_open and not route.fuller_for else 401)
    assert (status(route, None), status(route, "stranger")) == (without, with_none)
    for role in Role:
        may_call = route.role is None or role.includes(route.role)
        assert status(route, role) == (route.status if may_call else 403), role


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_answers_what_is_deployed_to_it(function: str) -> None:
    module = importlib.import_module(f"functions.{function}.app")
    deployed = template.routes(template.load(), f"{function.title().replace('_', '')}Function")
    # What is deployed below /openai is deployed without it too.
    assert {(route.method, route.path) for route in module.ROUTES} == {
        (each.method, each.path.removeprefix("/openai")) for each in deployed
    }


def test_what_groq_s_clients_ask_is_deployed() -> None:
    deployed = {f"{each.method} {each.path}" for each in template.routes(template.load(), "ChatFunction")}
    assert {"POST /openai/v1/chat/completions", "GET /openai/v1/models", "GET /openai/v1/models/{id+}"} <= deployed


def test_every_route_is_deployed_to_one_function() -> None:
    answered = [route for name in FUNCTIONS for route in importlib.import_module(f"functions.{name}.app").ROUTES]
    assert sorted(answered, key=lambda route: route.id) == sorted(ROUTES, key=lambda route: route.id)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES) == len({route.id for route in ROUTES})
