"""The tables that tests run on are the ones that template.yaml deploys."""

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from sluice.composition import App
from sluice.storage.item_types import to_item

if TYPE_CHECKING:
    from tests.conftest import Aws


def test_the_package_reads_and_writes_the_test_s_own_tables(aws: "Aws") -> None:
    app = App.from_environment()
    table = app.settings.quota_table
    assert table == aws.table("QUOTA_TABLE")
    app.dynamodb.call("PutItem", {"TableName": table, "Item": to_item({"scope": "x", "sum": 1})})
    assert aws.dynamodb.get_item(TableName=table, Key={"scope": {"S": "x"}})["Item"]["sum"] == {"N": "1"}


def test_tables_start_empty(aws: "Aws") -> None:
    assert aws.items("QUOTA_TABLE") == []


def test_another_process_sees_the_same_tables_and_secrets(aws: "Aws") -> None:
    aws.set_credentials({"provider": "local", "alias": "local-1", "api_key": "k"})
    program = """
from sluice.composition import App
from sluice.storage.tables import DIRECTORY
app = App.from_environment()
app.dynamodb.call("PutItem", {"TableName": app.settings.directory_table, "Item": DIRECTORY.key("a", "b")})
print(app.secrets.read(app.settings.credentials_secret))
"""
    answer = subprocess.run(
        [sys.executable, "-c", program], env=aws.process_environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout)["credentials"][0]["alias"] == "local-1"
    assert len(aws.items("DIRECTORY_TABLE")) == 1
