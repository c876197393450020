"""Which provider keys the local stack is given."""

import json
from pathlib import Path

import pytest

from sluice.catalog.catalog import catalog
from sluice.catalog.model import Tier
from sluice.providers.credentials import parse_credentials
from sluice.providers.registry import Registry
from tools import credentials
from tools.credentials import FoundCredentials
from tools.processes import ROOT


def test_without_files_there_are_none(tmp_path: Path) -> None:
    assert credentials.from_files(tmp_path) == FoundCredentials([], [])


def test_the_example_file_switches_nothing_on(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    assert credentials.from_files(tmp_path) == FoundCredentials([], [])


def test_keys_of_dotenv_are_numbered_per_provider(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# keys\nGROQ_API_KEYS=gsk_aaaaaa, gsk_bbbbbb , # of the school\n\n"
        "export HF_TOKENS='hf_aaaaaa'\nOPENAI_API_KEYS=\"sk-aaaaaa\"\n"
    )
    found = credentials.from_files(tmp_path).credentials
    assert found == [
        {"provider": "groq", "alias": "groq-1", "api_key": "gsk_aaaaaa"},
        {"provider": "groq", "alias": "groq-2", "api_key": "gsk_bbbbbb"},
        {"provider": "huggingface", "alias": "hf-1", "api_key": "hf_aaaaaa"},
        {"provider": "openai", "alias": "openai-1", "api_key": "sk-aaaaaa"},
    ]
    assert len(parse_credentials(json.dumps({"credentials": found})).entries) == 4


def test_credentials_json_is_taken_as_it_is(tmp_path: Path) -> None:
    entry = {
        "provider": "gateway",
        "alias": "gw-1",
        "api_key": "secret",
        "base_url": "http://127.0.0.1:9000/v1",
        "models": {"my-model": {"tier": "fast", "limits": {"requests_per_minute": 30}}},
    }
    (tmp_path / "credentials.json").write_text(json.dumps({"credentials": [entry]}))
    assert credentials.from_files(tmp_path) == FoundCredentials([entry], [])


ENTRY = {"provider": "groq", "alias": "groq-9", "api_key": "gsk_secret_key"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{gsk_secret_key", "credentials.json, line 1: it is not JSON: "),
        ('{"credentials": [\n{"provider": "groq",}\n]}', "credentials.json, line 2: it is not JSON: "),
        ("[]", "credentials.json, line 1: the whole of it: "),
        ('{"credentials": [],\n"keys": []}', "credentials.json, line 1: keys: Extra inputs are not permitted."),
        (
            '{"credentials": [\n  {"provider": "groq", "alias": "a", "api_key": "gsk_secret_key"},\n'
            '\n  {"provider": "grok", "alias": "b", "api_key": "gsk_secret_key"}\n]}',
            "credentials.json, line 4: credentials[1].provider: 'grok' is none of groq, huggingface, ",
        ),
        (
            '{\n"credentials": [\n  {"provider": "groq",\n   "api_key": "gsk_secret_key"}]}',
            "credentials.json, line 3: credentials[0].alias: Field required",
        ),
        (
            json.dumps({"credentials": [ENTRY, ENTRY]}, indent=1),
            "credentials.json, line 8: credentials[1].alias: 'groq-9' is taken by an entry before it",
        ),
        (
            json.dumps({"credentials": [{**ENTRY, "alias": "groq-1"}]}),
            "credentials.json, line 1: the alias 'groq-1' is that of a key in .env. Choose another alias.",
        ),
        (
            json.dumps({"credentials": [{**ENTRY, "api_key": "gsk_of_the_env_file"}]}),
            "credentials.json, line 1: its key is in .env too. Remove one",
        ),
        ("\ufffe", "credentials.json, line 1: the file is UTF-16"),
    ],
)
def test_a_mistake_in_credentials_json_is_named_by_line_and_no_key_is_shown(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / ".env").write_text("GROQ_API_KEYS=gsk_of_the_env_file\n")
    (tmp_path / "credentials.json").write_text(text, encoding="utf-16" if text == "\ufffe" else "utf-8")
    found = credentials.from_files(tmp_path)
    [problem] = found.problems
    assert message in str(problem)
    assert "gsk_" not in str(problem)
    assert "groq-1" in {each["alias"] for each in found.credentials}, "what is right is used"


def test_all_mistakes_in_both_files_are_said_at_once(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GROQ_API_KEY=gsk_secret_key\nHF_TOKENS=hf_...\n")
    (tmp_path / "credentials.json").write_text('{"credentials": [{}]}')
    found = credentials.from_files(tmp_path)
    assert [(each.file, each.line) for each in found.problems] == [(".env", 1), (".env", 2), ("credentials.json", 1)]
    assert found.credentials == []


def test_the_local_model_answers_what_is_left_to_sluice_only_while_it_is_alone() -> None:
    groq = {"provider": "groq", "alias": "groq-1", "api_key": "k"}
    for others, chosen in (([], "local-1"), ([groq], "groq-1")):
        local = credentials.local_model("http://127.0.0.1:9000/v1", by_name_only=bool(others))
        registry = Registry.build(catalog(), parse_credentials(json.dumps({"credentials": [*others, local]})))
        assert {deployment.alias for deployment in registry.for_tier(Tier.FAST)} == {chosen}
        assert registry.deployments_for("smollm2").deployments[0].alias == "local-1"
