"""The promise, under load and in bad weather: a key is spent up to its limits and never past them."""

from tests import race
from tests.conftest import Aws
from tests.fakes.client import FakeProcess

LIMITS = {
    "by-requests": {"requests_per_minute": 60},
    "by-tokens": {"tokens_per_minute": 12_000},
}


def test_processes_sharing_a_key_never_give_its_provider_cause_for_a_429_and_waste_little_of_it(aws: Aws) -> None:
    limits = [{"model": model, **capacities} for model, capacities in LIMITS.items()]
    with FakeProcess(limits=limits, answer="A short answer of a few words.", latency_s=0.02) as provider:
        aws.set_credentials(
            {
                "provider": "gateway",
                "alias": "shared",
                "api_key": "one-key",
                "base_url": provider.openai_url,
                "models": {model: {"tier": "fast", "limits": capacities} for model, capacities in LIMITS.items()},
            }
        )
        seen = race.run(aws.process_environment(), provider, LIMITS, workers=6, threads=2, faults=True)
    for model, capacities in LIMITS.items():
        assert seen[model].violations == 0, seen
        assert seen[model].refused == 0, seen
        for name, capacity in capacities.items():
            assert seen[model].most_in_any_minute[name] <= capacity, seen
    # Three processes died, and with them at most what each of their threads had taken and not sent.
    assert seen["by-requests"].utilisation["requests_per_minute"] >= 0.90, seen
    # A tokens limit is left with what is too little for one more request.
    assert seen["by-tokens"].utilisation["tokens_per_minute"] >= 0.90, seen
