"""Settings of logins."""

import pytest

from sluice.settings import JwtSettings, Settings

LEAST = {"JWT_ISSUER": "https://login.example.com", "JWT_AUDIENCE": "llm", "JWT_DEFAULT_TENANT": "school"}


def test_logins_are_not_taken_unless_an_issuer_is_set() -> None:
    assert Settings.from_environment({}).jwt is None
    assert Settings.from_environment({**LEAST, "JWT_ISSUER": ""}).jwt is None


def test_an_issuer_an_audience_and_a_tenant_are_enough() -> None:
    assert Settings.from_environment({**LEAST}).jwt == JwtSettings(
        issuer="https://login.example.com",
        audiences=("llm",),
        jwks_url="",
        tenant_claim="",
        tenants={},
        default_tenant="school",
        user_claim="sub",
        role_claim="",
        roles={},
    )


def test_lists_and_mappings_are_separated_by_commas() -> None:
    more = {
        "JWT_AUDIENCE": "llm, other",
        "JWT_TENANT_CLAIM": "hd",
        "JWT_TENANTS": "school.example.org=school, staff.example.org=staff",
        "JWT_ROLE_CLAIM": "groups",
        "JWT_ROLES": "/teachers=operator,platform=admin",
        "JWT_USER_CLAIM": "",
    }
    found = Settings.from_environment({**LEAST, **more}).jwt
    assert found is not None
    assert found.audiences == ("llm", "other")
    assert found.tenants == {"school.example.org": "school", "staff.example.org": "staff"}
    assert found.roles == {"/teachers": "operator", "platform": "admin"}
    assert found.user_claim == ""


@pytest.mark.parametrize(
    "url", ["https://a.example", "https://a.example:8443/x/", "http://localhost:81", "http://127.0.0.1:81/realms/x"]
)
def test_an_issuer_is_asked_by_https_or_on_this_machine(url: str) -> None:
    found = Settings.from_environment({**LEAST, "JWT_ISSUER": url, "JWT_JWKS_URL": f"{url}/keys?x=y"}).jwt
    assert found is not None
    assert found.issuer == url


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("JWT_ISSUER", "http://login.example.com"),
        ("JWT_ISSUER", "http://localhost.example.com:80"),
        ("JWT_ISSUER", "http://127.0.0.1:80@example.com"),
        ("JWT_ISSUER", "https://user:secret@login.example.com"),
        ("JWT_ISSUER", "login.example.com"),
        ("JWT_ISSUER", "https://login.example.com/?tenant=x"),
        ("JWT_ISSUER", "https://login.example.com/ x"),
        ("JWT_JWKS_URL", "http://login.example.com/keys"),
        ("JWT_JWKS_URL", "file:///etc/passwd"),
        ("JWT_JWKS_URL", "https://login.example.com/keys\r\nhost: other"),
        ("JWT_AUDIENCE", ""),
        ("JWT_AUDIENCE", " , "),
        ("JWT_DEFAULT_TENANT", ""),
        ("JWT_TENANTS", "school.example.org=school"),
        ("JWT_ROLES", "teachers=operator"),
    ],
)
def test_what_can_t_be_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=variable):
        Settings.from_environment({**LEAST, variable: value})


@pytest.mark.parametrize("roles", ["teachers", "teachers=", "=operator", "teachers=owner", "teachers=Admin"])
def test_roles_are_mapped_to_roles_that_there_are(roles: str) -> None:
    with pytest.raises(ValueError, match="JWT_ROLES"):
        Settings.from_environment({**LEAST, "JWT_ROLE_CLAIM": "groups", "JWT_ROLES": roles})
