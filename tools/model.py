"""The local model: small and often wrong, but real, and it needs no key."""

import os
from pathlib import Path

from tools.processes import ROOT, ChildProcess, free_port, is_listening

PYTHON = ROOT / ".tools" / "model" / "bin" / "python"
ALIAS = "smollm2-135m-instruct"
"""What the model is called: as in shared/models.toml."""
_START_TIMEOUT_S = 120.0


class LocalModel(ChildProcess):
    """SmolLM2-135M-Instruct behind OpenAI's protocol on a loopback port."""

    def __init__(self, directory: Path) -> None:
        """Start it; `directory` takes its log. Raises FileNotFoundError if it is not installed."""
        if not PYTHON.exists():
            raise FileNotFoundError(f"{PYTHON.relative_to(ROOT)} is missing: `make tools` installs it")
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        command: list[str | Path] = [PYTHON, Path(__file__).parent / "serve_model.py", str(self.port), ALIAS]
        super().__init__("The local model", command, os.environ, directory / "model.log")

    def wait_until_ready(self) -> None:
        """Wait until it answers; raises ProcessFailedError if it does not start."""
        self.wait_until(lambda: is_listening(self.port), _START_TIMEOUT_S)
