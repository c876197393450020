"""Tenants and keys as code, against the function that has them."""

import csv
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from functions.keys.app import ROUTES
from sluice.api.me import ROUTES as ME
from tests.conftest import Aws
from tests.rest_function import RestFunction
from tools import admin

FILE = """
[tenants.physics]
name = "Physics class"
budget_usd_per_month = 5.5
guard_modes = {"personal-email" = "block"}
user_limits = {tokens_per_day = 1000}

[tenants.physics.keys.Lab]
limits = {requests_per_minute = 20, budget_usd_per_month = 0.1}
expires_at = 2099-07-31T00:00:00+02:00

[tenants.physics.keys."The bot"]
role = "operator"

[tenants.chemistry]
name = "Chemistry"
"""


class Deployment:
    """A deployment that the tool asks, with somebody at the keyboard."""

    def __init__(self) -> None:
        self.function = RestFunction((*ROUTES, *ME))
        self.function.tenant("acme")
        self.loses = ""
        self.api_key = self.function.key(role="admin", name="owner")

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of the tool's."""
        key = request.headers["authorization"].removeprefix("Bearer ")
        body = request.content.decode() or None
        route = f"{request.method} {request.url.path}"
        query = dict(request.url.params)
        found = self.function.send(
            route, None if body is None else httpx.Response(200, text=body).json(), query=query, api_key=key
        )
        if self.loses == route:
            raise httpx.ReadTimeout("the answer is lost")
        return httpx.Response(found.status, text=found.raw)

    def run(self, *arguments: str, answers: tuple[str, ...] = ()) -> str:
        """Run the tool; what it said."""
        left, said = list(answers), list[str]()
        console = admin.Console(say=said.append, ask=lambda _: left.pop(0))
        command, *more = arguments
        admin.main([command, "--url", "https://sluice.example/v1", *more], console)
        assert not left
        return "\n".join(said)

    def works(self, api_key: str) -> bool:
        """Whether an API key is taken."""
        return self.function.send("GET /v1/me", api_key=api_key).status == 200


@pytest.fixture
def deployment(aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Deployment:
    found = Deployment()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLUICE_ADMIN_KEY", found.api_key)
    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=httpx.MockTransport(found.answer)))
    return found


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def edited(change: Callable[[str], str] = lambda text: text) -> str:
    Path("tenants.toml").write_text(change(FILE), encoding="utf-8")
    return "tenants.toml"


def test_a_file_is_planned_applied_and_then_there_is_nothing_to_do(deployment: Deployment) -> None:
    planned = deployment.run("plan", edited())
    assert "4 to create, 0 to change, 0 to delete" in planned
    assert "limits: none -> " in planned
    assert "not in the file, left alone: tenant acme" in planned
    with pytest.raises(SystemExit, match="--keys-file"):
        deployment.run("apply", "tenants.toml")
    with pytest.raises(SystemExit, match="nothing was done"):
        deployment.run("apply", "tenants.toml", "--keys-file", "keys.csv", answers=("n",))
    assert "4 to create" in deployment.run("plan", "tenants.toml")
    deployment.run("apply", "tenants.toml", "--keys-file", "keys.csv", answers=("y",))
    made = rows("keys.csv")
    assert [(each["tenant"], each["name"]) for each in made] == [("physics", "Lab"), ("physics", "The bot")]
    assert all(deployment.works(each["api_key"]) for each in made)
    assert stat.S_IMODE(Path("keys.csv").stat().st_mode) == 0o600
    assert deployment.run("apply", "tenants.toml", "--yes").endswith("Nothing to do.")


