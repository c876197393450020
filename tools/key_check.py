"""Tries each provider key once, all at the same time, with a question that costs nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import httpx

from sluice.catalog.catalog import catalog
from sluice.catalog.model import ProviderRow
from sluice.providers.key_trial import key_trial
from tools.credentials import Credential

TIMEOUT_S = 4.5
"""How long all of it takes at most."""
_REFUSED = {400, 401, 403}  # 400 is Gemini's way
_RATE_LIMITED = 429


class Outcome(StrEnum):
    """What became of a key."""

    OK = "ok"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """A key by its alias, and what its provider says of it."""

    alias: str
    provider: str
    outcome: Outcome
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.alias} ({self.provider}): {self.outcome}{self.detail and f', {self.detail}'}"


def check_keys(credentials: Sequence[Credential], timeout_s: float = TIMEOUT_S) -> list[KeyCheck]:
    """What the providers say of the keys, in `timeout_s` at most. It never holds a key.

    A provider that is asked by a role has none to try.
    """
    keyed = [each for each in credentials if _row(each).adapter != "bedrock"]
    return asyncio.run(_check_all(keyed, timeout_s)) if keyed else []


async def _check_all(credentials: Sequence[Credential], timeout_s: float) -> list[KeyCheck]:
    async with httpx.AsyncClient(timeout=timeout_s) as client:
        return await asyncio.gather(*(_check(client, each, timeout_s) for each in credentials))


async def _check(client: httpx.AsyncClient, credential: Credential, timeout_s: float) -> KeyCheck:
    row, base_url, key = _row(credential), credential.get("base_url"), credential.get("api_key")
    trial = key_trial(row, None if base_url is None else str(base_url), None if key is None else str(key))
    if trial is None:
        return KeyCheck(str(credential["alias"]), str(credential["provider"]), Outcome.OK, "it is in Sluice itself")
    host = urlsplit(trial.url).netloc
    try:
        async with asyncio.timeout(timeout_s):
            request = client.build_request("GET", trial.url, headers=dict(trial.headers))
            answer = await client.send(request, stream=True)  # the list itself is not wanted
            await answer.aclose()
    except TimeoutError:
        outcome, detail = Outcome.UNREACHABLE, f"{host} has not answered within {timeout_s:g} s"
    except httpx.HTTPError as error:
        outcome, detail = Outcome.UNREACHABLE, f"no connection to {host} ({type(error).__name__})"
    else:
        outcome, detail = _judge(answer.status_code, host)
    return KeyCheck(str(credential["alias"]), str(credential["provider"]), outcome, detail)


def _row(credential: Credential) -> ProviderRow:
    return catalog().providers[str(credential["provider"])]


def _judge(status: int, host: str) -> tuple[Outcome, str]:
    if status in _REFUSED:
        return Outcome.REFUSED, f"{host} answered {status}: has the key been revoked, or not been copied whole?"
    if status == _RATE_LIMITED:
        return Outcome.OK, "but its limits are used up at present"
    if httpx.codes.is_success(status):
        return Outcome.OK, ""
    if httpx.codes.is_server_error(status):
        return Outcome.UNREACHABLE, f"{host} answered {status}"
    return Outcome.UNKNOWN, f"{host} answered {status} where a key can be tried elsewhere"
