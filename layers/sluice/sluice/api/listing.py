"""Pages of lists, as OpenAI's API has them."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict


class Listed[Item: Mapping[str, Any]](TypedDict):
    """A page: what is on it, and the ids of its first and last, which ask for the pages beside it."""

    object: Literal["list"]
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool


def listed[Item: Mapping[str, Any]](data: list[Item], *, has_more: bool) -> Listed[Item]:
    """The page of things that have an `id` each."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }
