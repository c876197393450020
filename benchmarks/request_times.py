"""How long a request takes, and how much of this process's CPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import boto3
from botocore.config import Config

from benchmarks.asgi import Caller, Exchange
from benchmarks.markdown import table
from benchmarks.samples import milliseconds, summary
from benchmarks.section import main
from benchmarks.stage import ANSWER_WORDS, MODELS, TENANT, staged
from sluice.chat import ChatRequest
from sluice.composition import App
from sluice.providers.base import Provider
from sluice.storage.client import dynamodb
from sluice.storage.tables import DIRECTORY

_ASKED_BEFORE = "How much is left of the day?"
_FLOOR = "floor: one GetItem of boto3"
# CPU in units of the floor, which compares machines as milliseconds do not.
_BUDGETS = {"cache hit, whole": 2.0, "cache miss, whole": 4.5}


@dataclass(slots=True)
class _Variant:
    """One thing that is measured again and again, in turn with the others."""

    name: str
    measure: Callable[[], Exchange]
    exchanges: list[Exchange] = field(default_factory=list)


def run(*, quick: bool) -> str:
    """Measure all variants in turn, so that what else the machine does falls on all of them alike."""
    warm_up, rounds = (5, 10) if quick else (60, 300)
    with staged() as stage:
        from tests.chat_process import ChatProcess

        app = ChatProcess()
        caller = Caller(app)
        variants = _variants(app.parts, caller, stage.key())
        for number in range(warm_up + rounds):
            for variant in variants:
                exchange = variant.measure()
                if number >= warm_up:
                    variant.exchanges.append(exchange)
        caller.close()
    floor_s = next(_median_cpu_s(variant) for variant in variants if variant.name == _FLOOR)
    return (
        f"Time of a request in ms, {rounds} of each in turn after {warm_up} to warm up: median (quartiles), "
        f"95th percentile. The answer has {ANSWER_WORDS} words, and as many chunks when it is streamed.\n\n"
        + table(
            ["", "CPU", "wall", "first byte, wall", "CPU to the floor", "budget"],
            [_row(variant, floor_s) for variant in variants],
        )
    )


def _median_cpu_s(variant: _Variant) -> float:
    return summary([each.cpu_s for each in variant.exchanges]).median


def _row(variant: _Variant, floor_s: float) -> list[str]:
    exchanges = variant.exchanges
    ratio = _median_cpu_s(variant) / floor_s
    budget = _BUDGETS.get(variant.name)
    verdict = ""
    if budget is not None:
        verdict = f"{budget:g}: " + ("kept" if ratio <= budget else f"missed by {ratio - budget:.2f}")
    return [
        variant.name,
        milliseconds([each.cpu_s for each in exchanges]),
        milliseconds([each.total_s for each in exchanges]),
        milliseconds([each.first_byte_s for each in exchanges]) if "stream" in variant.name else "",
        f"{ratio:.2f}",
        verdict,
    ]


def _variants(parts: App, caller: Caller, key: str) -> list[_Variant]:
    compatible = MODELS["openai_compatible"]

    def chat(model: str, question: str | None, cache: str, *, stream: bool = False) -> Callable[[], Exchange]:
        def measure() -> Exchange:
            exchange = caller.chat(key, model, question, stream=stream)
            if exchange.headers.get("x-sluice-cache") != cache:
                raise RuntimeError(f"this was to be a cache {cache}: {exchange.headers}")
            return exchange

        return measure

    caller.chat(key, compatible, _ASKED_BEFORE)
    variants = [
        _Variant("cache hit, whole", chat(compatible, _ASKED_BEFORE, "hit")),
        _Variant("cache hit, streamed", chat(compatible, _ASKED_BEFORE, "hit", stream=True)),
        _Variant("cache miss, whole", chat(compatible, None, "miss")),
        _Variant("cache miss, streamed", chat(compatible, None, "miss", stream=True)),
        _Variant("cache miss, whole, Groq", chat(MODELS["groq"], None, "miss")),
        _Variant("cache miss, whole, Hugging Face", chat(MODELS["huggingface"], None, "miss")),
        _Variant(_FLOOR, _timed(_boto3_get_item())),
        _Variant("floor: one GetItem", _timed(_get_item)),
    ]
    for adapter, model in MODELS.items():
        provider = _provider(parts, model)
        variants.append(_Variant(f"floor: {adapter}, whole", _timed(partial(_complete, provider, model))))
        variants.append(_Variant(f"floor: {adapter}, streamed", _timed(partial(_stream, provider, model))))
    return variants


_TENANT_ITEM = DIRECTORY.key(f"tenant#{TENANT}", "tenant")


def _boto3_get_item() -> Callable[[], None]:
    # boto3 as cheap as it can be: it would put its name together anew for each request.
    client = boto3.client("dynamodb", config=Config(user_agent="sluice"))
    return lambda: client.get_item(TableName="Directory", Key=_TENANT_ITEM, ConsistentRead=True) and None


def _get_item() -> None:
    dynamodb().call("GetItem", {"TableName": "Directory", "Key": _TENANT_ITEM, "ConsistentRead": True})


def _timed(action: Callable[[], float | None]) -> Callable[[], Exchange]:
    """`action` returns the moment of its first byte, or nothing."""

    def measure() -> Exchange:
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        first_byte_s = action()
        end_s, end_cpu_s = time.perf_counter(), time.process_time()
        first_s = end_s if first_byte_s is None else first_byte_s
        return Exchange(200, {}, b"", first_s - begin_s, end_s - begin_s, end_cpu_s - begin_cpu_s)

    return measure


def _provider(parts: App, model: str) -> Provider:
    registry = parts.registry()
    return registry.provider(next(each for each in registry.deployments if each.model.id == model))


def _request(model: str, *, stream: bool) -> ChatRequest:
    return ChatRequest.model_validate(
        {"model": model, "messages": [{"role": "user", "content": "What is left?"}], "stream": stream}
    )


def _complete(provider: Provider, model: str) -> None:
    provider.complete(_request(model, stream=False), model, 10)


def _stream(provider: Provider, model: str) -> float:
    stream = provider.stream(_request(model, stream=True), model, 10)
    chunks = iter(stream)
    next(chunks)
    first_s = time.perf_counter()
    for _ in chunks:
        pass
    stream.close()
    return first_s


if __name__ == "__main__":
    main(run)
