"""A service is asked where AWS's SDKs would ask it, and by whom they would."""

from typing import Any

import boto3
import pytest

from sluice.storage.aws_credentials import ContainerEndpoint, FixedCredentials, credentials_in, source_of
from sluice.storage.connections import Endpoint
from sluice.storage.service_config import ServiceConfig
from sluice.storage.signing import Credentials

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize("service", ["dynamodb", "secretsmanager"])
def test_every_region_of_every_partition_has_the_endpoint_that_botocore_knows(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER"):
        monkeypatch.delenv(name, raising=False)
    session: Any = boto3.Session(aws_access_key_id="id", aws_secret_access_key="secret")
    partitions = session.get_available_partitions()
    assert {"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-eusc"} <= set(partitions)
    for partition in partitions:
        # Not all of them: making a client takes a moment.
        for region in session.get_available_regions(service, partition)[:2]:
            client = session.client(service, region_name=region)
            assert ServiceConfig(region).url(service) == client.meta.endpoint_url


def test_vectors_are_searched_where_botocore_searches_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # A stand-in that other tests of this process use would be asked instead.
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    client = boto3.client("dynamodb", "cn-north-1", aws_access_key_id="id", aws_secret_access_key="secret")
    asked: list[str] = []

    class StopError(Exception):
        pass

    def note(request: object, **_: object) -> None:
        asked.append(str(getattr(request, "url", "")))
        raise StopError

    client.meta.events.register("before-send.dynamodb", note)
    with pytest.raises(StopError):
        client.search_vectors(TableName="table", IndexName="index", SearchVector=[{"N": "0.5"}], TopK=3)
    assert asked == [ServiceConfig("cn-north-1").url("search-dynamodb") + "/"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"AWS_REGION": "eu-west-1"}, "https://dynamodb.eu-west-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "cn-north-1"}, "https://dynamodb.cn-north-1.amazonaws.com.cn"),
        ({"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://localhost:4566"}, "http://localhost:4566"),
        (
            {"AWS_ENDPOINT_URL": "http://localhost:4566", "AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:8000"},
            "http://localhost:8000",
        ),
        ({"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": ""}, "https://dynamodb.eu-west-1.amazonaws.com"),
        (
            {"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://localhost:1"},
            "https://dynamodb.eu-west-1.amazonaws.com",
        ),
    ],
)
def test_the_environment_says_where(environment: dict[str, str], expected: str) -> None:
    assert ServiceConfig.from_environment("DYNAMODB", environment).url("dynamodb") == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://dynamodb.eu-west-1.amazonaws.com", (True, "dynamodb.eu-west-1.amazonaws.com", 443)),
        ("http://127.0.0.1:4566/", (False, "127.0.0.1", 4566)),
        ("http://[::1]:4566", (False, "::1", 4566)),
    ],
)
def test_an_endpoint_is_read_from_a_url(url: str, expected: tuple[bool, str, int]) -> None:
    endpoint = Endpoint.from_url(url)
    assert (endpoint.is_tls, endpoint.host, endpoint.port) == expected
    assert endpoint.authority == url.split("/")[2]


@pytest.mark.parametrize(
    "url", ["", "localhost", "localhost:4566", "ftp://localhost", "http://", "http://localhost/path", "http://a:b"]
)
def test_a_url_that_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint|[Pp]ort"):
        Endpoint.from_url(url)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"AWS_ACCESS_KEY_ID": "id"}, None),
        (KEYS, Credentials("id", "secret")),
        (KEYS | {"AWS_SESSION_TOKEN": "token"}, Credentials("id", "secret", "token")),
        (KEYS | {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/c"}, Credentials("id", "secret")),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/c", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "t"},
            ContainerEndpoint("http://localhost/c", "t"),
        ),
    ],
)
def test_the_environment_says_by_whom(
    environment: dict[str, str], expected: Credentials | ContainerEndpoint | None
) -> None:
    assert credentials_in(environment) == expected


def test_a_configuration_does_not_show_what_is_secret() -> None:
    config = ServiceConfig.from_environment("DYNAMODB", KEYS | {"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI"})
    assert "wJalrXUtnFEMI" not in repr(config)
    assert "wJalrXUtnFEMI" not in repr(ContainerEndpoint("http://localhost/c", "wJalrXUtnFEMI"))


def test_credentials_that_stay_the_same_have_none_in_their_place() -> None:
    source = source_of(Credentials("id", "secret"))
    assert isinstance(source, FixedCredentials)
    assert source.get(0) == Credentials("id", "secret")
    assert not source.reject(Credentials("id", "secret"))
