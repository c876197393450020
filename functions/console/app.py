"""The console and the description of the API, as pages from the files beside this, behind API Gateway."""

from pathlib import Path
from typing import Any

from sluice.api.pages import Site, rest_answer

SITE = Site(Path(__file__).parent / "static", files_below="/console")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a request for a page or a file."""
    return rest_answer(SITE, event)
