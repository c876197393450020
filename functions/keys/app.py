"""API keys and tenants: /v1/keys and /v1/tenants, for admins."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice.api.rest import RestApp
from sluice.settings import settings
from sluice.tenants.administration import Administration, KeyQuery, NewKey, NewTenant, TenantQuery
from sluice.tenants.directory import Directory
from sluice.tenants.tenant import Role

app = RestApp()
logger = Logger()


@cache
def administration() -> Administration:
    """What this function's routes do."""
    return Administration(Directory(settings().directory_table), settings())


@app.post("/v1/tenants")
def create_tenant() -> Response[str]:
    """Make a tenant."""
    app.principal(Role.ADMIN)
    new = app.body(NewTenant)
    if new.guard_modes:
        # Imported when somebody gives one: no other route of this function needs the rules.
        from sluice.guards.rules import check_rule_ids

        check_rule_ids(new.guard_modes, "guard_modes")
    return app.answer(administration().create_tenant(new), status=201)


@app.get("/v1/tenants")
def list_tenants() -> Response[str]:
    """List tenants."""
    app.principal(Role.ADMIN)
    return app.answer(administration().tenants(app.query(TenantQuery)))


@app.post("/v1/keys")
def create_key() -> Response[str]:
    """Make an API key; its secret is in this answer and nowhere else."""
    app.principal(Role.ADMIN)
    return app.answer(administration().create_key(app.body(NewKey)), status=201)


@app.get("/v1/keys")
def list_keys() -> Response[str]:
    """List a tenant's API keys."""
    app.principal(Role.ADMIN)
    return app.answer(administration().keys(app.query(KeyQuery)))


@app.delete("/v1/keys/<key_id>")
def revoke_key(key_id: str) -> Response[str]:
    """Revoke an API key."""
    app.principal(Role.ADMIN)
    return app.answer(administration().revoke_key(key_id))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry point."""
    return app.resolve(event, context)
