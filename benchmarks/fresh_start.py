"""The program of a fresh interpreter: loads what it is told to and says how long that took, as JSON on the last line.

`floor` makes a DynamoDB client and nothing else; `function` imports app.py from the path, as Lambda does, and answers
the event on standard input, if there is one; `server` loads what run.sh would serve it with as well. What this program
imports itself stays out of what it measures.
"""

import importlib
import sys
import time
from types import ModuleType


class Context:
    """What Lambda says of an invocation, as far as it is asked for here."""

    function_name = "bench"
    function_version = "1"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:bench"
    memory_limit_in_mb = 1024
    aws_request_id = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """Time enough."""
        return 30_000


def load(what: str) -> ModuleType:
    """The module of the function; of the floor boto3, which has made a client."""
    if what == "floor":
        boto3 = importlib.import_module("boto3")
        boto3.client("dynamodb")
        return boto3
    if what == "server":
        uvicorn = importlib.import_module("uvicorn")
        uvicorn.Config("app:asgi_app", factory=True, loop="asyncio", http="h11", ws="none").load()
    return importlib.import_module("app")  # found where the path leads: there is one per function


def main() -> None:
    """Load, answer, and print how long either took, in seconds of the wall clock and of CPU."""
    begin = time.perf_counter(), time.process_time()
    loaded_module = load(sys.argv[1])
    loaded = time.perf_counter(), time.process_time()
    # No sooner: what is loaded may need it as well, and pays for it.
    import json

    status = None
    asked = time.perf_counter(), time.process_time()
    if event := json.loads(sys.stdin.read() or "null"):
        status = loaded_module.handler(event, Context())["statusCode"]
    answered = time.perf_counter(), time.process_time()
    measured = {
        "load_s": loaded[0] - begin[0],
        "load_cpu_s": loaded[1] - begin[1],
        "answer_s": answered[0] - asked[0],
        "answer_cpu_s": answered[1] - asked[1],
        "status": status,
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
