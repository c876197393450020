"""A MiniStack behind its gate: who gets through, and what its functions know."""

import io
import json
import socket
import zipfile
from pathlib import Path

import botocore.exceptions
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tools.ministack import LocalAws, MiniStack
from tools.signature import AccessKey

GET_SECRET = {"x-amz-target": "secretsmanager.GetSecretValue", "content-type": "application/x-amz-json-1.1"}
HANDLER = """
import os
import boto3

def handler(event, context):
    return {"variables": dict(os.environ), "account": boto3.client("sts").get_caller_identity()["Account"]}
"""


def signed_headers(aws: LocalAws, key: AccessKey | None = None) -> dict[str, str]:
    """The headers of a signed ListTables."""
    target = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
    request = AWSRequest("POST", f"{aws.endpoint_url}/", headers=target, data=b"{}")
    key = key or aws.key
    credentials = Credentials(key.access_key_id, key.secret_access_key)
    SigV4Auth(credentials, "dynamodb", "us-east-1").add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}


def list_tables(aws: LocalAws, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{aws.endpoint_url}/", headers=headers, content=b"{}")


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("GET", "/_ministack/health", {}, ""),
        ("GET", "/health", {}, ""),
        ("POST", "/_ministack/reset", {}, ""),
        ("POST", "/_ministack/config", {"content-type": "text/plain"}, "{}"),
        ("POST", "/", GET_SECRET, '{"SecretId": "credentials"}'),
        ("POST", "/?Action=GetCallerIdentity", {"content-type": "application/x-www-form-urlencoded"}, ""),
        ("GET", "/sluice-artifacts", {}, ""),
        ("PUT", "/sluice-artifacts/key", {}, "x"),
        ("OPTIONS", "/", {"origin": "https://attacker.example", "access-control-request-method": "POST"}, ""),
        ("POST", "/2015-03-31/functions/f/invocations", {}, "{}"),
        ("GET", "/restapis/abc/live/_user_request_/v1/models", {}, ""),
        ("GET", "/_aws/execute-api/abc/live/v1/models", {}, ""),
    ],
)
def test_an_unsigned_request_is_refused(
    method: str, path: str, headers: dict[str, str], body: str, ministack: MiniStack
) -> None:
    answer = httpx.request(method, ministack.endpoint_url + path, headers=headers, content=body)
    assert answer.status_code == 403
    assert answer.json()["__type"] == "AccessDeniedException"
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_signed_request_is_answered_and_a_page_s_is_not(ministack: MiniStack) -> None:
    headers = signed_headers(ministack.aws)
    assert list_tables(ministack.aws, headers).status_code == 200
    for header in ("origin", "sec-fetch-site", "sec-fetch-mode"):
        assert list_tables(ministack.aws, {**headers, header: "none"}).status_code == 403
    assert list_tables(ministack.aws, {**headers, "host": f"attacker.example:{ministack.port}"}).status_code == 403


@pytest.mark.parametrize("key", [AccessKey("test", "test"), AccessKey("", "")], ids=["usual", "empty"])
def test_the_keys_that_every_ministack_takes_are_refused(key: AccessKey, ministack: MiniStack) -> None:
    assert list_tables(ministack.aws, signed_headers(ministack.aws, key)).status_code == 403
    guess = AccessKey(ministack.aws.key.access_key_id, "test")
    assert list_tables(ministack.aws, signed_headers(ministack.aws, guess)).status_code == 403


def test_a_websocket_is_refused(ministack: MiniStack) -> None:
    with socket.create_connection(("127.0.0.1", ministack.port), timeout=10) as connection:
        connection.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{ministack.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert connection.recv(1024).startswith(b"HTTP/1.1 403")


def test_each_run_has_an_access_key_of_its_own(ministack: MiniStack, tmp_path: Path) -> None:
    with MiniStack(tmp_path) as other:
        assert other.aws.key.access_key_id != ministack.aws.key.access_key_id
        assert other.aws.key.secret_access_key != ministack.aws.key.secret_access_key
        assert other.front_door_token != ministack.front_door_token
        assert list_tables(other.aws, signed_headers(other.aws, ministack.aws.key)).status_code == 403


def test_boto3_works_with_the_run_s_credentials(ministack: MiniStack, tmp_path: Path) -> None:
    session, url = ministack.aws.session(), ministack.endpoint_url
    assert session.client("sts", endpoint_url=url).get_caller_identity()["Account"]
    s3 = session.client("s3", endpoint_url=url, config=Config(signature_version="s3v4"))
    s3.create_bucket(Bucket="a-bucket")
    file = tmp_path / "file"
    file.write_bytes(b"0123456789abcdef" * 1_000_000)  # large enough for a multipart upload
    s3.upload_file(str(file), "a-bucket", "a key/with ümlauts+")
    s3.put_object(Bucket="a-bucket", Key="small", Body=b"small", ChecksumAlgorithm="SHA256")
    assert s3.get_object(Bucket="a-bucket", Key="a key/with ümlauts+")["ContentLength"] == file.stat().st_size
    presigned = s3.generate_presigned_url("get_object", Params={"Bucket": "a-bucket", "Key": "small"})
    assert httpx.get(presigned).content == b"small"
    assert httpx.get(presigned.replace("small", "other")).status_code == 403
    wrong = session.client("secretsmanager", endpoint_url=url, aws_secret_access_key="wrong", aws_access_key_id="test")
    with pytest.raises(botocore.exceptions.ClientError, match="signed with another access key"):
        wrong.list_secrets()


def test_a_function_knows_its_credentials_and_little_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "of the developer")
    monkeypatch.setenv("AWS_PROFILE", "production")
    with MiniStack(tmp_path) as ministack:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("index.py", HANDLER)
        functions = ministack.aws.session().client("lambda", endpoint_url=ministack.endpoint_url)
        functions.create_function(
            FunctionName="f",
            Runtime="python3.13",
            Handler="index.handler",
            Role="arn:aws:iam::000000000000:role/r",
            Code={"ZipFile": archive.getvalue()},
            Timeout=30,
        )
        answer = json.load(functions.invoke(FunctionName="f", Payload=b"{}")["Payload"])
    assert answer["account"] == ministack.aws.key.access_key_id, "it calls back through the gate"
    variables = answer["variables"]
    assert variables.keys().isdisjoint({"GITHUB_TOKEN", "AWS_PROFILE", "HOME", "SLUICE_FRONT_DOOR_TOKEN"})
    assert variables["AWS_SECRET_ACCESS_KEY"] == ministack.aws.key.secret_access_key
