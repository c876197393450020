"""What somebody has used, as the API shows it."""

from datetime import date

from sluice.chat import JsonObject
from sluice.errors import NotFoundError
from sluice.tenants.visibility import Subject
from sluice.usage.report import report, usage_sums


def usage_report(subject: Subject, days: tuple[date, date]) -> JsonObject:
    """What `subject` used from the first of the `days` to the last.

    NotFoundError for a user of whom there is nothing: whether it is somebody else's is not told.
    """
    first, last = days
    sums = list(usage_sums(subject.tenant, first, last, caller=subject.caller, user=subject.user))
    if not sums and not subject.is_key:
        raise NotFoundError(f"There is no usage of such a user from {first} to {last}.", param="user_id")
    return {
        "object": "usage",
        "user_id": subject.caller if subject.is_key else subject.user,
        "tenant": subject.tenant,
        "from": first.isoformat(),
        "to": last.isoformat(),
        **report(sums),
    }
