"""Ids of requests: sorted by time as text, and telling when a request began and where its record is. Pure.

`req_` and a UUID of version 7 (RFC 9562, section 5.7) as 32 hexadecimal digits: 48 bits of milliseconds since 1970, and
74 random ones.
"""

import re
import secrets

_PREFIX = "req_"
_DIGITS = 32
_FORM = re.compile(r"req_[0-9a-f]{32}", re.ASCII)
_LAST_MS = 2**48 - 1
_VERSION = 7 << 76
_VARIANT = 2 << 62
_RANDOM_BITS = 62


def new_request_id(now_ms: int) -> str:
    """A new id of a request that begins at `now_ms`, in milliseconds since 1970."""
    first, rest = secrets.randbits(12), secrets.randbits(_RANDOM_BITS)
    return _text(_bounded(now_ms) << 80 | _VERSION | first << 64 | _VARIANT | rest)


def is_request_id(text: str) -> bool:
    """Whether a text is such an id."""
    return _FORM.fullmatch(text) is not None


def began_ms(request_id: str) -> int:
    """When a request began, in milliseconds since 1970."""
    return _number(request_id) >> 80


def random_part(request_id: str) -> int:
    """A number that is as likely as any other of its size: the id's last 16 bits."""
    return _number(request_id) & 0xFFFF


def first_id_at(time_ms: int) -> str:
    """What no id of a request that began at `time_ms` sorts before."""
    return _text(_bounded(time_ms) << 80)


def last_id_at(time_ms: int) -> str:
    """What no id of a request that began at `time_ms` sorts after."""
    return _text(_bounded(time_ms) + 1 << 80) if time_ms < _LAST_MS else _PREFIX + "f" * _DIGITS


def id_before(request_id: str) -> str:
    """What sorts just before an id."""
    return _text(max(0, _number(request_id) - 1))


def _bounded(time_ms: int) -> int:
    return min(max(0, time_ms), _LAST_MS)


def _number(request_id: str) -> int:
    return int(request_id.removeprefix(_PREFIX), 16)


def _text(number: int) -> str:
    return f"{_PREFIX}{number:0{_DIGITS}x}"
