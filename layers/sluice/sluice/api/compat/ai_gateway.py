"""What gateways of LiteLLM's shape say of their keys, for operators: GET /api/v1/ai/gateway/key-info."""

from sluice.api.route import Call, Routes
from sluice.operations.gateway_keys import GatewayKeys
from sluice.tenants.tenant import Role

ROUTES = Routes("Operations")


@ROUTES.get("/api/v1/ai/gateway/key-info", role=Role.OPERATOR, errors={404})
def show_gateway_keys(call: Call) -> GatewayKeys:
    """Show what the keys of gateways have spent and have left.

    Each credential of the provider `custom_gateway` is asked for, as the gateway itself answers `/key/info`. The keys
    are not shown. A gateway that can't be asked has a `status` that says so.
    """
    return call.app.gateway_keys.read()
