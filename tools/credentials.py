"""Which provider keys the local stack is given: those in .env and credentials.json, and the local model."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sluice.providers.credentials import CredentialsError, parse_credentials
from tools import model

type Credential = Mapping[str, Any]
"""An entry of the credentials secret."""

# Variable of .env, provider, alias without its number.
_VARIABLES = (
    ("GROQ_API_KEYS", "groq", "groq"),
    ("HF_TOKENS", "huggingface", "hf"),
    ("OPENAI_API_KEYS", "openai", "openai"),
)
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


class CredentialsFileError(ValueError):
    """A file with keys is not what it should be. The message never holds a key."""


def local_model(base_url: str, *, by_name_only: bool) -> Credential:
    """The credential of the local model, chosen for `auto` unless it is to be had `by_name_only`."""
    credential = {"provider": "local", "alias": "local-1", "api_key": "local", "base_url": base_url}
    return credential | {"models": {model.ALIAS: {"serves": []}}} if by_name_only else credential


def from_files(root: Path) -> list[Credential]:
    """The credentials of `.env` and `credentials.json` in a folder; none if there are no such files.

    Raises CredentialsFileError if a file can't be read as what it is.
    """
    found = [*_from_dotenv(root / ".env"), *_from_json(root / "credentials.json")]
    aliases = [credential["alias"] for credential in found]
    for alias in aliases:
        if aliases.count(alias) > 1:
            raise CredentialsFileError(f"two credentials are called {alias!r}: aliases must differ")
    return found


def _from_dotenv(path: Path) -> Iterator[Credential]:
    if not path.exists():
        return
    variables = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise CredentialsFileError(f"{path.name}, line {number}: expected NAME=value")
        name, value = match.groups()
        quoted = re.fullmatch(r"""(["'])(.*)\1""", value)
        variables[name] = quoted.group(2) if quoted else value
    for variable, provider, alias in _VARIABLES:
        keys = [key.strip() for key in variables.get(variable, "").split(",") if key.strip()]
        for number, key in enumerate(keys, start=1):
            yield {"provider": provider, "alias": f"{alias}-{number}", "api_key": key}


def _from_json(path: Path) -> list[Credential]:
    if not path.exists():
        return []
    text = path.read_text()
    try:
        parse_credentials(text)
    except CredentialsError as error:
        raise CredentialsFileError(f"{path.name}: {error}") from error
    credentials: list[Credential] = json.loads(text)["credentials"]
    return credentials
