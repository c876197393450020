from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from sluice.chat import Usage
from sluice.usage.records import UsageRecord, prefix, sum_key, usage_key

NOON = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
ONE = UsageRecord("acme", "k1", "groq", "llama", Usage(1, 2), 3, 4, credential="groq-1", task="quiz")
# Characters that keys are made of, and one that takes four bytes.
names = st.text(alphabet="#%25.ab\U0001f600", max_size=40)


def sort_key(record: UsageRecord) -> str:
    return str(usage_key(record, NOON)["hour_route"]["S"])


@given(names, names, names, names, names, names)
def test_a_sum_is_of_what_its_records_were(
    caller: str, user: str, provider: str, model: str, credential: str, task: str
) -> None:
    record = replace(
        ONE,
        caller=caller,
        user=user,
        operation="task",
        provider=provider,
        model=model,
        credential=credential,
        task=task,
    )
    found = sum_key(sort_key(record))
    assert (found.caller, found.user, found.hour, found.operation) == (caller, user, 12, "task")
    assert (found.provider, found.model, found.credential, found.task) == (provider, model, credential, task)
    assert sort_key(record).startswith(prefix(caller, user))


def test_sums_of_before_operations_were_told_apart_are_read_as_they_are() -> None:
    found = sum_key("k1#a%23b#07#gateway#org/model#with#signs")
    assert (found.caller, found.user, found.hour, found.operation) == ("k1", "a#b", 7, "")
    assert (found.provider, found.model, found.credential, found.task) == ("gateway", "org/model#with#signs", "", "")


@given(st.text(alphabet="#%é\U0001f600", max_size=128))
def test_the_longest_names_fit_a_key_with_as_much_of_the_task_as_there_is_room_for(task: str) -> None:
    record = replace(ONE, caller="k" * 32, user="\U0001f600" * 128, model="m" * 256, credential="c" * 64, task=task)
    key = sort_key(record)
    assert len(key.encode()) <= 1024
    assert task.startswith(sum_key(key).task)
