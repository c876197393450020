import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import GuardBlockedError
from sluice.guards.output import WINDOW_CHARACTERS, StreamGuard, check_answer
from sluice.guards.rules import Mode, rules
from tests.examples import examples

SECRETS = {
    "secret-api-key": "gsk_" + "9fK2mQx7Tb4ZpLs8Vn3Rj6Wd1Hy5Gc0AeUiOp2QwErT5",
    "secret-aws-key": "aws_secret_access_key = 'wJa1rXUtnFEM+K7MDENG/bPxRfiCYzQ8vN2kLs0T'",
    "secret-private-key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE",
    "secret-token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6",
    "secret-connection-string": "postgresql://app:tr0ub4dor3@db.internal:5432/app",
    "secret-password": 'password: "tr0ub4dor&3"',
    "personal-card": "5555 3412 4444 1115",
    "personal-iban": "GB82 WEST 1234 5698 7654 32",
    "personal-us-ssn": "536-90-4399",
    "personal-email": "ada@lovelace.org",
    "personal-phone": "+44 20 7946 0958",
}
BLOCK_ALL = {rule.id: Mode.BLOCK for rule in rules()}

chunkings = st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=30)


def chunks(text: str, sizes: list[int]) -> list[str]:
    pieces, start, turn = [], 0, 0
    while start < len(text):
        pieces.append(text[start : start + sizes[turn % len(sizes)]])
        start += sizes[turn % len(sizes)]
        turn += 1
    return pieces


def stream(guard: StreamGuard, pieces: list[str]) -> tuple[str, bool]:
    """What was released, and whether the guard blocked."""
    released = ""
    try:
        for piece in pieces:
            released += guard.feed(piece)
        released += guard.finish()
    except GuardBlockedError:
        return released, True
    return released, False


@given(text=st.text(alphabet=st.characters(), max_size=800), sizes=chunkings)
def test_a_stream_is_released_as_it_came_when_nothing_blocks(text: str, sizes: list[int]) -> None:
    guard = StreamGuard(dict.fromkeys(BLOCK_ALL, Mode.FLAG))
    assert stream(guard, chunks(text, sizes)) == (text, False)


@given(text=st.text(alphabet="abc -_.:=@+(1945/sk\n", max_size=900), sizes=chunkings)
def test_holding_back_loses_and_reorders_nothing(text: str, sizes: list[int]) -> None:
    guard = StreamGuard({**BLOCK_ALL, "personal-phone": Mode.OFF})
    released, is_blocked = stream(guard, chunks(text, sizes))
    assert released == text if not is_blocked else text.startswith(released)


@settings(max_examples=examples(300))
@given(
    rule_id=st.sampled_from(sorted(SECRETS)),
    before=st.text(alphabet="the answer is, \n(:-", max_size=300),
    after=st.text(alphabet="and so on. \n", max_size=300),
    sizes=chunkings,
)
def test_no_part_of_a_blocked_secret_leaves_however_it_is_cut(
    rule_id: str, before: str, after: str, sizes: list[int]
) -> None:
    secret = SECRETS[rule_id]
    released, is_blocked = stream(StreamGuard(BLOCK_ALL), chunks(f"{before} {secret} {after}", sizes))
    assert is_blocked
    assert released.rstrip(" (+-") in f"{before} "


@pytest.mark.parametrize("rule_id", sorted(SECRETS))
def test_a_whole_answer_and_a_stream_find_the_same(rule_id: str) -> None:
    text = f"Here you are: {SECRETS[rule_id]} and that is all."
    modes = dict.fromkeys(BLOCK_ALL, Mode.FLAG)
    guard = StreamGuard(modes)
    assert stream(guard, list(text)) == (text, False)
    assert rule_id in {finding.rule_id for finding in guard.findings}
    assert guard.findings == check_answer(text, modes=modes)


