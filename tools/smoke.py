"""Smoke test of a deployed stack: `python -m tools.smoke --url URL --key KEY [--admin-key KEY] [--redeploy COMMAND]`.

It asks a real deployment what no local stand-in can answer for: whether streams stream, what the API does with bodies
that are too large, whether limits hold, what a caller that hangs up leaves behind, whether queues invoke what they
should, and whether a changed parameter goes live while a stream is under way. It prints a table and ends with status 1
if something failed.
"""

import argparse
import json
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from tools.smoke_search import SearchFailedError, searched

_TIMEOUT_S = 120.0
# Over what Lambda takes of a request, and under what API Gateway does.
_TOO_LARGE_BYTES = 7 * 1024 * 1024
_LONG_ANSWER = "Count from one to two hundred in words, one to a line."


class Verdict(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """A check, what became of it, and what was seen."""

    check: str
    verdict: Verdict
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is tested. `redeploy` is a command that deploys the stack with another parameter."""

    url: str
    key: str
    model: str = "auto"
    admin_key: str | None = None
    redeploy: str | None = None


class _FailedError(Exception):
    """A check did not find what has to be."""


class _SkippedError(Exception):
    """A check can't be made here."""


def smoke(target: Target) -> list[Finding]:
    """Make all checks, one after the other."""
    with httpx.Client(base_url=f"{target.url.rstrip('/').removesuffix('/v1')}/v1", timeout=_TIMEOUT_S) as client:
        return [_made(check, client, target) for check in _CHECKS]


def _made(check: Callable[[httpx.Client, Target], str], client: httpx.Client, target: Target) -> Finding:
    name = (check.__doc__ or "").rstrip(".")
    try:
        return Finding(name, Verdict.PASSED, check(client, target))
    except _FailedError as error:
        return Finding(name, Verdict.FAILED, str(error))
    except _SkippedError as error:
        return Finding(name, Verdict.SKIPPED, str(error))
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        return Finding(name, Verdict.FAILED, f"{type(error).__name__}: {error}")


def _asked(client: httpx.Client, target: Target, key: str | None = None, **fields: Any) -> httpx.Response:
    body = {"model": target.model, "messages": [_question("Say hello.")], "max_tokens": 8, **fields}
    return client.post("/chat/completions", json=body, headers=_headers(key or target.key))


def _question(text: str) -> dict[str, str]:
    # Nobody has asked just this before.
    return {"role": "user", "content": f"{text} ({secrets.token_hex(4)})"}


def _headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _expect(answer: httpx.Response, status: int, code: str | None = None) -> httpx.Response:
    found = answer.json().get("error", {}).get("code") if answer.status_code >= 400 else None
    if (answer.status_code, found) != (status, code):
        raise _FailedError(
            f"{answer.status_code} {found or ''} where {status} {code or ''} was to be".replace("  ", " ")
        )
    return answer


@contextmanager
def _streamed(client: httpx.Client, target: Target) -> Iterator[httpx.Response]:
    body = {"model": target.model, "messages": [_question(_LONG_ANSWER)], "max_tokens": 200, "stream": True}
    with client.stream("POST", "/chat/completions", json=body, headers=_headers(target.key)) as answer:
        if answer.status_code != 200:
            answer.read()
            _expect(answer, 200)
        yield answer


def _whole(client: httpx.Client, target: Target) -> str:
    """A whole answer."""
    begun_s = time.monotonic()
    answer = _expect(_asked(client, target), 200)
    deployment = answer.headers.get("x-sluice-deployment")
    return f"{time.monotonic() - begun_s:.2f} s, by {deployment}, {answer.headers.get('x-sluice-request-id')}"


def _stream(client: httpx.Client, target: Target) -> str:
    """An answer arrives while it is made."""
    begun_s = time.monotonic()
    with _streamed(client, target) as answer:
        arrived = [(time.monotonic() - begun_s, line) for line in answer.iter_lines() if line.startswith("data:")]
    first_s, last_s = arrived[0][0], arrived[-1][0]
    seen = f"first byte after {first_s:.2f} s of {last_s:.2f} s, {len(arrived)} events"
    if arrived[-1][1] != "data: [DONE]":
        raise _FailedError(f"{seen}; it does not end with [DONE]")
    if len(arrived) > 20 and last_s - first_s < 0.02 * last_s:
        raise _FailedError(f"{seen}: it was kept back and came at once; ResponseStreaming is on?")
    return seen


def _cached(client: httpx.Client, target: Target) -> str:
    """The same question twice is asked once."""
    question = [_question("Name a colour.")]
    first, second = (_expect(_asked(client, target, messages=question, max_tokens=200), 200) for _ in range(2))
    found = [answer.headers.get("x-sluice-cache") for answer in (first, second)]
    if found == ["skipped", "skipped"]:
        raise _SkippedError("the cache is off")
    if found != ["miss", "hit"]:
        raise _FailedError(f"{found[0]}, then {found[1]}")
    return "miss, then hit"


def _too_large(client: httpx.Client, target: Target) -> str:
    """A body that is too large."""
    answer = _asked(client, target, messages=[{"role": "user", "content": "x" * _TOO_LARGE_BYTES}])
    if answer.status_code != 413:
        raise _FailedError(f"{answer.status_code} where 413 was to be")
    return f"413 from {'Sluice' if 'x-sluice-request-id' in answer.headers else 'API Gateway'}"


def _unknown_path(client: httpx.Client, target: Target) -> str:
    """A path that is not there."""
    answer = client.get("/chat/completion", headers=_headers(target.key))
    if answer.status_code not in (403, 404):
        raise _FailedError(f"{answer.status_code} where 404 was to be")
    return f"{answer.status_code}: {answer.text[:80]}"


def _no_key(client: httpx.Client, target: Target) -> str:
    """A key that nobody has."""
    _expect(_asked(client, target, key="sl-nobody-" + "x" * 43), 401, "invalid_api_key")
    return "401 invalid_api_key"


def _limited(client: httpx.Client, target: Target) -> str:
    """A limit of two requests a minute."""
    if target.admin_key is None:
        raise _SkippedError("takes --admin-key, to make a tenant and a key")
    admin, tenant = _headers(target.admin_key), f"smoke-{secrets.token_hex(4)}"
    _expect(client.post("/tenants", json={"id": tenant, "name": "Smoke test"}, headers=admin), 201)
    try:
        new = {"tenant": tenant, "name": "smoke", "limits": {"requests_per_minute": 2}}
        key = _expect(client.post("/keys", json=new, headers=admin), 201).json()["api_key"]
        answers = [_asked(client, target, key=key) for _ in range(4)]
        statuses = [answer.status_code for answer in answers]
        if statuses != [200, 200, 429, 429]:
            raise _FailedError(f"{statuses} where two were to be answered")
        return f"two answered, then 429 with retry-after {answers[-1].headers.get('retry-after')}"
    finally:
        client.delete(f"/tenants/{tenant}", headers=admin)


def _hang_up(client: httpx.Client, target: Target) -> str:
    """A caller that hangs up leaves the next one served."""
    with _streamed(client, target) as answer:
        next(answer.iter_lines())
    begun_s = time.monotonic()
    _expect(_asked(client, target), 200)
    return f"the next answer came after {time.monotonic() - begun_s:.2f} s; Lambda goes on with what was hung up on"


def _batch(client: httpx.Client, target: Target) -> str:
    """A batch is answered by what its queues invoke."""
    asked = [
        {
            "custom_id": f"q{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": target.model, "messages": [_question(f"Say the number {number}.")], "max_tokens": 8},
        }
        for number in range(2)
    ]
    content = "".join(json.dumps(each) + "\n" for each in asked)
    files, fields = {"file": ("smoke.jsonl", content)}, {"purpose": "batch"}
    sent = client.post("/files", headers=_headers(target.key), files=files, data=fields)
    uploaded = _expect(sent, 200).json()
    wanted = {"input_file_id": uploaded["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    begun_s = time.monotonic()
    batch = _expect(client.post("/batches", headers=_headers(target.key), json=wanted), 200).json()
    while batch["status"] not in {"completed", "failed", "expired", "cancelled"}:
        if time.monotonic() - begun_s > _TIMEOUT_S:
            raise _FailedError(f"after {_TIMEOUT_S:.0f} s the batch is still {batch['status']}")
        time.sleep(2)
        batch = _expect(client.get(f"/batches/{batch['id']}", headers=_headers(target.key)), 200).json()
    counts = batch["request_counts"]
    if batch["status"] != "completed" or counts["completed"] != len(asked):
        raise _FailedError(f"the batch is {batch['status']}, with {counts['completed']} of {len(asked)} lines answered")
    return f"{len(asked)} lines, {time.monotonic() - begun_s:.1f} s after it was made"


def _searched(client: httpx.Client, target: Target) -> str:
    """A file that is attached to a vector store is found by a search."""
    try:
        return searched(client, target.key)
    except SearchFailedError as error:
        if error.can_be:
            raise _FailedError(str(error)) from error
        raise _SkippedError("takes a model that makes embeddings, as LocalEmbeddings gives one") from error


def _redeployed(client: httpx.Client, target: Target) -> str:
    """A changed parameter goes live while a stream is under way."""
    if target.redeploy is None:
        raise _SkippedError("takes --redeploy, a command that deploys it with another CallerRequestsPerMinute")
    before = _limit(_expect(_asked(client, target), 200).headers)
    with subprocess.Popen(
        shlex.split(target.redeploy), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as deploying:
        streams = 0
        while deploying.poll() is None:
            with _streamed(client, target) as answer:
                lines = [line for line in answer.iter_lines() if line]
            if lines[-1] != "data: [DONE]":
                deploying.wait()
                raise _FailedError(f"a stream ended with {lines[-1][:80]}")
            streams += 1
    if deploying.returncode:
        raise _FailedError(f"the command ended with status {deploying.returncode}")
    after = _limit(_expect(_asked(client, target), 200).headers)
    if before == after:
        raise _FailedError(f"the limit was {before} and still is")
    return f"limit {before}, then {after}; {streams} streams in the meantime were whole"


def _limit(headers: Mapping[str, str]) -> str:
    return headers.get("x-ratelimit-limit-requests", "none")


_CHECKS = (
    _whole,
    _stream,
    _cached,
    _too_large,
    _unknown_path,
    _no_key,
    _limited,
    _hang_up,
    _batch,
    _searched,
    _redeployed,
)


def table(findings: list[Finding]) -> str:
    """The findings, as a table in Markdown."""
    rows = [f"| {each.check} | {each.verdict} | {each.seen.replace('|', '/')} |" for each in findings]
    return "\n".join(["| check | | seen |", "| --- | --- | --- |", *rows])


def main() -> None:
    """Check, print, and end with 1 if something failed."""
    parser = argparse.ArgumentParser(prog="make smoke", description=__doc__)
    parser.add_argument("--url", required=True, help="the API, as `make deploy` prints it")
    parser.add_argument("--key", required=True, help="an API key of a caller")
    parser.add_argument("--model", default="auto", help="what is asked")
    parser.add_argument("--admin-key", help="an admin's key, to make a tenant with a small limit, and delete it")
    parser.add_argument("--redeploy", help="a command that deploys the stack with another CallerRequestsPerMinute")
    arguments = parser.parse_args()
    findings = smoke(Target(**vars(arguments)))
    print(table(findings))
    sys.exit(any(each.verdict is Verdict.FAILED for each in findings))


if __name__ == "__main__":
    main()
