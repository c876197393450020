"""Some hundred mixed requests against a provider that counts what it bills: usage and ledger say the same, or more."""

import csv
import io
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import combinations
from typing import Any

import openai
import pytest

from functions.usage.app import ROUTES
from sluice.catalog.model import TokenPrice
from sluice.chat import Usage
from sluice.usage.grouping import DIMENSIONS
from sluice.usage.price import cost_nanousd
from tests.chat_server import ChatServer, eventually, serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.rest_function import RestFunction

PRICE = {"prompt_usd": 0.35, "completion_usd": 1.25}
LIMITS = {"requests_per_minute": 10_000, "tokens_per_minute": 10_000_000}
MODELS = ("exact", "doubtful", "killed")
"""What providers say the usage of; what ends before they do; what is asked by processes that are killed."""

# A child process asks until it is killed: whole and streamed, and now and then what hangs.
_ASKING = """
import itertools, sys
from concurrent.futures import ThreadPoolExecutor
from sluice.chat import ChatRequest
from sluice.composition import App
from sluice.errors import SluiceError
from sluice.gateway.request import RequestContext
from sluice.routing.deadline import Deadline
from sluice.tenants.api_key_token import ApiKeyToken
from sluice.tenants.principal import Principal
app = App.from_environment()
found = app.verifier.verify(ApiKeyToken.parse(sys.argv[1]))
principal = Principal(found.key, found.tenant)

def ask(number):
    body = {"model": "killed", "messages": [{"role": "user", "content": f"{sys.argv[2]} {number} " + "word " * 20}],
            "max_tokens": 60, "metadata": {"sluice_user": "ada"}}
    if number % 7 == 5:
        body["user"] = "fault:hang"
    context = RequestContext(f"req_{number}", Deadline.after(60))
    try:
        if number % 2:
            for chunk in (answer := app.gateway.stream(ChatRequest(**body), principal, context)).chunks: pass
        else:
            app.gateway.complete(ChatRequest(**body), principal, context)
    except SluiceError:
        pass

with ThreadPoolExecutor(3) as pool:
    list(pool.map(ask, range(10_000)))
"""


@dataclass(frozen=True)
class World:
    """The API, its usage, and the provider."""

    chat: ChatServer
    usage: RestFunction
    fake: FakeProvider

    def billed(self, since: int = 0) -> dict[str, int]:
        """Billionths of a dollar by model, each call priced by itself: nothing for what was refused with a status."""
        found = dict.fromkeys(MODELS, 0)
        for call in self.fake.state(since)["arrivals"]:
            if not call["refused"] and not str(call["fault"] or "").isdecimal():
                used = Usage(call["prompt_tokens"], call["completion_tokens"])
                found[call["model"]] += cost_nanousd(used, TokenPrice(**PRICE))
        return found

    def taken(self) -> dict[str, int]:
        """Billionths of a dollar that the ledger counts, by tenant's, key's and user's scope."""
        return {
            scope: state.totals["nanousd_per_month"]
            for scope, state in self.chat.quota().items()
            if "nanousd_per_month" in state.totals
        }

    def used(self, **query: str) -> Any:
        """What GET /v1/usage says."""
        answer = self.usage.send("GET /v1/usage", query={"range": "1d", **query}, api_key=self.chat.aws.admin_key)
        assert answer.status == 200
        return answer

    def used_by(self, name: str, **query: str) -> dict[str, int]:
        """The cost by one dimension."""
        groups = self.used(group_by=name, **query).body["data"]
        return {group[name]: group["cost_nanousd"] for group in groups}


