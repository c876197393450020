"""Where a gateway's own questions may go."""

from decimal import Decimal

import pytest

from sluice.errors import ProviderError
from sluice.providers.base import ProviderConfig
from sluice.providers.custom_gateway import CustomGatewayProvider
from tests.fakes.litellm import COST_USD, KEY, FakeLiteLlm
from tests.scripted_server import ScriptedServer

ANSWER = {"id": "c-1", "model": "small", "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}


def test_a_tenant_s_own_gateway_is_asked_on_the_public_internet_alone() -> None:
    with ScriptedServer() as server:
        gateway = FakeLiteLlm(server)

        def asked(networks: tuple[str, ...] | None) -> CustomGatewayProvider:
            return CustomGatewayProvider(
                ProviderConfig(
                    provider="custom_gateway",
                    alias="lite",
                    api_key=KEY,
                    base_url=gateway.base_url,
                    unpriced_models=frozenset({"small"}),
                    networks=networks,
                )
            )

        assert asked(()).answer_cost_usd(ANSWER, "small") is None
        with pytest.raises(ProviderError):
            asked(()).key_info()
        assert server.requests == []
        assert asked(None).answer_cost_usd(ANSWER, "small") == Decimal(repr(COST_USD))
        assert asked(None).key_info().spend_usd == 1.5
