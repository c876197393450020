"""An issuer of logins on loopback: a discovery document, a key set, and tokens that are signed with its keys."""

import base64
import json
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

AUDIENCE = "llm"
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"

type PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def private_key(algorithm: str, key_id: str) -> PrivateKey:
    """A private key for an algorithm, the same one each time."""
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(algorithm: str, key_id: str, **more: Any) -> dict[str, Any]:
    """The public key of `private_key`, as a key set has it."""
    as_jwk = get_default_algorithms()[algorithm]
    found: dict[str, Any] = as_jwk.to_jwk(private_key(algorithm, key_id).public_key(), as_dict=True)
    found.pop("key_ops", None)
    return {**found, "kid": key_id, "use": "sig", **more}


def public_pem(algorithm: str, key_id: str) -> bytes:
    """The public key of `private_key`, as a PEM file."""
    return private_key(algorithm, key_id).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def encoded(part: object) -> str:
    """A part of a token."""
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(claims: dict[str, Any], key: PrivateKey, algorithm: str, headers: dict[str, Any]) -> str:
    """A token that says anything at all: `jwt.encode` refuses some claims."""
    return jwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm, headers)


class TokenIssuer:
    """The server. What it publishes and how it answers can be changed at any time."""

    def __init__(self) -> None:
        self.keys = [public_jwk("RS256", "key-1")]
        self.status = 200
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.issuer: str | None = None
        """What the discovery document says of itself, if that is not the truth."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                issuer.may_answer.wait(30)
                body = json.dumps(issuer.document(self.path)).encode()
                self.send_response(issuer.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def document(self, path: str) -> dict[str, Any]:
        """What is published under a path."""
        if path == DISCOVERY:
            return {"issuer": self.issuer or self.url, "jwks_uri": self.url + KEYS}
        return {"keys": self.keys}

    def claims(self, **more: Any) -> dict[str, Any]:
        """Claims of a token that is taken; None leaves one out."""
        now = int(time.time())
        said = {"iss": self.url, "aud": AUDIENCE, "sub": "ada-1", "iat": now, "exp": now + 300, **more}
        return {name: value for name, value in said.items() if value is not None}

    def token(
        self, algorithm: str = "RS256", key_id: str = "key-1", headers: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A token that is signed with a key of the issuer."""
        named = {"kid": key_id, **(headers or {})}
        return signed(self.claims(**claims), private_key(algorithm, key_id), algorithm, named)
