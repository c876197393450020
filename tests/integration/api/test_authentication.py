"""An API key is believed as long as it holds, and not a minute longer."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sluice.api.authentication import authenticate
from sluice.composition import App
from sluice.errors import AuthenticationError, NotFoundError, StorageUnavailableError
from sluice.storage.client import DynamoDB
from sluice.storage.service_config import ServiceConfig
from sluice.tenants.api_key_token import ApiKeyToken
from sluice.tenants.directory import Directory
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import ApiKey, Role, Tenant
from sluice.tenants.verification import HELD_S, UNKNOWN_HELD_S, KeyVerifier
from tests.dynamodb_calls import counting
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from tests.conftest import Aws

NOON = 1_800_000_000.0


class Clock:
    """A clock for both: what is held and what has expired."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> float:
        return self.time


class House:
    """A tenant, its verifier, and a clock."""

    def __init__(self, table: str, client: DynamoDB) -> None:
        self.clock = Clock()
        self.directory = Directory(table, client=client)
        self.tenant = Tenant("acme", "ACME", guard_modes={"secrets": "off"}, allowed_models=("a", "b"), cache_ttl_s=5)
        self.directory.create_tenant(self.tenant)
        self.verifier = self.another_process()

    def another_process(self) -> KeyVerifier:
        return KeyVerifier(self.directory, lambda: "{}", clock=self.clock, now=self.clock)

    def make_key(self, **more: Any) -> ApiKeyToken:
        presented = ApiKeyToken.generate()
        key = ApiKey(presented.id, "acme", Role.CALLER, "app", presented.secret_hash, created_at=int(NOON))
        self.directory.create_key(replace(key, **more))
        return presented

    def enter(self, presented: ApiKeyToken, verifier: KeyVerifier | None = None) -> Principal:
        return authenticate(f"Bearer {presented.text}", verifier or self.verifier)


@pytest.fixture
def house(aws: "Aws") -> House:
    return House(aws.table("DIRECTORY_TABLE"), aws.client)


@pytest.fixture
def asked(house: House) -> Iterator[list[str]]:
    """The operations that DynamoDB was asked for since the house was made."""
    with counting() as asked:
        yield asked


def test_a_key_brings_its_tenant_with_all_it_owns(house: House) -> None:
    principal = house.enter(house.make_key(requests_per_minute=7, expires_at=int(NOON) + 100))
    assert principal.tenant == house.tenant
    assert principal.role is Role.CALLER
    assert principal.key.requests_per_minute == 7
    assert principal.key.requests_per_day is None
    assert principal.key.expires_at == NOON + 100


def test_a_known_key_is_read_once_while_it_is_held(house: House, asked: list[str]) -> None:
    key = house.make_key()
    asked.clear()
    for _ in range(5):
        house.enter(key)
    assert asked == ["GetItem"] * 2  # the key, and its tenant
    house.clock.time += HELD_S
    house.enter(key)
    assert asked == ["GetItem"] * 4


def test_a_revoked_key_stops_working_everywhere_when_the_holding_time_is_over(house: House) -> None:
    key = house.make_key()
    elsewhere = house.another_process()
    house.enter(key)
    house.enter(key, elsewhere)
    house.directory.revoke_key(key.id, now=int(house.clock()))
    house.clock.time += HELD_S - 1
    house.enter(key, elsewhere)
    house.clock.time += 1
    for verifier in (house.verifier, elsewhere, house.another_process()):
        with pytest.raises(AuthenticationError, match="was revoked at 2027-01-15T08:00:00Z"):
            house.enter(key, verifier)
    assert HELD_S < 60


def test_a_key_expires_in_the_middle_of_being_held(house: House, asked: list[str]) -> None:
    key = house.make_key(expires_at=int(NOON) + 10)
    house.enter(key)
    asked.clear()
    house.clock.time += 9.9
    house.enter(key)
    house.clock.time += 0.1
    with pytest.raises(AuthenticationError, match="expired at 2027-01-15T08:00:10Z"):
        house.enter(key)
    assert asked == []


def test_only_who_has_the_secret_learns_that_a_key_was_revoked_or_has_expired(house: House) -> None:
    revoked, expired = house.make_key(), house.make_key(expires_at=int(NOON) - 1)
    house.directory.revoke_key(revoked.id, now=int(NOON))
    messages = set()
    for key in (revoked, expired, ApiKeyToken.generate()):
        with pytest.raises(AuthenticationError) as caught:
            house.enter(replace(key, secret="x" * 43))
        messages.add(caught.value.message)
        assert key.id not in caught.value.message
    assert messages == {"This API key is unknown. Check that it was copied whole."}


