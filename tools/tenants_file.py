"""Tenants and API keys as a file says them, and what it takes to make a deployment be so. Pure, but for reading.

What the file leaves out of a tenant or a key that it names is none, or the stack's default; a key is known by its name.
Requests a minute and a day of a key are compared only if the file names them, as the API shows the default alike.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sluice.api.keys import NewKey
from sluice.api.tenants import NewTenant
from sluice.tenants.shown import shown_spend_limits, tenant_fields

_OF_KEYS = ("role", "expires_at", "limits", "user_limits")
_SPENT = ("budget_usd_per_month", "tokens_per_minute", "tokens_per_day")
_REQUESTS = ("requests_per_minute", "requests_per_day")
# What the API shows of a tenant beside what may be changed.
_ONLY_SHOWN = frozenset({"object", "created_at"})


class TenantsFileError(Exception):
    """A file says what can't be, or what is there can't be told apart by names."""


class Kind(StrEnum):
    """What is done."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A request, and what it is for: `changes` are (field, before, after)."""

    kind: Kind
    what: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    changes: Sequence[tuple[str, Any, Any]] = ()

    @property
    def makes_key(self) -> bool:
        """Whether its answer has a secret."""
        return self.path == "/v1/keys"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tenant of the file, and its keys, as they are sent to the API to be made."""

    tenant: Mapping[str, Any]
    keys: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What it takes, and what is there and not in the file: tenants, and (tenant, key) by their names.

    `past_keys` are of the file, with an expires_at that has passed: they are not made, and one that is there keeps its.
    """

    steps: list[Step] = field(default_factory=list)
    other_tenants: list[str] = field(default_factory=list)
    other_keys: list[tuple[str, str]] = field(default_factory=list)
    past_keys: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Deployed:
    """What there is, as the API shows it: tenants by id, and of those in the file the keys that are not revoked.

    `own_key` is the id of the key that asks, and `own_tenant` whose it is: neither is ever deleted. `now` is when that
    was so, in seconds since 1970.
    """

    tenants: Mapping[str, Mapping[str, Any]]
    keys: Mapping[str, Sequence[Mapping[str, Any]]]
    own_key: str = ""
    own_tenant: str = ""
    now: float = 0


