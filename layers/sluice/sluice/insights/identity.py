"""Identities of findings: the same finding has the same id, whoever finds it and however often. Pure.

ins_2026112500_<digest>     of Sluice's own figures: when its bucket began, and what is found in which series
insd_2026112500_<digest>    of what a dashboard sent
"""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

from sluice.insights.finding import Finding

_ID = re.compile(r"insd?_[0-9]{10}_[0-9a-f]{24}", re.ASCII)
_OWN, _SENT = "ins", "insd"
_DIGEST_BYTES = 12
_KINDS = {"alert": "anomaly"}


def finding_id(finding: Finding, now: datetime, *, is_own: bool) -> str:
    """What a finding is called. A trend is the same one for a week; what has no moment, while its values last."""
    at = finding.at
    if at is not None and finding.method == "mann_kendall":
        at -= timedelta(days=at.weekday())
    values = None if at is not None else [(each.metric, each.value) for each in finding.points]
    what = [finding.series, kind_of(finding), finding.direction, finding.method, at and at.isoformat(), values]
    digest = hashlib.blake2b(json.dumps(what).encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{_OWN if is_own else _SENT}_{(at or now).astimezone(UTC):%Y%m%d%H}_{digest}"


def topic_of(finding: Finding) -> str:
    """What findings of the same kind in the same series have in common: what is muted together."""
    what = json.dumps([finding.series, kind_of(finding)])
    return hashlib.blake2b(what.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def kind_of(finding: Finding) -> str:
    """What kind of finding it is: an alert is an anomaly that is told of."""
    return _KINDS.get(finding.insight_type, finding.insight_type)


def is_finding_id(text: str) -> bool:
    """Whether it has the form of an id."""
    return _ID.fullmatch(text) is not None


def is_of_own_figures(name: str) -> bool:
    """Whether it is the id of what was found in Sluice's own figures."""
    return name.startswith(f"{_OWN}_")
