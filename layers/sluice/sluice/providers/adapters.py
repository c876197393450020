"""The adapters by their names in the catalogue."""

from sluice.providers.base import Provider, ProviderConfig
from sluice.providers.deploying import NO_API_KEY

# In a snapshot of a process that has not read its credentials yet.
_LOADED_BEFORE = ("groq", "huggingface", "openai_compatible")


def adapter_for(name: str, config: ProviderConfig) -> Provider:
    """The adapter of that name, for one credential; an unknown one speaks OpenAI's protocol."""
    # Imported late: an SDK is paid for by the first request that needs it.
    if name == "groq":
        from sluice.providers.groq import GroqProvider

        return GroqProvider(config)
    if name == "huggingface":
        from sluice.providers.huggingface import HuggingFaceProvider

        return HuggingFaceProvider(config)
    if name == "azure_openai":
        from sluice.providers.azure_openai import AzureOpenAIProvider

        return AzureOpenAIProvider(config)
    if name == "gemini":
        from sluice.providers.gemini import GeminiProvider

        return GeminiProvider(config)
    if name == "bedrock":
        from sluice.providers.bedrock import BedrockProvider

        return BedrockProvider(config)
    if name == "anthropic":
        from sluice.providers.anthropic import AnthropicProvider

        return AnthropicProvider(config)
    if name == "custom_gateway":
        from sluice.providers.custom_gateway import CustomGatewayProvider

        return CustomGatewayProvider(config)
    if name == "builtin":
        from sluice.providers.builtin import BuiltinProvider

        return BuiltinProvider(config)
    from sluice.providers.openai_compatible import OpenAICompatibleProvider

    return OpenAICompatibleProvider(config)


def load_adapters() -> None:
    """Import what the adapters need that most credentials name. No provider is asked."""
    nobody = ProviderConfig(provider="", alias="", api_key=NO_API_KEY, base_url="http://127.0.0.1")
    for name in _LOADED_BEFORE:
        adapter_for(name, nobody).warm_up()
