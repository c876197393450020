"""Limits of the users that an application names, below those of its key."""

import pytest

from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.credentials import gateway
from tests.fakes.client import FakeProvider


def ask(chat: ChatServer, user: str | None, seed: int, key: str | None = None) -> int:
    body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "seed": seed, "max_tokens": 5}
    metadata = {} if user is None else {"metadata": {"user": user}}
    return chat.post(body | metadata, api_key=key).status_code


@pytest.fixture
def limited(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_REQUESTS_PER_MINUTE", "2")
    monkeypatch.setenv("USER_REQUESTS_PER_DAY", "100")
    aws.set_credentials(gateway(fake, "one"))


@pytest.mark.usefixtures("limited")
def test_each_user_of_a_key_has_a_limit_of_its_own(aws: Aws) -> None:
    with serving(aws) as chat:
        assert [ask(chat, "ada", seed) for seed in range(3)] == [200, 200, 429]
        assert ask(chat, "grace", 3) == 200
        assert ask(chat, None, 4) == 200
        other = chat.tenant("others")
        assert ask(chat, "ada", 5, other) == 200


@pytest.mark.usefixtures("limited")
def test_a_refused_user_uses_nothing_of_its_key(aws: Aws, fake: FakeProvider) -> None:
    with serving(aws) as chat:
        for seed in range(6):
            ask(chat, "ada", seed)
        callers = {name: state.totals for name, state in chat.quota().items() if name.startswith("caller#")}
        assert len(callers) == 2
        assert set(map(tuple, (each.items() for each in callers.values()))) == {
            (("requests_per_minute", 2), ("requests_per_day", 2))
        }
        assert len(fake.requests()) == 2


@pytest.mark.usefixtures("limited")
def test_a_refused_key_uses_nothing_of_its_user(aws: Aws) -> None:
    with serving(aws) as chat:
        key = chat.tenant("small")
        small = chat.key("small", limits={"requests_per_minute": 1})
        assert [ask(chat, "ada", seed, small) for seed in range(3)] == [200, 429, 429]
        users = [state.totals for name, state in chat.quota().items() if "#user#" in name]
        assert users == [{"requests_per_minute": 1, "requests_per_day": 1}]
        assert ask(chat, "ada", 4, key) == 200


@pytest.mark.usefixtures("limited")
def test_a_users_name_of_any_length_is_kept_short_and_not_as_it_is(aws: Aws) -> None:
    with serving(aws) as chat:
        assert ask(chat, "ada@example.com", 1) == 200
        assert ask(chat, "ü" * 128, 2) == 200
        scopes = [name for name in chat.quota() if "#user#" in name]
        assert len(scopes) == 2
        assert not any("ada" in name or len(name) > 80 for name in scopes)


def test_without_a_limit_users_are_not_counted(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_REQUESTS_PER_MINUTE", "0")
    monkeypatch.setenv("USER_REQUESTS_PER_DAY", "0")
    aws.set_credentials(gateway(fake, "one"))
    with serving(aws) as chat:
        assert ask(chat, "ada", 1) == 200
        assert not any("#user#" in name for name in chat.quota())
