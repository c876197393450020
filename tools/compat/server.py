"""The local stack with a scripted provider behind it, for clients that know models by OpenAI's and others' names."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes import FakeProcess, FakeProviderClient
from tools.processes import free_port
from tools.stack import Settings, Stack, running_stack

# The models that clients and suites ask for by name.
_CHAT_MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-6-astra", "gpt-3.5-turbo-instruct", "model")
_EMBEDDING_MODEL = {"vectors": {"dimensions": 8, "shortens": True}}

# One client runs after the other, with one key: none is to be told that another has used up its minute.
_LIMITS = {"CallerRequestsPerMinute": "100000", "CallerRequestsPerDay": "1000000"}


@dataclass(frozen=True, slots=True)
class CompatServer:
    """A running stack and the provider behind it, which answers what it is told to."""

    stack: Stack
    provider: FakeProviderClient

    @property
    def root_url(self) -> str:
        """Where it is, without `/v1`."""
        return self.stack.base_url.removesuffix("/v1")


@contextmanager
def compat_server(directory: Path) -> Iterator[CompatServer]:
    """Start it on loopback, and end it with the block or with this process; `directory` takes logs."""
    with FakeProcess() as provider:
        models = {name: {"tier": "fast"} for name in _CHAT_MODELS}
        credential = {
            "provider": "gateway",
            "alias": "scripted",
            "api_key": "scripted",
            "base_url": provider.openai_url,
            "models": {**models, "text-embedding-3-small": _EMBEDDING_MODEL},
        }
        # In its own protocol, so that what only Anthropic's models are asked for is answered.
        claude = {
            "provider": "anthropic",
            "alias": "scripted-claude",
            "api_key": "scripted",
            "base_url": provider.anthropic_url,
            "models": {"claude-haiku-4-5": {}},
        }
        settings = Settings(port=free_port(), directory=directory, with_model=False, parameters=_LIMITS)
        with running_stack(settings, [credential, claude]) as running:
            yield CompatServer(running.stack, provider)
