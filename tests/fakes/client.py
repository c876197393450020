"""How a test starts a fake provider and talks to its controls."""

import asyncio
import base64
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from tests.fakes.server import FakeServer
from tests.fakes.settings import FakeSettings

type Json = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]


class FakeProviderClient:
    """The controls of a fake provider at `root_url`, wherever it runs."""

    def __init__(self, root_url: str) -> None:
        self.root_url = root_url

    @property
    def groq_url(self) -> str:
        """`base_url` for the Groq SDK, which adds /openai/v1 itself."""
        return self.root_url

    @property
    def openai_url(self) -> str:
        """`base_url` for everything that speaks OpenAI's protocol."""
        return self.root_url + "/v1"

    @property
    def huggingface_url(self) -> str:
        """`base_url` for InferenceClient."""
        return self.root_url + "/hf/v1"

    @property
    def azure_url(self) -> str:
        """`base_url` of a resource of Azure's."""
        return self.root_url + "/azure"

    @property
    def gemini_url(self) -> str:
        """`base_url` for OpenAI's protocol at Gemini."""
        return self.root_url + "/gemini/v1beta/openai"

    @property
    def bedrock_url(self) -> str:
        """An endpoint of Amazon Bedrock's runtime."""
        return self.root_url + "/bedrock"

    @property
    def anthropic_url(self) -> str:
        """`base_url` for Anthropic's Messages API."""
        return self.root_url + "/anthropic/v1"

    def configure(self, **settings: Any) -> Json:
        """Change settings (see FakeSettings); changing limits empties their meters."""
        return self._call("POST", "config", settings)

    def add_fault(self, fault: str, **details: Any) -> None:
        """Let the next request(s) meet a fault (see Fault)."""
        self._call("POST", "faults", {"fault": fault, **details})

    def add_raw(self, body: bytes, **details: Any) -> None:
        """Let the next request be answered with these bytes (see Fault: raw_status, headers, pieces, ends, times)."""
        self.add_fault("raw", body=base64.b64encode(body).decode(), **details)

    def clear_faults(self) -> None:
        """Let the sun shine."""
        self._call("DELETE", "faults")

    def reset(self) -> None:
        """Forget everything, and go back to the settings it was started with."""
        self._call("POST", "reset")

    def state(self, since: int = 0) -> Json:
        """Arrivals (from index `since` on), violations and totals."""
        return self._call("GET", f"state?since={since}")

    def requests(self) -> list[Json]:
        """What was received, oldest first: path, api_key, headers, body (decoded) and raw (text)."""
        found: list[Json] = self._call("GET", "requests")["requests"]
        return found

    def last_body(self) -> Json:
        """The body of the latest request."""
        body: Json = self.requests()[-1]["body"]
        return body

    def _call(self, method: str, what: str, body: Any = None) -> Json:
        request = urllib.request.Request(
            f"{self.root_url}/_fake/{what}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"connection": "close"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                found: Json = json.load(response)
                return found
        except urllib.error.HTTPError as error:
            raise ValueError(f"{method} /_fake/{what}: {error.read().decode()}") from error


class FakeProvider(FakeProviderClient):
    """A fake provider in a thread of this process: `with FakeProvider(answer="yes") as fake: ...`."""

    def __init__(self, **settings: Any) -> None:
        self._server = FakeServer(FakeSettings.model_validate(settings))
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        started: list[int] = []
        is_up = threading.Event()

        async def serve() -> None:
            listener = await self._server.start()
            started.append(listener.sockets[0].getsockname()[1])
            is_up.set()
            await self._stop.wait()
            listener.close()
            await self._server.close_connections()

        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(serve()), name="fake-provider", daemon=True
        )
        self._thread.start()
        if not is_up.wait(10):
            raise RuntimeError("the fake provider did not come up within 10 s")
        super().__init__(f"http://127.0.0.1:{started[0]}")

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class FakeProcess(FakeProviderClient):
    """A fake provider in a process of its own, which dies with the thread that started it."""

    def __init__(self, port: int = 0, **settings: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes", "--port", str(port), "--settings", json.dumps(settings)],
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            text=True,
        )
        if self._process.stdout is None:
            raise RuntimeError("the process was started without a pipe")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the fake provider ended with status {self._process.wait()}")
        super().__init__(json.loads(line)["url"])

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
