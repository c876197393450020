"""Identities of findings: the same finding has the same id, whoever finds it and however often. Pure.

ins_2026112500_<digest>     of Sluice's own figures: when its bucket or week began, and what is found in which series
insd_2026112500_<digest>    of what a dashboard sent
"""

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from sluice.insights.finding import Finding

_ID = re.compile(r"insd?_[0-9]{10}_[0-9a-f]{24}", re.ASCII)
OWN_ID_PATTERN = "^ins_[0-9]{10}_[0-9a-f]{24}$"
"""What the id of a finding of own figures looks like, as JSON Schema has it."""
_OWN, _SENT = "ins", "insd"
_DIGEST_BYTES = 12
_KINDS = {"alert": "anomaly"}


def finding_id(finding: Finding, now: datetime, *, is_own: bool) -> str:
    """What a finding is called.

    A trend is the same one for a week of its time zone. What has no moment is the same one for a week of UTC, while its
    values last. All else is the same one for good.
    """
    at = finding.at
    if at is not None and finding.method == "mann_kendall":
        at = _week_of(at)
    begun = _week_of(now.astimezone(UTC)) if at is None else at
    values = None if at is not None else [(each.metric, each.value) for each in finding.points]
    what = [*_topic(finding), finding.direction, finding.method, at and at.isoformat(), values]
    return f"{_OWN if is_own else _SENT}_{begun.astimezone(UTC):%Y%m%d%H}_{_digest(what)}"


def topic_of(finding: Finding) -> str:
    """What findings of the same kind in the same series have in common: what is muted together.

    The hours of a series are another series than its days.
    """
    return _digest(_topic(finding))


def kind_of(finding: Finding) -> str:
    """What kind of finding it is: an alert is an anomaly that is told of."""
    return _KINDS.get(finding.insight_type, finding.insight_type)


def is_finding_id(text: str) -> bool:
    """Whether it has the form of an id."""
    return _ID.fullmatch(text) is not None


def is_of_own_figures(name: str) -> bool:
    """Whether it is the id of what was found in Sluice's own figures."""
    return name.startswith(f"{_OWN}_")


def _topic(finding: Finding) -> list[str]:
    return [finding.series, finding.interval, kind_of(finding)]


def _digest(what: Sequence[object]) -> str:
    return hashlib.blake2b(json.dumps(what).encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _week_of(moment: datetime) -> datetime:
    return datetime.combine(moment.date() - timedelta(days=moment.weekday()), time.min, moment.tzinfo)
