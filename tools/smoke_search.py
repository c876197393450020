"""How long a search of a vector store takes where it is deployed, for `make smoke`: no local stand-in can say that."""

import secrets
import statistics
import time
from typing import Any

import httpx

_TIMEOUT_S = 120.0
_SEARCHES = 5
_PARAGRAPHS = 40


class SearchFailedError(Exception):
    """A store was not made, filled or searched. `can_be`: with another stack it could be."""

    def __init__(self, reason: str, *, can_be: bool = True) -> None:
        super().__init__(reason)
        self.can_be = can_be


def searched(client: httpx.Client, key: str) -> str:
    """Make a store, fill it, search it some times, delete it. Returns what was seen. Raises SearchFailedError."""
    headers = {"authorization": f"Bearer {key}"}

    def ask(method: str, path: str, **sent: Any) -> Any:
        answer = client.request(method, path, headers=headers, **sent)
        if answer.is_success:
            return answer.json()
        error = answer.json().get("error", {})
        is_without_model = error.get("param") == "embedding_model"
        raise SearchFailedError(f"{method} {path} is answered {answer.status_code}", can_be=not is_without_model)

    store = ask("POST", "/vector_stores", json={"name": "smoke"})["id"]
    file = None
    try:
        # One of them is about what is asked.
        about = secrets.token_hex(4)
        texts = [f"Paragraph {number} says nothing of it." for number in range(_PARAGRAPHS)]
        content = "\n\n".join([*texts, f"The printer {about} is in the cellar."])
        upload = {"files": {"file": ("smoke.md", content.encode())}, "data": {"purpose": "user_data"}}
        file = ask("POST", "/files", **upload)["id"]
        begun_s = time.monotonic()
        attached = ask("POST", f"/vector_stores/{store}/files", json={"file_id": file})
        while attached["status"] == "in_progress":
            if time.monotonic() - begun_s > _TIMEOUT_S:
                raise SearchFailedError(f"after {_TIMEOUT_S:.0f} s the file is still being read")
            time.sleep(1)
            attached = ask("GET", f"/vector_stores/{store}/files/{file}")
        if attached["status"] != "completed":
            raise SearchFailedError(f"the file is {attached['status']}: {attached['last_error']}")
        read_s, times_s = time.monotonic() - begun_s, []
        for _ in range(_SEARCHES):
            asked_s = time.monotonic()
            found = ask("POST", f"/vector_stores/{store}/search", json={"query": f"Where is the printer {about}?"})
            times_s.append(time.monotonic() - asked_s)
            if not any(about in part["text"] for each in found["data"] for part in each["content"]):
                raise SearchFailedError("a search did not find what was read")
        return (
            f"read after {read_s:.1f} s; {_SEARCHES} searches took {1000 * statistics.median(times_s):.0f} ms in the "
            f"median, {1000 * max(times_s):.0f} at most; {attached['usage_bytes']} bytes kept"
        )
    finally:
        ask("DELETE", f"/vector_stores/{store}")
        if file is not None:
            ask("DELETE", f"/files/{file}")
