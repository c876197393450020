"""Makes a tenant and its API keys, through the deployed API."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from tools.deployment import Deployment

TENANT = "local"
_TIMEOUT_S = 60.0


class AccountsError(RuntimeError):
    """The deployed API did not make what it was asked for."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """The API keys of a stack."""

    admin_key: str
    caller_key: str
    operator_key: str


def ensure(deployed: Deployment, admin_key: str, before: Mapping[str, str] | None = None) -> Accounts:
    """Make a tenant with a caller's and an operator's key, unless they are there.

    `before` are the keys that an earlier run made, by role. One that is no longer valid is replaced.
    Raises AccountsError if the API refuses.
    """
    with httpx.Client(base_url=deployed.api_url, headers=deployed.api_headers, timeout=_TIMEOUT_S) as client:
        if before is None:
            _post(client, admin_key, "/v1/tenants", {"id": TENANT, "name": "Local"})
        keys = {role: _key(client, admin_key, role, (before or {}).get(role)) for role in ("caller", "operator")}
    return Accounts(admin_key, keys["caller"], keys["operator"])


def _key(client: httpx.Client, admin_key: str, role: str, before: str | None) -> str:
    if before is not None and client.get("/v1/models", headers=_authorization(before)).is_success:
        return before
    made = _post(client, admin_key, "/v1/keys", {"tenant": TENANT, "role": role, "name": f"Local {role}"})
    return made["api_key"]


def _post(client: httpx.Client, admin_key: str, path: str, body: dict[str, str]) -> dict[str, str]:
    answer = client.post(path, json=body, headers=_authorization(admin_key))
    if not answer.is_success:
        raise AccountsError(f"POST {path} was answered with {answer.status_code}: {answer.text}")
    created: dict[str, str] = answer.json()
    return created


def _authorization(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}
