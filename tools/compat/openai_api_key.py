"""A plugin of pytest for openai-python's tests, whose conftest has an API key and takes no other."""

import os
import sys


def pytest_collection_finish() -> None:
    """Put the stack's key in its place."""
    sys.modules["tests.conftest"].api_key = os.environ["OPENAI_API_KEY"]  # type: ignore[attr-defined]
