"""Where a provider is: which base URLs are right, and how one is shown. Pure."""

import re
from ipaddress import IPv4Address
from urllib.parse import SplitResult, urlsplit, urlunsplit

_MAX_CHARACTERS = 2048
# Not for what may stand in a URL, but for what every HTTP library agrees on.
_PRINTABLE = re.compile(r"[!-~]+")
_LABEL = r"[A-Za-z0-9_-]{1,63}"
_NETLOC = re.compile(rf"({_LABEL}(\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(:\d+)?")
# What is written like an IPv4 address is taken for one.
_IPV4_LIKE = re.compile(r"\d+\.\d+\.\d+\.\d+")


def base_url(text: str) -> str:
    """`text` without a slash at the end of its path. Raises ValueError, which does not repeat it: it may hold a key."""
    parts = _parts(text)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/")))


def shown_url(text: str) -> str:
    """`text` without what may be a secret in it: user name, password, query and fragment."""
    parts = urlsplit(text)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _parts(text: str) -> SplitResult:
    if len(text) > _MAX_CHARACTERS or not _PRINTABLE.fullmatch(text):
        raise ValueError(f"must be a URL of at most {_MAX_CHARACTERS} printable ASCII characters, without spaces")
    try:
        parts = urlsplit(text)
        _ = parts.port
        if _IPV4_LIKE.fullmatch(parts.hostname or ""):
            IPv4Address(parts.hostname or "")
    except ValueError:
        raise ValueError("must have a host and port that can be: like 'https://host:8443/v1'") from None
    if "@" in parts.netloc:
        raise ValueError("must not have a user name or password in it: the key belongs into api_key")
    if parts.scheme not in ("http", "https") or not _NETLOC.fullmatch(parts.netloc):
        raise ValueError("must be an http or https URL: like 'https://host/v1'")
    return parts
