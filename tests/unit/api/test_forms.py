"""Forms with files."""

from typing import Any

import pytest

from sluice.api.files import NewFileForm
from sluice.api.form import parse_form
from sluice.errors import InvalidRequestError

TYPE = "multipart/form-data; boundary=b"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


GOOD = part("purpose", b"batch") + part("file", b"\x00\r\n--c\xff", "a.jsonl") + b"--b--\r\n"


def parsed(raw: bytes, content_type: str = TYPE) -> Any:
    return parse_form(raw, content_type, NewFileForm)


def test_a_file_comes_byte_by_byte() -> None:
    form = parsed(GOOD)
    assert form.purpose == "batch"
    assert form.file.filename == "a.jsonl"
    assert form.file.content == b"\x00\r\n--c\xff"


def test_nested_fields_are_read_as_openai_s_clients_write_them() -> None:
    nested = part("expires_after[anchor]", b"created_at") + part("expires_after[seconds]", b"3600")
    assert parsed(nested + GOOD).expires_after.seconds == 3600


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (GOOD, "application/json"),
        (GOOD, "multipart/form-data"),
        (GOOD, ""),
        (GOOD, "multipart/form-data; boundary=other"),
        (b"", TYPE),
        (b"--b--\r\n", TYPE),
        (GOOD[:-20], TYPE),
        (part("file", b"x", "a") + b"--b--\r\n", TYPE),
        (part("purpose", b"batch") + b"--b--\r\n", TYPE),
        (part("purpose", b"fine-tune") + GOOD[len(part("purpose", b"batch")) :], TYPE),
        (part("more", b"x") + GOOD, TYPE),
        (part("file", b"no file") + part("purpose", b"batch") + b"--b--\r\n", TYPE),
        (part("purpose", b"x" * 5_000) + GOOD, TYPE),
        (b"".join(part(f"p{number}", b"") for number in range(40)) + GOOD, TYPE),
        (part("purpose[a]", b"x") + part("purpose[a][b]", b"x") + GOOD, TYPE),
    ],
)
def test_what_is_no_such_form_is_refused(raw: bytes, content_type: str) -> None:
    with pytest.raises(InvalidRequestError):
        parsed(raw, content_type)
