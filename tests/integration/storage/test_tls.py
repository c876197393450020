"""A server is believed by its certificate only, and by the authorities that the environment names."""

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sluice.storage.client import DynamoDB
from sluice.storage.connections import ConnectionPool, Endpoint, ExchangeError, Timeouts
from sluice.storage.errors import ServiceError
from sluice.storage.service_config import ServiceConfig
from sluice.storage.signing import Credentials
from tests.scripted_server import http


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files of a certificate that signs itself: the certificate, and with its key."""

    authority: Path
    chain: Path


def certificate_of(name: str, directory: Path) -> Certificate:
    """A certificate of a host."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate = Certificate(directory / f"{name}.pem", directory / f"{name}-with-key.pem")
    certificate.authority.write_bytes(pem)
    certificate.chain.write_bytes(pem + secret)
    return certificate


@contextmanager
def serving(certificate: Certificate) -> Iterator[str]:
    """A server that shows `certificate` and answers {} to each request; its port is that of the URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(accepted: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(accepted, server_side=True) as connection:
            while connection.recv(65536):
                connection.sendall(http(b"{}"))

    def accept() -> None:
        with suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                threading.Thread(target=serve, args=(accepted,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"https://localhost:{listener.getsockname()[1]}"
    finally:
        listener.close()


def client(url: str, ca_bundle: Path | None) -> DynamoDB:
    return DynamoDB(ServiceConfig("eu-west-1", Credentials("id", "secret"), url, str(ca_bundle or "")))


def test_a_server_that_the_authorities_vouch_for_is_spoken_to(tmp_path: Path) -> None:
    certificate = certificate_of("localhost", tmp_path)
    with serving(certificate) as url:
        dynamodb = client(url, certificate.authority)
        assert [dynamodb.call("GetItem", {}) for _ in range(3)] == [{}] * 3


def test_a_server_that_nobody_vouches_for_is_sent_nothing(tmp_path: Path) -> None:
    certificate = certificate_of("localhost", tmp_path)
    with serving(certificate) as url, pytest.raises(ServiceError, match="certificate is not trusted"):
        client(url, None).call("GetItem", {})


def test_a_server_of_another_name_is_sent_nothing(tmp_path: Path) -> None:
    certificate = certificate_of("dynamodb.eu-west-1.amazonaws.com", tmp_path)
    with serving(certificate) as url, pytest.raises(ServiceError, match="certificate is not trusted"):
        client(url, certificate.authority).call("GetItem", {})


def test_authorities_that_are_missing_are_reported(tmp_path: Path) -> None:
    certificate = certificate_of("localhost", tmp_path)
    with serving(certificate) as url, pytest.raises(ServiceError, match="FileNotFoundError"):
        client(url, tmp_path / "none.pem").call("GetItem", {})


def test_a_server_that_does_not_shake_hands_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dynamodb = DynamoDB(
            ServiceConfig("eu-west-1", Credentials("id", "secret"), f"https://localhost:{listener.getsockname()[1]}"),
            Timeouts(connect_s=0.3),
        )
        with pytest.raises(ServiceError, match="no answer in time"):
            dynamodb.call("GetItem", {}, attempts=1)


def test_a_server_without_tls_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError):
                accepted, _ = listener.accept()
                with accepted:
                    accepted.recv(65536)
                    accepted.sendall(http(b"{}"))

        threading.Thread(target=answer, daemon=True).start()
        url = f"https://localhost:{listener.getsockname()[1]}"
        with pytest.raises(ServiceError, match=r"can't be encrypted|ConnectionResetError"):
            client(url, None).call("GetItem", {}, attempts=1)


def exchange_at(url: str, certificate: Certificate, host: str) -> int:
    """Ask a host that is said to be where `url` is, and that no server of names knows."""
    port = int(url.rpartition(":")[2])
    where = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    pool = ConnectionPool(
        Endpoint.from_url(f"https://{host}:{port}"), Timeouts(), str(certificate.authority), addresses=where
    )
    request = f"POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n".encode()
    return pool.exchange(request, time.monotonic() + 10, head_only=True).answer.status


def test_at_an_address_that_was_given_the_name_is_verified(tmp_path: Path) -> None:
    certificate = certificate_of("hooks.invalid", tmp_path)
    with serving(certificate) as url:
        assert exchange_at(url, certificate, "hooks.invalid") == 200
        with pytest.raises(ExchangeError, match="certificate is not trusted"):
            exchange_at(url, certificate, "other.invalid")
