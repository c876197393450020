"""API keys as they are written: `sl-<id>-<secret>`. Pure, but for drawing the randomness."""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import field

from sluice.loading.dataclass import dataclass

KEY_ID_PATTERN = "[a-z0-9]{1,32}"

_ID_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH = 12
_SECRET_ALPHABET = string.ascii_letters + string.digits
# 62 ** 43 is just over 2 ** 256: as much as 32 random bytes.
_SECRET_LENGTH = 43

# A longer key than any of ours is not worth hashing.
_API_KEY = re.compile(rf"sl-({KEY_ID_PATTERN})-([A-Za-z0-9]{{32,128}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ApiKeyToken:
    """An API key as its owner shows it."""

    id: str
    secret: str = field(repr=False)

    @classmethod
    def generate(cls) -> "ApiKeyToken":
        """A new key that nobody can guess."""
        return cls(_draw(_ID_ALPHABET, _ID_LENGTH), _draw(_SECRET_ALPHABET, _SECRET_LENGTH))

    @classmethod
    def parse(cls, text: str) -> "ApiKeyToken | None":
        """Read `sl-<id>-<secret>`; None if it is not of that form."""
        match = _API_KEY.fullmatch(text)
        return None if match is None else cls(match[1], match[2])

    @property
    def text(self) -> str:
        """The key as it is sent."""
        return f"sl-{self.id}-{self.secret}"

    @property
    def secret_hash(self) -> str:
        """What is stored of it. The secret is random and long, so one round of SHA-256 is enough."""
        return hash_secret(self.secret)

    def matches(self, secret_hash: str) -> bool:
        """Whether the secret is the one that was stored as `secret_hash`, in a time that does not tell how nearly."""
        return hmac.compare_digest(self.secret_hash, secret_hash)


def hash_secret(secret: str) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _draw(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
