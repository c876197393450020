"""The adapters against servers that are slow, silent or none: how soon which error is told."""

import socket
import threading
import time

import pytest

from sluice.errors import ProviderProtocolError, ProviderTimeoutError, ProviderUnavailableError
from sluice.providers.base import Provider, ProviderConfig
from tests.failing_providers import ADAPTERS, API_KEY, TIMEOUT_S, call, failure_of
from tests.fakes import FakeProvider

# What a call may take over its time-out: the machine is shared.
SLACK_S = 1.5
SLOW_ANSWERS = ["hang", "hang_midway", "drip", "drip_headers", "slow"]


@pytest.mark.parametrize("fault", SLOW_ANSWERS)
def test_the_time_out_bounds_the_whole_call(provider: Provider, streamed: bool, fake: FakeProvider, fault: str) -> None:
    call(provider, streamed)  # the first call imports the SDK
    fake.add_fault(fault, delay_s=TIMEOUT_S * 0.6 if fault == "slow" and streamed else TIMEOUT_S * 2)
    if fault.startswith("drip"):
        fake.clear_faults()
        fake.add_fault(fault, delay_s=TIMEOUT_S / 10)
    started_s = time.monotonic()
    error = failure_of(provider, streamed, TIMEOUT_S)
    took_s = time.monotonic() - started_s
    assert type(error) is ProviderTimeoutError
    assert error.may_be_billed
    assert TIMEOUT_S - 0.05 <= took_s <= TIMEOUT_S + SLACK_S


def test_a_byte_just_before_the_time_out_does_not_buy_more_time(
    provider: Provider, streamed: bool, fake: FakeProvider
) -> None:
    call(provider, streamed)
    fake.add_fault("drip", delay_s=TIMEOUT_S * 0.75)
    started_s = time.monotonic()
    assert type(failure_of(provider, streamed, TIMEOUT_S)) is ProviderTimeoutError
    assert time.monotonic() - started_s <= TIMEOUT_S + SLACK_S


def test_nobody_listening_is_unavailable_and_nothing_was_sent(streamed: bool) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        for adapter in ADAPTERS.values():
            error = failure_of(adapter(ProviderConfig("p", "p-1", API_KEY, url)), streamed)
            assert type(error) is ProviderUnavailableError
            assert not error.was_sent
            assert not error.may_be_billed


def test_a_host_without_an_address_is_unavailable() -> None:
    for adapter in ADAPTERS.values():
        config = ProviderConfig("p", "p-1", API_KEY, "http://no-such-host.invalid")
        assert type(failure_of(adapter(config), streamed=False)) is ProviderUnavailableError


def test_a_server_that_speaks_no_http_is_a_protocol_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in ADAPTERS:
                connection, _ = server.accept()
                connection.recv(65536)
                connection.sendall(b"220 mail.example ESMTP\r\n")
                connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        for adapter in ADAPTERS.values():
            assert (
                type(failure_of(adapter(ProviderConfig("p", "p-1", API_KEY, url)), streamed=False))
                is ProviderProtocolError
            )
        thread.join(5)


def test_a_redirect_is_not_followed_with_the_key(provider: Provider, fake: FakeProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            head = f"HTTP/1.1 307 Temporary Redirect\r\nlocation: {fake.openai_url}/chat/completions"
            connection.sendall(f"{head}\r\ncontent-length: 0\r\n\r\n".encode())
            connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        moved = type(provider)(ProviderConfig("p", "p-1", API_KEY, url))
        assert type(failure_of(moved, streamed=False)) is ProviderProtocolError
        thread.join(5)
    assert fake.requests() == []


@pytest.mark.parametrize(
    ("rest", "after_s"),
    [("content-length: 100\r\n\r\n{", 0.0), ("content-length: 100\r\n\r\n{", 4.0), ("", 0.0)],
    ids=["cut", "hanging", "cut within headers"],
)
def test_the_status_of_an_error_counts_even_if_its_body_does_not_come(
    provider: Provider, streamed: bool, rest: str, after_s: float
) -> None:
    has_ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(f"HTTP/1.1 503 Service Unavailable\r\n{rest}".encode())
            has_ended.wait(after_s)
            connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        started_s = time.monotonic()
        error = failure_of(type(provider)(ProviderConfig("p", "p-1", API_KEY, url)), streamed)
        assert time.monotonic() - started_s < 3
        assert type(error) is (ProviderUnavailableError if rest else ProviderProtocolError)
        has_ended.set()
        thread.join(5)


def test_a_server_that_does_not_take_the_request_is_a_time_out(provider: Provider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        full = type(provider)(ProviderConfig("p", "p-1", API_KEY, url))
        started_s = time.monotonic()
        with pytest.raises(ProviderTimeoutError):
            # Time enough to write 20 MB as JSON on a machine that is shared, and to connect.
            call(full, streamed=False, timeout_s=5 * TIMEOUT_S, user="x" * 20_000_000)
        assert time.monotonic() - started_s <= 5 * TIMEOUT_S + SLACK_S
