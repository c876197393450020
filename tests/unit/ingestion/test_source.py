import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.ingestion.messages import MOST_MESSAGE_BYTES, by_size
from sluice.ingestion.secret import UnsealedError, new_secret, sealed, unsealed
from sluice.ingestion.signature import is_signed
from sluice.ingestion.source import SourceOptions, hint_of, new_source_id, tenant_of

BODY = b'{"zen": "Design for failure."}'


def signature(secret: bytes, body: bytes = BODY) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def test_a_signature_is_that_of_one_of_the_secrets() -> None:
    assert is_signed(signature(b"new"), BODY, [b"new", b"old"])
    assert is_signed(signature(b"old"), BODY, [b"new", b"old"])
    assert is_signed(signature(b"new").upper().replace("SHA256", "sha256"), BODY, [b"new"])
    assert not is_signed(signature(b"other"), BODY, [b"new", b"old"])
    assert not is_signed(signature(b"new", BODY + b" "), BODY, [b"new"])


def test_github_s_published_example_is_verified() -> None:
    # "Testing the webhook payload validation" in GitHub's documentation.
    given = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert is_signed(given, b"Hello, World!", [b"It's a Secret to Everybody"])


@pytest.mark.parametrize(
    "given",
    [
        "",
        "sha256=",
        "sha256=" + "0" * 63,
        "sha256=" + "0" * 65,
        "sha1=" + "0" * 40,
        "0" * 64,
        "sha256=" + "é" * 64,
        "sha256=" + "\ud800" * 64,
        "sha256=" + "\u0660" * 64,
        signature(b"new")[:-1],
        signature(b"new") + "\n",
    ],
)
def test_what_is_no_signature_is_refused(given: str) -> None:
    assert not is_signed(given, BODY, [b"new"])


@given(st.text(max_size=80))
def test_any_text_is_no_signature(given: str) -> None:
    assert not is_signed(given, BODY, [b"new"])


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=256))
def test_a_secret_is_read_as_it_was_sealed(secret: str) -> None:
    kept = sealed("root", "src_acme.1", secret)
    assert secret not in kept or len(secret) < 4
    assert unsealed("root", "src_acme.1", kept) == secret.encode()


def test_a_sealed_secret_is_read_in_no_other_place() -> None:
    kept = sealed("root", "src_acme.1", "a secret of some length")
    assert sealed("root", "src_acme.1", "a secret of some length") != kept
    for root, source, text in [
        ("other", "src_acme.1", kept),
        ("root", "src_acme.2", kept),
        ("root", "src_acme.1", kept[:-4] + "AAA="),
        ("root", "src_acme.1", ""),
        ("root", "src_acme.1", "no base64"),
        ("root", "src_acme.1", "AAAA"),
    ]:
        with pytest.raises(UnsealedError):
            unsealed(root, source, text)


def test_an_id_names_its_tenant() -> None:
    assert tenant_of(new_source_id("a-school_1")) == "a-school_1"
    assert new_source_id("acme") != new_source_id("acme")
    for wrong in (
        "",
        "src_acme",
        "src_acme.xyz",
        "src_ACME." + "0" * 24,
        f"{new_source_id('acme')}\n",
        "src_.." + "0" * 24,
    ):
        assert tenant_of(wrong) is None


def test_a_short_secret_has_no_hint() -> None:
    assert hint_of("short") == ""
    secret = new_secret()
    assert secret.endswith(hint_of(secret))
    assert len(hint_of(secret)) == 4


def test_options_take_all_unless_they_name_some() -> None:
    assert SourceOptions().takes_project("ANY")
    assert SourceOptions().takes_repository("any/thing")
    some = SourceOptions(projects=("Proj",), repositories=("acme/*", "else/one"))
    assert [some.takes_project(each) for each in ("PROJ", "PROJ2")] == [True, False]
    found = [some.takes_repository(each) for each in ("Acme/x", "else/one", "else/two", "acmex/x")]
    assert found == [True, True, False, False]


@given(st.lists(st.text(max_size=20_000), max_size=30))
def test_lists_fit_into_messages_and_nothing_is_lost(items: list[str]) -> None:
    found = list(by_size(items, 25))
    assert [item for some in found for item in some] == items
    assert all(0 < len(some) <= 25 for some in found)
    assert all(sum(len(item) for item in some) < MOST_MESSAGE_BYTES for some in found)
