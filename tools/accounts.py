"""Makes a tenant and its API keys, through the deployed API."""

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
    api_key: str
    operator_key: str


def create(deployed: Deployment, admin_key: str) -> Accounts:
    """Make a tenant with a caller's and an operator's key. Raises AccountsError if the API refuses."""
    headers = {**deployed.api_headers, "authorization": f"Bearer {admin_key}"}
    with httpx.Client(base_url=deployed.api_url, headers=headers, timeout=_TIMEOUT_S) as client:
        _post(client, "/v1/tenants", {"id": TENANT, "name": "Local"})
        keys = {
            role: _post(client, "/v1/keys", {"tenant": TENANT, "role": role, "name": f"Local {role}"})["api_key"]
            for role in ("caller", "operator")
        }
    return Accounts(admin_key, keys["caller"], keys["operator"])


def _post(client: httpx.Client, path: str, body: dict[str, str]) -> dict[str, str]:
    answer = client.post(path, json=body)
    if not answer.is_success:
        raise AccountsError(f"POST {path} was answered with {answer.status_code}: {answer.text}")
    created: dict[str, str] = answer.json()
    return created