def test_an_unknown_key_is_asked_for_once_and_soon_again(house: House, asked: list[str]) -> None:
    guess = ApiKeyToken.generate()
    for _ in range(3):
        with pytest.raises(AuthenticationError, match="unknown"):
            house.enter(guess)
    assert asked == ["GetItem"] * 1
    house.directory.create_key(ApiKey(guess.id, "acme", Role.CALLER, "late", guess.secret_hash))
    house.clock.time += UNKNOWN_HELD_S
    assert house.enter(guess).key.name == "late"


def test_guessing_does_not_push_out_keys_in_use_or_fill_the_memory(house: House, asked: list[str]) -> None:
    key = house.make_key()
    house.enter(key)
    for _ in range(1100):
        with pytest.raises(AuthenticationError):
            house.enter(ApiKeyToken.generate())
    asked.clear()
    house.enter(key)
    assert asked == []
    assert len(house.verifier._unknown) == 1000


def test_the_admin_key_is_the_secret_of_the_deployment(aws: "Aws") -> None:
    verifier = App.from_environment().verifier
    principal = authenticate(f"Bearer {aws.admin_key}", verifier)
    assert principal.role is Role.ADMIN
    assert principal.tenant.id == "admin"
    with pytest.raises(AuthenticationError, match="unknown"):
        authenticate(f"Bearer {aws.admin_key[:-1]}X", verifier)


def test_where_the_admin_key_is_not_taken_no_secret_is_read_and_other_keys_hold(
    aws: "Aws", house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_KEY_SECRET", "")
    app = App.from_environment()
    with pytest.raises(AuthenticationError, match="not taken here"):
        authenticate(f"Bearer {aws.admin_key}", app.verifier)
    assert authenticate(f"Bearer {house.make_key(role=Role.ADMIN).text}", app.verifier).role is Role.ADMIN
    assert "secrets" not in vars(app)


def test_a_deleted_tenant_s_key_is_unknown_where_it_is_not_held_and_everywhere_within_a_minute(house: House) -> None:
    key, other = house.make_key(), house.another_process()
    house.enter(key)
    tenant = house.directory.tenant("acme")
    assert tenant is not None
    assert house.directory.delete_tenant(tenant, int(NOON))
    with pytest.raises(AuthenticationError, match="unknown"):
        house.enter(key, other)
    house.enter(key)
    house.clock.time += HELD_S
    with pytest.raises(AuthenticationError, match="unknown"):
        house.enter(key)


def test_a_changed_tenant_and_key_are_noticed_everywhere_within_a_minute(house: House) -> None:
    key = house.make_key()
    house.enter(key)
    tenant, stored = house.directory.tenant("acme"), house.directory.key(key.id)
    assert tenant is not None
    assert stored is not None
    assert house.directory.change_tenant(tenant, replace(tenant, allowed_models=None))
    assert house.directory.change_key(stored, replace(stored, role=Role.OPERATOR))
    assert house.enter(key).tenant.allowed_models == ("a", "b")
    house.clock.time += HELD_S
    assert house.enter(key).tenant.allowed_models is None
    assert house.enter(key).role is Role.OPERATOR


@pytest.mark.parametrize("secret", ["not json at all", "[]", "{}", '{"secret": 5}', "null"])
def test_an_admin_secret_that_is_none_lets_nobody_in_and_is_not_shown(house: House, secret: str) -> None:
    verifier = KeyVerifier(house.directory, lambda: secret)
    with pytest.raises(StorageUnavailableError) as caught:
        house.enter(ApiKeyToken("admin", "x" * 40), verifier)
    assert secret not in caught.value.message
    assert caught.value.__suppress_context__


def test_nobody_new_is_let_in_while_dynamodb_is_away_and_who_is_held_stays(aws: "Aws") -> None:
    config = ServiceConfig.from_environment("DYNAMODB")
    with TcpProxy(config) as proxy:
        client = DynamoDB(replace(config, endpoint_url=proxy.url))
        house = House(aws.table("DIRECTORY_TABLE"), client)
        held, new = house.make_key(), house.make_key()
        house.enter(held)
        proxy.mode = "cut"
        house.enter(held)
        with pytest.raises(StorageUnavailableError):
            house.enter(new)
        house.clock.time += HELD_S
        with pytest.raises(StorageUnavailableError):
            house.enter(held)
        proxy.mode = "open"
        house.enter(new)


def test_the_secret_is_nowhere_in_the_table(aws: "Aws", house: House) -> None:
    key = house.make_key()
    stored = json.dumps(aws.items("DIRECTORY_TABLE"))
    assert key.secret not in stored
    assert stored.count(key.secret_hash) == 1


def test_revoking_what_never_was_is_not_found(house: House) -> None:
    with pytest.raises(NotFoundError):
        house.directory.revoke_key("nope", now=int(datetime.now(UTC).timestamp()))