def test_what_differs_is_shown_and_changed_and_what_the_file_leaves_out_is_none(deployment: Deployment) -> None:
    deployment.run("apply", edited(), "--yes", "--keys-file", "keys.csv")
    edited(
        lambda text: (
            text.replace("budget_usd_per_month = 5.5\n", "")
            .replace("tokens_per_day = 1000", "budget_usd_per_month = 0.25")
            .replace("requests_per_minute = 20, budget_usd_per_month = 0.1", "requests_per_minute = 30")
            .replace('role = "operator"', 'role = "manager"')
        )
    )
    planned = deployment.run("plan", "tenants.toml")
    for said in (
        "budget_usd_per_month: 5.5 -> none",
        'user_limits: {"tokens_per_day": 1000} -> {"budget_usd_per_month": 0.25}',
        "limits.requests_per_minute: 20 -> 30",
        "limits.budget_usd_per_month: 0.1 -> none",
        'role: "operator" -> "manager"',
        "0 to create, 3 to change, 0 to delete",
    ):
        assert said in planned
    deployment.run("apply", "tenants.toml", answers=("yes",))
    assert deployment.run("plan", "tenants.toml").endswith("Nothing to do.")


def test_what_is_not_in_the_file_goes_only_if_that_is_asked_for_and_confirmed(deployment: Deployment) -> None:
    deployment.run("apply", edited(), "--yes", "--keys-file", "keys.csv")
    lab, bot = rows("keys.csv")
    edited(lambda text: text.split('[tenants.physics.keys."The bot"]')[0])
    assert "left alone: key physics / The bot" in deployment.run("apply", "tenants.toml", "--yes")
    assert deployment.works(bot["api_key"])
    with pytest.raises(SystemExit, match="nothing was done"):
        deployment.run("apply", "tenants.toml", "--prune", answers=("y",))
    done = deployment.run("apply", "tenants.toml", "--prune", answers=("delete",))
    assert "done: delete key physics / The bot" in done
    assert "done: delete tenant chemistry" in done
    assert "acme" not in done  # whose key asks
    deployment.function.restart()
    assert [deployment.works(each["api_key"]) for each in (lab, bot)] == [True, False]
    assert deployment.works(deployment.api_key)
    assert deployment.run("plan", "tenants.toml", "--prune").endswith("Nothing to do.")


def test_a_key_that_has_expired_is_known_by_its_name_and_stops_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.run("apply", edited(), "--yes", "--keys-file", "keys.csv")
    after = datetime(2099, 8, 1, tzinfo=UTC).timestamp()
    monkeypatch.setattr(admin, "time", SimpleNamespace(time=lambda: after))
    monkeypatch.setattr(deployment.function.app.administration, "_now", lambda: after)
    assert deployment.run("plan", "tenants.toml").endswith("Nothing to do.")
    edited(lambda text: text.replace('keys."The bot"]', 'keys."The bot"]\nexpires_at = 2099-07-31T00:00:00Z'))
    done = deployment.run("apply", "tenants.toml", "--yes")
    assert "left as it is: key physics / The bot" in done
    assert done.endswith("Nothing to do.")
    edited(lambda text: text.replace("keys.Lab]", "keys.Other]"))
    done = deployment.run("apply", "tenants.toml", "--yes", "--prune")
    assert "not made, or left as it is: key physics / Other" in done
    assert "Lab" not in done
    # It is the same key once the file lets it hold for longer.
    edited(lambda text: text.replace("2099-07-31", "2100-07-31"))
    assert "0 to create, 1 to change" in deployment.run("apply", "tenants.toml", "--yes")
    deployment.function.restart()
    monkeypatch.setattr(deployment.function.app.verifier, "_now", lambda: after)
    assert deployment.works(rows("keys.csv")[0]["api_key"])


def test_the_key_that_asks_is_matched_changed_last_and_never_revoked(deployment: Deployment) -> None:
    own = "\n[tenants.acme]\nname = 'acme'\n{}[tenants.zoology]\nname = 'Zoology'\n"
    edited(lambda text: own.format("[tenants.acme.keys.owner]\nrole = 'admin'\n") + text)
    planned = deployment.run("plan", "tenants.toml")
    assert "key acme / owner" not in planned
    edited(lambda text: own.format("[tenants.acme.keys.owner]\nrole = 'manager'\n"))
    assert deployment.run("apply", "tenants.toml", "--yes").endswith("done: change key acme / owner")
    assert deployment.works(deployment.api_key)


