"""The functions of template.yaml, their layers, versions and roles."""

import copy
import json
import re
from typing import Any

import pytest

from sluice.api.messages import MOST_RECEIVES
from sluice.settings import Settings
from tests.transformed import (
    BUFFERED,
    FUNCTIONS,
    of_type,
    resources,
    statements,
    transformed,
    variables,
    version,
)
from tools import template
from tools.template import Run

LOGINS = {"JwtIssuer": "https://login.example.com", "JwtAudience": "llm", "JwtDefaultTenant": "school"}
QUEUE_FUNCTIONS = {
    "BatchWorkerFunction": {"BatchLinesDeadLettersAlarm"},
    "BatchJobsFunction": {"BatchJobsDeadLettersAlarm"},
    "StoreWorkerFunction": {"StoresDeadLettersAlarm"},
    "IngestWorkerFunction": {"IngestDeadLettersAlarm"},
    "WebhookDeliveryFunction": {"WebhooksDeadLettersAlarm"},
}
EVENT_FUNCTIONS = {**QUEUE_FUNCTIONS, "QuotaReportFunction": {"QuotaReportErrorsAlarm"}}
CANARY = {"DeploymentPreference": "Canary10Percent5Minutes"}


@pytest.mark.parametrize(("architecture", "layer"), [("arm64", "Arm64"), ("x86_64", "X86")])
def test_the_web_adapter_s_layer_is_of_the_processor_s_kind(architecture: str, layer: str) -> None:
    last = resources(Architecture=architecture)["ChatFunction"]["Properties"]["Layers"][-1]
    arn = f"arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:753240598075:layer:LambdaAdapterLayer{layer}:30"
    assert last == {"Fn::Sub": arn}


# Those that stream, and how many layers they have without the adapter's.
STREAMING = {"ChatFunction": 2, "EmbeddingsFunction": 3}


@pytest.mark.parametrize("name", STREAMING)
def test_production_runs_apps_that_stream_under_the_web_adapter(name: str) -> None:
    function = resources()[name]["Properties"]
    assert function["Handler"] == "run.sh"
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    assert len(function["Layers"]) == STREAMING[name] + 1
    assert "LambdaAdapterLayer" in json.dumps(function["Layers"][-1])
    wrapper = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap", "AWS_LWA_INVOKE_MODE": "response_stream"}
    assert wrapper.items() <= variables(name).items()


@pytest.mark.parametrize("name", STREAMING)
def test_a_buffered_stack_runs_them_without_the_web_adapter(name: str) -> None:
    function = resources(**BUFFERED)[name]["Properties"]
    assert function["Handler"] == "app.handler"
    assert len(function["Layers"]) == STREAMING[name]
    names = variables(name, **BUFFERED)
    assert not [name for name in names if name.startswith(("AWS_LWA", "AWS_LAMBDA_EXEC"))]


@pytest.mark.parametrize("layer", ["DependenciesLayer", "SluiceLayer"])
def test_a_changed_layer_publishes_a_new_version_of_every_function(layer: str) -> None:
    changed = copy.deepcopy(template.read())
    changed["Resources"][layer]["Properties"]["ContentUri"] += "-changed"
    [after] = template.transform(changed, [Run()])
    before = transformed()
    assert [name for name in FUNCTIONS if version(before, name) == version(after, name)] == []


