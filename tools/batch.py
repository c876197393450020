"""Batches from a terminal: `python -m tools.batch submit FILE | watch ID | download ID | cancel ID`.

Speaks to the stack of `make run`, or to that of SLUICE_URL (https://.../v1) with SLUICE_API_KEY. `submit` uploads a
file of requests, makes a batch of it and prints its id; with `--watch` it goes on as `watch`, which shows how far a
batch is until it has ended, and can be ended and begun again at any time. `download` writes its answers and errors.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openai
from openai.types import Batch

from tools.deployment import LOCAL

_PART_BYTES = 4_000_000
_ONE_REQUEST_BYTES = 4_000_000
_ENDED = {"completed", "failed", "expired", "cancelled"}
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 15.0
_WIDTH = 40


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    options = _options(arguments)
    try:
        client = _client()
        match options.command:
            case "submit":
                batch = submit(client, options.file, endpoint=options.endpoint, priority=options.priority)
                print(batch.id, flush=True)
                if options.watch:
                    _end(watch(client, batch.id, _show))
            case "watch":
                _end(watch(client, options.batch, _show))
            case "download":
                for path in download(client, options.batch, options.to):
                    print(path)
            case _:
                print(client.batches.cancel(options.batch).status)
    except openai.APIStatusError as error:
        sys.exit(f"{error.status_code}: {_message(error)}")
    except openai.APIConnectionError as error:
        sys.exit(f"nobody answers: {error}")
    except KeyboardInterrupt:
        sys.exit("\nthe batch goes on; watch it again with `python -m tools.batch watch ID`")


def submit(client: openai.OpenAI, path: Path, *, endpoint: str, priority: str = "normal") -> Batch:
    """Upload a file of requests and make a batch of it."""
    size = path.stat().st_size
    if size <= _ONE_REQUEST_BYTES:
        file_id = client.files.create(file=path, purpose="batch").id
    else:
        upload = client.uploads.upload_file_chunked(
            file=path, mime_type="application/jsonl", purpose="batch", part_size=_PART_BYTES
        )
        if upload.file is None:
            raise RuntimeError("a complete upload has a file")
        file_id = upload.file.id
    made: Any = client.batches.create  # its type knows OpenAI's own endpoints only
    batch: Batch = made(
        input_file_id=file_id, endpoint=endpoint, completion_window="24h", extra_body={"priority": priority}
    )
    return batch


def watch(
    client: openai.OpenAI, batch_id: str, show: Callable[[Batch], None], *, pause: Callable[[float], None] = time.sleep
) -> Batch:
    """Show how far a batch is until it has ended, less often the longer that takes."""
    pause_s = _FIRST_PAUSE_S
    while True:
        batch = client.batches.retrieve(batch_id)
        show(batch)
        if batch.status in _ENDED:
            return batch
        pause(pause_s)
        pause_s = min(_LONGEST_PAUSE_S, 1.2 * pause_s)


def download(client: openai.OpenAI, batch_id: str, folder: Path) -> list[Path]:
    """Write a batch's answers and errors into a folder, as far as there are any. Returns the files."""
    batch = client.batches.retrieve(batch_id)
    written = []
    for file_id, kind in ((batch.output_file_id, "output"), (batch.error_file_id, "errors")):
        if file_id is None:
            continue
        path = folder / f"{batch_id}_{kind}.jsonl"
        partial = path.with_suffix(".partial")
        with client.files.with_streaming_response.content(file_id) as answer:
            answer.stream_to_file(partial)
        partial.replace(path)
        written.append(path)
    return written


def bar(batch: Batch) -> str:
    """How far a batch is, in a line."""
    counts = batch.request_counts
    total, completed, failed = (counts.total, counts.completed, counts.failed) if counts else (0, 0, 0)
    done = (completed + failed) * _WIDTH // total if total else 0
    return f"{batch.status:<11} [{'#' * done}{'.' * (_WIDTH - done)}] {completed} of {total}, {failed} failed"


def _show(batch: Batch) -> None:
    end = "\r" if sys.stdout.isatty() and batch.status not in _ENDED else "\n"
    print(f"{bar(batch)}   ", end=end, flush=True)


def _end(batch: Batch) -> None:
    for fault in (batch.errors.data or []) if batch.errors else []:
        print(f"line {fault.line}: {fault.message}" if fault.line else fault.message)
    if batch.status != "completed":
        sys.exit(1)


def _client() -> openai.OpenAI:
    url, key = os.environ.get("SLUICE_URL"), os.environ.get("SLUICE_API_KEY")
    if url and key:
        return openai.OpenAI(base_url=url, api_key=key)
    stack = LOCAL / "stack.json"
    if url or key or not stack.exists():
        sys.exit("start `make run` first, or set both SLUICE_URL and SLUICE_API_KEY")
    found = json.loads(stack.read_text())
    return openai.OpenAI(base_url=found["base_url"], api_key=found["api_key"])


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    return str(body.get("message", error.message)) if isinstance(body, dict) else error.message


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.batch", description="Batches of a running Sluice.")
    commands = parser.add_subparsers(dest="command", required=True)
    submitting = commands.add_parser("submit", help="upload a file of requests and have them answered")
    submitting.add_argument("file", type=_file)
    submitting.add_argument("--endpoint", default="/v1/chat/completions", help="what each line asks")
    submitting.add_argument("--priority", choices=["low", "normal", "high"], default="normal")
    submitting.add_argument("--watch", action="store_true", help="show how far it is until it has ended")
    for name, words in (("watch", "show how far a batch is"), ("download", "write its answers"), ("cancel", "end it")):
        command = commands.add_parser(name, help=words)
        command.add_argument("batch")
        if name == "download":
            command.add_argument("--to", type=Path, default=Path(), help="a folder; this one unless it is said")
    return parser.parse_args(arguments)


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


if __name__ == "__main__":
    main()
