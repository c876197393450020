"""What guard models answer, read as verdicts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.guards.verdicts import UnreadableVerdictError, Verdict, read_verdict


@pytest.mark.parametrize(
    ("said", "risk"),
    [
        ("0.9996489882469177", 0.9996489882469177),
        (" 1.0\n", 1.0),
        ("0", 0.0),
        ("1", 1.0),
        (".5", 0.5),
        ("4.2e-05", 4.2e-5),
    ],
)
def test_a_probability_is_read_as_its_number(said: str, risk: float) -> None:
    assert read_verdict("probability", said) == Verdict(risk)


@pytest.mark.parametrize(
    ("said", "risk"), [("BENIGN", 0.0), ("LABEL_1", 1.0), ("malicious\n", 1.0), ("JAILBREAK", 1.0)]
)
def test_a_label_stands_for_its_probability(said: str, risk: float) -> None:
    assert read_verdict("probability", said).risk == risk


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("safe", Verdict(0.0)),
        ("\n\nsafe", Verdict(0.0)),
        ("unsafe\nS1", Verdict(1.0, ("S1",))),
        ("\n\nunsafe\nS2, S10 ", Verdict(1.0, ("S2", "S10"))),
        ("Unsafe", Verdict(1.0)),
    ],
)
def test_safe_and_unsafe_are_read_with_their_categories(said: str, verdict: Verdict) -> None:
    assert read_verdict("safety", said) == verdict


@pytest.mark.parametrize("kind", ["probability", "safety"])
@pytest.mark.parametrize(
    "said",
    ["", "1.01", "-0.5", "nan", "inf", "0.5 0.5", "1e5", "safe?", "safe\nunsafe", "unsafe\nviolence", "It is safe."],
)
def test_anything_else_is_no_verdict(kind: str, said: str) -> None:
    with pytest.raises(UnreadableVerdictError) as error:
        read_verdict(kind, said)
    assert not str(error.value)


@given(st.text(max_size=40), st.sampled_from(["probability", "safety"]))
def test_whatever_is_said_a_verdict_is_between_0_and_1_or_none(said: str, kind: str) -> None:
    try:
        verdict = read_verdict(kind, said)
    except UnreadableVerdictError:
        return
    assert 0 <= verdict.risk <= 1
