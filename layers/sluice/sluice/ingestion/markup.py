"""Plain text of what people write in issues: Markdown, HTML, Atlassian's documents (ADF), Jira's wiki markup. Pure.

What is read came from outside: each function bounds what it looks at, takes any value, and raises nothing. What no
parser knows stays as it is: a reader loses less by a stray sign than by a missing word.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from sluice.validation.text import whole_characters

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MOST_MARKUP_CHARACTERS = 50_000
"""How much of one text is looked at: a GitHub body has 65,536 characters at most, a Jira description half of that."""
_MOST_NODES = 20_000
_MOST_DEPTH = 100
# Markdown's parser takes a time that grows with the square of brackets in a row.
_MOST_BRACKETS = 2_000
_MOST_ELEMENTS = 4_000

_BLANKS = re.compile(r"\s+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff]")
_HTML_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9-]*)")
_WIKI_MACRO = re.compile(
    r"\{(?:code|noformat|quote|color|panel|anchor|adf|toc|section|column)(?:[:=][^{}\n]{0,200})?\}", re.IGNORECASE
)
_WIKI_HEADING = re.compile(r"^[ \t]*(?:h[1-6]|bq)\.[ \t]+", re.MULTILINE)
_WIKI_LINK = re.compile(r"\[([^\[\]|\n]{1,500})\|[^\[\]\n]{1,2000}\]")
_WIKI_MENTION = re.compile(r"\[~(?:accountid:)?([^\[\]\n]{1,200})\]")
_WIKI_STRONG = re.compile(r"(?<![\w*])\*(\S(?:[^*\n]{0,500}\S)?)\*(?![\w*])")
_SIGN_OF_HTML = re.compile(r"</[a-z][a-z0-9]*>|<(?:br|p|div|ul|ol|li|table|h[1-6])[ />]", re.IGNORECASE)

# Elements of HTML whose text nobody reads, and those that there are: `List<String>` is none of them, and text.
_UNREAD = frozenset({"script", "style", "head", "template"})
_INLINE = frozenset(
    re.findall(
        r"\w+",
        "a abbr b bdi bdo big cite code del dfn em font i ins kbd mark q s samp small span strike strong sub sup tt u"
        " var wbr",
    )
)
_ELEMENTS = _INLINE | frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote body br caption center col colgroup dd details div dl dt figcaption figure"
        " footer g h1 h2 h3 h4 h5 h6 head header hr html img li main nav ol p path picture pre rp rt ruby script"
        " section source style summary svg table tbody td template tfoot th thead time title tr ul video",
    )
)


def one_line(text: str) -> str:
    """A text with one blank for all that separates words, of whole characters, and without control characters."""
    # A sign that separates words in no text, and that DynamoDB and providers need not see.
    return _BLANKS.sub(" ", _CONTROLS.sub(" ", whole_characters(text))).strip()


def plain_markdown(text: str) -> str:
    """What a reader sees of Markdown as GitHub has it, on one line; the text of links, and not where they lead."""
    text = _bounded(text)
    if text.count("[") > _MOST_BRACKETS or text.count("]") > _MOST_BRACKETS:
        return one_line(text)
    parts: list[str] = []
    try:
        tokens = _markdown().parse(text)
    except (RecursionError, ValueError, IndexError):
        return one_line(text)
    for token in tokens:
        parts.extend(_of_block(token))
    return one_line("".join(parts))


def plain_html(text: str) -> str:
    """What a reader sees of HTML, on one line."""
    return one_line(_read_html(_bounded(text)))


def plain_jira(value: object) -> str:
    """What a reader sees of a Jira text, on one line: of a string of wiki markup or HTML, or of an ADF document."""
    if isinstance(value, Mapping | list):
        return plain_adf(value)
    if not isinstance(value, str):
        return ""
    return plain_html(value) if _SIGN_OF_HTML.search(value[:MOST_MARKUP_CHARACTERS]) else _plain_wiki(value)


def plain_adf(document: object) -> str:
    """The text of an Atlassian document, on one line, that of kinds of nodes that are not known here as well."""
    return one_line("".join(_adf_parts(document)))


def _bounded(text: str) -> str:
    return text[:MOST_MARKUP_CHARACTERS].replace("\x00", " ")


def _plain_wiki(text: str) -> str:
    text = _WIKI_MACRO.sub(" ", _bounded(text))
    text = _WIKI_HEADING.sub("", text)
    text = _WIKI_MENTION.sub(r"@\1", text)
    text = _WIKI_LINK.sub(r"\1", text)
    return one_line(_WIKI_STRONG.sub(r"\1", text))


@cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # by the worker alone

    return MarkdownIt("commonmark", {"maxNesting": 20}).enable(["table", "strikethrough"])


def _of_block(token: "Token") -> Iterator[str]:
    match token.type:
        case "inline":
            for child in token.children or ():
                yield from _of_inline(child)
            yield "\n"
        case "fence" | "code_block":
            yield token.content + "\n"
        case "html_block":
            yield _read_html(token.content) + "\n"


def _of_inline(token: "Token") -> Iterator[str]:
    match token.type:
        case "text" | "code_inline" | "text_special":
            yield token.content
        case "softbreak" | "hardbreak":
            yield "\n"
        case "image":
            yield token.content  # what is written for those who do not see it
        case "html_inline":
            tag = _HTML_TAG.match(token.content)
            if tag is not None and tag[1].lower() not in _ELEMENTS:
                yield token.content
            elif tag is not None and tag[1].lower() not in _INLINE:
                yield " "


class _Reader(HTMLParser):
    """Collects the text of HTML. What looks like an element and is none stays text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unread: str | None = None

    @property
    def is_read(self) -> bool:
        """Whether what comes next is text that a reader sees."""
        return self._unread is None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._unread is not None:
            return
        if tag in _UNREAD:
            self._unread = tag
        elif tag not in _ELEMENTS:
            self.parts.append(self.get_starttag_text() or "")
        elif tag == "img":
            self.parts.append(next((value for name, value in attrs if name == "alt" and value), ""))
        elif tag not in _INLINE:
            self.parts.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # An element that is closed at once has nothing unread in it.
        if tag not in _UNREAD:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._unread is not None:
            self._unread = None if tag == self._unread else self._unread
        elif tag not in _INLINE:
            self.parts.append("\n" if tag in _ELEMENTS else f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._unread is None:
            self.parts.append(data)


def _read_html(text: str) -> str:
    # Nothing after the last ">" is an element, and looking for its end again and again takes the square of its length.
    end = text.rfind(">") + 1
    if text.count("<", 0, end) > _MOST_ELEMENTS:
        return text
    reader = _Reader()
    try:
        reader.feed(text[:end])
        reader.close()
    except (AssertionError, ValueError, RecursionError):
        # Of a declaration that the parser can't make sense of.
        return text
    return "".join(reader.parts) + (unescape(text[end:]) if reader.is_read else "")


def _adf_parts(document: object) -> Iterator[str]:
    """Texts of a document in their order: without recursion, and bounded, for one that is deep or goes in circles."""
    to_visit: list[tuple[Any, int]] = [(document, 0)]
    nodes = characters = 0
    while to_visit and nodes < _MOST_NODES and characters < MOST_MARKUP_CHARACTERS:
        node, depth = to_visit.pop()
        nodes += 1
        if isinstance(node, str):
            characters += len(node)
            yield node
        elif isinstance(node, list) and depth < _MOST_DEPTH:
            to_visit.extend(
                (each, depth + 1) for each in reversed(node[:_MOST_NODES]) if isinstance(each, Mapping | list)
            )
        elif isinstance(node, Mapping) and depth < _MOST_DEPTH:
            own = _own_text(node)
            characters += len(own)
            yield own
            if node.get("type") not in ("text", "emoji", "mention", "status"):  # of any type, perhaps a list
                yield " "
                to_visit.append((" ", depth))
            if isinstance(node.get("content"), list | Mapping):
                to_visit.append((node["content"], depth + 1))


def _own_text(node: Mapping[str, Any]) -> str:
    """What a node itself says: its text, or that which stands for it."""
    text = node.get("text")
    if isinstance(text, str):
        return text[:MOST_MARKUP_CHARACTERS]
    attributes = node.get("attrs")
    if not isinstance(attributes, Mapping):
        return " " if node.get("type") == "hardBreak" else ""
    for name in ("text", "shortName", "title", "alt"):
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value[:MOST_MARKUP_CHARACTERS]
    url = attributes.get("url")
    return f"{url[:2_000]} " if isinstance(url, str) else ""
