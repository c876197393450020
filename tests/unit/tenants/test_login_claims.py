"""What the claims of a token make of who sent it."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import InvalidTokenError
from sluice.settings import JwtSettings
from sluice.tenants.api_key_token import KEY_ID_PATTERN, ApiKeyToken
from sluice.tenants.login.claims import LOGIN_ID_PATTERN, Login, login_id, login_of
from sluice.tenants.tenant import Role

ISSUER = "https://login.example.com"
SETTINGS = JwtSettings(
    issuer=ISSUER,
    audiences=("llm",),
    jwks_url="",
    tenant_claim="org",
    tenants={},
    default_tenant="",
    user_claim="sub",
    role_claim="groups",
    roles={"teachers": "operator", "platform": "admin", "students": "caller"},
)
MAPPED = replace(SETTINGS, tenants={"school.example.org": "school", "staff": "staff"})

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def login(settings: JwtSettings = SETTINGS, **claims: Any) -> Login:
    return login_of({"iss": ISSUER, "sub": "ada-1", "org": "school", **claims}, settings)


def refusal(settings: JwtSettings = SETTINGS, **claims: Any) -> str:
    with pytest.raises(InvalidTokenError) as caught:
        login(settings, **claims)
    return caught.value.message


def test_a_token_is_of_its_claims_tenant_user_and_role() -> None:
    found = login(groups=["teachers"])
    assert (found.tenant_id, found.user, found.role) == ("school", "ada-1", Role.OPERATOR)


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (None, Role.CALLER),
        ([], Role.CALLER),
        ("", Role.CALLER),
        ("unknown", Role.CALLER),
        ("teachers", Role.OPERATOR),
        (["students"], Role.CALLER),
        (["students", "teachers"], Role.OPERATOR),
        (["platform", "students", "teachers"], Role.ADMIN),
        # Roles are given by what the deployment says, and not by names that happen to be those of roles.
        (["admin", "operator"], Role.CALLER),
        ("admin", Role.CALLER),
        ("teachers students", Role.CALLER),
        ("Teachers", Role.CALLER),
    ],
)
def test_the_highest_role_that_is_mapped_counts_and_no_other(groups: Any, role: Role) -> None:
    assert login(groups=groups).role is role


def test_without_a_role_claim_everybody_is_a_caller() -> None:
    assert login(replace(SETTINGS, role_claim="", roles={}), groups=["platform"]).role is Role.CALLER


def test_a_claim_may_be_within_others() -> None:
    settings = replace(SETTINGS, role_claim="realm_access.roles")
    assert login(settings, realm_access={"roles": ["teachers"]}).role is Role.OPERATOR
    assert login(settings, realm_access=["roles"]).role is Role.CALLER
    assert login(settings, realm_access="teachers").role is Role.CALLER


def test_a_name_with_dots_is_a_name_before_it_is_a_path() -> None:
    settings = replace(SETTINGS, role_claim="https://example.com/roles")
    said = {"https://example.com/roles": ["teachers"], "https://example": {"com/roles": ["platform"]}}
    assert login(settings, **said).role is Role.OPERATOR


@pytest.mark.parametrize(
    ("org", "tenant"),
    [("school.example.org", "school"), (["staff"], "staff"), (["other", "staff", "more"], "staff")],
)
def test_values_of_a_claim_may_stand_for_tenants(org: Any, tenant: str) -> None:
    assert login(MAPPED, org=org).tenant_id == tenant


def test_without_a_mapping_the_value_is_the_tenant() -> None:
    assert login(org=["school"]).tenant_id == "school"


@pytest.mark.parametrize(
    ("settings", "org", "reason"),
    [
        (SETTINGS, None, "lacks the claim 'org'"),
        (SETTINGS, "", "lacks the claim 'org'"),
        (SETTINGS, [], "lacks the claim 'org'"),
        (SETTINGS, ["school", "staff"], "more than one tenant"),
        (SETTINGS, 7, "neither a text nor a list"),
        (SETTINGS, {"school": True}, "neither a text nor a list"),
        (SETTINGS, ["school", 7], "neither a text nor a list"),
        (MAPPED, "other", "no tenant"),
        (MAPPED, ["staff", "school.example.org"], "more than one tenant"),
        # The id of a tenant is not a value that stands for it.
        (MAPPED, "school", "no tenant"),
    ],
)
def test_a_token_of_no_one_tenant_is_refused(settings: JwtSettings, org: Any, reason: str) -> None:
    assert reason in refusal(settings, org=org)


def test_the_default_tenant_is_for_tokens_without_the_claim_and_for_no_others() -> None:
    settings = replace(MAPPED, default_tenant="guests")
    assert login(settings, org=None).tenant_id == "guests"
    assert "no tenant" in refusal(settings, org="other")
    assert login(replace(SETTINGS, tenant_claim="", default_tenant="guests")).tenant_id == "guests"


@pytest.mark.parametrize("user", [None, "", 7, ["ada"], "x" * 129])
def test_a_user_is_a_text_of_bounded_length(user: Any) -> None:
    assert "'email'" in refusal(replace(SETTINGS, user_claim="email"), email=user)


def test_a_login_may_name_its_user_by_another_claim_or_leave_it_to_requests() -> None:
    assert login(replace(SETTINGS, user_claim="email"), email="ada@example.org").user == "ada@example.org"
    assert login(replace(SETTINGS, user_claim="")).user is None


@pytest.mark.parametrize("sub", [None, "", 7])
def test_a_token_without_a_subject_is_of_nobody(sub: Any) -> None:
    assert "'sub'" in refusal(sub=sub)


def test_the_id_is_of_issuer_and_subject_alone() -> None:
    assert login().id == login(org="staff", groups=["teachers"], email="x").id == login_id(ISSUER, "ada-1")
    others = {login_id(ISSUER, "ada-2"), login_id(ISSUER + "/", "ada-1"), login_id(ISSUER + "a", "da-1")}
    assert len(others | {login().id}) == 4


@given(st.text(), st.text())
def test_an_id_is_one_that_a_key_could_have_and_none_has(issuer: str, subject: str) -> None:
    found = login_id(issuer, subject)
    assert re.fullmatch(LOGIN_ID_PATTERN, found, re.ASCII)
    assert re.fullmatch(KEY_ID_PATTERN, found, re.ASCII)
    assert not re.fullmatch(LOGIN_ID_PATTERN, ApiKeyToken.generate().id, re.ASCII)


@given(st.dictionaries(st.sampled_from(["iss", "sub", "org", "groups", "a"]), JSON))
def test_whatever_claims_say_a_login_is_found_or_refused(claims: dict[str, Any]) -> None:
    for settings in (SETTINGS, MAPPED, replace(SETTINGS, role_claim="a.b", tenant_claim="a.c", default_tenant="x")):
        try:
            found = login_of(claims, settings)
        except InvalidTokenError:
            continue
        assert found.tenant_id
        assert found.user == claims["sub"]
