"""Runs every task on the running local stack, with its examples: `python -m tools.try_tasks [task ...]`.

It says how long each took and what its quality is, and ends with status 1 if one was not answered. Of what the examples
say that a good answer contains, it says how much is there: a small model says little of it.
"""

import json
import sys
import time
import urllib.parse
from collections.abc import Iterator

import httpx

from sluice.catalog.reader import SHARED
from sluice.tasks.quality import coverage
from sluice.tasks.task import Task, read_task
from tools import deployment
from tools.stack import Stack

# A route that asks a model takes at most 120 s.
_TIMEOUT_S = 150.0


def main() -> None:
    """Run the tasks named, or all."""
    stack_file = deployment.LOCAL / "stack.json"
    if not stack_file.exists():
        sys.exit("the local stack is not running: start it with `make run` first")
    stack = Stack(**json.loads(stack_file.read_text()))
    tasks = [read_task(path) for path in sorted((SHARED / "tasks").glob("*.toml"))]
    wanted = sys.argv[1:] or [task.name for task in tasks]
    if unknown := set(wanted) - {task.name for task in tasks}:
        sys.exit(f"there is no task {', '.join(sorted(unknown))} in shared/tasks")
    headers = {"authorization": f"Bearer {stack.api_key}", "cache-control": "no-cache"}
    with httpx.Client(base_url=stack.base_url, headers=headers, timeout=_TIMEOUT_S) as client:
        answered = [ok for task in tasks if task.name in wanted for ok in _try(client, task)]
    print(f"{sum(answered)} of {len(answered)} were answered")
    sys.exit(0 if all(answered) else 1)


def _try(client: httpx.Client, task: Task) -> Iterator[bool]:
    for number, example in enumerate(task.file.examples, start=1):
        started_s = time.monotonic()
        answer = client.post(f"/tasks/{urllib.parse.quote(task.name)}", json={"inputs": example.inputs})
        took_s = time.monotonic() - started_s
        print(f"{task.name:28} {number} {answer.status_code} {took_s:5.1f} s  {_outcome(answer, example.contains)}")
        yield answer.is_success


def _outcome(answer: httpx.Response, contains: list[str]) -> str:
    if not answer.is_success:
        return answer.text
    body = answer.json()
    tokens, score = body["usage"]["completion_tokens"], body["quality"]["score"]
    output = body["output"] if isinstance(body["output"], str) else json.dumps(body["output"], ensure_ascii=False)
    return f"{tokens:5} tokens, quality {score:.2f}, {coverage(output, contains):4.0%} of what is expected"


if __name__ == "__main__":
    main()
