"""A login stands in for an API key: whom it lets in, through the functions' own handlers, and whom it does not."""

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm
from jwt.warnings import InsecureKeyLengthWarning

from functions.keys.app import ROUTES as KEYS_ROUTES
from sluice.composition import App
from sluice.errors import InvalidTokenError
from sluice.tenants.login.verification import LEEWAY_S, MOST_CHARACTERS
from sluice.tenants.tenant import Tenant
from sluice.tenants.verification import HELD_S, UNKNOWN_HELD_S
from tests.conftest import Aws
from tests.logins import ADA, Clock, ask, let_in, own, refusal, token_with
from tests.rest_function import RestFunction
from tests.token_issuer import (
    DISCOVERY,
    KEYS,
    TokenIssuer,
    encoded,
    private_key,
    public_jwk,
    public_pem,
    signed,
)


def test_a_login_of_a_tenant_is_let_in(usage: RestFunction, issuer: TokenIssuer) -> None:
    answer = usage.send(f"GET /api/v1/llm/usage/{own(issuer)}", api_key=issuer.token(org="school"))
    assert answer.status == 200, answer.raw
    assert (answer.body["tenant"], answer.body["user_id"]) == ("school", own(issuer))
    assert issuer.asked == [DISCOVERY, KEYS]
    assert let_in(usage, issuer.token(org="school"))
    assert issuer.asked == [DISCOVERY, KEYS]


def test_a_login_may_come_in_the_other_header_too(usage: RestFunction, issuer: TokenIssuer) -> None:
    answer = usage.send(ADA, api_key="", headers={"X-Api-Key": issuer.token(org="school")})
    assert answer.status == 404


def test_sluice_s_own_keys_hold_as_ever_and_ask_no_issuer(usage: RestFunction, issuer: TokenIssuer) -> None:
    assert let_in(usage, usage.key("school"))
    assert issuer.asked == []
    answer = ask(usage, "sl-abc-" + "x" * 43)
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == ["Bearer"]


def test_without_an_issuer_a_token_is_a_malformed_key(
    usage: RestFunction, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_ISSUER", "")
    usage.restart()
    answer = ask(usage, issuer.token(org="school"))
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert "malformed" in answer.error["message"]


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_each_algorithm_that_is_allowed_is_taken(usage: RestFunction, issuer: TokenIssuer, algorithm: str) -> None:
    issuer.keys = [public_jwk(algorithm, "key-1")]
    assert let_in(usage, issuer.token(algorithm, org="school"))
    issuer.keys = [public_jwk(algorithm, "key-1", alg=algorithm)]
    usage.restart()
    assert let_in(usage, issuer.token(algorithm, org="school"))


def test_a_key_that_says_its_algorithm_is_for_no_other(usage: RestFunction, issuer: TokenIssuer) -> None:
    issuer.keys = [public_jwk("RS256", "key-1", alg="RS256")]
    forged = signed(issuer.claims(org="school"), private_key("RS256", "key-1"), "PS256", {"kid": "key-1"})
    assert "does not publish" in refusal(usage, forged)


def test_a_wrong_signature_is_refused(usage: RestFunction, issuer: TokenIssuer) -> None:
    others = signed(issuer.claims(org="school"), private_key("RS256", "other"), "RS256", {"kid": "key-1"})
    assert "signature is wrong" in refusal(usage, others)
    head, claims, signature = issuer.token(org="school").split(".")
    assert "signature is wrong" in refusal(usage, f"{head}.{encoded(issuer.claims(org='staff'))}.{signature}")
    assert "signature is wrong" in refusal(usage, f"{head}.{claims}.{encoded(b'x' * 256)}")


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, "HS256", ["RS256"], 256])
def test_a_token_does_not_choose_how_it_is_verified(usage: RestFunction, issuer: TokenIssuer, name: Any) -> None:
    claims, head = encoded(issuer.claims(org="school")), encoded({"alg": name, "kid": "key-1"})
    for signature in ("", encoded(b"x" * 32)):
        message = refusal(usage, f"{head}.{claims}.{signature}")
        assert "signed" in message or "malformed" in message
    assert issuer.asked == []


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_shared_secret(usage: RestFunction, issuer: TokenIssuer, algorithm: str) -> None:
    # By hand: PyJWT does not sign with such a secret.
    head, claims = encoded({"alg": algorithm, "kid": "key-1"}), encoded(issuer.claims(org="school"))
    hashed = jwt.get_algorithm_by_name(algorithm)
    for secret in (public_pem("RS256", "key-1"), json.dumps(public_jwk("RS256", "key-1")).encode()):
        signature = encoded(hashed.sign(f"{head}.{claims}".encode(), secret))
        assert "has to be signed with one of RS256" in refusal(usage, f"{head}.{claims}.{signature}")


@pytest.mark.parametrize("algorithm", ["RS512", "PS512", "RS1"])
def test_an_algorithm_that_is_not_allowed_is_refused(usage: RestFunction, issuer: TokenIssuer, algorithm: str) -> None:
    head = encoded({"alg": algorithm, "kid": "key-1"})
    assert "has to be signed" in refusal(usage, f"{head}.{encoded(issuer.claims())}.{encoded(b'x' * 256)}")


