"""Runs a quickstart as a user would: the script as it stands, with another address and key."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.compat.clients import Client, Quickstart
from tools.compat.environments import programs
from tools.compat.outcomes import Outcome
from tools.compat.server import CompatServer
from tools.processes import ambient_environment

TIMEOUT_S = 180
_INTERPRETERS = {".py": "python", ".mjs": "node", ".sh": "bash"}
_LONGEST_REASON = 300
# `openai.NotFoundError: ...` of Python, `NotFoundError: ...` and `Error [code]: ...` of Node, `Error: ...` of programs.
_ERROR = re.compile(r"[\w.]*(?:Error|Exception)(?: \[\w+\])?: ")


def run_quickstart(
    client: Client, quickstart: Quickstart, folder: Path, server: CompatServer, directory: Path
) -> Outcome:
    """Run it in an empty folder below `directory`, with the packages of `folder`."""
    server.provider.reset()
    server.provider.configure(answers=list(quickstart.answers))
    workplace = directory / quickstart.script
    shutil.rmtree(workplace, ignore_errors=True)
    workplace.mkdir(parents=True)
    if client.language == "node":  # it looks for packages beside the script and above
        (workplace / "node_modules").symlink_to(folder / "node_modules")
    path = workplace / quickstart.script
    code = quickstart.code.replace("http://localhost:8080", server.root_url).replace("sl-...", server.stack.api_key)
    path.write_text(code)
    bin_folder = programs(client, folder)
    interpreter = _INTERPRETERS[path.suffix]
    program = str(bin_folder / "python") if interpreter == "python" else shutil.which(interpreter) or interpreter
    env = environment_of_a_run(bin_folder, workplace)
    why = ""
    try:
        done = subprocess.run(
            [program, path.name],
            cwd=workplace,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        why = _failure(done, quickstart)
    except subprocess.TimeoutExpired:
        why = f"not done within {TIMEOUT_S} s"
    return Outcome(
        client=client.name,
        version=client.version,
        surface=quickstart.surface,
        part=quickstart.script,
        verdict="fails" if why else "works",
        why=told(why, server, directory),
    )


def environment_of_a_run(bin_folder: Path, workplace: Path) -> Mapping[str, str]:
    """What a client sees: its own programs, an empty home, and none of this process's secrets or settings."""
    ambient = ambient_environment()
    home = {"HOME": str(workplace), "XDG_CONFIG_HOME": str(workplace), "XDG_CACHE_HOME": str(workplace / "cache")}
    # Many clients tell their makers that they are used, or fetch what is new: nothing is to leave this machine.
    quiet = {
        "DO_NOT_TRACK": "1",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "AIDER_ANALYTICS_DISABLE": "true",
        "NEXT_TELEMETRY_DISABLED": "1",
    }
    return {**ambient, **home, **quiet, "PATH": f"{bin_folder}:{ambient.get('PATH', '')}", "NO_PROXY": "localhost"}


def told(text: str, server: CompatServer, directory: Path) -> str:
    """A failure as the table shows it: without what only this run and this machine have."""
    plain = text.replace(server.root_url, "http://localhost:8080").replace(server.stack.api_key, "sl-...")
    plain = plain.replace(str(directory), ".").replace(str(Path.home()), "~")
    plain = re.sub(r"\breq_\w+", "req_...", plain)
    return " ".join(plain.split())[:_LONGEST_REASON]


def error_in(output: str) -> str:
    """The line of a program's last words that says what was wrong, or nothing."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if _ERROR.match(line)), lines[-1] if lines else "")


def _failure(done: subprocess.CompletedProcess[str], quickstart: Quickstart) -> str:
    """Why a run is none that worked, or nothing."""
    if done.returncode != 0:
        return error_in(done.stderr or done.stdout) or f"ends with {done.returncode} and says nothing"
    missing = [text for text in quickstart.expects if text not in done.stdout]
    return f"does not print {missing[0]!r}" if missing else ""
