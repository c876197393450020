"""`.env`: what is read, and what is said of each mistake that people make in it."""

from pathlib import Path

import pytest

from tools.env_file import EnvFile, read_env_file

KEY = "gsk_0123456789abcdef"


def read(folder: Path, content: str | bytes) -> EnvFile:
    path = folder / ".env"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_env_file(path)


@pytest.mark.parametrize(
    "content",
    [
        f"GROQ_API_KEYS={KEY}",
        f"# keys\r\n\r\nGROQ_API_KEYS={KEY}\r\nHF_TOKENS=\r\n",
        f"export GROQ_API_KEYS = '{KEY}' # of the school\n",
        f'GROQ_API_KEYS="{KEY},"\n',
        f"GROQ_API_KEYS={KEY},,\n",
        f"\ufeffGROQ_API_KEYS={KEY}\n",
    ],
)
def test_a_key_is_read_however_it_is_written(content: str, tmp_path: Path) -> None:
    found = read(tmp_path, content)
    assert [(each.variable.provider, each.key) for each in found.keys] == [("groq", KEY)]
    assert list(found.problems) == []


@pytest.mark.parametrize("content", ["", "\n# nothing\n", "GROQ_API_KEYS=\nHF_TOKENS=''\nOPENAI_API_KEYS= # later\n"])
def test_a_file_without_keys_is_no_mistake(content: str, tmp_path: Path) -> None:
    found = read(tmp_path, content)
    assert (list(found.keys), list(found.problems)) == ([], [])


def test_no_file_is_no_mistake(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env") == EnvFile()


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (f"\n# x\nGROQ_API_KEY={KEY}", 3, "GROQ_API_KEY is not a name that is read here. Call it GROQ_API_KEYS"),
        (f"groq_api_keys={KEY}", 1, "Call it GROQ_API_KEYS"),
        (f"HF_TOKEN={KEY}", 1, "Call it HF_TOKENS"),
        (f"HUGGINGFACE_API_KEY={KEY}", 1, "Call it HF_TOKENS"),
        (f"OPENAI_API_KEY={KEY}", 1, "Call it OPENAI_API_KEYS"),
        (f"MISTRAL_KEY={KEY}", 1, "MISTRAL_KEY is not a name that is read here. Known are GROQ_API_KEYS, HF_TOKENS, "),
        (f"GROQ_API_KEYS {KEY}", 1, "expected NAME=value"),
        (f"{KEY}=", 1, "what is before the = is not a name that is read here"),
        (f"HF_TOKENS=\nGROQ_API_KEYS: {KEY}\n", 2, "expected NAME=value"),
        (f"HF_TOKENS=\n\nGROQ_API_KEYS='{KEY}\n", 3, "expected NAME=value"),
        (f"GROQ_API_KEYS\n{KEY}\n", 1, "expected NAME=value"),
        (f"GROQ_API_KEYS={KEY}\nGROQ_API_KEYS={KEY}x\n", 2, "GROQ_API_KEYS is there already, in line 1. Put all of"),
        ("GROQ_API_KEYS=gsk_...", 1, "GROQ_API_KEYS holds a placeholder where a key should be. Put your key there"),
        (f"GROQ_API_KEYS={KEY},gsk_…", 1, "holds a placeholder"),
        ("GROQ_API_KEYS=gsk_", 1, "holds a placeholder"),
        ("GROQ_API_KEYS=<your key>", 1, "holds a placeholder"),
        ("GROQ_API_KEYS=your-key-here", 1, "holds a placeholder"),
        ("GROQ_API_KEYS=gsk_xxxxxxxxxxxxxxxx", 1, "holds a placeholder"),
        ("GROQ_API_KEYS=changeme", 1, "holds a placeholder"),
        (f"GROQ_API_KEYS={KEY} {KEY}x", 1, "has a space or semicolon in it. Put commas between keys"),
        (f"GROQ_API_KEYS={KEY};{KEY}x", 1, "has a space or semicolon in it"),
        (f"GROQ_API_KEYS=“{KEY}”", 1, "a character in it that no key has"),
        (f"GROQ_API_KEYS={KEY}\u200b", 1, "a character in it that no key has"),
        ("GROQ_API_KEYS=gsk_abc", 1, "is too short for one. Copy the whole key"),
        ("GROQ_API_KEYS=hf_0123456789abcdef", 1, "looks like one for HF_TOKENS. Move it to HF_TOKENS"),
        (f"GROQ_API_KEYS={KEY},{KEY}", 1, "a key of GROQ_API_KEYS is there twice. Remove one: its provider's limits"),
    ],
)
def test_a_mistake_is_named_by_line_with_its_remedy_and_no_key_is_shown(
    content: str, line: int, said: str, tmp_path: Path
) -> None:
    problems = read(tmp_path, content).problems
    problem = next(each for each in problems if said in str(each))
    assert str(problem).startswith(f".env, line {line}: ")
    assert not any(KEY in str(each) or "hf_0" in str(each) for each in problems)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(encoding: str, tmp_path: Path) -> None:
    [problem] = read(tmp_path, f"GROQ_API_KEYS={KEY}\n".encode(encoding)).problems
    assert str(problem).startswith(".env, line 1: the file is UTF-16, as PowerShell's > ")
    assert "Set-Content -Encoding utf8 .env" in problem.remedy


def test_another_encoding_is_named_by_line(tmp_path: Path) -> None:
    [problem] = read(tmp_path, b"# k\n# Schl\xfcssel\nGROQ_API_KEYS=\n").problems
    assert str(problem) == ".env, line 2: there is a byte that is not UTF-8. Save the file as UTF-8."


def test_what_is_right_is_read_beside_what_is_wrong(tmp_path: Path) -> None:
    found = read(tmp_path, f"GROQ_API_KEYS={KEY}\nHF_TOKENS=hf_...\nOPENAI_API_KEYS=sk-0123456789abcdef\n")
    assert [each.variable.name for each in found.keys] == ["GROQ_API_KEYS", "OPENAI_API_KEYS"]
    assert [each.line for each in found.problems] == [2]
