"""AWS for tests: a stand-in per session and worker, with the tables and secrets of template.yaml."""

import gc
import importlib
import json
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # xdist has no types

from sluice.storage import client as storage
from sluice.storage.client import DynamoDB
from sluice.storage.connections import Timeouts
from sluice.storage.errors import ServiceError
from sluice.storage.item_types import TypedItem
from sluice.storage.secrets import SecretsManager
from sluice.storage.service_config import ServiceConfig
from tests import recorded_calls
from tests.examples import examples
from tests.moto_server import Moto
from tools import template
from tools.ministack import LocalAws, MiniStack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

# How long an example takes says more of a shared machine than of the code.
hypothesis.settings.register_profile("sluice", deadline=None, max_examples=examples(100))
hypothesis.settings.load_profile("sluice")

_SECRETS_TIMEOUTS = Timeouts(connect_s=10, silence_s=30, answer_s=30)
ADMIN_SECRET = "0123456789abcdefghijABCDEFGHIJ0123456789"


recorded_calls.install()

# Each new client of httpx reads all certificates that there are, for 30 ms. Nothing here leaves the machine.
_httpx_transport = importlib.import_module("httpx._transports.default")
_httpx_transport.create_ssl_context = cache(_httpx_transport.create_ssl_context)  # type: ignore[attr-defined]


class OneStackScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Spreads tests over workers by file, but all end-to-end tests to one: they share a deployed stack."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/e2e" if nodeid.startswith("tests/e2e/") else nodeid.partition("::")[0]


_LONG = (
    "tests/e2e/",
    "tests/integration/test_benchmarks.py",
    "tests/integration/tools/",
    "tests/integration/batches/test_killed_workers.py",
    "tests/integration/usage/test_costs_add_up.py",
    "tests/integration/quota/test_race.py",
)
"""What takes a minute or more, most of it waiting. Begun last, it would be waited for by who has nothing left to do."""


def pytest_sessionstart() -> None:
    """Look for no garbage while tests are imported: nearly all of that stays, and looking takes a fifth of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage again, in what tests make."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection(session: pytest.Session) -> None:
    """Let each worker compile a part of the tests: all import all of them, and the rest is compiled by then."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None or sys.dont_write_bytecode:
        return
    asked = [session.config.rootpath / each.partition("::")[0] for each in session.config.args]
    files = sorted(file for path in asked for file in path.rglob("test_*.py"))
    for file in files[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        sys.path.insert(0, str(file.parent))
        with suppress(Exception):  # collecting it says why
            importlib.import_module(file.stem)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; otherwise leave the order as it is."""

    def place(item: pytest.Item) -> int:
        return next((place for place, path in enumerate(_LONG) if item.nodeid.startswith(path)), len(_LONG))

    items.sort(key=place)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OneStackScheduling:
    """Replace what --dist chooses."""
    config.option.loadscopereorder = False  # its order is by numbers of tests
    return OneStackScheduling(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option for runs of all tests."""
    text = "fail also for what roles allow and no test uses, which takes all integration tests"
    parser.addoption("--check-roles", action="store_true", help=text)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take what a worker has recorded."""
    recorded_calls.take(getattr(node, "workeroutput", {}).get("calls", []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Compare what functions called with what their roles allow, where all of it is known."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["calls"] = recorded_calls.exchanged()
    else:
        recorded_calls.report(session, is_whole=session.config.getoption("--check-roles"))


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    """MiniStack on a free port, with this process's AWS SDK pointed at it."""
    stack = MiniStack(tmp_path_factory.mktemp("ministack"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in stack.environment.items():
            patch.setenv(name, value)
        yield stack
    stack.stop()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """moto's server on a free port."""
    with Moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


ON_BOTH_EMULATORS = pytest.mark.parametrize("emulator", ["ministack", "moto"], indirect=True)
"""What runs on both stand-ins for AWS. Each is wrong somewhere, and hardly both in the same place."""


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> LocalAws:
    """What stands in for AWS: MiniStack, but where ON_BOTH_EMULATORS says otherwise."""
    stand_in: MiniStack | Moto = request.getfixturevalue(getattr(request, "param", "ministack"))
    return stand_in.aws


@dataclass(frozen=True, slots=True)
class Aws:
    """The tables and secrets of one test. Nobody else sees them."""

    dynamodb: "DynamoDBClient"
    secretsmanager: "SecretsManagerClient"
    client: DynamoDB
    """The package's own client,"""
    secrets: SecretsManager
    """and that of secrets: boto3's take three times as long for a call."""
    variables: Mapping[str, str]
    """What template.yaml gives a function: QUOTA_TABLE, ..., ADMIN_KEY_SECRET, CREDENTIALS_SECRET."""
    endpoint: Mapping[str, str]
    """AWS_ENDPOINT_URL and what else points an SDK at the stand-in."""

    @property
    def admin_key(self) -> str:
        """The admin key that ADMIN_KEY_SECRET stands for."""
        return f"sl-admin-{ADMIN_SECRET}"

    def table(self, variable: str) -> str:
        """The name of a table, by its variable: `aws.table("QUOTA_TABLE")`."""
        return self.variables[variable]

    def items(self, variable: str) -> list[TypedItem]:
        """All items of a table, in DynamoDB's typed form as it travels: `aws.items("QUOTA_TABLE")`."""
        return list(self.client.call("Scan", {"TableName": self.table(variable)})["Items"])

    def set_credentials(self, *credentials: Mapping[str, object]) -> None:
        """Put provider credentials into CREDENTIALS_SECRET."""
        content = {
            "SecretId": self.variables["CREDENTIALS_SECRET"],
            "SecretString": json.dumps({"credentials": credentials}),
            "ClientRequestToken": str(uuid.uuid4()),
        }
        self.secrets.call("PutSecretValue", content)

    def process_environment(self, **more: str) -> dict[str, str]:
        """The environment for a process of its own that is to see the same tables and secrets."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        path = os.pathsep.join(["layers/sluice", ".", inherited.get("PYTHONPATH", "")])
        return {**inherited, "PYTHONPATH": path, **self.endpoint, **self.variables, **more}


def _create_table(client: DynamoDB, name: str, definition: Mapping[str, Any]) -> None:
    """Create a table; in moto, which has no vector indexes, without them and the attributes that they alone use."""
    try:
        client.call("CreateTable", {"TableName": name, **definition})
    except ServiceError as error:
        if error.aws_code == "ResourceInUseException":
            return  # it was sent twice, as the first answer was late: nobody else has the name
        if "VectorIndexes" not in definition:
            raise
        keys = {each["AttributeName"] for each in definition["KeySchema"]}
        plain = {key: value for key, value in definition.items() if key != "VectorIndexes"}
        plain["AttributeDefinitions"] = [
            each for each in definition["AttributeDefinitions"] if each["AttributeName"] in keys
        ]
        client.call("CreateTable", {"TableName": name, **plain})


@cache
def _schemas() -> Mapping[str, template.TableSchema]:
    return template.tables(template.load())


@cache
def _boto3_clients(emulator: LocalAws) -> "tuple[DynamoDBClient, SecretsManagerClient]":
    # Each new session reads the descriptions of the services anew, for a tenth of a second.
    session = emulator.session()
    return (
        session.client("dynamodb", endpoint_url=emulator.endpoint_url),
        session.client("secretsmanager", endpoint_url=emulator.endpoint_url),
    )


@pytest.fixture
def aws(emulator: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Fresh, empty tables and secrets as template.yaml has them, and the variables that name them set.

    Nothing expires in them, and they are left when the test ends: both would cost a third of most tests' time.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    dynamodb, secretsmanager = _boto3_clients(emulator)
    # Some ten calls before each test: boto3's would take longer than most tests.
    client = storage.dynamodb()
    secrets = SecretsManager(ServiceConfig.from_environment("SECRETS_MANAGER"), _SECRETS_TIMEOUTS)
    suffix = uuid.uuid4().hex[:12]
    variables = {}
    for variable, schema in _schemas().items():
        name = f"{variable.lower()}-{suffix}"
        _create_table(client, name, schema.definition)
        variables[variable] = name
    for variable, content in {
        "ADMIN_KEY_SECRET": {"id": "admin", "secret": ADMIN_SECRET},
        "CREDENTIALS_SECRET": {"credentials": []},
        "WEBHOOK_SECRET": {"for": "webhooks", "secret": ADMIN_SECRET},
    }.items():
        secret = {"Name": f"{variable}-{suffix}", "SecretString": json.dumps(content)}
        created = secrets.call("CreateSecret", {**secret, "ClientRequestToken": str(uuid.uuid4())})
        variables[variable] = created["ARN"]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    return Aws(dynamodb, secretsmanager, client, secrets, variables, emulator.environment)


@pytest.fixture
def tables(aws: Aws) -> Mapping[str, str]:
    """The names of fresh, empty tables by variable: `tables["QUOTA_TABLE"]`."""
    return aws.variables
