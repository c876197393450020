"""Each key is tried once, at the same time as the others, and what is said of it never shows it."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sluice.catalog.catalog import catalog
from tests.fakes import FakeProcess
from tools.key_check import Outcome, check_keys
from tools.processes import free_port


class AnswersItsPath(BaseHTTPRequestHandler):
    """Answers /503/v1/models with 503."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), AnswersItsPath) as serving:
        threading.Thread(target=serving.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()


def credential(alias: str, base_url: str, **more: str) -> dict[str, str]:
    return {"provider": "gateway", "alias": alias, "base_url": base_url, "api_key": f"secret-{alias}", **more}


def test_a_valid_key_is_told_from_one_that_is_not() -> None:
    with FakeProcess() as fake:
        fake.configure(api_keys=["secret-good"])
        checks = check_keys([credential("good", fake.openai_url), credential("bad", fake.openai_url + "/")])
        assert fake.state()["arrivals"] == [], "no model was asked"
    assert [(each.alias, each.outcome) for each in checks] == [("good", Outcome.OK), ("bad", Outcome.REFUSED)]
    assert "secret" not in "".join(map(str, checks))


@pytest.mark.parametrize(
    ("status", "outcome", "said"),
    [
        (200, Outcome.OK, "k (gateway): ok"),
        (429, Outcome.OK, "k (gateway): ok, but its limits are used up at present"),
        (400, Outcome.REFUSED, "answered 400: has the key been revoked, or not been copied whole?"),
        (401, Outcome.REFUSED, "k (gateway): refused, 127.0.0.1"),
        (403, Outcome.REFUSED, "answered 403"),
        (503, Outcome.UNREACHABLE, "answered 503"),
        (404, Outcome.UNKNOWN, "k (gateway): not known, 127.0.0.1"),
        (302, Outcome.UNKNOWN, "answered 302"),
    ],
)
def test_each_status_is_told_apart(status: int, outcome: Outcome, said: str, server: str) -> None:
    [check] = check_keys([credential("k", f"{server}/{status}/v1")])
    assert check.outcome == outcome
    assert said in str(check)


def test_nobody_there_and_nobody_answering_are_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        checks = check_keys(
            [
                *(credential(f"silent-{number}", f"http://127.0.0.1:{port}/v1") for number in range(20)),
                credential("closed", f"http://127.0.0.1:{free_port()}/v1"),
                credential("nowhere", "http://no-such-host.invalid/v1"),
            ],
            timeout_s=2,
        )
    assert {each.outcome for each in checks} == {Outcome.UNREACHABLE}
    assert "has not answered within 2 s" in str(checks[0])
    assert "no connection to 127.0.0.1" in str(checks[20])
    assert "no-such-host.invalid" in str(checks[21])


def test_a_server_that_asks_for_no_key_is_sent_none(server: str) -> None:
    [check] = check_keys([{"provider": "ollama", "alias": "o", "base_url": f"{server}/200/v1"}])
    assert check.outcome == Outcome.OK


def test_a_query_of_the_base_url_stays_behind_the_path() -> None:
    with FakeProcess() as fake:
        [check] = check_keys([credential("azure", f"{fake.openai_url}?api-version=1")])
    assert check.outcome == Outcome.OK


def test_without_keys_nothing_is_asked() -> None:
    assert check_keys([]) == []


def test_each_provider_of_the_catalogue_has_a_place_to_try_its_keys_or_the_credential_says_where() -> None:
    without = {row.name for row in catalog().providers.values() if not (row.key_url or row.base_url)}
    assert without == {"gateway", "azure_openai", "oci", "vllm", "local", "bedrock", "builtin", "custom_gateway"}


def test_who_is_asked_by_a_role_has_no_key_to_try() -> None:
    assert check_keys([{"provider": "bedrock", "alias": "br-1", "models": {"m": {"tier": "fast"}}}]) == []
