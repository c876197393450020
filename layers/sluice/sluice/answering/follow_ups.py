"""Questions that may be asked next, each of which the rules recognise. Pure."""

from sluice.answering.periods import Period
from sluice.answering.plan import Plan, StandingPlan, UsagePlan

_STANDING = {
    "budget": ("How much did we spend this month?", "Which model had the highest cost this month?"),
    "limits": ("How many requests did we make today?", "How much of our budget is left?"),
    "health": ("Which provider had the most errors this month?", "Which model was the slowest this month?"),
    "coverage": ("How many documents have no vectors, and why?", "Which vector stores do we have?"),
    "stores": ("How many documents have been ingested?",),
}
_MOST = 3


def follow_ups(plan: Plan) -> list[str]:
    """What may be asked next."""
    if isinstance(plan, StandingPlan):
        return list(_STANDING[plan.topic])
    return _of_usage(plan)[:_MOST]


def _of_usage(plan: UsagePlan) -> list[str]:
    measure, period = plan.measures[0], plan.periods[0]
    when = f"from {period.first} to {period.last}"
    found = []
    if plan.form != "ranking" or plan.dimension != "model":
        found.append(f"Which model had the highest {measure} {when}?")
    if plan.form != "two_periods":
        before = period.before()
        found.append(f"Compare the {measure} {when} with that from {before.first} to {before.last}.")
    if plan.form != "breakdown" and measure.adds_up and not _is_one_day(period):
        found.append(f"Show the {measure} per day {when}.")
    if plan.form != "breakdown" or plan.dimension != "user":
        found.append(f"Show the {measure} by user {when}.")
    return found


def _is_one_day(period: Period) -> bool:
    return period.first == period.last
