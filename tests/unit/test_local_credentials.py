"""Which provider keys the local stack is given."""

import json
from pathlib import Path

import pytest

from sluice.catalog import Tier, catalog
from sluice.providers.credentials import parse_credentials
from sluice.providers.registry import Registry
from tools import credentials
from tools.credentials import CredentialsFileError


def test_without_files_there_are_none(tmp_path: Path) -> None:
    assert credentials.from_files(tmp_path) == []


def test_the_example_file_switches_nothing_on(tmp_path: Path) -> None:
    example = Path(credentials.__file__).parents[1] / ".env.example"
    (tmp_path / ".env").write_text(example.read_text())
    assert credentials.from_files(tmp_path) == []


def test_keys_of_dotenv_are_numbered_per_provider(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# keys\nGROQ_API_KEYS=gsk_a, gsk_b ,\n\nexport HF_TOKENS='hf_a'\nOPENAI_API_KEYS=\"sk-a\"\nOTHER=x=y\n"
    )
    found = credentials.from_files(tmp_path)
    assert found == [
        {"provider": "groq", "alias": "groq-1", "api_key": "gsk_a"},
        {"provider": "groq", "alias": "groq-2", "api_key": "gsk_b"},
        {"provider": "huggingface", "alias": "hf-1", "api_key": "hf_a"},
        {"provider": "openai", "alias": "openai-1", "api_key": "sk-a"},
    ]
    assert len(parse_credentials(json.dumps({"credentials": found}))) == 4


def test_credentials_json_is_taken_as_it_is(tmp_path: Path) -> None:
    entry = {
        "provider": "gateway",
        "alias": "gw-1",
        "api_key": "secret",
        "base_url": "http://127.0.0.1:9000/v1",
        "models": {"my-model": {"tier": "fast", "limits": {"requests_per_minute": 30}}},
    }
    (tmp_path / "credentials.json").write_text(json.dumps({"credentials": [entry]}))
    assert credentials.from_files(tmp_path) == [entry]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (".env", "A=b\nGROQ_API_KEYS gsk_secret\n", ".env, line 2: expected NAME=value"),
        ("credentials.json", "{gsk_secret", "credentials.json: "),
        ("credentials.json", "[]", "credentials.json: "),
        ("credentials.json", '{"credentials": [{"provider": "groq", "api_key": "gsk_secret"}]}', "alias"),
        (
            "credentials.json",
            '{"credentials": [{"provider": "groq", "alias": "a"}, {"provider": "groq", "alias": "a"}]}',
            "two credentials are called 'a'",
        ),
    ],
)
def test_a_bad_file_is_named_and_its_keys_are_not_shown(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CredentialsFileError) as error:
        credentials.from_files(tmp_path)
    assert message in str(error.value)
    assert "gsk_secret" not in str(error.value)


def test_the_local_model_answers_what_is_left_to_sluice_only_while_it_is_alone() -> None:
    groq = {"provider": "groq", "alias": "groq-1", "api_key": "k"}
    for others, chosen in (([], "local-1"), ([groq], "groq-1")):
        local = credentials.local_model("http://127.0.0.1:9000/v1", by_name_only=bool(others))
        registry = Registry.build(catalog(), parse_credentials(json.dumps({"credentials": [*others, local]})))
        assert {deployment.alias for deployment in registry.for_tier(Tier.FAST)} == {chosen}
        assert registry.deployments_for("smollm2").deployments[0].alias == "local-1"
