"""The program of a fresh interpreter: loads what it is told to and says how long that took, as JSON on the last line.

`floor` makes a DynamoDB client and nothing else; `function` imports app.py from the path, as Lambda does, and answers
the event on standard input, if there is one.
"""

import time

begin_s, begin_cpu_s = time.perf_counter(), time.process_time()

import sys  # noqa: E402  the clock comes first

if sys.argv[1] == "floor":
    import boto3

    boto3.client("dynamodb")
else:
    import app  # type: ignore[import-not-found]  # it is found where the path leads: one per function

loaded_s, loaded_cpu_s = time.perf_counter(), time.process_time()

import json  # noqa: E402  not a part of what is loaded


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


status = None
asked_s, asked_cpu_s = time.perf_counter(), time.process_time()
if event := json.loads(sys.stdin.read() or "null"):
    status = app.handler(event, Context())["statusCode"]
answered_s, answered_cpu_s = time.perf_counter(), time.process_time()

print(
    json.dumps(
        {
            "load_s": loaded_s - begin_s,
            "load_cpu_s": loaded_cpu_s - begin_cpu_s,
            "answer_s": answered_s - asked_s,
            "answer_cpu_s": answered_cpu_s - asked_cpu_s,
            "status": status,
        }
    )
)