def test_keys_that_a_token_brings_or_points_to_are_not_looked_at(usage: RestFunction, issuer: TokenIssuer) -> None:
    with TokenIssuer() as other:
        headers = {"jwk": public_jwk("RS256", "own"), "jku": other.url + KEYS, "x5u": other.url + KEYS}
        claims = issuer.claims(org="school")
        for key_id in ("own", "key-1"):
            named = {**headers, "kid": key_id}
            forged = signed(claims, private_key("RS256", "own"), "RS256", named)
            assert refusal(usage, forged)
        assert other.asked == []


def test_an_unknown_critical_extension_is_refused(usage: RestFunction, issuer: TokenIssuer) -> None:
    assert "malformed" in refusal(usage, issuer.token(org="school", headers={"crit": ["exp"], "exp": 1}))
    assert refusal(usage, issuer.token(org="school", headers={"crit": ["b64"], "b64": False}))


def test_a_key_that_is_too_short_is_not_believed(usage: RestFunction, issuer: TokenIssuer) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 -- what is refused
    issuer.keys = [{**RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True), "kid": "key-1", "key_ops": ["verify"]}]
    with pytest.warns(InsecureKeyLengthWarning):
        token = signed(issuer.claims(org="school"), weak, "RS256", {"kid": "key-1"})
    assert "too short" in refusal(usage, token)


@pytest.mark.parametrize(
    ("name", "after_s", "reason"),
    [
        ("exp", -LEEWAY_S - 5, "expired"),
        ("nbf", LEEWAY_S + 60, "not valid yet"),
        ("iat", LEEWAY_S + 60, "not valid yet"),
    ],
)
def test_a_token_is_taken_in_its_time_alone(
    usage: RestFunction, issuer: TokenIssuer, name: str, after_s: float, reason: str
) -> None:
    assert reason in refusal(usage, token_with(issuer, name, int(time.time() + after_s)))


@pytest.mark.parametrize(("name", "after_s"), [("exp", -LEEWAY_S + 20), ("nbf", LEEWAY_S), ("iat", LEEWAY_S)])
def test_clocks_may_differ_a_little(usage: RestFunction, issuer: TokenIssuer, name: str, after_s: float) -> None:
    assert let_in(usage, token_with(issuer, name, int(time.time() + after_s)))


@pytest.mark.parametrize("end", [True, "x", 1e400, None, [], "9" * 5000])
def test_a_token_without_an_end_is_refused(usage: RestFunction, issuer: TokenIssuer, end: Any) -> None:
    assert refusal(usage, issuer.token(org="school", exp=end))


@pytest.mark.parametrize("more", ["/", "a", "#", ""])
def test_the_issuer_is_the_one_that_is_set_to_the_letter(usage: RestFunction, issuer: TokenIssuer, more: str) -> None:
    named = issuer.url + more if more else issuer.url[:-1]
    assert "another issuer" in refusal(usage, issuer.token(org="school", iss=named))
    assert "another issuer" in refusal(usage, issuer.token(org="school", iss=[issuer.url]))


@pytest.mark.parametrize("audience", ["llm", "other", ["llm"], ["else", "llm"]])
def test_an_audience_is_one_of_those_that_are_set(usage: RestFunction, issuer: TokenIssuer, audience: Any) -> None:
    assert let_in(usage, issuer.token(org="school", aud=audience))


@pytest.mark.parametrize("audience", ["ll", "llm2", "llm,other", ["else"], [["llm"]], {"llm": "llm"}, 7])
def test_a_token_for_another_application_is_refused(usage: RestFunction, issuer: TokenIssuer, audience: Any) -> None:
    assert "another application" in refusal(usage, issuer.token(org="school", aud=audience))


@pytest.mark.parametrize("claim", ["exp", "iss", "aud", "sub"])
def test_a_token_that_lacks_a_claim_is_refused(usage: RestFunction, issuer: TokenIssuer, claim: str) -> None:
    assert "lacks one of the claims exp, iss, aud, sub" in refusal(usage, token_with(issuer, claim, None))


def test_a_token_without_a_tenant_or_of_none_that_there_is_is_refused(
    usage: RestFunction, issuer: TokenIssuer, clock: Clock
) -> None:
    assert "lacks the claim 'org'" in refusal(usage, issuer.token())
    for tenant in ("elsewhere", "admin", "../school", "school ", "SCHOOL", "a#b"):
        assert "does not exist" in refusal(usage, issuer.token(org=tenant))
    usage.app.directory.create_tenant(Tenant("elsewhere", "Elsewhere"))
    clock.now_s += UNKNOWN_HELD_S
    assert let_in(usage, issuer.token(org="elsewhere"))


def test_a_deleted_tenant_s_logins_are_refused_within_a_minute(
    usage: RestFunction, issuer: TokenIssuer, clock: Clock
) -> None:
    token = issuer.token(org="school")
    assert let_in(usage, token)
    tenant = usage.app.directory.tenant("school")
    assert tenant is not None
    assert usage.app.directory.delete_tenant(tenant, int(time.time()))
    clock.now_s += HELD_S
    assert "deleted" in refusal(usage, token)
    assert HELD_S < 60


