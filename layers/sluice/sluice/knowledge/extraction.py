"""Texts of files, by the libraries that know their formats. Run as a process of its own: `extracting` says why.

What this imports, only the function that works on stores has.
"""

import csv
import io
import json
import re
import sys
import zipfile
from collections.abc import Callable, Mapping

MOST_PAGES = 5_000
_MOST_UNPACKED_BYTES = 200 * 1024 * 1024
_MOST_CELLS_BYTES = 10 * 1024 * 1024
_LEFT_OUT = {"script", "style", "template", "noscript", "head", "svg", "iframe", "object"}
# Elements that begin a line.
_LINES = frozenset(
    {"address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset", "figcaption", "figure"}
    | {"footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre"}
    | {"section", "table", "td", "th", "tr", "ul"}
)
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")
_GAPS = re.compile(r"\n\s*\n+")


class FileError(Exception):
    """Why a file has no text that can be had; `code` is one of OpenAI's for a file of a vector store."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def extract(name: str, content: bytes) -> str:
    """The text of a file, by the ending of its name. Raises FileError."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    reader = _READERS.get(ending, _plain)
    text = reader(content)
    if not text.strip():
        raise FileError("invalid_file", "The file has no text: pages that were scanned have to be recognised first.")
    return text


def is_light(name: str) -> bool:
    """Whether the text of a file is had without a library, in time that goes with its size."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    return ending not in {"pdf", "docx", "html", "htm", "md", "markdown"}


def _plain(content: bytes) -> str:
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            return content.decode("utf-16")
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(
            "unsupported_file",
            "The file is no text in UTF-8, and its name ends with none of .md, .html, .json, .csv, .pdf and .docx.",
        ) from None
    if "\0" in text:
        raise FileError("unsupported_file", "The file is binary, and of no format that is read.")
    return text


def _json(content: bytes) -> str:
    try:
        return json.dumps(json.loads(_plain(content)), ensure_ascii=False, indent=1)
    except (ValueError, RecursionError):
        raise FileError(
            "invalid_file", "The file's name ends with .json, and it is no JSON that can be read."
        ) from None


def _csv(content: bytes) -> str:
    csv.field_size_limit(_MOST_CELLS_BYTES)
    try:
        rows = list(csv.reader(io.StringIO(_plain(content), newline="")))
    except csv.Error as error:
        raise FileError("invalid_file", f"The file's name ends with .csv, and it is no table: {error}.") from None
    if len(rows) < 2:  # without a row below it, a heading heads nothing
        return _plain(content)
    heads = rows[0]
    lines = []
    for row in rows[1:]:
        cells = [f"{heads[place]}: {cell}" if place < len(heads) else cell for place, cell in enumerate(row) if cell]
        lines.append(" | ".join(cells))
    return "\n".join(lines)


def _markdown(content: bytes) -> str:
    from markdown_it import MarkdownIt

    lines: list[str] = []
    for token in MarkdownIt("commonmark").enable("table").parse(_plain(content)):
        if token.type == "inline":
            parts = [" " if "break" in child.type else child.content for child in token.children or []]
            lines.append("".join(parts))
        elif token.content:
            lines.append(_html(token.content.encode()) if token.type == "html_block" else token.content)
        elif token.type.endswith("_close") and token.level == 0:
            lines.append("")
    return _GAPS.sub("\n\n", "\n".join(lines)).strip()


def _html(content: bytes) -> str:
    from lxml import etree, html  # type: ignore[import-untyped]  # lxml has no types

    if not content.strip():
        return ""
    try:
        parser = html.HTMLParser(
            encoding=None if b"charset" in content[:4_096].lower() else "utf-8", remove_comments=True
        )
        tree = html.document_fromstring(content, parser=parser)
    except (etree.LxmlError, ValueError, AssertionError):
        return ""
    parts: list[str] = []
    left_out = 0  # how many elements around this place are
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        tag = element.tag if isinstance(element.tag, str) else ""
        if event == "start":
            if tag in _LINES:
                parts.append("\n")
            left_out += tag in _LEFT_OUT
            if element.text and not left_out:
                parts.append(_SPACES.sub(" ", element.text))
            continue
        if tag in _LINES:
            parts.append("\n")
        left_out -= tag in _LEFT_OUT
        if element.tail and element.getparent() is not None and not left_out:
            parts.append(_SPACES.sub(" ", element.tail))
    return _GAPS.sub("\n\n", "".join(parts)).strip()


def _pdf(content: bytes) -> str:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    # Whatever a broken file makes of the reader is the file's fault, and the process is its own.
    broken = (PyPdfError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, ArithmeticError)
    try:
        reader = PdfReader(io.BytesIO(content))
        is_locked = reader.is_encrypted and not reader.decrypt("")
        pages = 0 if is_locked else len(reader.pages)
        text = "\n\n".join(page.extract_text() for page in reader.pages) if 0 < pages <= MOST_PAGES else ""
    except broken as error:
        raise FileError("invalid_file", f"The file is no PDF that can be read: {type(error).__name__}.") from None
    if is_locked:
        raise FileError("invalid_file", "The PDF has a password.")
    if pages > MOST_PAGES:
        raise FileError("invalid_file", f"The PDF has {pages} pages; at most {MOST_PAGES} are read.")
    return text


def _docx(content: bytes) -> str:
    from docx import Document
    from docx.opc.exceptions import OpcError
    from docx.table import Table
    from lxml import etree

    broken = (
        zipfile.BadZipFile,
        etree.LxmlError,
        OpcError,
        ValueError,
        KeyError,
        AttributeError,
        OSError,
        RecursionError,
    )
    lines: list[str] = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
        blocks = Document(io.BytesIO(content)).iter_inner_content() if unpacked <= _MOST_UNPACKED_BYTES else ()
        for block in blocks:
            if isinstance(block, Table):
                lines += [" | ".join(cell.text for cell in row.cells) for row in block.rows]
            else:
                lines.append(block.text)
    except broken as error:
        raise FileError("invalid_file", f"The file is no DOCX that can be read: {type(error).__name__}.") from None
    if unpacked > _MOST_UNPACKED_BYTES:
        raise FileError(
            "invalid_file", f"The file unpacks to {unpacked} bytes; at most {_MOST_UNPACKED_BYTES} are read."
        )
    return "\n".join(lines)


_READERS: Mapping[str, Callable[[bytes], str]] = {
    "pdf": _pdf,
    "docx": _docx,
    "html": _html,
    "htm": _html,
    "md": _markdown,
    "markdown": _markdown,
    "json": _json,
    "csv": _csv,
}


def main() -> None:
    """Read a file from the standard input, its name being the argument; write its text, or what is wrong, as JSON."""
    try:
        answer: dict[str, str] = {"text": extract(sys.argv[1], sys.stdin.buffer.read())}
    except FileError as fault:
        answer = {"code": fault.code, "message": fault.message}
    except MemoryError:
        answer = {"code": "invalid_file", "message": "Reading the file takes too much memory."}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
