import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.ingestion.markup import (
    MOST_MARKUP_CHARACTERS,
    one_line,
    plain_adf,
    plain_html,
    plain_jira,
    plain_markdown,
)

READERS = [plain_markdown, plain_html, plain_jira, plain_adf]


@pytest.mark.parametrize("read", [plain_markdown, plain_html, plain_jira])
@pytest.mark.parametrize("text", ["a < b and c > d", "i <3 you", "x <- y -> z", "2 << 4 >> 1", "AT&T", "5 > 4"])
def test_signs_that_are_no_markup_stay(read: Any, text: str) -> None:
    assert read(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("**bold** and _it_ and `x<y>`", "bold and it and x<y>"),
        ("[a link](https://example.com) ![a picture](x.png)", "a link a picture"),
        ("# Head\n\n* one\n  * two\n\n1. three", "Head one two three"),
        ("```py\nif a < b: pass\n```", "if a < b: pass"),
        ("| a | b |\n| - | - |\n| 1 | 2 |", "a b 1 2"),
        ("~~gone~~ <!-- a note --> &amp; &lt;", "gone & <"),
        ("takes a List<String> of <b>names</b>", "takes a List<String> of names"),
        ("<details><summary>More</summary>\n\nall of *it*\n</details>", "More all of it"),
        ("one<br>two", "one two"),
        ("snake_case_name and 2 * 3", "snake_case_name and 2 * 3"),
    ],
)
def test_of_markdown_the_words_are_read(text: str, seen: str) -> None:
    assert plain_markdown(text) == seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("<p>one</p><p>two <b>three</b></p>", "one two three"),
        ("<script>alert(1)</script>after", "after"),
        ("before<script>alert(1)", "before"),
        ("<img src=x alt='a picture'> &eacute;", "a picture é"),
        ("Map<String, Integer> stays", "Map<String, Integer> stays"),
        ("<ul><li>a<li>b</ul>", "a b"),
    ],
)
def test_of_html_the_words_are_read(text: str, seen: str) -> None:
    assert plain_html(text) == seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("h1. Steps\n# {code:java}a<b{code} then *press* [here|https://x.example]", "Steps # a<b then press here"),
        ("{quote}said [~accountid:557058:x]{quote}", "said @557058:x"),
        ("<p>from an old editor</p>", "from an old editor"),
        ("a*b*c stays", "a*b*c stays"),
    ],
)
def test_of_jira_s_wiki_markup_the_words_are_read(text: str, seen: str) -> None:
    assert plain_jira(text) == seen


def test_of_an_atlassian_document_all_words_are_read_and_those_of_unknown_nodes_too() -> None:
    document = {
        "type": "doc",
        "version": 1,
        "content": [
            {"type": "paragraph", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo "}]},
            {"type": "mention", "attrs": {"id": "1", "text": "@Ada"}},
            {"type": "rule"},
            {"type": "somethingNew", "attrs": {"title": "a title"}, "content": [{"type": "text", "text": "inside"}]},
            {"type": "codeBlock", "content": [{"type": "text", "text": "if a < b:"}]},
            {"type": "inlineCard", "attrs": {"url": "https://example.com/1"}},
            {"type": "emoji", "attrs": {"shortName": ":smile:"}},
        ],
    }
    assert plain_jira(document) == "Hello @Ada a title inside if a < b: https://example.com/1 :smile:"


def test_a_document_that_goes_in_circles_ends() -> None:
    circle: dict[str, Any] = {"type": "doc", "content": []}
    circle["content"] += [circle, {"type": "text", "text": "x"}]
    assert "x" in plain_adf(circle)


def test_a_document_of_many_levels_is_read_to_a_depth() -> None:
    deep: dict[str, Any] = {"type": "text", "text": "at the bottom"}
    for _ in range(sys.getrecursionlimit() * 3):
        deep = {"type": "panel", "content": [deep]}
    assert plain_adf({"type": "doc", "content": [{"type": "text", "text": "top"}, deep]}) == "top"


@pytest.mark.slow
@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "![",
        "](",
        "*a",
        "`",
        "> ",
        "<",
        "<a ",
        "<a x='",
        "<!--",
        "<!",
        "</",
        "&#",
        "| a\n",
        "- ",
        "{code",
        "\x00",
        "\ud800",
    ],
)
def test_a_megabyte_of_one_sign_is_cut_and_read(read: Any, piece: str) -> None:
    read(piece * (1_000_000 // len(piece)) + ">")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("value", ["a\x00b", "half \ud83d of it", "\ufeffx\x07y\ufffe"])
def test_what_no_text_has_is_left_out(read: Any, value: str) -> None:
    seen = read(value)
    seen.encode()
    assert not set(seen) & {"\x00", "\x07", "\ufffe", "\ufeff"}


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert one_line("\ud83d\ude00") == "😀"


def test_no_more_is_read_than_the_bound() -> None:
    assert len(plain_markdown("word " * MOST_MARKUP_CHARACTERS)) <= MOST_MARKUP_CHARACTERS


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["type", "text", "attrs", "content", "url"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_some_text(value: Any) -> None:
    assert isinstance(plain_jira(value), str)


@given(st.text(max_size=200))
def test_any_text_is_one_line_of_whole_characters(text: str) -> None:
    for read in (plain_markdown, plain_html, plain_jira):
        seen = read(text)
        assert seen == " ".join(seen.split())
        assert json.loads(json.dumps(seen)) == seen
