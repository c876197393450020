"""A MiniStack that keeps its state: an end without notice costs little, and one that is told to end nothing."""

import time
from pathlib import Path

from tools.kept import Kept, KeptState
from tools.ministack import MiniStack

SAVED_WITHIN_S = 120


def tables(ministack: MiniStack) -> list[str]:
    dynamodb = ministack.aws.session().client("dynamodb", endpoint_url=ministack.endpoint_url)
    return dynamodb.list_tables()["TableNames"]


def create_table(ministack: MiniStack, name: str) -> None:
    ministack.aws.session().client("dynamodb", endpoint_url=ministack.endpoint_url).create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )


def test_tables_outlive_an_end_with_and_without_notice(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    state = folder / "state" / "dynamodb.json"
    kept = KeptState(folder)
    with MiniStack(tmp_path, kept) as ministack:
        kept.write(Kept(ministack.aws.key.access_key_id, {}))
        create_table(ministack, "first")
        deadline = time.monotonic() + SAVED_WITHIN_S
        while not state.exists():
            assert time.monotonic() < deadline, "it is saved while it runs"
            time.sleep(0.1)
        ministack.kill()
    with MiniStack(tmp_path, KeptState(folder)) as ministack:
        assert tables(ministack) == ["first"]
        create_table(ministack, "second")
    with MiniStack(tmp_path, KeptState(folder)) as ministack:
        assert tables(ministack) == ["first", "second"]
    assert {path.stat().st_mode & 0o77 for path in folder.rglob("*")} == {0}


def test_nothing_is_kept_unless_it_is_told_where(tmp_path: Path) -> None:
    with MiniStack(tmp_path) as ministack:
        create_table(ministack, "first")
    assert {path.suffix for path in tmp_path.iterdir()} == {".log"}
