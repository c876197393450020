"""An HTTP client that waits for limits of rates, and for servers that fail."""

import random
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
# What GitHub asks for where a secondary limit says nothing of time.
_SECONDARY_PAUSE_S = 60.0
_MOST_FAILURES = 12
_SERVER_ERRORS = 500


class PatientClient:
    """Asks an API, and waits where it says so. `pause` waits for seconds; `say` is told why. `now` is the time."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        pause: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = print,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._pause = pause
        self._say = say
        self._now = now

    def send(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request until it is answered by something else than a limit or a failing server.

        Ends the program if that does not happen.
        """
        failures = 0
        while True:
            try:
                answer = self._client.request(method, url, **options)
            except httpx.TransportError as error:
                reason, wait_s = type(error).__name__, None
            else:
                wait_s = self._wait_s(answer)
                if wait_s is None and answer.status_code < _SERVER_ERRORS:
                    return answer
                reason = f"status {answer.status_code}"
            failures += 1
            if failures > _MOST_FAILURES:
                sys.exit(f"{httpx.URL(url).host} fails again and again ({reason}); the same command goes on from here")
            # Doubling, so that a limit that is not lifted is not run into for ever.
            grown_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (failures - 1)) * random.uniform(0.8, 1.2)  # noqa: S311
            waited_s = max(grown_s, wait_s or 0)
            self._say(f"{reason}: waiting {waited_s:.0f} s")
            self._pause(waited_s)

    def _wait_s(self, answer: httpx.Response) -> float | None:
        """How long an answer asks to wait, if it does."""
        given = _seconds(answer.headers.get("retry-after"))
        is_limit = answer.status_code == httpx.codes.TOO_MANY_REQUESTS
        if answer.status_code == httpx.codes.FORBIDDEN:
            is_limit = given is not None or answer.headers.get("x-ratelimit-remaining") == "0"
            is_limit = is_limit or "secondary rate limit" in answer.text.lower()
        if not is_limit:
            return given if answer.status_code >= _SERVER_ERRORS else None
        if given is not None:
            return given
        reset_s = _seconds(answer.headers.get("x-ratelimit-reset"))
        if answer.headers.get("x-ratelimit-remaining") == "0" and reset_s is not None:
            return max(1.0, reset_s - self._now() + 1)
        return _SECONDARY_PAUSE_S


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
