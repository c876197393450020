import pytest

from sluice.errors import StorageUnavailableError
from sluice.providers.registry import RegistryLoader
from sluice.storage.secrets import SecretReader, fetch_secret, read_secret
from tests.conftest import ADMIN_SECRET, Aws


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_fresh_stack_has_no_deployments(aws: Aws) -> None:
    assert RegistryLoader().get().deployments == ()


def test_deployments_follow_the_secret_within_a_minute(aws: Aws) -> None:
    clock = Clock()
    loader = RegistryLoader(clock=clock)
    aws.set_credentials({"provider": "groq", "alias": "groq-1", "api_key": "k"})
    assert {each.alias for each in loader.get().deployments} == {"groq-1"}
    aws.set_credentials({"provider": "huggingface", "alias": "hf-1", "api_key": "k"})
    assert {each.alias for each in loader.get().deployments} == {"groq-1"}
    clock.now_s += 60
    assert {each.alias for each in loader.get().deployments} == {"hf-1"}


def test_a_secret_that_is_gone_leaves_the_deployments_as_they_were(aws: Aws) -> None:
    clock = Clock()
    loader = RegistryLoader(clock=clock)
    aws.set_credentials({"provider": "groq", "alias": "groq-1", "api_key": "k"})
    before = loader.get()
    aws.secretsmanager.delete_secret(SecretId=aws.variables["CREDENTIALS_SECRET"], ForceDeleteWithoutRecovery=True)
    clock.now_s += 60
    assert loader.get() is before


def test_a_secret_is_read_by_its_arn(aws: Aws) -> None:
    assert ADMIN_SECRET in read_secret(aws.variables["ADMIN_KEY_SECRET"])


def test_a_secret_is_held_no_longer_than_its_age(aws: Aws) -> None:
    clock = Clock()
    reader = SecretReader(clock=clock, max_age_s=60)
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
        fetch_secret(secret_id)


def test_a_binary_secret_is_an_error(aws: Aws) -> None:
    aws.secretsmanager.update_secret(SecretId=aws.variables["ADMIN_KEY_SECRET"], SecretBinary=b"\x00")
    with pytest.raises(StorageUnavailableError, match="binary"):
        fetch_secret(aws.variables["ADMIN_KEY_SECRET"])
