"""How Sluice compares with another gateway that speaks OpenAI's protocol, on the same fake provider, both as servers.

`--vs URL` names the other, `--vs-key` its API key. It is to serve the model `bench-compatible` from the fake provider,
which listens on 127.0.0.1 at `--provider-port`, under /v1, and takes any key.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from benchmarks.markdown import table
from benchmarks.process_cpu import cpu_s, listener_of
from benchmarks.samples import milliseconds
from benchmarks.section import main
from benchmarks.server import chat_server
from benchmarks.stage import MODELS, Stage, staged

_MODEL = MODELS["openai_compatible"]
_AT_ONCE = 16


@dataclass(slots=True)
class _Gateway:
    """A gateway that is measured, and what was seen of it. Without a `pid` its CPU is not known."""

    name: str
    base_url: str
    api_key: str
    pid: int | None
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))
    times_s: dict[str, list[float]] = field(default_factory=dict)
    first_s: list[float] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)


def run(*, quick: bool) -> str:
    """Measure both in turn, request by request, so that what else the machine does falls on both alike."""
    rounds = 10 if quick else 300
    options = _options()
    with staged(provider_port=options.provider_port) as stage, _sluice(stage) as sluice:
        other = _Gateway("the other", options.vs.rstrip("/"), options.vs_key, listener_of(options.vs))
        gateways = [sluice, other]
        for name, ask in {"whole": _ask, "streamed": _ask_for_stream}.items():
            for number in range(rounds + rounds // 5):
                for gateway in gateways:
                    _measure(gateway, name, ask, counts=number >= rounds // 5)
        rates = [_requests_per_s(gateway, 4 * rounds) for gateway in gateways]
    rows = [
        [
            gateway.name,
            *[milliseconds(gateway.times_s[name]) for name in ("whole", "streamed")],
            milliseconds(gateway.first_s),
            *[
                f"{1000 * gateway.cpu_s[name] / rounds:.1f}" if gateway.pid else "not on this machine"
                for name in ("whole", "streamed")
            ],
            f"{rate:.0f}",
        ]
        for gateway, rate in zip(gateways, rates, strict=True)
    ]
    return (
        f"New questions, {rounds} of each in turn, in ms: median (quartiles), 95th percentile; and requests a second "
        f"with {_AT_ONCE} at once. Both gateways, the provider and MiniStack share this machine.\n\n"
        + table(["", "whole", "streamed", "first byte", "CPU, whole", "CPU, streamed", "requests/s"], rows)
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks versus")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--vs", required=True)
    parser.add_argument("--vs-key", default="none")
    parser.add_argument("--provider-port", type=int, default=9100)
    return parser.parse_args(sys.argv[1:])


@contextmanager
def _sluice(stage: Stage) -> Iterator[_Gateway]:
    """The chat function's server."""
    with chat_server(stage) as server:
        yield _Gateway("Sluice", server.base_url, server.api_key, server.pid)


def _measure(gateway: _Gateway, name: str, ask: Callable[[_Gateway], float], *, counts: bool) -> None:
    before_s = cpu_s(gateway.pid) if gateway.pid else 0.0
    begin_s = time.perf_counter()
    first_s = ask(gateway) - begin_s
    end_s = time.perf_counter()
    if not counts:
        return
    gateway.times_s.setdefault(name, []).append(end_s - begin_s)
    if name == "streamed":
        gateway.first_s.append(first_s)
    if gateway.pid:
        gateway.cpu_s[name] = gateway.cpu_s.get(name, 0.0) + cpu_s(gateway.pid) - before_s


def _body(*, stream: bool) -> dict[str, object]:
    question = f"Question {os.urandom(8).hex()}: what is left?"
    return {"model": _MODEL, "messages": [{"role": "user", "content": question}], "max_tokens": 200, "stream": stream}


def _headers(gateway: _Gateway) -> dict[str, str]:
    return {"authorization": f"Bearer {gateway.api_key}"}


def _ask(gateway: _Gateway) -> float:
    url = f"{gateway.base_url}/chat/completions"
    answer = gateway.client.post(url, json=_body(stream=False), headers=_headers(gateway))
    if answer.status_code != 200:
        raise RuntimeError(f"{gateway.name} answered {answer.status_code}: {answer.text}")
    return time.perf_counter()


def _ask_for_stream(gateway: _Gateway) -> float:
    url = f"{gateway.base_url}/chat/completions"
    with gateway.client.stream("POST", url, json=_body(stream=True), headers=_headers(gateway)) as answer:
        if answer.status_code != 200:
            raise RuntimeError(f"{gateway.name} answered {answer.status_code}: {answer.read().decode()}")
        lines = answer.iter_lines()
        next(lines)
        first_s = time.perf_counter()
        last = [line for line in lines if line][-1]
    if last != "data: [DONE]":
        raise RuntimeError(f"{gateway.name} ended a stream with {json.dumps(last[:200])}")
    return first_s


def _requests_per_s(gateway: _Gateway, requests: int) -> float:
    with ThreadPoolExecutor(_AT_ONCE) as callers:
        begin_s = time.perf_counter()
        list(callers.map(_ask, [gateway] * requests))
        return requests / (time.perf_counter() - begin_s)


if __name__ == "__main__":
    main(run)
