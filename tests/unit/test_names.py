"""Tests have names of their own, so that all of them run."""

from collections import Counter

from tools.processes import ROOT


def test_no_two_modules_of_tests_have_the_same_name() -> None:
    """Python keeps one module of a name: pytest imports the first, and refuses the other."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