def read(path: Path) -> dict[str, Wanted]:
    """The tenants of a file, by id. Raises TenantsFileError, which names the place."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TenantsFileError(f"{path}: {error}") from None
    tenants = document.pop("tenants", {})
    if document or not isinstance(tenants, dict) or not all(isinstance(each, dict) for each in tenants.values()):
        raise TenantsFileError(f"{path}: should have tables [tenants.<id>] and [tenants.<id>.keys.<name>] alone")
    return {tenant_id: _wanted(tenant_id, given) for tenant_id, given in tenants.items()}


def _wanted(tenant_id: str, given: dict[str, Any]) -> Wanted:
    keys = given.pop("keys", {})
    place = f"tenants.{tenant_id}"
    tenant = {"id": tenant_id, **given}
    _check(NewTenant, tenant, place)
    if not isinstance(keys, dict) or not all(isinstance(each, dict) for each in keys.values()):
        raise TenantsFileError(f"{place}.keys: should be tables, [{place}.keys.<name>]")
    wanted = {}
    for name, terms in keys.items():
        key = {"tenant": tenant_id, "name": name, **terms}
        model = _check(NewKey, key, f"{place}.keys.{name}")
        wanted[model.name] = model.model_dump(mode="json", exclude_unset=True)
    return Wanted(_check(NewTenant, tenant, place).model_dump(mode="json", exclude_unset=True), wanted)


def _check[Model: BaseModel](model: type[Model], given: Mapping[str, Any], place: str) -> Model:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        at = ".".join([place, *map(str, first["loc"])])
        raise TenantsFileError(f"{at}: {first['msg']}") from None


def plan(wanted: Mapping[str, Wanted], deployed: Deployed, *, prune: bool) -> Plan:
    """What makes a deployment as a file says. With `prune`, what the file does not have is deleted, and revoked.

    What changes the key that asks comes last, as it may take away what the rest needs.
    """
    found = Plan(other_tenants=sorted(deployed.tenants.keys() - wanted.keys()))
    for tenant_id, each in wanted.items():
        there = deployed.tenants.get(tenant_id)
        if there is None:
            found.steps.append(_creation(f"tenant {tenant_id}", "/v1/tenants", each.tenant))
        elif changes := _tenant_changes(there, each.tenant):
            found.steps.append(_tenant_change(tenant_id, each.tenant, changes))
        _add_keys(found, tenant_id, each, deployed, prune=prune)
    if prune:
        found.steps.extend(
            Step(kind=Kind.DELETE, what=f"tenant {each}", method="DELETE", path=f"/v1/tenants/{each}")
            for each in found.other_tenants
            if each != deployed.own_tenant
        )
    found.steps.sort(key=lambda step: step.path == f"/v1/keys/{deployed.own_key}")
    return found


def _add_keys(found: Plan, tenant_id: str, wanted: Wanted, deployed: Deployed, *, prune: bool) -> None:
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for key in deployed.keys.get(tenant_id, ()):
        by_name.setdefault(key["name"], []).append(key)
    for name, given in wanted.keys.items():
        what = f"key {tenant_id} / {name}"
        there = _one_of(by_name.pop(name, []), what, deployed.now)
        is_past = _has_passed(NewKey.model_validate(given).to_terms().expires_at, deployed.now)
        changes = [] if there is None else _key_changes(there, given)
        if is_past:
            # The API takes no such time, neither for a new key nor as a change.
            asked, changes = len(changes), [each for each in changes if each[0] != "expires_at"]
            if there is None or len(changes) < asked:
                found.past_keys.append((tenant_id, name))
        if there is None and not is_past:
            found.steps.append(_creation(what, "/v1/keys", given))
        elif there is not None and changes:
            found.steps.append(_key_change(what, there, given, changes))
    for name, others in sorted(by_name.items()):
        for key in others:
            if key["id"] == deployed.own_key or _has_passed(key["expires_at"], deployed.now):
                continue
            found.other_keys.append((tenant_id, name))
            if prune:
                what, path = f"key {tenant_id} / {name}", f"/v1/keys/{key['id']}"
                found.steps.append(Step(kind=Kind.DELETE, what=what, method="DELETE", path=path))


def _one_of(same: Sequence[Mapping[str, Any]], what: str, now: float) -> Mapping[str, Any] | None:
    """Which of the keys of one name the file means: the one that has not expired, or else the last that did."""
    holding = [each for each in same if not _has_passed(each["expires_at"], now)]
    if len(holding) > 1:
        ids = ", ".join(each["id"] for each in holding)
        raise TenantsFileError(f"{what}: there are several of that name ({ids}): rename or revoke all but one")
    return holding[0] if holding else max(same, key=lambda each: each["expires_at"], default=None)


def _has_passed(expires_at: int | None, now: float) -> bool:
    return expires_at is not None and expires_at <= now


def _creation(what: str, path: str, body: Mapping[str, Any]) -> Step:
    said = [(name, None, value) for name, value in body.items() if name not in {"id", "tenant", "name"}]
    return Step(kind=Kind.CREATE, what=what, method="POST", path=path, body=body, changes=said)


def _tenant_changes(there: Mapping[str, Any], given: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    shown = {name: value for name, value in there.items() if name not in _ONLY_SHOWN}
    before = tenant_fields(NewTenant.model_validate(shown).to_record())
    return _differences(before, tenant_fields(NewTenant.model_validate(given).to_record()))


def _tenant_change(tenant_id: str, given: Mapping[str, Any], changes: Sequence[tuple[str, Any, Any]]) -> Step:
    names = {name.partition(".")[0] for name, _, _ in changes}
    return Step(
        kind=Kind.CHANGE,
        what=f"tenant {tenant_id}",
        method="PATCH",
        path=f"/v1/tenants/{tenant_id}",
        body={name: given.get(name) for name in sorted(names)},
        changes=changes,
    )


def _key_change(
    what: str, there: Mapping[str, Any], given: Mapping[str, Any], changes: Sequence[tuple[str, Any, Any]]
) -> Step:
    return Step(
        kind=Kind.CHANGE,
        what=what,
        method="PATCH",
        path=f"/v1/keys/{there['id']}",
        body=_key_body(given, {each for each, _, _ in changes}),
        changes=changes,
    )


def _key_changes(there: Mapping[str, Any], given: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    terms = NewKey.model_validate(given).to_terms()
    asked = given.get("limits") or {}
    named = [*_SPENT, *(name for name in _REQUESTS if asked.get(name) is not None)]
    before = {f"limits.{name}": there["limits"][name] for name in named}
    after = {f"limits.{name}": asked.get(name) for name in named}
    # Dollars come as texts that are exact.
    budget = after["limits.budget_usd_per_month"]
    after["limits.budget_usd_per_month"] = None if budget is None else float(budget)
    before |= {"role": there["role"], "expires_at": there["expires_at"]}
    after |= {"role": str(terms.role), "expires_at": terms.expires_at}
    users = {name: value for name, value in there["user_limits"].items() if value is not None}
    before["user_limits"], after["user_limits"] = users or None, shown_spend_limits(terms.user_limits) or None
    return _differences(before, after)


def _key_body(given: Mapping[str, Any], changed: set[str]) -> dict[str, Any]:
    """The fields that change, with null for what the file leaves out."""
    asked = given.get("limits") or {}
    body = {name: given.get(name) for name in _OF_KEYS if name in changed}
    if "role" in body:
        body["role"] = given.get("role", "caller")
    limits = {name.removeprefix("limits."): None for name in changed if name.startswith("limits.")}
    if limits:
        body["limits"] = {name: asked.get(name) for name in sorted(limits)}
    return body


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    names: Iterable[str] = sorted(before.keys() | after.keys())
    return [(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]
