"""Who stands in for whom, and what `auto` tries, over real sockets."""

from collections import Counter
from typing import Any

import httpx

from tests.chat_server import serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider

HARD: list[Any] = [{"role": "user", "content": "Compare these. " * 100}]


def test_with_all_keys_of_a_provider_failing_another_provider_s_are_not_idle(aws: Aws, fake: FakeProvider) -> None:
    groq = {"provider": "groq", "base_url": fake.groq_url}
    aws.set_credentials(
        {**groq, "alias": "groq-1", "api_key": "g1"},
        {**groq, "alias": "groq-2", "api_key": "g2"},
        {"provider": "huggingface", "alias": "hf-1", "api_key": "h1", "base_url": fake.huggingface_url},
    )
    for key in ("g1", "g2"):
        fake.add_fault("500", times=None, api_key=key)
    with serving(aws) as chat:
        answer = chat.post({"model": "llama-3.3-70b-versatile", "max_tokens": 20, "messages": HARD[:1]})
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-sluice-deployment"] == "hf-1#mistralai/Mistral-7B-Instruct-v0.2"


def test_what_was_measured_once_does_not_keep_the_cheaper_model_from_being_tried(aws: Aws, fake: FakeProvider) -> None:
    dear = model("smart", price={"prompt_usd": 6.0, "completion_usd": 8.0}, limits={"requests_per_minute": 30})
    cheap = model("smart", price={"prompt_usd": 1.0, "completion_usd": 3.0}, limits={"requests_per_minute": 30})
    aws.set_credentials(gateway(fake, "one", models={"dear": dear, "cheap": cheap}))
    with serving(aws) as chat:
        assert chat.post({"model": "dear", "messages": HARD}).headers["x-sluice-model"] == "dear"
        used = Counter(
            chat.post({"model": "auto", "messages": HARD, "seed": seed}).headers["x-sluice-model"] for seed in range(12)
        )
        assert used == {"cheap": 12}


def test_two_keys_of_one_model_share_its_load(aws: Aws, fake: FakeProvider) -> None:
    limited = {"small": model(limits={"requests_per_minute": 20})}
    aws.set_credentials(gateway(fake, "one", models=limited), gateway(fake, "two", models=limited))
    with serving(aws) as chat:
        body = {"model": "auto", "messages": [{"role": "user", "content": "Hello."}]}
        used = Counter(chat.post({**body, "seed": seed}).headers["x-sluice-deployment"] for seed in range(16))
        assert min(used["one#small"], used["two#small"]) >= 6


def test_a_model_s_chain_is_shown_and_a_tenant_s_replaces_it(aws: Aws, fake: FakeProvider) -> None:
    models = {"large": model("smart", fallbacks=["small"], aliases=["big"]), "small": model(), "other": model()}
    aws.set_credentials(gateway(fake, "one", models=models))

    def shown(name: str, key: str) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.get(f"{chat.base_url}/models/{name}", headers=headers, timeout=10).json()["fallbacks"]

    with serving(aws) as chat:
        own = chat.tenant("own", fallbacks={"large": ["other"]}, cache_policy="off")
        none = chat.tenant("none", fallbacks={"large": []})
        assert shown("large", chat.api_key) == shown("big", chat.api_key) == ["small", "other"]
        assert (shown("large", own), shown("large", none), shown("auto", own)) == (["other"], [], [])
        fake.add_fault("500", times=None, model="large")
        body = {"model": "large", "messages": [{"role": "user", "content": "Hello."}]}
        answer = chat.post(body, api_key=own)
        assert (answer.headers["x-sluice-model"], answer.headers["x-sluice-cache"]) == ("other", "skipped")
