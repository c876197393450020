"""A probe of an integration: the cheapest request that shows whether its credentials are taken, and what is there.

It asks for a list, never for an answer of a model, so that it costs nothing and counts against no limit of tokens.
"""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sluice.catalog.catalog import Catalog
from sluice.errors import ProviderError
from sluice.integrations.integration import PROVIDERS, Integration
from sluice.loading.dataclass import dataclass
from sluice.providers.guard import guarding
from sluice.providers.key_trial import KeyTrial, key_trial

TIMEOUT_S = 10.0
_MOST_BYTES = 2 * 1024 * 1024
_MOST_MODELS = 200
_GITHUB = "https://api.github.com"
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What came of it. `models` are those that the key may use, as far as the provider tells."""

    ok: bool
    latency_ms: float
    models: tuple[str, ...] = ()
    error: str | None = None


def probe(integration: Integration, secret: Mapping[str, str], known: Catalog, networks: tuple[str, ...]) -> Probe:
    """Ask what an integration leads to. Nothing that it says but names of models is passed on."""
    if PROVIDERS.get(integration.provider or "") == "builtin":
        return Probe(ok=True, latency_ms=0.0, models=tuple(each.id for each in known.models_of("builtin")))
    request = _request_of(integration, secret, known)
    if request is None:
        return Probe(ok=False, latency_ms=0.0, error="base_url: missing, and the catalogue has none for this provider")
    began_s = time.monotonic()
    try:
        status, body = _ask(request, networks)
    except ProviderError as error:
        return Probe(ok=False, latency_ms=_ms_since(began_s), error=_unreached(integration, error))
    latency_ms = _ms_since(began_s)
    if status != _OK:
        return Probe(ok=False, latency_ms=latency_ms, error=_refused(integration, status))
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return Probe(
            ok=False, latency_ms=latency_ms, error=f"{_who(integration)} answered with no JSON: check base_url"
        )
    return Probe(ok=True, latency_ms=latency_ms, models=_models(answer))


def _request_of(integration: Integration, secret: Mapping[str, str], known: Catalog) -> KeyTrial | None:
    if integration.type == "jira":
        pair = f"{secret.get('email', '')}:{secret.get('api_token', '')}".encode()
        headers = {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return KeyTrial(f"{integration.base_url}/rest/api/3/myself", headers) if integration.base_url else None
    if integration.type == "github":
        headers = {"authorization": f"Bearer {secret.get('token', '')}", "accept": "application/vnd.github+json"}
        return KeyTrial(f"{integration.base_url or _GITHUB}/user", headers)
    row = known.providers[PROVIDERS[integration.provider or ""]]
    return key_trial(row, integration.base_url, secret.get("api_key"))


def _ask(request: KeyTrial, networks: tuple[str, ...]) -> tuple[int, bytes]:
    """The status and the body of what is answered. Raises ProviderError."""
    # Imported late: they bring httpcore.
    import httpcore

    from sluice.providers import connections

    headers = {"host": urlsplit(request.url).netloc, "accept": "application/json", "user-agent": "sluice"}
    sent = [
        (name.encode(), value.encode("latin-1", "replace")) for name, value in {**headers, **request.headers}.items()
    ]
    with guarding(networks):
        response = connections.send("GET", httpcore.URL(request.url), sent, b"", TIMEOUT_S)
    if response.status != _OK:
        connections.read_error(response)
        return response.status, b""
    body = bytearray()
    parts = connections.Parts(response)
    try:
        for part in parts:
            body += part
            if len(body) > _MOST_BYTES:
                break
    finally:
        parts.close()
    return response.status, bytes(body[:_MOST_BYTES])


def _models(answer: Any) -> tuple[str, ...]:
    """The names of models in a list as OpenAI's, or in what a gateway says of a key."""
    found = answer.get("data") if isinstance(answer, dict) else answer
    if isinstance(answer, dict) and isinstance(answer.get("info"), dict):
        found = answer["info"].get("models")
    if not isinstance(found, list):
        return ()
    named = [each.get("id") if isinstance(each, dict) else each for each in found]
    return tuple(name.removeprefix("models/")[:256] for name in named if isinstance(name, str))[:_MOST_MODELS]


def _who(integration: Integration) -> str:
    return {"jira": "Jira", "github": "GitHub"}.get(integration.type, integration.provider or "the provider")


def _refused(integration: Integration, status: int) -> str:
    who = _who(integration)
    if status in (400, 401, 403):  # 400 is Gemini's way
        return f"{who} answered {status}: it does not take these credentials"
    if status == 404:
        return f"{who} answered 404: check base_url"
    if status == 429:
        return f"{who} answered 429: too many requests, or nothing is left of a quota; try again later"
    if 300 <= status < 400:
        return f"{who} answered {status}: base_url leads elsewhere; name where it leads"
    return f"{who} answered {status}"


def _unreached(integration: Integration, error: ProviderError) -> str:
    if "reached" in error.message:
        return f"{_who(integration)} could not be reached: check base_url; its host has to be on the public internet"
    return f"{_who(integration)}: {error.message}"


def _ms_since(began_s: float) -> float:
    return round((time.monotonic() - began_s) * 1000, 1)
