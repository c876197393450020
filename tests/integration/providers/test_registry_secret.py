from functools import partial

import pytest

from sluice.errors import StorageUnavailableError
from sluice.providers.credentials import CredentialsError
from sluice.providers.loader import RegistryLoader
from sluice.storage.secrets import PREVIOUS, SecretReader, secretsmanager
from tests.conftest import ADMIN_SECRET, Aws


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def make_loader(aws: Aws, clock: Clock | None = None) -> RegistryLoader:
    secret = aws.variables["CREDENTIALS_SECRET"]
    read = partial(secretsmanager().secret, secret)
    return RegistryLoader(read, partial(read, PREVIOUS), clock=clock or Clock())


def test_a_fresh_stack_has_no_deployments(aws: Aws) -> None:
    assert make_loader(aws).get().deployments == ()


def test_deployments_follow_the_secret_within_a_minute(aws: Aws) -> None:
    clock = Clock()
    loader = make_loader(aws, clock)
    aws.set_credentials({"provider": "groq", "alias": "groq-1", "api_key": "k"})
    assert {each.alias for each in loader.get().deployments} == {"groq-1"}
    aws.set_credentials({"provider": "huggingface", "alias": "hf-1", "api_key": "k"})
    assert {each.alias for each in loader.get().deployments} == {"groq-1"}
    clock.now_s += 60
    assert {each.alias for each in loader.get().deployments} == {"hf-1"}


def test_a_secret_that_is_gone_leaves_the_deployments_as_they_were(aws: Aws) -> None:
    clock = Clock()
    loader = make_loader(aws, clock)
    aws.set_credentials({"provider": "groq", "alias": "groq-1", "api_key": "k"})
    before = loader.get()
    aws.secretsmanager.delete_secret(SecretId=aws.variables["CREDENTIALS_SECRET"], ForceDeleteWithoutRecovery=True)
    clock.now_s += 60
    assert loader.get() is before


def test_a_process_that_starts_on_a_broken_secret_serves_the_version_before(aws: Aws) -> None:
    aws.set_credentials({"provider": "groq", "alias": "groq-1", "api_key": "k"})
    aws.set_credentials({"provider": "groq", "alias": "groq-1"})
    loader = make_loader(aws)
    assert {each.alias for each in loader.get().deployments} == {"groq-1"}
    assert "credentials[0].api_key: missing" in (loader.problem or "")


def test_a_secret_that_was_never_good_is_an_error(aws: Aws) -> None:
    broken = aws.secretsmanager.create_secret(Name="never-good", SecretString="{")["Name"]
    read = partial(secretsmanager().secret, broken)
    loader = RegistryLoader(read, partial(read, PREVIOUS))
    with pytest.raises(CredentialsError):
        loader.get()


def test_a_secret_is_read_by_its_arn(aws: Aws) -> None:
    assert ADMIN_SECRET in secretsmanager().secret(aws.variables["ADMIN_KEY_SECRET"])


def test_a_secret_is_held_no_longer_than_its_age(aws: Aws) -> None:
    clock = Clock()
    reader = SecretReader(secretsmanager().secret, clock=clock, max_age_s=60)
    name = aws.variables["ADMIN_KEY_SECRET"]
    before = reader.read(name)
    aws.secretsmanager.put_secret_value(SecretId=name, SecretString="new")
    clock.now_s += 59
    assert reader.read(name) == before
    clock.now_s += 1
    assert reader.read(name) == "new"


@pytest.mark.parametrize("secret_id", ["", "no-such-secret"])
def test_a_secret_that_cannot_be_read_is_an_error(aws: Aws, secret_id: str) -> None:
    with pytest.raises(StorageUnavailableError, match=r"reading a secret failed|GetSecretValue: ResourceNotFound"):
        secretsmanager().secret(secret_id)


def test_a_binary_secret_is_an_error(aws: Aws) -> None:
    aws.secretsmanager.update_secret(SecretId=aws.variables["ADMIN_KEY_SECRET"], SecretBinary=b"\x00")
    with pytest.raises(StorageUnavailableError, match="binary"):
        secretsmanager().secret(aws.variables["ADMIN_KEY_SECRET"])
