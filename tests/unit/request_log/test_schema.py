"""Records as items: they come back as they went, and are small."""

import json

from hypothesis import given
from hypothesis import strategies as st

from sluice.request_log.record import Attempted, GuardModelUse, Judgement, RequestOutcome, RequestRecord
from sluice.request_log.request_id import new_request_id
from sluice.request_log.schema import from_record_item, record_key, to_record_item

NOW_MS = 1_764_115_200_123
TEXT = st.text(max_size=20)
NUMBERS = st.integers(0, 10**12)
ATTEMPTS = st.builds(Attempted, TEXT, TEXT, NUMBERS, NUMBERS)
GUARD_MODELS = st.builds(
    GuardModelUse,
    judged=st.sampled_from(["prompt", "answer"]),
    model=st.text(min_size=1, max_size=20),
    judgement=st.sampled_from(Judgement),
    verdict=st.text(min_size=1, max_size=20),
    deployment=TEXT,
    calls=NUMBERS,
    tokens=NUMBERS,
    cost_nanousd=NUMBERS,
    time_ms=NUMBERS,
)
RECORDS = st.builds(
    RequestRecord,
    request_id=st.builds(new_request_id, st.integers(0, 2**45)),
    tenant=st.from_regex(r"[a-z0-9-]{1,63}", fullmatch=True),
    caller=TEXT,
    route=TEXT,
    outcome=st.sampled_from(RequestOutcome),
    status=st.integers(200, 599),
    user=TEXT,
    reason=TEXT,
    model=TEXT,
    is_streamed=st.booleans(),
    attempts=st.lists(ATTEMPTS, max_size=4).map(tuple),
    guard_rules=st.lists(TEXT, max_size=3).map(tuple),
    guard_models=st.lists(GUARD_MODELS, max_size=2).map(tuple),
    cost_nanousd=NUMBERS,
    total_ms=NUMBERS,
)


@given(RECORDS)
def test_a_record_comes_back_as_it_was_stored(record: RequestRecord) -> None:
    item = to_record_item(record, NOW_MS / 1000)
    assert from_record_item(item) == record
    assert record_key(record.tenant, record.request_id).items() <= item.items()
    assert item["expires_at"] == {"N": str(NOW_MS // 1000 + 7 * 86_400)}


def test_what_a_later_version_added_is_left_out() -> None:
    record = RequestRecord(
        request_id=new_request_id(NOW_MS),
        tenant="acme",
        caller="k",
        route="r",
        outcome=RequestOutcome.FAILED,
        status=503,
    )
    item = to_record_item(record, 0) | {"news": {"S": "?"}}
    assert from_record_item(item) == record


def test_a_chat_with_a_fallback_takes_one_write_unit() -> None:
    record = RequestRecord(
        request_id=new_request_id(NOW_MS),
        api_request_id="c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        tenant="a-school-with-a-long-name",
        caller="k3x9q2m7w5t1",
        user="student-of-a-school-with-a-number-4711",
        route="createChatCompletion",
        outcome=RequestOutcome.ANSWERED,
        status=200,
        asked_model="llama-3.1-8b-instant",
        model="meta-llama/llama-4-scout-17b-16e-instruct",
        deployment="groq-of-the-school-2#meta-llama/llama-4-scout-17b-16e-instruct",
        provider="groq",
        complexity="simple",
        cache="miss",
        is_streamed=True,
        attempts=(
            Attempted("groq-of-the-school-1#llama-3.1-8b-instant", "out of requests_per_minute"),
            Attempted("groq-of-the-school-2#llama-3.1-8b-instant", "RateLimited", 312, 429),
            Attempted("groq-of-the-school-2#meta-llama/llama-4-scout-17b-16e-instruct", "answered", 1_234),
        ),
        guard_rules=("personal-email",),
        asks=1,
        prompt_tokens=12_345,
        completion_tokens=2_345,
        cost_nanousd=123_456_789,
        total_ms=12_345,
        first_token_ms=1_234,
        provider_ms=12_333,
        own_ms=12,
    )
    # DynamoDB counts names and values; what JSON puts around them is more than its own overhead.
    assert len(json.dumps(to_record_item(record, NOW_MS / 1000), separators=(",", ":"))) < 1_400
    assert item_bytes(record) <= 1_024


def item_bytes(record: RequestRecord) -> int:
    """Source: "DynamoDB item sizes and formats"; n digits have n/2 + 1 bytes, a list or map 3 and its own."""

    def size(typed: dict[str, object]) -> int:
        [(kind, value)] = typed.items()
        match kind, value:
            case "S", str():
                return len(value.encode())
            case "N", str():
                return (len(value) + 1) // 2 + 1
            case "L", list():
                return 3 + sum(1 + size(each) for each in value)
            case "M", dict():
                return 3 + sum(1 + len(name) + size(each) for name, each in value.items())
            case _:
                return 1

    return sum(len(name) + size(typed) for name, typed in to_record_item(record, NOW_MS / 1000).items())