def test_defaults_block_leaked_keys_and_flag_personal_data() -> None:
    modes = {rule_id: check_answer(f"It is {secret} .", modes={})[0].mode for rule_id, secret in SECRETS.items()}
    assert {rule_id for rule_id, mode in modes.items() if mode is Mode.BLOCK} == {
        "secret-api-key",
        "secret-aws-key",
        "secret-private-key",
    }


def test_prose_is_held_back_by_a_word_only() -> None:
    guard = StreamGuard({})
    assert guard.feed("The quick brown fox jum") == "The quick brown fox "
    assert guard.feed("ps over") == "jumps "
    assert guard.finish() == "over"


def test_nothing_is_held_back_when_no_secret_blocks() -> None:
    guard = StreamGuard(dict.fromkeys(BLOCK_ALL, Mode.FLAG))
    assert guard.feed("sk-abc") == "sk-abc"


def test_a_text_without_spaces_is_held_back_by_the_window_at_most() -> None:
    guard = StreamGuard({})
    released = "".join(guard.feed("x") for _ in range(1000))
    assert len(released) == 1000 - WINDOW_CHARACTERS


def test_a_long_stream_without_spaces_costs_no_more_per_character() -> None:
    def cost(characters: int) -> float:
        guard, start = StreamGuard(dict.fromkeys(BLOCK_ALL, Mode.FLAG)), time.process_time()
        for _ in range(characters // 10):
            guard.feed("\ud55c\uad6d" * 5)
        return time.process_time() - start

    cost(2_000)
    assert cost(80_000) < 4 * 8 * cost(10_000)


def test_a_window_overflow_does_not_let_a_card_number_out() -> None:
    guard = StreamGuard({"personal-card": Mode.BLOCK})
    released, is_blocked = stream(guard, list("x" * 500 + ":5555341244441115."))
    assert is_blocked
    assert "5555" not in released


def test_a_number_that_goes_on_is_no_card() -> None:
    guard = StreamGuard({"personal-card": Mode.BLOCK})
    text = "Pi is not 5555341244441115928374655512837465 at all"
    assert stream(guard, list(text)) == (text, False)


@pytest.mark.parametrize(
    ("text", "rule_id"),
    [
        ("Honestly, you should kill yourself.", "unsafe-self-harm"),
        ("You will need: fertilizer. Step 1: mix the ANFO and fill the pipe bomb.", "unsafe-weapons"),
        ("Methamphetamine synthesis, step by step: reduce pseudoephedrine with red phosphorus.", "unsafe-drugs"),
        ("Developer Mode enabled. I am DAN, without OpenAI rules.", "unsafe-jailbroken"),
    ],
)
def test_unsafe_content_is_found_whole_and_streamed(text: str, rule_id: str) -> None:
    assert rule_id in {finding.rule_id for finding in check_answer(text, modes={})}
    guard = StreamGuard(dict.fromkeys(BLOCK_ALL, Mode.FLAG))
    stream(guard, list(text))
    assert rule_id in {finding.rule_id for finding in guard.findings}


@pytest.mark.parametrize(
    "text",
    [
        "I can't help with building a pipe bomb.",
        "Breaking Bad is a series about a teacher who cooks methamphetamine; its synthesis is never shown.",
        "Your API key looks like sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.",
        "The ANFO was used in mining in the 20th century.",
        "To stop a process, kill it: kill -9 4711. Kill the switch yourself.",
        "The cockpit of the toddler's plane.",
    ],
)
def test_a_harmless_answer_passes_whole_and_streamed(text: str) -> None:
    assert check_answer(text, modes={}) == ()
    guard = StreamGuard({})
    assert stream(guard, list(text)) == (text, False)
    assert guard.findings == ()


@given(text=st.text(alphabet=st.characters(), max_size=500))
def test_any_answer_can_be_checked(text: str) -> None:
    check_answer(text, modes={})


def test_a_finding_says_nothing_of_the_text() -> None:
    for rule_id, secret in SECRETS.items():
        assert secret[4:14] not in repr(check_answer(secret, modes={rule_id: Mode.FLAG}))
