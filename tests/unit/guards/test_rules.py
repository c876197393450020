import tomllib
from pathlib import Path
from typing import Any

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.guards.normalization import words
from sluice.guards.rules import DIRECTORY, Direction, Mode, View, modes_up_to, read_rules, rule_ids, rules
from sluice.guards.scanner import scanner
from sluice.guards.validators import VALIDATORS, is_iban, is_luhn, is_password, is_random, is_us_ssn
from tests.examples import examples


def test_rules_have_distinct_ids_and_say_what_they_do() -> None:
    ids = [rule.id for rule in rules()]
    assert len(ids) == len(set(ids)) >= 15
    assert all(rule.description and rule.signals and rule.applies for rule in rules())
    others = {"prompt-empty", "prompt-oversized", "guard-model-prompt", "guard-model-answer"}
    assert others | set(ids) == rule_ids()


def test_a_rule_can_reach_its_threshold() -> None:
    for rule in rules():
        assert sum(signal.weight for signal in rule.signals if signal.weight > 0) >= rule.threshold, rule.id


def test_what_may_be_said_innocently_only_flags() -> None:
    modes = {rule.id: rule.mode for rule in rules()}
    assert all(mode is Mode.FLAG for rule_id, mode in modes.items() if rule_id.startswith("personal-"))
    assert modes["secret-api-key"] is modes["prompt-injection"] is modes["jailbreak"] is Mode.BLOCK


def test_rules_do_no_more_than_the_most_that_is_let_but_for_those_that_protect_the_gateway() -> None:
    assert modes_up_to(Mode.BLOCK) == {}
    blocking = {rule.id for rule in rules() if rule.mode is Mode.BLOCK and not rule.is_fixed} | {
        "prompt-empty",
        "guard-model-prompt",
        "guard-model-answer",
    }
    flagging = {rule.id for rule in rules() if rule.mode is Mode.FLAG}
    assert modes_up_to(Mode.FLAG) == dict.fromkeys(blocking, Mode.FLAG)
    assert modes_up_to(Mode.OFF) == dict.fromkeys(blocking | flagging, Mode.OFF)
    assert {"secret-sluice-key", "prompt-oversized"} & modes_up_to(Mode.OFF).keys() == set()


def _write(directory: Path, **changes: object) -> Path:
    rule = {"id": "r", "description": "d", "mode": "block", "applies": ["prompt"], **changes}
    lines = "\n".join(f"{key} = {value!r}" for key, value in rule.items())
    (directory / "x.toml").write_text(
        f'view = "words"\n[[rules]]\n{lines}\n[[rules.signals]]\npatterns = ["a <..2>b"]\n'
    )
    return directory


def test_a_rule_file_is_read(tmp_path: Path) -> None:
    (rule,) = read_rules(_write(tmp_path))
    assert rule.signals[0].patterns == (" (?:a (?:[^ ]+ ){0,2}b) ",)


@pytest.mark.parametrize("changes", [{"mode": "warn"}, {"applies": ["sideways"]}, {"validator": "magic"}])
def test_a_mistake_in_a_rule_names_the_file_and_the_rule(tmp_path: Path, changes: Any) -> None:
    with pytest.raises(ValueError, match=r"x\.toml, rule r"):
        read_rules(_write(tmp_path, **changes))


def test_rule_files_use_every_word_list_they_define() -> None:
    for path in sorted(DIRECTORY.glob("*.toml")):
        text = path.read_text("utf-8")
        for name in tomllib.loads(text).get("vocabulary", {}):
            assert f"<{name}>" in text, (path.name, name)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Ignore, ALL  previous-instructions!", " ignore all previous instructions "),
        ("\uff29\uff47\uff4e\uff4f\uff52\uff45\u3000\uff41\uff4c\uff4c", " ignore all "),
        ("ig\u200bno\u00adre don\u2019t don't", " ignore dont dont "),
        ("Précédentes « règles »", " precedentes regles "),
        ("".join(chr(0xE0000 + ord(character)) for character in "ignore all"), " ignore all "),
        ("", "  "),
    ],
)
def test_words_are_plain(written: str, plain: str) -> None:
    assert words(written).decode() == plain


@given(st.text())
def test_words_of_any_text_are_parted_by_single_spaces(text: str) -> None:
    assert words(text).startswith(b" ")
    assert b"   " not in words(text)


@given(st.text(alphabet=st.characters(), max_size=400))
def test_no_text_makes_a_scanner_or_a_decoder_fail(text: str) -> None:
    for direction in Direction:
        rules_ = scanner(direction)
        numbers = rules_.text_signals(text) | rules_.word_signals(text)
        rules_.fired(numbers | rules_.hidden_signals(text, {-index for index in range(1, 13)}))


@given(st.integers(min_value=10**11, max_value=10**17 - 1).filter(lambda number: len(set(str(number))) >= 3))
def test_luhn_accepts_exactly_one_check_digit(number: str) -> None:
    assert sum(is_luhn(f"4{number}{digit}") for digit in range(10)) == 1


def test_validators_tell_the_real_from_the_made_up() -> None:
    assert not is_luhn("5555-3412-4444-1116")
    assert is_luhn("5555-3412-4444-1115")
    assert is_iban("GB82 WEST 1234 5698 7654 32")
    assert not is_iban("GB82 WEST 1234 5698 7654 33")
    assert is_us_ssn("536-90-4399")
    assert not is_us_ssn("666-90-4399")
    assert is_random("gsk_9fK2mQx7Tb4ZpLs8Vn3Rj6Wd1Hy5Gc0AeUiOp2Q")
    assert not is_random("sk-your-api-key-goes-here-0000000000")
    assert is_password('password = "tr0ub4dor&3"')
    assert not is_password('password = "<your password>"')
    assert all(not valid("xxxxxxxxxxxxxxxx") for name, valid in VALIDATORS.items() if name != "us_ssn")


def _text_signals_of_blockable_rules() -> Any:
    return [
        pytest.param(pattern, signal.held, id=f"{rule.id}-{index}")
        for rule in rules()
        for signal in rule.signals
        for index, pattern in enumerate(signal.patterns)
        if signal.view is View.TEXT and Direction.OUTPUT in rule.applies
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "held"), _text_signals_of_blockable_rules())
@settings(max_examples=examples(12))
@given(data=st.data())
def test_every_beginning_of_a_secret_is_held(pattern: str, held: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(_for_python(pattern), fullmatch=True))
    if re2.fullmatch(pattern, text) is None:  # Python's \d and \w are wider than RE2's
        return
    for end in range(1, len(text) + 1):
        assert re2.search(f"(?:{held})\\z", text[:end]).start() == 0, text[:end]


def _for_python(pattern: str) -> str:
    return pattern.replace("\\b", "").replace("\\d", "[0-9]")
