"""A file of tenants that can't be says where and why, before anything is asked."""

from pathlib import Path

import pytest

from tools.tenants_file import Deployed, TenantsFileError, plan, read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tenants.a\n", "tenants.toml"),
        ("[keys.a]\n", r"\[tenants.<id>\]"),
        ("[tenants.A]\nname = 'A'\n", r"tenants.A.id"),
        ("[tenants.a]\nbudget = 1\nname = 'A'\n", r"tenants.a.budget"),
        ("[tenants.a]\nname = 'A'\nbudget_usd_per_month = -1\n", r"tenants.a.budget_usd_per_month"),
        ("[tenants.a]\nname = 'A'\nkeys = 1\n", r"tenants.a.keys"),
        ("[tenants.a]\nname = 'A'\n[tenants.a.keys.b]\nrole = 'king'\n", r"tenants.a.keys.b.role"),
        ("[tenants.a]\nname = 'A'\n[tenants.a.keys.b]\nexpires_at = 2027-01-01T00:00:00\n", r"keys.b.expires_at"),
        ("[tenants.a]\nname = 'A'\n[tenants.a.keys.b]\nlimits = {tokens = 1}\n", r"keys.b.limits.tokens"),
    ],
)
def test_a_mistake_is_named_by_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "tenants.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TenantsFileError, match=said):
        read(path)


def test_keys_that_names_do_not_tell_apart_are_said(tmp_path: Path) -> None:
    path = tmp_path / "tenants.toml"
    path.write_text("[tenants.a]\nname = 'A'\n[tenants.a.keys.b]\n", encoding="utf-8")
    same = [{"id": each, "name": "b", "expires_at": None} for each in ("k1", "k2")]
    there = Deployed({"a": {"id": "a", "name": "A"}}, {"a": same})
    with pytest.raises(TenantsFileError, match="k1, k2"):
        plan(read(path), there, prune=False)
