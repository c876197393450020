"""An export in a bucket is sent as one in a file is."""

import json
import uuid
from pathlib import Path

import boto3
import pytest

from tests.conftest import Aws
from tests.source_apis import SECRET, SOURCE, SourceApis, github_lists
from tools import backfill


def test_an_export_in_a_bucket_is_sent_and_gone_on_with(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commits = github_lists(commits=230)["/repos/acme/app/commits"]
    commits[-1]["commit"]["message"] = "Two lines\u2028of one commit, größer"
    export = "\n".join(json.dumps(each, ensure_ascii=False) for each in commits).encode()
    bucket = f"exports-{uuid.uuid4().hex[:12]}"
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="of/2026/export.jsonl", Body=export)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLUICE_INGEST_SECRET", SECRET)
    with SourceApis() as apis:
        command = ["jsonl", "--url", apis.url, "--source", SOURCE, "--repository", "acme/app"]
        command.append(f"s3://{bucket}/of/2026/export.jsonl")
        backfill.main(command)
        assert [each["sha"] for each in apis.items] == [each["sha"] for each in commits]
        assert apis.items[-1]["commit"]["message"] == commits[-1]["commit"]["message"]
        [state] = tmp_path.glob(".backfill/*.json")
        state.write_text(json.dumps({"cursor": {"line": 200}, "sent": 200}))
        before = len(apis.items)
        backfill.main(command)
        assert [each["sha"] for each in apis.items[before:]] == [each["sha"] for each in commits[200:]]
