"""Reads provider keys from `.env`, and says of each mistake where it is and what puts it right."""

import difflib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import Binding, parse_stream


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in a file. It never holds a key."""

    file: str
    line: int | None
    what: str
    remedy: str

    @property
    def place(self) -> str:
        """Where it is."""
        return self.file if self.line is None else f"{self.file}, line {self.line}"

    def __str__(self) -> str:
        return f"{self.place}: {self.what}. {self.remedy}."


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that `.env` may have."""

    name: str
    provider: str
    alias: str
    """Of its credentials, without their number."""
    prefix: str
    """What its keys begin with, and no other provider's do."""


VARIABLES = (
    Variable("GROQ_API_KEYS", "groq", "groq", "gsk_"),
    Variable("HF_TOKENS", "huggingface", "hf", "hf_"),
    Variable("OPENAI_API_KEYS", "openai", "openai", "sk-"),
)
# What people, and other programs, call them.
_OTHER_NAMES = {
    "HF_TOKEN": "HF_TOKENS",
    "HUGGING_FACE_HUB_TOKEN": "HF_TOKENS",
    "HUGGINGFACE_API_KEY": "HF_TOKENS",
    "HUGGINGFACE_API_KEYS": "HF_TOKENS",
    "HUGGINGFACE_TOKEN": "HF_TOKENS",
    "GROQ_KEY": "GROQ_API_KEYS",
    "OPENAI_KEY": "OPENAI_API_KEYS",
}
_PLACEHOLDER = re.compile(
    r"\.\.\.|…|[<>{}\[\]]|\b(your|paste|insert)[-_ ]|(change|replace)[-_ ]?me|placeholder|example|x{6,}|\*{3,}",
    re.IGNORECASE,
)
_SHORTEST_KEY = 8
# What can't be a key in the wrong place: these have digits.
_A_NAME = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class FoundKey:
    """An API key of a provider, and where it is."""

    variable: Variable
    key: str
    line: int


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What is in `.env`: keys, and mistakes."""

    keys: Sequence[FoundKey] = ()
    problems: Sequence[Problem] = ()


def read_env_file(path: Path) -> EnvFile:
    """Read `.env`, if it is there."""
    if not path.exists():
        return EnvFile()
    text = read_text(path)
    if isinstance(text, Problem):
        return EnvFile(problems=[text])
    found: list[FoundKey] = []
    problems: list[Problem] = []
    lines: dict[str, int] = {}
    for binding in parse_stream(io.StringIO(text)):
        line = _line(binding)
        mistake = _mistake_in(binding, lines)
        if mistake:
            problems.append(Problem(path.name, line, *mistake))
        elif binding.key:
            lines[binding.key] = line
            [variable] = [each for each in VARIABLES if each.name == binding.key]
            for key in _keys(binding.value or ""):
                mistake = _mistake_of(key, variable, found)
                if mistake:
                    problems.append(Problem(path.name, line, *mistake))
                else:
                    found.append(FoundKey(variable, key, line))
    return EnvFile(found, problems)


def read_text(path: Path) -> str | Problem:
    """The text of a file, or why it is none."""
    content = path.read_bytes()
    if content.startswith(_UTF_16_MARKS) or b"\0" in content:
        return Problem(
            path.name,
            1,
            "the file is UTF-16, as PowerShell's > and Notepad's Unicode write it",
            f"Save it as UTF-8, in PowerShell: (Get-Content {path.name}) | Set-Content -Encoding utf8 {path.name}",
        )
    try:
        return content.decode("utf-8-sig")  # with or without the mark that Notepad begins a file with
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Problem(path.name, line, "there is a byte that is not UTF-8", "Save the file as UTF-8")


def _line(binding: Binding) -> int:
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _mistake_in(binding: Binding, lines: dict[str, int]) -> tuple[str, str] | None:
    """What is wrong with a line, and the remedy."""
    name = binding.key
    if binding.error or (name is not None and binding.value is None):
        return "expected NAME=value", "Write one variable a line, and comments behind a #; close quotes that are opened"
    if name is None:
        return None
    if name in lines:
        return (
            f"{name} is there already, in line {lines[name]}",
            "Put all of its keys into one line, with commas between",
        )
    names = [each.name for each in VARIABLES]
    if name in names:
        return None
    shown = name if _A_NAME.fullmatch(name) else "what is before the ="
    meant = _OTHER_NAMES.get(name.upper()) or next(iter(difflib.get_close_matches(name.upper(), names, 1, 0.75)), None)
    if meant:
        return f"{shown} is not a name that is read here", f"Call it {meant}, also for a single key"
    return (
        f"{shown} is not a name that is read here",
        f"Known are {', '.join(names)}; keys of other providers go into credentials.json",
    )


def _keys(value: str) -> Iterator[str]:
    return (key.strip() for key in value.split(",") if key.strip())


def _mistake_of(key: str, variable: Variable, found: Sequence[FoundKey]) -> tuple[str, str] | None:
    """What is wrong with a key, and the remedy, neither of which shows it."""
    if _PLACEHOLDER.search(key) or key == variable.prefix:
        return (
            f"{variable.name} holds a placeholder where a key should be",
            "Put your key there, or leave nothing behind the =",
        )
    if any(character.isspace() or character == ";" for character in key):
        return f"a key of {variable.name} has a space or semicolon in it", "Put commas between keys"
    if not (key.isascii() and key.isprintable()) or set(key) & set("\"'`"):
        return (
            f"a key of {variable.name} has a character in it that no key has, such as a typographic quotation mark",
            "Type the line anew, with plain quotation marks or none",
        )
    if len(key) < _SHORTEST_KEY:
        return f"a key of {variable.name} is too short for one", "Copy the whole key"
    others = [each for each in VARIABLES if each is not variable and key.startswith(each.prefix)]
    if others and not key.startswith(variable.prefix):
        return f"{variable.name} holds a key that looks like one for {others[0].name}", f"Move it to {others[0].name}"
    if any(each.key == key for each in found):
        return (
            f"a key of {variable.name} is there twice",
            "Remove one: its provider's limits are counted once, and two would be spent",
        )
    return None
