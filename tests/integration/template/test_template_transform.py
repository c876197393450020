from concurrent.futures import ThreadPoolExecutor

import pytest

from tools import template
from tools.template import Run


def test_threads_get_what_they_asked_for() -> None:
    """They share SAM's interpreter."""
    source = template.read()

    def retention(days: str) -> object:
        [made] = template.transform(source, [Run({"LogRetentionDays": days})])
        return made["Resources"]["ApiLogGroup"]["Properties"]["RetentionInDays"]

    asked = ["1", "3", "5", "7", "14", "30"]
    with ThreadPoolExecutor(len(asked)) as pool:
        assert list(pool.map(retention, asked)) == asked


def test_a_template_that_sam_refuses_is_refused_with_its_reason() -> None:
    source = template.read()
    source["Resources"]["KeysFunction"]["Properties"]["Colour"] = "blue"
    with pytest.raises(ValueError, match="property Colour not defined"):
        template.transform(source, [Run()])
    assert template.transform(template.read(), [Run()])
