"""What is measured on: MiniStack and a fake provider, each a process of its own, and this process's view of them."""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3

from sluice.composition import App
from tests.fakes import FakeProcess
from tests.tenants import make_key, make_tenant
from tools import template
from tools.ministack import MiniStack
from tools.processes import ROOT

TENANT = "bench"
# Names of models by adapter; each is served by one credential.
MODELS = {"openai_compatible": "bench-compatible", "groq": "bench-groq", "huggingface": "bench-huggingface"}
SCARCE_MODEL = "bench-scarce"

# Never reached, and counted all the same.
PLENTY = {
    "requests_per_minute": 100_000,
    "requests_per_day": 10_000_000,
    "tokens_per_minute": 100_000_000,
    "tokens_per_day": 10_000_000_000,
}
ANSWER = " ".join(["Reserve", "from", "every", "limit", "before", "the", "call", "and", "settle", "after", "it."] * 4)
ANSWER_WORDS = len(ANSWER.split())
_ADMIN_SECRET = secrets.token_hex(20)
# What template.yaml says to all functions, whatever its parameters are.
_ENVIRONMENT = {"POWERTOOLS_SERVICE_NAME": "sluice", "PYDANTIC_DISABLE_PLUGINS": "__all__"}


@dataclass(frozen=True, slots=True)
class Stage:
    """A running stage."""

    provider: FakeProcess
    app: App
    environment: Mapping[str, str]
    """What a process of its own needs in order to see the same tables and secrets."""

    @property
    def admin_key(self) -> str:
        """The admin's API key."""
        return f"sl-admin-{_ADMIN_SECRET}"

    def spend_on(self, models: Mapping[str, Mapping[str, int]]) -> None:
        """Serve these models (name -> limits) in place of all others; the provider enforces the limits as well."""
        self.provider.configure(limits=[{"model": name, **limits} for name, limits in models.items()])
        credential = {
            "provider": "gateway",
            "alias": "shared-1",
            "api_key": "key-1",
            "base_url": self.provider.openai_url,
            "models": {name: {"tier": "fast", "limits": limits} for name, limits in models.items()},
        }
        secret = json.dumps({"credentials": [credential]})
        boto3.client("secretsmanager").put_secret_value(
            SecretId=self.environment["CREDENTIALS_SECRET"], SecretString=secret
        )

    def tenant(self, name: str, **fields: Any) -> None:
        """Make a tenant."""
        make_tenant(self.app, name, **fields)

    def key(self, tenant: str = TENANT, *, requests_per_minute: int = 1_000_000, **more: float) -> str:
        """Make an API key, with `more` limits."""
        limits = {"requests_per_minute": requests_per_minute, "requests_per_day": 10**9, **more}
        return make_key(self.app, tenant, limits=limits)


@contextmanager
def staged(provider_port: int = 0) -> Iterator[Stage]:
    """Start all of it, make this process use it, and stop it in the end. At port 0 the provider chooses one."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    try:
        with (
            TemporaryDirectory(prefix="bench-") as directory,
            MiniStack(Path(directory)) as ministack,
            FakeProcess(provider_port, answer=ANSWER, limits=[PLENTY]) as provider,
        ):
            variables = {**ministack.environment, **_ENVIRONMENT}
            os.environ.update(variables)
            variables |= _create_tables() | _create_secrets(provider)
            os.environ.update(variables)
            path = os.pathsep.join([str(ROOT / "layers" / "sluice"), str(ROOT)])
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            stage = Stage(provider, App.from_environment(), {**inherited, **variables, "PYTHONPATH": path})
            stage.tenant(TENANT)
            yield stage
    finally:
        os.environ.clear()
        os.environ.update(before)


def _create_tables() -> dict[str, str]:
    """The deployed tables, each under a short name; returned by variable."""
    dynamodb = boto3.client("dynamodb")
    names = {}
    for variable, schema in template.tables(template.load()).items():
        names[variable] = variable.removesuffix("_TABLE").title().replace("_", "")
        dynamodb.create_table(TableName=names[variable], **schema.definition)
    return names


def _create_secrets(provider: FakeProcess) -> dict[str, str]:
    secretsmanager = boto3.client("secretsmanager")
    contents: dict[str, Any] = {
        "ADMIN_KEY_SECRET": {"id": "admin", "secret": _ADMIN_SECRET},
        "CREDENTIALS_SECRET": {"credentials": _credentials(provider)},
    }
    return {
        variable: secretsmanager.create_secret(Name=variable, SecretString=json.dumps(content))["ARN"]
        for variable, content in contents.items()
    }


def _credentials(provider: FakeProcess) -> list[dict[str, Any]]:
    price = {"prompt_usd": 1.0, "completion_usd": 2.0}
    plentiful = {"tier": "fast", "price": price, "limits": PLENTY}
    scarce = {"tier": "fast", "price": price, "limits": {**PLENTY, "requests_per_minute": 1}}
    return [
        {
            "provider": "gateway",
            "alias": "gateway-1",
            "api_key": "key-1",
            "base_url": provider.openai_url,
            "models": {MODELS["openai_compatible"]: plentiful, SCARCE_MODEL: scarce},
        },
        {
            "provider": "groq",
            "alias": "groq-1",
            "api_key": "key-2",
            "base_url": provider.groq_url,
            "models": {MODELS["groq"]: plentiful},
        },
        {
            "provider": "huggingface",
            "alias": "hf-1",
            "api_key": "key-3",
            "base_url": provider.huggingface_url,
            "models": {MODELS["huggingface"]: plentiful},
        },
    ]
