"""What the old version left is taken over, and its processes and ours together never pass a limit."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.quota.item import QuotaItem
from sluice.quota.limits import BUDGET, Denial, budget_limit, caller_limits, deployment_limit
from sluice.quota.migration import conversion
from sluice.quota.reservation import Reservation
from sluice.quota.steps import Written
from sluice.quota.taking import Demand
from sluice.quota.windows import MINUTE_MS, ROLLING_MINUTE, month_at
from tests.examples import examples
from tests.old_quota import DAY, MINUTE, OldProcess
from tests.quota_processes import START_MS, Process, World, most_in_any_stretch

SECOND = START_MS // 1_000
ONE = {"requests_per_minute": 1, "requests_per_day": 1}


def old_item(**attributes: Any) -> dict[str, Any]:
    return {"scope": {"S": "s"}} | {name.replace("__", "."): {"N": str(value)} for name, value in attributes.items()}


@pytest.mark.parametrize("age_s", [0, 1, 30, 59, 60, 61, 62, 63, 100])
def test_an_old_slice_counts_until_it_has_left_and_hardly_longer(age_s: int) -> None:
    world = World()
    second = SECOND - age_s
    world.dynamodb.items["s"] = old_item(version=3, rpm__head=second, rpm__total=7, **{f"rpm__{second}": 7})
    limit = deployment_limit("requests_per_minute", 10)
    process = Process(world)
    taken = 0
    while isinstance(process.reserve("s", (limit,), {"requests_per_minute": 1}), Reservation):
        taken += 1
    world.check()
    if age_s <= 60:
        assert taken == 3
    if age_s >= 63:
        assert taken == 10
    world.now_ms = max(world.now_ms, (second + 1) * 1_000 + 61_000 + ROLLING_MINUTE.slice_ms)
    while isinstance(process.reserve("s", (limit,), {"requests_per_minute": 1}), Reservation):
        taken += 1
    assert taken >= 10


def test_all_that_counts_is_taken_over_and_all_else_goes() -> None:
    world = World()
    month, old_day = month_at(START_MS), START_MS // 1_440_000
    world.dynamodb.items["s"] = old_item(
        version=3,
        rpm__head=SECOND,
        rpm__total=9,
        rpm__capacity=50,
        tpm__head=SECOND,
        tpm__total=900,
        rpd__head=old_day,
        rpd__total=20,
        tpd__head=old_day,
        tpd__total=2_000,
        cpm__head=month,
        cpm__total=12_345,
        held__0f=START_MS,
        note__success_rate=0.5,
        blocked_until_ms=START_MS + 5_000,
        **{f"rpm__{SECOND}": 4, f"rpm__{SECOND - 1}": 5, f"tpm__{SECOND}": 400, f"tpm__{SECOND - 1}": 500},
        **{f"rpd__{old_day - 30}": 20, f"tpd__{old_day - 30}": 2_000},
    )
    names = ("requests_per_minute", "tokens_per_minute", "requests_per_day", "tokens_per_day", "characters_per_month")
    limits = tuple(deployment_limit(name, 10**6) for name in names)
    assert Process(world).reserve("s", limits, ONE) == Denial("blocked_by_provider", 5_000)
    world.now_ms += 5_000
    assert isinstance(Process(world).reserve("s", limits, ONE), Reservation)
    world.check()
    item = world.item("s")
    assert [item.total(code) for code in "rtRTc"] == [10, 900, 21, 2_000, 12_345]
    assert item.learned(limits[0]) == 50
    assert not [name for name in item.attributes if "." in name]


def test_a_budget_keeps_what_was_spent_and_what_was_reserved() -> None:
    world = World()
    quarter = START_MS // 900_000
    world.dynamodb.items["t"] = old_item(version=9, usd__head=quarter, usd__total=700, **{f"usd__{quarter - 1}": 300})
    limit = budget_limit(1_000)
    assert isinstance(Process(world).reserve("t", (limit,), {BUDGET: 301}), Denial)
    assert isinstance(Process(world).reserve("t", (limit,), {BUDGET: 300}), Reservation)


def test_hundreds_of_marks_of_dead_processes_go_too() -> None:
    world = World()
    marks = {f"held__{number:010x}": START_MS for number in range(700)}
    slices = {f"rpm__{SECOND - age}": 1 for age in range(62)}
    world.dynamodb.items["s"] = old_item(version=9, rpm__head=SECOND, rpm__total=62, **slices, **marks)
    limit = deployment_limit("requests_per_minute", 100)
    assert isinstance(Process(world).reserve("s", (limit,), {"requests_per_minute": 1}), Reservation)
    assert len(world.dynamodb.items["s"]) < 70
    world.check()


def test_a_day_that_was_used_everywhere_fits_one_expression() -> None:
    old_day = START_MS // 1_440_000
    attributes = {f"{code}__{SECOND - age}": 9 for code in ("rpm", "tpm") for age in range(62)}
    attributes |= {f"{code}__{old_day - age}": 9 for code in ("rpd", "tpd") for age in range(62)}
    heads = {"rpm__head": SECOND, "tpm__head": SECOND, "rpd__head": old_day, "tpd__head": old_day}
    names = ("requests_per_minute", "tokens_per_minute", "requests_per_day", "tokens_per_day")
    limits = tuple(deployment_limit(name, 10**6) for name in names)
    arguments = conversion(QuotaItem(old_item(version=9, **attributes, **heads)), limits, START_MS).arguments()
    assert len(arguments["UpdateExpression"]) <= 4_096


def test_old_processes_are_kept_from_a_scope_for_an_hour_and_then_forgotten() -> None:
    world = World()
    limits = caller_limits(10, 100)
    new = Process(world)
    new.reserve("s", limits, ONE)
    old = OldProcess({MINUTE: 10, DAY: 100})
    for minutes in (0, 1, 30, 59):
        world.now_ms = START_MS + minutes * MINUTE_MS
        assert world.run(old.reserve("s", lambda: world.now_ms)) is False
        assert world.run(OldProcess({MINUTE: 10, DAY: 100}).reserve("s", lambda: world.now_ms)) is False
        new.reserve("s", limits, ONE)
    world.now_ms = START_MS + 90 * MINUTE_MS
    new.reserve("s", limits, ONE)
    assert not {"version", "blocked_until_ms"} & world.dynamodb.items["s"].keys()


@settings(max_examples=examples(60))
@given(st.integers(0, 2**32))
def test_old_and_new_processes_together_never_pass_a_limit(seed: int) -> None:
    random = Random(seed)
    world = World()
    old = [OldProcess({MINUTE: 10, DAY: 30}) for _ in range(3)]
    new = [Process(world, seed=number) for number in range(3)]
    limits = caller_limits(10, 30)
    began_ms = START_MS + random.randrange(120_000)
    admitted: list[tuple[float, int]] = []
    flows: list[Any] = []
    answers: dict[int, object] = {}
    written_ms: dict[int, int] = {}
    for _ in range(600):
        # Whatever is late is given back, which is not what this is about: steps of a reservation follow closely.
        world.now_ms += random.choices((0, 5, 30), (50, 30, 15))[0] if flows else random.choice((300, 4_000))
        if len(flows) < 4 and random.random() < 0.5:
            if world.now_ms > began_ms and random.random() < 0.5:
                flows.append(random.choice(new).reserver.reserve("s", Demand(limits, ONE)))
            else:
                flows.append(random.choice(old).reserve("s", lambda: world.now_ms))
        if not flows:
            continue
        flow = random.choice(flows)
        try:
            answers[id(flow)] = answer = world.carry_out(flow.send(answers.get(id(flow))))
            if isinstance(answer, Written) and answer.is_done:
                written_ms[id(flow)] = world.now_ms
        except StopIteration as end:
            flows.remove(flow)
            answers.pop(id(flow), None)
            if end.value is True or isinstance(end.value, Reservation):
                admitted.append((written_ms[id(flow)], 1))
    assert most_in_any_stretch(admitted, MINUTE_MS) <= 10
    assert len(admitted) <= 30
