"""Searching vector stores, by OpenAI's own SDK over a real socket."""

import json
from typing import Any

import openai
import pytest

from tests.fakes.vectors import vector_of
from tests.served_stores import Served
from tests.stores import DIMENSIONS


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"type": "eq", "key": "team", "value": "it"}, {"a", "b"}),
        ({"type": "ne", "key": "team", "value": "it"}, {"c"}),
        ({"type": "gte", "key": "year", "value": 2025}, {"b", "c"}),
        ({"type": "lt", "key": "year", "value": 2025}, {"a"}),
        ({"type": "in", "key": "year", "value": [2024, 2026]}, {"a", "c"}),
        ({"type": "nin", "key": "team", "value": ["hr"]}, {"a", "b"}),
        (
            {
                "type": "or",
                "filters": [
                    {
                        "type": "and",
                        "filters": [
                            {"type": "eq", "key": "team", "value": "it"},
                            {"type": "gt", "key": "year", "value": 2024},
                        ],
                    },
                    {"type": "eq", "key": "year", "value": 2026},
                ],
            },
            {"b", "c"},
        ),
    ],
)
def test_filters_narrow_what_is_found(served: Served, store: str, filters: Any, expected: set[str]) -> None:
    for text, team, year in (("a", "it", 2024), ("b", "it", 2025), ("c", "hr", 2026)):
        served.add(store, text, attributes={"team": team, "year": year})
    assert set(served.texts(store, "a", filters=filters)) == expected


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"filters": {"type": "like", "key": "a", "value": "b"}}, "eq, ne, gt"),
        ({"filters": {"type": "in", "key": "a", "value": "b"}}, "a list of"),
        ({"filters": {"type": "and", "filters": []}}, "at least one"),
        ({"filters": {"type": "gt", "key": "a", "value": True}}, "text or a number"),
        ({"max_num_results": 51}, "max_num_results"),
        ({"rewrite_query": True}, "not rewritten"),
        ({"ranking_options": {"score_threshold": 2}}, "score_threshold"),
        ({"extra_body": {"vector": [1.0] * 3}}, "one of query, vector and document_id"),
        ({"query": ""}, "query"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(served: Served, store: str, fields: Any, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        served.stores.search(store, **{"query": "x", **fields})


def test_search_by_several_texts_by_a_vector_and_by_a_document(served: Served, store: str) -> None:
    first = served.add(store, "The first.")
    served.add(store, "Another, longer one.")
    assert served.texts(store, ["The first.", "Another, longer one."], max_num_results=2)[0] in {
        "The first.",
        "Another, longer one.",
    }
    post = served.client.post
    by_vector: Any = post(
        f"/vector_stores/{store}/search", body={"vector": vector_of("The first.", DIMENSIONS)}, cast_to=object
    )
    assert by_vector["data"][0]["content"][0]["text"] == "The first."
    like: Any = post(f"/vector_stores/{store}/search", body={"document_id": first.id}, cast_to=object)
    assert [each["content"][0]["text"] for each in like["data"]] == ["Another, longer one."]
    with pytest.raises(openai.BadRequestError, match="256"):
        post(f"/vector_stores/{store}/search", body={"vector": [1.0, 2.0]}, cast_to=object)
    with pytest.raises(openai.NotFoundError):
        post(f"/vector_stores/{store}/search", body={"document_id": "nothing"}, cast_to=object)


def test_a_rare_attribute_is_found_among_more_than_the_index_answers(served: Served, store: str) -> None:
    lines = [
        {
            "id": f"l{number}",
            "text": (text := f"Line {number:03d}."),
            "vector": vector_of(text, DIMENSIONS),
            "attributes": {"rare": number == 7},
        }
        for number in range(130)
    ]
    assert served.add(store, "\n".join(map(json.dumps, lines)), "lines.jsonl").status == "completed"
    rare = {"type": "eq", "key": "rare", "value": True}
    far = "A query that is much longer than any of the lines, and so far away."
    assert served.texts(store, far, filters=rare) == ["Line 007."]