@pytest.fixture
def world(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # What users spend is what is looked at, not how often they ask.
    monkeypatch.setenv("USER_REQUESTS_PER_MINUTE", "0")
    models = {name: model(price=PRICE, limits=LIMITS) for name in MODELS}
    aws.set_credentials(gateway(fake, "one", models=models), gateway(fake, "two", models=models))
    fake.configure(answer=None, keep_requests=10)
    with serving(aws) as chat:
        yield World(chat, RestFunction(ROUTES), fake)


def keys_of(chat: ChatServer, tenant: str, names: str) -> list[str]:
    """Keys of a tenant, all of them and each of their users with a budget."""
    chat.tenant(tenant, budget_usd_per_month=10, user_limits={"budget_usd_per_month": 5})
    limits = {"budget_usd_per_month": 8, "tokens_per_day": 10_000_000, "requests_per_minute": 10_000}
    return [chat.key(tenant, name=name, limits=limits) for name in names]


def request(number: int) -> tuple[str, dict[str, Any]]:
    """What is asked as a request of this number, and how."""
    body: dict[str, Any] = {
        "model": "exact",
        "messages": [{"role": "user", "content": f"Request {number}: {'word ' * (number % 23)}"}],
        "max_tokens": 80,
        "metadata": {"sluice_user": ("ada", "bob", "cyd")[number % 3], "sluice_task": f"lesson-{number % 2}"},
    }
    match number % 12:
        case 0 | 1:
            return "whole", body | {"messages": [{"role": "user", "content": "The same each time."}], "temperature": 0}
        case 2 | 3:
            return "whole", body
        case 4 | 5:
            return "streamed", body
        case 6:
            return "whole", body | {"response_format": {"type": "json_object"}}  # and is not: it is asked for again
        case 7:
            return "whole", body | {"user": "fault:400"}
        case 8:
            return "abandoned", body | {"model": "doubtful", "messages": [{"role": "user", "content": "word " * 40}]}
        case 9:
            return "streamed", body | {"model": "doubtful", "user": "fault:cut"}
        case 10:
            return "whole", body | {"model": "doubtful", "user": "fault:no_usage"}
        case _:
            return "whole", body | {"model": "doubtful"}


def ask(chat: ChatServer, api_key: str, number: int) -> None:
    how, body = request(number)
    client = chat.openai(api_key)
    try:
        if how == "whole":
            client.chat.completions.create(**body)
            return
        with client.chat.completions.create(**body, stream=True) as stream:
            for _ in stream:
                if how == "abandoned":
                    break
    except openai.APIError:
        pass  # as the fault has it


@contextmanager
def watched(look: Callable[[], None]) -> Iterator[None]:
    """Look ten times a second, in a thread of its own, as long as it lasts; what a look raises is raised at the end."""
    is_over, raised = threading.Event(), list[BaseException]()

    def watch() -> None:
        try:
            while not is_over.wait(0.1):
                look()
        except BaseException as error:  # noqa: BLE001 -- raised below
            raised.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    if raised:
        raise raised[0]


def of_tenant(taken: Mapping[str, int], tenant: str, kind: str) -> int:
    """What counts of a tenant, by its own scope, all of its keys' or all of their users'."""
    if kind == "tenant":
        return taken.get(f"tenant#{tenant}", 0)
    scopes = {scope: units for scope, units in taken.items() if scope.startswith(f"spend#{tenant}#")}
    return sum(units for scope, units in scopes.items() if ("#user#" in scope) == (kind == "user"))


def test_settled_costs_are_what_was_billed_and_with_what_is_reserved_never_less(world: World) -> None:
    chat, fake = world.chat, world.fake
    keys = keys_of(chat, "class", "xyz")
    fake.add_fault("429", times=6, model="exact", api_key="key-one", retry_after="0")
    fake.add_fault("cut", times=6, model="doubtful")

    def never_less() -> None:
        billed = sum(world.billed().values())
        taken = world.taken()
        for kind in ("tenant", "key", "user"):
            assert of_tenant(taken, "class", kind) >= billed

    with watched(never_less), ThreadPoolExecutor(6) as callers:
        list(callers.map(lambda number: ask(chat, keys[number % 3], number), range(240)))
        # What a caller hung up on is settled after that.
        eventually(lambda: of_tenant(world.taken(), "class", "tenant") == sum(world.used_by("tenant").values()), 30)

    billed, used, taken = world.billed(), world.used_by("model"), world.taken()
    assert billed["exact"] == used["exact"] > 0
    assert 0 < billed["doubtful"] <= used["doubtful"]
    # Nothing is reserved any more: the ledger has the dollars that usage has, whoever's they are.
    total = sum(used.values())
    assert {of_tenant(taken, "class", kind) for kind in ("tenant", "key", "user")} == {total}
    by_key = world.used_by("key")
    assert {key: taken[f"spend#class#{key}"] for key in by_key} == by_key
    totals = world.used().body["totals"]
    assert totals["cost_nanousd"] == total
    assert totals["cache_hits"] > 0
    assert totals["errors"] > 0
    # However it is grouped, all of it is there.
    for size in (1, 2):
        for names in combinations(DIMENSIONS, size):
            answer = world.used(group_by=",".join(names))
            assert sum(group["cost_nanousd"] for group in answer.body["data"]) == total
            assert sum(round(group["cost_usd"] * 1e9) for group in answer.body["data"]) == total
    rows = csv.DictReader(io.StringIO(world.used(group_by="user,task,hour", format="csv").raw))
    assert sum(int(row["cost_nanousd"]) for row in rows) == total
    today, month = datetime.now(UTC).date().isoformat(), datetime.now(UTC).date().replace(day=1).isoformat()
    assert world.used_by("task", range="7d") == world.used_by("task")
    dated = world.usage.send("GET /v1/usage", query={"from": month, "to": today}, api_key=chat.aws.admin_key)
    assert dated.body["totals"]["cost_nanousd"] == total


def has_asked(fake: FakeProvider, least: int) -> bool:
    return len(fake.state()["arrivals"]) >= least


def test_what_killed_processes_had_under_way_stays_reserved(world: World, aws: Aws) -> None:
    chat, fake = world.chat, world.fake
    [key] = keys_of(chat, "class", "x")
    for number in range(3):
        before = len(fake.state()["arrivals"])
        asking = subprocess.Popen(
            [sys.executable, "-c", _ASKING, key, str(number)],
            env=aws.process_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(partial(has_asked, fake, before + 14), within_s=90)
        finally:
            asking.kill()
            asking.wait()
        billed, used, taken = world.billed()["killed"], world.used_by("model").get("killed", 0), world.taken()
        for kind in ("tenant", "key", "user"):
            assert of_tenant(taken, "class", kind) >= max(billed, used)
    assert 0 < used < billed  # what was under way was billed, and nobody was left to record it
    # It goes on with what is left.
    ask(chat, key, 2)
    assert world.used_by("model")["exact"] == world.billed()["exact"] > 0
