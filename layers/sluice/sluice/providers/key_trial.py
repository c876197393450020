"""Where a provider's key can be tried: a GET that costs nothing, and is refused if the key is not valid. Pure."""

from collections.abc import Mapping
from dataclasses import field
from urllib.parse import SplitResult, urlsplit, urlunsplit

from sluice.catalog.model import ProviderRow
from sluice.loading.dataclass import dataclass

ANTHROPIC_VERSION = "2023-06-01"
"""The version of Anthropic's API that is spoken, https://platform.claude.com/docs/en/api/versioning."""

_MODELS = "/models"


@dataclass(frozen=True, slots=True)
class KeyTrial:
    """What to ask. The headers hold the key."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


def key_trial(row: ProviderRow, base_url: str | None, key: str | None) -> KeyTrial | None:
    """How a key is tried at a provider, or at `base_url` in its place; None where there is none to try, or nowhere."""
    if row.adapter in ("bedrock", "builtin"):
        return None
    url = _url(row, base_url)
    return None if url is None else KeyTrial(url, _key_headers(row, key) if key else {})


def _url(row: ProviderRow, base_url: str | None) -> str | None:
    if row.key_url and not base_url:
        return row.key_url
    where = base_url or row.base_url
    if where is None:
        return None
    parts = urlsplit(where)
    # A query stays where it is: Azure asks for `?api-version=...`.
    return urlunsplit(parts._replace(path=_root(row, parts).rstrip("/") + _MODELS))


def _root(row: ProviderRow, parts: SplitResult) -> str:
    if row.adapter == "azure_openai" and parts.path in ("", "/"):
        return "/openai/v1"
    if row.adapter == "custom_gateway":
        return parts.path.removesuffix("/").removesuffix("/v1") + "/v1"
    return parts.path


def _key_headers(row: ProviderRow, key: str) -> dict[str, str]:
    if row.adapter == "anthropic":
        return {"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION}
    if row.adapter == "azure_openai":
        return {"api-key": key}
    return {"authorization": f"Bearer {key}"}
