"""What is sealed is opened as it was, and what was not sealed here is not opened."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.api.sealed import is_sealed, opened, sealed

values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "thinking_blocks": st.lists(values, max_size=2),
            "tool_calls": st.dictionaries(st.text(max_size=5), st.dictionaries(st.text(max_size=5), values)),
        },
    )
)
def test_what_is_sealed_is_opened_as_it_was(value: dict[str, Any]) -> None:
    text = sealed(value)
    assert is_sealed(text)
    assert opened(text) == value


@pytest.mark.parametrize(
    "plain", [b"", b"[]", b'{"thinking_blocks":{}}', b'{"tool_calls":[]}', b'{"tool_calls":{"c":1}}', b"[" * 100_000]
)
def test_what_was_not_sealed_here_is_not_opened(plain: bytes) -> None:
    assert opened("sluice1." + base64.urlsafe_b64encode(plain).decode()) is None
    assert opened("sluice1.no base64!") is None
    assert opened("sluice1.\xe4") is None
