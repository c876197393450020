"""Pages for people, from files: the console and the description of the API.

It takes the standard library alone, so that a function which serves pages starts in no time. A file is found by its
name in what was read at the start: no path of a request ever reaches the file system.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from sluice.loading.dataclass import dataclass

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but files of our own is loaded or run, and no page of others has ours in a frame."""

_SAFE = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    "": "text/plain; charset=utf-8",
}
_DIGITS = 16
# Where the root leads, relative to it: a stage has its name before its paths.
_START = "console"
# In a page, what stands before a file's name; in a path, what follows it says of which version the file is.
_VERSION = "~version"
_FOR_A_YEAR = "public, max-age=31536000, immutable"
# A page is asked for again each time, and answered with 304 if it has not changed.
_ASK_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True, slots=True)
class _File:
    text: str
    media_type: str
    etag: str


class Site:
    """The files below a folder, read once. Files whose names end in .html are the pages, by their names without it.

    A page names its files as `console/~version/app.js`. What stands in place of `~version` changes with any file, so
    that browsers keep files for a year, and never use those of two versions together.
    """

    def __init__(self, folder: Path, files_below: str) -> None:
        """Read all files of `folder`, which are served below the path `files_below`."""
        texts = {
            path.relative_to(folder).as_posix(): path.read_text()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        digest = hashlib.sha256()
        for name, text in texts.items():
            digest.update(f"{name}\0{text}\0".encode())
        self.version = "~" + digest.hexdigest()[:_DIGITS]
        self._below = files_below.rstrip("/") + "/"
        self._files = {name: self._file(name, text) for name, text in texts.items() if not name.endswith(".html")}
        self._pages = {
            "/" + name.removesuffix(".html"): self._file(name, text.replace(_VERSION, self.version))
            for name, text in texts.items()
            if name.endswith(".html")
        }

    def answer(self, path: str, headers: Mapping[str, str]) -> Page:
        """What is answered to GET of a path, as it was sent, with these headers, whose names are in lower case."""
        if path in {"", "/"}:
            return Page(302, {"location": _START, "cache-control": _ASK_AGAIN})
        if path in self._pages:
            return _shown(self._pages[path], _ASK_AGAIN, headers)
        if path.rstrip("/") in self._pages:
            # What a page names is relative to its path without a slash.
            return Page(302, {"location": f"..{path.rstrip('/')}", "cache-control": _ASK_AGAIN})
        version, _, name = path.removeprefix(self._below).partition("/")
        if path.startswith(self._below) and name in self._files:
            # A page of another version may still ask for what it had not loaded: it gets ours, and does not keep it.
            kept = _FOR_A_YEAR if version == self.version else "no-store"
            return _shown(self._files[name], kept, headers)
        return _not_found()

    @staticmethod
    def _file(name: str, text: str) -> _File:
        etag = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
        return _File(text, _TYPES.get(Path(name).suffix, _TYPES[""]), f'"{etag}"')


def rest_answer(site: Site, event: Mapping[str, Any]) -> dict[str, Any]:
    """The site's answer to an event of API Gateway's REST API, in the form that it takes."""
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    page = site.answer(str(event.get("path") or "/"), headers)
    said = {**_SAFE, **page.headers}
    # As the browser sees it, with the name of the stage. It is what a relative address is taken from.
    shown = str((event.get("requestContext") or {}).get("path") or "/")
    if said.get("location") == _START and not shown.endswith("/"):
        said["location"] = f"{shown.rpartition('/')[2]}/{_START}"
    return {
        "statusCode": page.status,
        "multiValueHeaders": {name: [value] for name, value in said.items()},
        "body": "" if event.get("httpMethod") == "HEAD" else page.text,
        "isBase64Encoded": False,
    }


def _shown(file: _File, kept: str, headers: Mapping[str, str]) -> Page:
    said = {"content-type": file.media_type, "cache-control": kept, "etag": file.etag}
    known = {each.strip().removeprefix("W/") for each in headers.get("if-none-match", "").split(",")}
    return Page(304, said) if file.etag in known else Page(200, said, file.text)


def _not_found() -> Page:
    error = {"message": "There is no such page.", "type": "invalid_request_error", "param": None, "code": "not_found"}
    said = {"content-type": "application/json", "cache-control": "no-store"}
    return Page(404, said, json.dumps({"error": error}))