WRITES = {f"dynamodb:{name}" for name in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")}


def test_layers_are_a_stack_s_own() -> None:
    names = [layer["Properties"]["LayerName"] for layer in of_type("AWS::Lambda::LayerVersion", **LOGINS).values()]
    assert names == [
        {"Fn::Sub": f"${{AWS::StackName}}-{name}"}
        for name in ("dependencies", "sluice", "documents", "jwt", "embedding")
    ]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_verifies_logins_is_a_layer_of_stacks_that_take_them(function: str) -> None:
    [layer] = [name for name in of_type("AWS::Lambda::LayerVersion", **LOGINS) if name.startswith("JwtLayer")]
    has_it = {"Ref": layer} in resources(**LOGINS)[function]["Properties"]["Layers"]
    # What takes messages and events, or serves pages, sees no tokens, and Jira and GitHub have none.
    assert has_it == (function not in {*EVENT_FUNCTIONS, "ConsoleFunction", "IngestReceiverFunction"})
    assert "JwtLayer" not in json.dumps(resources()[function]["Properties"]["Layers"])
    assert not [name for name in of_type("AWS::Lambda::LayerVersion") if name.startswith("JwtLayer")]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_embedding_model_is_a_layer_of_what_makes_embeddings_and_of_stacks_that_want_it(function: str) -> None:
    [layer] = [name for name in of_type("AWS::Lambda::LayerVersion") if name.startswith("EmbeddingLayer")]
    has_it = {"Ref": layer} in resources()[function]["Properties"]["Layers"]
    stores = {"VectorStoresFunction", "AnsweringFunction", "StoreWorkerFunction", "IngestWorkerFunction"}
    embedding = {"EmbeddingsFunction", "BatchWorkerFunction"} | stores
    assert has_it == (function in embedding)
    without = resources(LocalEmbeddings="false")
    assert "EmbeddingLayer" not in json.dumps(without[function]["Properties"]["Layers"])
    assert not [name for name in without if name.startswith("EmbeddingLayer")]


def test_no_function_has_more_layers_than_lambda_takes() -> None:
    for function in FUNCTIONS:
        assert len(resources(**LOGINS)[function]["Properties"]["Layers"]) <= 5


def test_chat_starts_from_a_snapshot_only_if_asked_to() -> None:
    assert resources()["ChatFunction"]["Properties"]["SnapStart"] == {"ApplyOn": "None"}
    with_snapshots = resources(SnapStart="true")["ChatFunction"]["Properties"]
    assert with_snapshots["SnapStart"] == {"ApplyOn": "PublishedVersions"}


def test_concurrency_is_reserved_for_chat_only_if_asked_for() -> None:
    reserved = {name: resources()[name]["Properties"].get("ReservedConcurrentExecutions") for name in FUNCTIONS}
    assert set(reserved.values()) == {None}
    assert resources(ChatReservedConcurrency="9")["ChatFunction"]["Properties"]["ReservedConcurrentExecutions"] == "9"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_version_goes_when_the_next_one_is_published(function: str) -> None:
    """Its snapshot would cost as long as it is there."""
    assert resources()[version(transformed(), function)]["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_canary_rolls_back_on_the_function_s_and_the_api_s_alarms(function: str) -> None:
    made = resources(**CANARY)
    alias = made[f"{function}Aliaslive"]
    assert alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"] in made
    group = made[f"{function}DeploymentGroup"]["Properties"]
    alarms = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    stem = function.removesuffix("Function")
    assert alarms == EVENT_FUNCTIONS.get(function, {f"{stem}ErrorsAlarm", f"{stem}ThrottlesAlarm", "ApiErrorsAlarm"})
    assert alarms <= made.keys()
    assert "Canary10Percent5Minutes" in json.dumps(group["DeploymentConfigName"])


def test_without_a_canary_there_is_no_codedeploy() -> None:
    assert not [name for name, resource in resources().items() if "CodeDeploy" in resource["Type"]]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_told_of_exactly_what_it_may_use(function: str) -> None:
    named = {value["Ref"] for value in variables(function).values() if isinstance(value, dict)}
    allowed = json.dumps([statement["Resource"] for statement in statements(function)])
    # {"Ref": "X"}, {"Fn::GetAtt": ["X", "Arn"]}, or an index: "${X.Arn}/index/name".
    used = set(re.findall(r'(?:"Ref": "|"Fn::GetAtt": \["|\$\{)(\w+)(?!\w|:)', allowed))
    assert named & resources().keys() == used


def test_every_setting_can_be_made_with_a_deployment() -> None:
    asked = Asked()
    Settings.from_environment(asked)
    given = {name for function in FUNCTIONS for name in variables(function)}
    assert asked.names == {name for name in asked.names if name in given}


class Asked(dict[str, str]):
    """An empty environment that notes what is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """Nothing."""
        self.names.add(name)
        return default


def test_the_last_try_of_a_message_is_known_to_be_the_last() -> None:
    policies = [each["Properties"].get("RedrivePolicy") for each in of_type("AWS::SQS::Queue").values()]
    assert [each["maxReceiveCount"] for each in policies if each] == [MOST_RECEIVES] * len(QUEUE_FUNCTIONS)


def test_every_statement_names_the_actions_and_resources_it_allows() -> None:
    for function in FUNCTIONS:
        for statement in statements(function):
            assert statement["Effect"] == "Allow"
            # Of a bucket, all objects: what they are called is up to callers. Reports and events have folders of their
            # own, and so are the secrets of what tenants bring.
            named = json.dumps([statement["Action"], statement["Resource"]])
            named = re.sub(r"\$\{FilesBucket\.Arn\}/((reports|ingest)/)?\*", "", named)
            named = named.replace("parameter/${AWS::StackName}/integrations/*", "")
            assert "*" not in named


def test_operators_reach_the_generations_of_caches_and_no_answers() -> None:
    [on_cache] = [each for each in statements("OperationsFunction") if "ResponseCacheTable" in json.dumps(each)]
    assert on_cache["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["generation#*"]}}


def test_writes_are_bound_by_keys_but_in_tables_that_hold_one_kind_of_item() -> None:
    """Where all partitions are tenants', a pattern of keys would let through whatever there is.

    Which tenant's they may be is not known before a request comes, and roles are not made for each.
    """
    unbound = {
        (function, table)
        for function in FUNCTIONS
        for statement in statements(function)
        if WRITES & {*([each] if isinstance(each := statement["Action"], str) else each)}
        and "Condition" not in statement
        for table in re.findall(r"(\w+Table)", json.dumps(statement["Resource"]))
    }
    assert {table for _, table in unbound} == {
        "ConversationsTable",
        "QuestionsTable",
        "RequestLogTable",
        "VectorsTable",
    }
    assert {function for function, _ in unbound} == {
        "ChatFunction",
        "EmbeddingsFunction",
        "TasksFunction",
        "ConversationsFunction",
        "BatchWorkerFunction",
        "StoreWorkerFunction",
        "VectorStoresFunction",
        "AnsweringFunction",
        "IngestWorkerFunction",
    }


def test_roles_allow_writing_logs_only_beside_their_statements() -> None:
    for function in FUNCTIONS:
        attached = json.dumps(resources()[f"{function}Role"]["Properties"]["ManagedPolicyArns"])
        names = set(re.findall(r"policy/(?:service-role/)?(\w+)", attached))
        of_queues = {"AWSLambdaSQSQueueExecutionRole"} if function in QUEUE_FUNCTIONS else set()
        assert names == {"AWSLambdaBasicExecutionRole"} | of_queues