def test_the_default_tenant_takes_tokens_without_the_claim(
    usage: RestFunction, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_DEFAULT_TENANT", "school")
    usage.restart()
    assert let_in(usage, issuer.token())
    assert "does not exist" in refusal(usage, issuer.token(org="elsewhere"))


@pytest.mark.parametrize("characters", [MOST_CHARACTERS + 1, 1_000_000])
def test_a_token_that_is_too_long_is_refused_before_it_is_read(
    usage: RestFunction, issuer: TokenIssuer, characters: int
) -> None:
    token = issuer.token(org="school", more="x" * characters)
    assert f"more than {MOST_CHARACTERS} characters" in refusal(usage, token)
    assert issuer.asked == []


@pytest.mark.parametrize("token", ["..", "a.b.c", "e30.e30.e30", "ä.ö.ü", "a.b.c=", "\x00.\x00.\x00"])
def test_what_is_no_token_is_refused(usage: RestFunction, issuer: TokenIssuer, token: str) -> None:
    assert refusal(usage, token)
    assert issuer.asked == []


def test_a_header_of_many_brackets_is_refused(usage: RestFunction, issuer: TokenIssuer) -> None:
    head = encoded(b"[" * 5000)
    assert "malformed" in refusal(usage, f"{head}.e30.e30")
    assert "malformed" in refusal(usage, f"{encoded(b'[]')}.e30.e30")


@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([b'{"alg":"RS256"}', b"{}"]), min_size=3, max_size=3),
    st.integers(min_value=0, max_value=400),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_is_taken_or_refused(usage: RestFunction, issuer: TokenIssuer, parts: Any, cut: int) -> None:

    def said_of(text: str) -> str:
        try:
            return usage.app.login_verifier.verify(text).tenant.id
        except InvalidTokenError as error:
            return error.message

    token = issuer.token(org="school")
    for text in (".".join(map(encoded, parts)), token[:cut] + token[cut + 1 :], token[:cut] + "A" + token[cut + 1 :]):
        assert text not in said_of(text)


@pytest.mark.parametrize(
    ("roles", "status"), [(None, 403), ("students", 403), ("teachers", 200), (["students", "teachers"], 200)]
)
def test_a_role_is_what_the_mapping_says(aws: Aws, issuer: TokenIssuer, roles: Any, status: int) -> None:
    keys = RestFunction(KEYS_ROUTES)
    keys.tenant("school")
    token = issuer.token(org="school", realm_access={"roles": roles})
    answer = keys.send("GET /v1/keys", query={"tenant": "school"}, api_key=token)
    assert answer.status == status, answer.raw
    if status == 403:
        assert answer.error["message"] == "This needs the role manager; the login has the role caller."


def test_an_operator_looks_after_its_own_tenant_and_is_in_the_audit_log(aws: Aws, issuer: TokenIssuer) -> None:
    keys = RestFunction(KEYS_ROUTES)
    keys.tenant("school")
    keys.tenant("elsewhere")
    teacher = issuer.token(org="school", realm_access={"roles": ["teachers"]})
    made = keys.send("POST /v1/keys", {"tenant": "school", "name": "lab"}, api_key=teacher)
    assert made.status == 201, made.raw
    assert keys.send("POST /v1/keys", {"tenant": "elsewhere", "name": "x"}, api_key=teacher).status == 404
    assert keys.send("POST /v1/keys", {"tenant": "school", "name": "x", "role": "admin"}, api_key=teacher).status == 403
    assert keys.send("GET /v1/tenants", api_key=teacher).status == 403
    found = keys.send("GET /v1/audit", query={"actor": own(issuer)}, api_key=teacher)
    assert [(each["action"], each["actor"]["key"]) for each in found.body["data"]] == [("key.created", own(issuer))]


def test_an_admin_by_login_is_one_that_the_mapping_names(aws: Aws, issuer: TokenIssuer) -> None:
    keys = RestFunction(KEYS_ROUTES)
    keys.tenant("school")
    for roles, status in ((["admin"], 403), (["platform"], 200)):
        token = issuer.token(org="school", realm_access={"roles": roles})
        assert keys.send("GET /v1/tenants", api_key=token).status == status


def test_pyjwt_is_loaded_by_the_first_login(usage: RestFunction, issuer: TokenIssuer) -> None:
    assert let_in(usage, usage.key("school"))
    assert "login_verifier" not in vars(usage.app)
    assert let_in(usage, issuer.token(org="school"))
    assert "login_verifier" in vars(usage.app)


def test_a_snapshot_has_what_logins_need_only_where_they_are_taken(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    for issuer_url, is_made in (("", False), ("https://login.example.com", True)):
        monkeypatch.setenv("JWT_ISSUER", issuer_url)
        app = App.from_environment()
        app.prepare()
        assert ("login_verifier" in vars(app)) is is_made
