import io
import sys

import pytest

from tools import aws


class Terminal(io.StringIO):
    """Input of a person."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")


def test_the_region_that_is_named_goes_before_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert aws.choose_region("eu-central-1", "deploy") == "eu-central-1"
    assert aws.choose_region("", "deploy") == "us-east-1"


def test_a_person_is_asked_for_a_region_that_nothing_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("sa-east-1\n"))
    assert aws.choose_region("", "deploy") == "sa-east-1"


@pytest.mark.parametrize("is_ci", [True, False])
def test_where_nobody_can_be_asked_the_missing_region_is_said(monkeypatch: pytest.MonkeyPatch, is_ci: bool) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("sa-east-1\n") if is_ci else io.StringIO("sa-east-1\n"))
    if is_ci:
        monkeypatch.setenv("CI", "true")
    assert not aws.is_attended()
    with pytest.raises(SystemExit, match="make deploy REGION="):
        aws.choose_region("", "deploy")
