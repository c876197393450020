"""The Directory table under races, long lists and DynamoDB's own refusals."""

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Thread

import pytest

from sluice.errors import ConflictError, NotFoundError, StorageUnavailableError
from sluice.storage.client import DynamoDB
from sluice.storage.service_config import ServiceConfig
from sluice.storage.signing import Credentials
from sluice.tenants.directory import Directory
from sluice.tenants.tenant import ApiKey, Role, Tenant
from tests.conftest import Aws

ATTEMPTS = 16


@pytest.fixture
def directory(tables: dict[str, str]) -> Directory:
    return Directory(tables["DIRECTORY_TABLE"])


def at_once(work: Callable[[int], object]) -> list[object]:
    """What `ATTEMPTS` threads got or raised, all let go at the same time."""
    gate = Barrier(ATTEMPTS)

    def run(number: int) -> object:
        gate.wait()
        try:
            return work(number)
        except ConflictError as error:
            return error

    with ThreadPoolExecutor(ATTEMPTS) as pool:
        return list(pool.map(run, range(ATTEMPTS)))


def test_of_many_who_create_a_tenant_at_once_one_succeeds_and_its_is_stored(directory: Directory) -> None:
    outcomes = at_once(lambda number: directory.create_tenant(Tenant("acme", f"ACME {number}")))
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == ATTEMPTS - 1
    winner = outcomes.index(None)
    assert directory.tenant("acme") == Tenant("acme", f"ACME {winner}")
    assert directory.tenants(after=None, limit=10).entries == (Tenant("acme", f"ACME {winner}"),)


def test_of_many_who_create_a_key_of_one_id_at_once_one_succeeds(directory: Directory) -> None:
    directory.create_tenant(Tenant("acme", "ACME"))
    outcomes = at_once(lambda number: directory.create_key(ApiKey("k", "acme", Role.CALLER, f"n{number}", "hash")))
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == ATTEMPTS - 1
    winner = outcomes.index(None)
    assert directory.key("k") == ApiKey("k", "acme", Role.CALLER, f"n{winner}", "hash")
    [listed] = directory.keys("acme", after=None, limit=10).entries
    assert listed == ApiKey("k", "acme", Role.CALLER, f"n{winner}")


def test_many_who_revoke_a_key_at_once_agree_on_when(directory: Directory) -> None:
    directory.create_tenant(Tenant("acme", "ACME"))
    directory.create_key(ApiKey("k", "acme", Role.CALLER, "n", "hash"))
    outcomes = at_once(lambda number: directory.revoke_key("k", now=1000 + number).revoked_at)
    assert len(set(outcomes)) == 1
    [listed] = directory.keys("acme", after=None, limit=10).entries
    stored = directory.key("k")
    assert stored is not None
    assert stored.revoked_at == listed.revoked_at == outcomes[0]


def test_a_key_needs_a_tenant_and_leaves_nothing_without_one(aws: Aws, directory: Directory) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        directory.create_key(ApiKey("k", "nobody", Role.CALLER, "n", "hash"))
    assert directory.key("k") is None
    assert aws.items("DIRECTORY_TABLE") == []


def test_every_field_is_kept(directory: Directory) -> None:
    tenant = Tenant("acme", "Ä ☃", 0, {"a.b": "block", "c": "flag"}, ("m/1", "m:2"), 0, 5)
    key = ApiKey("k", "acme", Role.OPERATOR, "Ä", "hash", 1, 2, 3, None, 4)
    directory.create_tenant(tenant)
    directory.create_key(key)
    assert directory.tenant("acme") == tenant
    assert directory.key("k") == key


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_hold_every_entry_once_in_order(directory: Directory, limit: int) -> None:
    ids = [f"{number:02d}{random.choice('az09')}" for number in range(7)]
    for tenant_id in ("acme", "acme-2", "zoo"):
        directory.create_tenant(Tenant(tenant_id, tenant_id))
    for key_id in random.sample(ids, len(ids)):
        directory.create_key(ApiKey(key_id, "acme", Role.CALLER, "n", "hash"))
        directory.create_key(ApiKey(f"{key_id}x", "acme-2", Role.CALLER, "n", "hash"))
    seen: list[str] = []
    pages = 0
    has_more = True
    while has_more and pages <= len(ids):
        page = directory.keys("acme", after=seen[-1] if seen else None, limit=limit)
        seen += [key.id for key in page.entries]
        has_more = page.has_more
        pages += 1
    assert seen == ids
    assert pages == -(-len(ids) // limit)
    assert [tenant.id for tenant in directory.tenants(after="acme", limit=10).entries] == ["acme-2", "zoo"]


def test_all_tenants_and_keys_are_read_over_pages(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.tenants.directory._PAGE", 2)
    ids = ["a", "acme", "acme-2", "b", "zoo"]
    for tenant_id in ids:
        directory.create_tenant(Tenant(tenant_id, tenant_id))
        directory.create_key(ApiKey(f"k-{tenant_id}", "acme" if tenant_id != "a" else "a", Role.CALLER, "n", "hash"))
    assert [tenant.id for tenant in directory.all_tenants()] == ids
    assert [key.id for key in directory.all_keys("acme")] == [f"k-{each}" for each in ids[1:]]


def test_a_tenant_without_keys_has_an_empty_list_and_no_tenant_has_none(directory: Directory) -> None:
    directory.create_tenant(Tenant("acme", "ACME"))
    assert directory.keys("acme", after=None, limit=5).entries == ()
    with pytest.raises(NotFoundError):
        directory.keys("nobody", after=None, limit=5)


class _Dynamo(ThreadingHTTPServer):
    """Answers transactions the way DynamoDB does when two touch one item at once, which MiniStack never does."""

    daemon_threads = True

    def __init__(self, conflicts: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.conflicts = conflicts
        self.transactions = 0

    @property
    def directory(self) -> Directory:
        config = ServiceConfig("us-east-1", Credentials("id", "secret"), f"http://127.0.0.1:{self.server_port}")
        return Directory("directory", client=DynamoDB(config))


class _Answer(BaseHTTPRequestHandler):
    server: _Dynamo

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.transactions += 1
        body: dict[str, object] = {}
        status = 200
        if self.server.transactions <= self.server.conflicts:
            status = 400
            body = {
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "Transaction cancelled, please refer cancellation reasons [TransactionConflict, None]",
                "CancellationReasons": [{"Code": "TransactionConflict", "Message": "ongoing"}, {"Code": "None"}],
            }
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest shows what matters."""


@contextmanager
def conflicting(conflicts: int) -> Iterator[_Dynamo]:
    server = _Dynamo(conflicts)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_transaction_that_met_another_is_sent_again() -> None:
    with conflicting(2) as server:
        server.directory.create_tenant(Tenant("acme", "ACME"))
        assert server.transactions == 3


def test_a_transaction_that_only_meets_others_is_given_up() -> None:
    with conflicting(100) as server, pytest.raises(StorageUnavailableError, match="try again"):
        server.directory.create_tenant(Tenant("acme", "ACME"))
    assert server.transactions == 8
