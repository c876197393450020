"""What roles allow: actions on resources, and the partition keys that they are for."""

import pytest

from tests.transformed import FUNCTIONS, transformed
from tools.roles import Call, Permission, missing, permissions, unused

TABLE = "DirectoryTable"
WRITES = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem")


def put(*keys: str) -> Call:
    return Call("dynamodb:PutItem", TABLE, keys)


@pytest.mark.parametrize(
    ("permission", "allowed", "refused"),
    [
        (Permission(["dynamodb:PutItem"], [TABLE]), [put("a"), put()], [Call("dynamodb:GetItem", TABLE, ("a",))]),
        (
            Permission(["dynamodb:PutItem"], [TABLE], ["a", "a#*"]),
            [put("a"), put("a", "a#b")],
            [put("a", "b"), put("ab")],
        ),
        (Permission(["dynamodb:PutItem"], [TABLE], None, ["g#*"]), [put("a")], [put("g#a"), put("a", "g#a")]),
    ],
)
def test_every_key_of_a_call_has_to_be_one_that_is_allowed(
    permission: Permission, allowed: list[Call], refused: list[Call]
) -> None:
    assert missing([permission], allowed) == []
    assert missing([permission], refused) == sorted(refused)


def test_an_action_a_resource_or_a_pattern_that_no_call_needs_is_told() -> None:
    permission = Permission(["dynamodb:PutItem", "dynamodb:GetItem"], [TABLE], ["a#*", "b#*"])
    assert unused([permission], [put("a#1")]) == [
        Call("dynamodb:GetItem", TABLE),
        put("b#*"),
    ]
    assert unused([permission], [put("a#1", "b#1"), Call("dynamodb:GetItem", TABLE, ("a#1",))]) == []


WRITERS = {"VectorStores", "StoreWorker", "IngestWorker"}
"""What writes documents into stores."""
ASKING = WRITERS | {"Answering", "Chat", "Embeddings", "Tasks", "BatchWorker"}
"""What asks models, and so counts what that takes."""


def writers(table: str, key: str) -> set[str]:
    """The functions that may write an item of this partition key."""
    return {
        function
        for function in FUNCTIONS
        for action in WRITES
        if not missing(permissions(transformed(), function), [Call(action, table, (key,))])
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "key", "owners"),
    [
        ("DirectoryTable", "key#k1", {"Keys"}),
        ("DirectoryTable", "tenant#acme", {"Keys", "AiConfiguration"}),
        ("DirectoryTable", "tenants", {"Keys", "AiConfiguration"}),
        ("DirectoryTable", "tasks#acme", {"Tasks"}),
        ("DirectoryTable", "webhooks#acme", {"Keys", "WebhookDelivery"}),
        ("DirectoryTable", "ingest#acme", {"Keys"}),
        ("DirectoryTable", "audit", {"AiConfiguration", "Keys", "Tasks", "Operations", "Conversations"}),
        ("DirectoryTable", "audit#acme", {"AiConfiguration", "Keys", "Tasks", "Operations", "Conversations"}),
        ("DirectoryTable", "anything else", set()),
        ("QuotaTable", "deployment#groq-1#llama", ASKING | {"Operations"}),
        ("QuotaTable", "tenant#acme", ASKING | {"Operations"}),
        ("QuotaTable", "spend#acme#k1", ASKING),
        ("QuotaTable", "caller#acme#k1", ASKING | {"AiConfiguration", "Usage", "Conversations", "Files"}),
        ("ResponseCacheTable", "generation#acme", {"Operations"}),
        ("ResponseCacheTable", "0" * 64, {"Answering", "Chat", "Tasks", "BatchWorker"}),
        (
            "ResponseCacheTable",
            "idempotency#acme#0",
            {"Answering", "Chat", "Embeddings", "Tasks", "Conversations", "Files", "VectorStores"},
        ),
        ("UsageTable", "acme#2026-11-26", ASKING | {"Conversations"}),
        ("UsageTable", "acme#cached", {"Answering", "Chat", "Tasks", "BatchWorker"}),
        ("UsageTable", "task-results#acme#explanation", {"Tasks", "Conversations", "BatchWorker"}),
        ("UsageTable", "task-request#acme#req_1", {"Tasks", "Conversations", "BatchWorker"}),
        ("UsageTable", "insights.found#acme", {"AiConfiguration", "QuotaReport", "Tasks"}),
        ("UsageTable", "insights.topic#acme", {"AiConfiguration"}),
        ("UsageTable", "insights.runs#acme", {"QuotaReport"}),
        ("UsageTable", "reports.daily#acme", {"QuotaReport"}),
        ("ConversationsTable", "acme#c1", {"Chat", "Tasks", "Conversations", "BatchWorker"}),
        ("QuestionsTable", "acme", {"Tasks", "BatchWorker"}),
        ("BatchesTable", "files#acme#k1", {"Files", "BatchJobs"}),
        ("BatchesTable", "uploads#acme#k1", {"Files"}),
        ("BatchesTable", "batches#acme#k1", {"Files", "BatchJobs"}),
        ("BatchesTable", "work#acme", {"BatchWorker", "BatchJobs"}),
        ("BatchesTable", "chunks#batch_1", {"BatchWorker", "BatchJobs"}),
        ("BatchesTable", "lines#batch_1", {"BatchWorker"}),
        ("BatchesTable", "progress#batch_1", {"BatchWorker", "BatchJobs"}),
        ("StoresTable", "stores#acme", WRITERS | {"Answering", "Chat"}),
        ("StoresTable", "open#07", WRITERS),
        ("StoresTable", "documents#acme#vs_1", WRITERS),
        ("StoresTable", "files#acme#vs_1", {"VectorStores", "StoreWorker"}),
        ("StoresTable", "batches#acme#vs_1", {"VectorStores", "StoreWorker"}),
        ("StoresTable", "texts#acme#vs_1", WRITERS),
        ("StoresTable", "anything else", set()),
        ("VectorsTable", "acme#vs_1#embed#1", WRITERS),
        ("IngestionTable", "deliveries#src_acme.1", {"IngestReceiver", "IngestWorker"}),
        ("IngestionTable", "counts#src_acme.1", {"IngestReceiver", "IngestWorker"}),
        ("IngestionTable", "problems#src_acme.1", {"IngestReceiver", "IngestWorker"}),
        ("IngestionTable", "contents#acme#vs_1", {"IngestWorker"}),
    ],
)
def test_a_function_writes_just_the_items_that_it_owns(table: str, key: str, owners: set[str]) -> None:
    assert writers(table, key) == {f"{name}Function" for name in owners}


def test_no_function_may_change_a_record_of_another_s_acts_but_those_that_note_how_theirs_ended() -> None:
    changing = {
        function
        for function in FUNCTIONS
        if not missing(
            permissions(transformed(), function), [Call("dynamodb:UpdateItem", "DirectoryTable", ("audit",))]
        )
    }
    assert changing == {"OperationsFunction", "ConversationsFunction"}
    deletion = Call("dynamodb:DeleteItem", "DirectoryTable", ("audit",))
    assert all(missing(permissions(transformed(), function), [deletion]) for function in FUNCTIONS)


def test_the_admin_key_s_secret_is_read_by_what_administers_and_by_nothing_that_answers_prompts() -> None:
    reading = Call("secretsmanager:GetSecretValue", "AdminKeySecret")
    readers = {each for each in FUNCTIONS if not missing(permissions(transformed(), each), [reading])}
    assert readers == {
        "AiConfigurationFunction",
        "ConversationsFunction",
        "KeysFunction",
        "OperationsFunction",
        "UsageFunction",
    }
