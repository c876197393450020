"""Tenants and API keys as code: `python -m tools.admin plan|apply tenants.toml --url URL`, and `keys`, and `rotate`.

`plan` shows what differs from the file, `apply` shows it, asks, and does it; the same again does nothing. `keys` makes
API keys for the names of a file, one a line, and writes them to a CSV file that nobody else can read. `rotate` gives a
key another secret while the old one still holds. SLUICE_ADMIN_KEY is the API key: an admin's, or for `keys` and
`rotate` a manager's.
"""

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from pathlib import Path
from typing import Any

import httpx

from sluice.api.keys import MOST_KEYS_AT_ONCE
from tools.tenants_file import Deployed, Kind, Plan, Step, TenantsFileError, Wanted, plan, read

_COLUMNS = ("tenant", "name", "id", "api_key")
_SIGNS = {Kind.CREATE: "+", Kind.CHANGE: "~", Kind.DELETE: "-"}
_AGAIN = "`keys` with --again and the CSV files that there are, and another --keys-file, gives them another secret"
_PAGE = 100
_LIMITS = ("budget_usd_per_month", "tokens_per_minute", "tokens_per_day", "requests_per_minute", "requests_per_day")


class Api:
    """The API of a deployment. Ends the program with what it says if it refuses."""

    def __init__(self, client: httpx.Client, url: str, key: str) -> None:
        self._client = client
        self._url = url.rstrip("/").removesuffix("/v1")
        self._headers = {"authorization": f"Bearer {key}"}

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> dict[str, Any]:
        """Send a request; what was answered."""
        url = f"{self._url}{path}"
        try:
            answer = self._client.request(method, url, headers=self._headers, params=query, json=body)
        except httpx.TransportError as error:
            said = f"{httpx.URL(self._url).host} is not reached: {type(error).__name__}; the same command goes on"
            sys.exit(said + _lost(method, path))
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
        try:
            reason = answer.json()["error"]["message"]
        except (ValueError, KeyError, TypeError):
            reason = "no reason is given"
        sys.exit(f"{method} {path} is answered {answer.status_code}: {reason}" + _lost(method, path, answer))

    def all(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """All entries of a list."""
        page: dict[str, Any] = {"has_more": True}
        while page["has_more"]:
            page = self.send("GET", path, limit=_PAGE, **query)
            yield from page["data"]
            query["after"] = page["data"][-1]["id"] if page["data"] else ""

    def keys(self, tenant: str) -> list[dict[str, Any]]:
        """A tenant's keys that are not revoked, also those that have expired."""
        return [each for each in self.all("/v1/keys", tenant=tenant) if each["revoked_at"] is None]


@dataclass(frozen=True, slots=True)
class Console:
    """Who is asked and told."""

    say: Callable[[str], None] = print
    ask: Callable[[str], str] = input


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> None:
    """Do what the command line says."""
    options, console = _options(arguments), console or Console()
    key = os.environ.get("SLUICE_ADMIN_KEY") or sys.exit("SLUICE_ADMIN_KEY has to be the API key of who asks")
    with httpx.Client(timeout=httpx.Timeout(60, connect=10), follow_redirects=False) as client:
        api = Api(client, options.url, str(key))
        try:
            match options.command:
                case "rotate":
                    _rotate(api, options, console)
                case "keys":
                    _make_keys(api, options, console)
                case _:
                    _apply(api, options, console)
        except TenantsFileError as error:
            sys.exit(str(error))


def deployed(api: Api, wanted: Mapping[str, Wanted]) -> Deployed:
    """What there is."""
    tenants = {each["id"]: each for each in api.all("/v1/tenants")}
    me = api.send("GET", "/v1/me")
    keys = {each: api.keys(each) for each in wanted if each in tenants}
    return Deployed(tenants, keys, me["key"]["id"], me["tenant"]["id"], time.time())


def shown(found: Plan, *, prune: bool) -> str:
    """A plan as a person reads it."""
    lines = [
        f"  expires_at has passed, not made, or left as it is: key {tenant} / {name}"
        for tenant, name in found.past_keys
    ]
    for step in found.steps:
        lines.append(f"{_SIGNS[step.kind]} {step.kind} {step.what}")
        lines += [f"    {name}: {_said(before)} -> {_said(after)}" for name, before, after in step.changes]
    if not prune:
        lines += [f"  not in the file, left alone: tenant {each}" for each in found.other_tenants]
        lines += [f"  not in the file, left alone: key {tenant} / {name}" for tenant, name in found.other_keys]
    counts = {kind: sum(step.kind is kind for step in found.steps) for kind in Kind}
    lines.append(", ".join(f"{count} to {kind}" for kind, count in counts.items()) if found.steps else "Nothing to do.")
    return "\n".join(lines)


def _apply(api: Api, options: argparse.Namespace, console: Console) -> None:
    wanted = read(options.file)
    found = plan(wanted, deployed(api, wanted), prune=options.prune)
    console.say(shown(found, prune=options.prune))
    if options.command == "plan" or not found.steps:
        return
    if any(step.makes_key for step in found.steps) and options.keys_file is None:
        sys.exit("keys are to be made, and each is shown once: name a file for them with --keys-file")
    if not options.yes and not _is_confirmed(found, console):
        sys.exit("nothing was done")
    with _key_rows(options.keys_file) as write:
        for step in found.steps:
            _do(api, step, write, console)


def _is_confirmed(found: Plan, console: Console) -> bool:
    if any(step.kind is Kind.DELETE for step in found.steps):
        return console.ask("What is deleted or revoked does not come back. Type delete to go on: ") == "delete"
    return console.ask("Do it? [y/N] ").strip().lower() in {"y", "yes"}


def _do(api: Api, step: Step, write: Callable[[Mapping[str, Any]], None], console: Console) -> None:
    answer = api.send(step.method, step.path, step.body)
    while answer.get("is_finished") is False:
        answer = api.send(step.method, step.path, step.body)
    if step.makes_key:
        write(answer)
    console.say(f"done: {step.kind} {step.what}")


def _make_keys(api: Api, options: argparse.Namespace, console: Console) -> None:
    names = list(dict.fromkeys(filter(None, map(str.strip, options.names.read_text(encoding="utf-8").splitlines()))))
    there = _ids_by_name(api, options.tenant)
    left = [name for name in names if name not in there]
    lost = {} if options.again is None else _lost_keys(names, there, options)
    if none := [name for name in names if name in there and name not in lost]:
        console.say(f"{len(none)} have a key already, and get none")
    if none and options.again is None:
        console.say(f"if they have no row in a file either, as an answer was lost: {_AGAIN}")
    if lost:
        console.say(f"{len(lost)} have a key and no row: its secret is exchanged, and the one before ends within 60 s:")
        console.say("\n".join(f"  {name}" for name in lost))
        if not options.yes and console.ask("Do it? [y/N] ").strip().lower() not in {"y", "yes"}:
            sys.exit("nothing was done")
    limits = {name: value for name in _LIMITS if (value := getattr(options, name)) is not None}
    terms = {"tenant": options.tenant, "limits": limits}
    if options.expires_at is not None:
        terms["expires_at"] = options.expires_at.isoformat()
    with _key_rows(options.keys_file, f"for names that have no row in it, {_AGAIN}") as write:
        for key_id in lost.values():
            write(api.send("POST", f"/v1/keys/{key_id}/rotate", {"old_secret_until": None}))
        for some in batched(left, MOST_KEYS_AT_ONCE, strict=False):
            answer = api.send("POST", "/v1/keys/batch", {**terms, "names": list(some)})
            for each in answer["data"]:
                write(each)
            if answer["not_made"]:
                sys.exit(f"{len(answer['not_made'])} keys were not made: the same command makes them")
    others = f", {len(lost)} with another secret" if lost else ""
    console.say(f"{len(left)} keys made{others}, in {options.keys_file}")


def _ids_by_name(api: Api, tenant: str) -> dict[str, list[str]]:
    """A tenant's keys that are neither revoked nor expired."""
    now, found = time.time(), dict[str, list[str]]()
    for key in api.keys(tenant):
        if key["expires_at"] is None or key["expires_at"] > now:
            found.setdefault(key["name"], []).append(key["id"])
    return found


def _lost_keys(names: Iterable[str], there: Mapping[str, list[str]], options: argparse.Namespace) -> dict[str, str]:
    """The ids of the keys of `names` that have no row in the files of --again: nobody saw their secrets."""
    written = {key_id for path in options.again for key_id in _written(path)}
    lost = {name: there[name] for name in names if name in there and written.isdisjoint(there[name])}
    for name, ids in lost.items():
        if len(ids) > 1:
            sys.exit(f"{name}: there are several keys of that name ({', '.join(ids)}): revoke all but one")
    return {name: ids[0] for name, ids in lost.items()}


def _written(path: Path) -> list[str]:
    """The ids of the keys in a CSV file, as this tool writes them."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [row["id"] for row in csv.DictReader(file) if row["api_key"]]
    except OSError as error:
        sys.exit(f"{path}: {error.strerror}")
    except (KeyError, ValueError, csv.Error):
        sys.exit(f"{path}: is no CSV file with the columns {', '.join(_COLUMNS)}")


def _lost(method: str, path: str, answer: httpx.Response | None = None) -> str:
    """What to do about keys that a request may have made though their secrets were not answered."""
    if method != "POST" or not path.startswith("/v1/keys") or (answer is not None and not answer.is_server_error):
        return ""
    if path.endswith("/rotate"):
        return ", with another CSV file: the secret that it may have made counts for nothing then"
    return f"; a key may have been made whose secret nobody saw: {_AGAIN}"


def _rotate(api: Api, options: argparse.Namespace, console: Console) -> None:
    until = int(time.time() + options.overlap_hours * 3600) if options.overlap_hours else None
    with _key_rows(options.keys_file) as write:
        write(api.send("POST", f"/v1/keys/{options.key}/rotate", {"old_secret_until": until}))
    held = f"holds for {options.overlap_hours:g} h" if until else "ends within 60 s"
    console.say(f"{options.key} has another secret, in {options.keys_file}; the old one {held}")


@contextmanager
def _key_rows(path: Path | None, otherwise: str = "") -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Writes keys to a CSV file of its owner's alone, each as soon as it is made.

    `otherwise` is what else there is to do if the file is there already.
    """
    if path is None:
        yield lambda _: None
        return
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        sys.exit("; ".join(filter(None, [f"{path}: {error.strerror}; name a file that is not there yet", otherwise])))
    with os.fdopen(opened, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)

        def write(key: Mapping[str, Any]) -> None:
            rows.writerow(_cell(key[name]) for name in _COLUMNS)
            file.flush()

        yield write


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _said(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _options(arguments: Iterable[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.admin", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", required=True, help="the API's address")
    for command, said in (("plan", "show what differs from a file"), ("apply", "make it as a file says")):
        of_file = commands.add_parser(command, parents=[common], help=said)
        of_file.add_argument("file", type=Path, help="tenants.toml")
        of_file.add_argument(
            "--prune", action="store_true", help="delete tenants and revoke keys that it does not have"
        )
        of_file.add_argument("--yes", action="store_true", help="do not ask")
        of_file.add_argument("--keys-file", type=Path, help="where new keys are written, a CSV file that is not there")
    keys = commands.add_parser("keys", parents=[common], help="make many keys")
    keys.add_argument("--tenant", required=True)
    keys.add_argument("--names", required=True, type=Path, help="a file with a name in each line")
    keys.add_argument("--keys-file", required=True, type=Path)
    keys.add_argument(
        "--again", nargs="+", type=Path, metavar="CSV", help="exchange secrets of names with a key and no row in these"
    )
    keys.add_argument("--yes", action="store_true", help="do not ask")
    keys.add_argument("--expires-at", type=datetime.fromisoformat, help="2027-07-31T00:00:00+02:00")
    keys.add_argument("--budget-usd-per-month", type=float)
    for name in ("tokens-per-minute", "tokens-per-day", "requests-per-minute", "requests-per-day"):
        keys.add_argument(f"--{name}", type=int)
    rotate = commands.add_parser("rotate", parents=[common], help="give a key another secret")
    rotate.add_argument("key", help="its id: what stands in it after sl-")
    rotate.add_argument("--overlap-hours", type=float, default=24, help="for how long the old one holds too; 0: not")
    rotate.add_argument("--keys-file", required=True, type=Path)
    return parser.parse_args(None if arguments is None else list(arguments))


if __name__ == "__main__":
    main()