def test_the_key_that_asks_is_not_pruned(deployment: Deployment) -> None:
    deployment.function.key(name="other")
    Path("tenants.toml").write_text("[tenants.acme]\nname = 'acme'\n", encoding="utf-8")
    done = deployment.run("apply", "tenants.toml", "--yes", "--prune")
    assert "delete key acme / other" in done
    assert deployment.works(deployment.api_key)


def test_a_class_gets_keys_in_a_file_and_the_same_again_makes_those_that_lack(deployment: Deployment) -> None:
    Path("pupils.txt").write_text("Ada\n\n Grace \nAda\n=cmd()\n", encoding="utf-8")
    limits = ("--budget-usd-per-month", "0.5", "--tokens-per-day", "1000", "--expires-at", "2099-01-01T00:00:00+00:00")
    arguments = ("keys", "--tenant", "acme", "--names", "pupils.txt", *limits)
    assert "3 keys made" in deployment.run(*arguments, "--keys-file", "class.csv")
    made = rows("class.csv")
    assert [each["name"] for each in made] == ["Ada", "Grace", "'=cmd()"]
    assert all(deployment.works(each["api_key"]) for each in made)
    Path("pupils.txt").write_text("Ada\nEmmy\n", encoding="utf-8")
    assert "1 have a key already" in deployment.run(*arguments, "--keys-file", "more.csv")
    assert [each["name"] for each in rows("more.csv")] == ["Emmy"]
    with pytest.raises(SystemExit, match="not there yet"):
        deployment.run(*arguments, "--keys-file", "class.csv")


def test_people_whose_keys_were_lost_with_an_answer_get_another_secret(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("pupils.txt").write_text("Ada\nGrace\n", encoding="utf-8")
    arguments = ("keys", "--tenant", "acme", "--names", "pupils.txt")
    deployment.run(*arguments, "--keys-file", "class.csv")
    Path("pupils.txt").write_text("Ada\nGrace\nEmmy\nLise\n", encoding="utf-8")
    monkeypatch.setattr(admin, "MOST_KEYS_AT_ONCE", 1)
    deployment.loses = "POST /v1/keys/batch"
    with pytest.raises(SystemExit, match="--again"):
        deployment.run(*arguments, "--keys-file", "more.csv")
    deployment.loses = ""
    assert rows("more.csv") == []
    with pytest.raises(SystemExit, match=r"class.csv.*not there yet.*--again"):
        deployment.run(*arguments, "--keys-file", "class.csv")
    again = (*arguments, "--again", "class.csv", "more.csv", "--keys-file", "rest.csv")
    with pytest.raises(SystemExit, match="nothing was done"):
        deployment.run(*again, answers=("n",))
    said = deployment.run(*again, answers=("y",))
    assert "1 have a key and no row" in said
    assert "  Emmy\n" in said
    assert "1 keys made, 1 with another secret" in said
    found = rows("class.csv") + rows("rest.csv")
    assert [each["name"] for each in found] == ["Ada", "Grace", "Emmy", "Lise"]
    deployment.function.restart()
    assert all(deployment.works(each["api_key"]) for each in found)
    said = deployment.run(*arguments, "--again", "class.csv", "rest.csv", "--keys-file", "none.csv")
    assert "4 have a key already, and get none" in said
    with pytest.raises(SystemExit, match="no CSV file with the columns"):
        deployment.run(*arguments, "--again", "pupils.txt", "--keys-file", "none.csv")
    deployment.function.key(name="Emmy")
    with pytest.raises(SystemExit, match="several keys"):
        deployment.run(*arguments, "--again", "class.csv", "--keys-file", "others.csv")


def test_a_key_is_rotated_into_a_file(deployment: Deployment) -> None:
    old = deployment.function.key(name="bot")
    key_id = old.split("-")[1]
    assert "the old one holds for 24 h" in deployment.run("rotate", key_id, "--keys-file", "new.csv")
    [new] = rows("new.csv")
    assert deployment.works(new["api_key"])
    assert deployment.works(old)


def test_who_may_not_is_told_so(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_ADMIN_KEY", deployment.function.key())
    with pytest.raises(SystemExit, match="403"):
        deployment.run("plan", edited())
