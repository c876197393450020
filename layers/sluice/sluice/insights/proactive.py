"""Proactive insights: once a day, what is unusual in a tenant's own figures is kept, and alerts are told of.

A finding is told of at most once: whoever is about to tell says so by a conditional write that nobody else can make.
Who dies in between has told nobody, and nobody tries again: the finding is in the list, and says so. A day that was
begun and not ended is done again in a later hour: see reports/claims.py.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aws_lambda_powertools import Logger

from sluice.errors import FeatureDisabledError, SluiceError
from sluice.insights.agent import Agent, agent_of
from sluice.insights.analysis import analyse, is_confident
from sluice.insights.figures import FIGURES, FigureQuery, FigureReader, last_settled_day
from sluice.insights.finding import Finding
from sluice.insights.identity import finding_id, kind_of, topic_of
from sluice.insights.notice import KIND, SOURCE, notice
from sluice.insights.shown import shown_insight
from sluice.insights.store import FindingStore, NewFinding
from sluice.insights.topic import Topic
from sluice.loading.dataclass import dataclass
from sluice.reports.claims import DONE, Claims, Thing
from sluice.storage.errors import ServiceError
from sluice.storage.event_bus import EventBus
from sluice.telemetry.metrics import emit_metric
from sluice.tenants.choices import check_enabled
from sluice.tenants.directory import Directory
from sluice.tenants.preferences import Preferences
from sluice.tenants.tenant import Tenant
from sluice.tenants.time_zone import time_zone
from sluice.webhooks.announcing import Announcer
from sluice.webhooks.endpoint import Event, EventType

logger = Logger(child=True)

_RUN_S = 900
_TOLD_FOR = timedelta(days=3)
"""How old the bucket of an alert may be: then nobody is told any more."""
_RUNS = "insights.runs"


class InsightsFailedError(Exception):
    """Some tenants' insights failed, which was logged; all others are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProactiveStores:
    """What is read and written."""

    directory: Directory
    preferences: Preferences
    figures: FigureReader
    findings: FindingStore
    claims: Claims
    bus: EventBus
    announcer: Announcer


class ProactiveInsights:
    """Looks for insights unasked. `stack` names it in events."""

    def __init__(self, stores: ProactiveStores, stack: str, clock: Callable[[], float] = time.time) -> None:
        self._stores = stores
        self._stack = stack
        self._clock = clock

    def run(self, has_time: Callable[[], bool]) -> None:
        """Do what is due while there is time; the rest is due in the next hour.

        Raises InsightsFailedError if some of it failed, which keeps nothing else from being done.
        """
        failures = 0
        for tenant in self._stores.directory.all_tenants():
            try:
                is_done = has_time() and self._of_tenant(tenant, has_time)
            except Exception as error:  # noqa: BLE001  whatever is wrong with one tenant, the others get theirs
                failures += 1
                # What others raise may quote what it failed at.
                reason = error.message if isinstance(error, SluiceError) else type(error).__name__
                logger.warning("insights failed", extra={"tenant": tenant.id, "reason": reason})
                emit_metric("InsightsFailed")
                continue
            if not is_done:
                logger.warning("insights go on in the next hour", extra={"at": tenant.id})
                emit_metric("InsightsUnfinished")
                break
        if failures:
            raise InsightsFailedError(f"the insights of {failures} tenants failed")

    def _of_tenant(self, tenant: Tenant, has_time: Callable[[], bool]) -> bool:
        """Look at a tenant's last day, unless that was done or is being done. False if time ran out."""
        now, claims = datetime.fromtimestamp(self._clock(), UTC), self._stores.claims
        zone = time_zone(tenant.time_zone)
        thing = Thing(f"{_RUNS}#{tenant.id}", last_settled_day(now, zone).isoformat())
        if claims.level(thing) == DONE or not claims.claim(thing, DONE, self._clock(), _RUN_S):
            return True
        agent = self._agent(tenant)
        if agent is not None:
            query = FigureQuery(tenant=tenant.id, names=FIGURES, interval="day", zone=zone, now=now, has_time=has_time)
            figures = self._stores.figures.read(query)
            if not figures.is_whole:
                # What half of the figures says would be kept under the ids of what all of them say.
                return False
            # A narrative and forecasts are for who asks.
            analysis = analyse(figures.series, replace(agent, forecasts=False))
            self._keep_and_tell(tenant.id, analysis.findings, agent, now)
        claims.finish(thing, DONE)
        return True

    def _agent(self, tenant: Tenant) -> Agent | None:
        """What the tenant wants; None if it does not want to be told anything unasked."""
        try:
            check_enabled("insights", tenant)
        except FeatureDisabledError:
            return None
        preferences = self._stores.preferences
        agent = agent_of(
            preferences.get(tenant.id, "agent_config").values, preferences.get(tenant.id, "dashboard_ai").values
        )
        return agent if agent.is_proactive else None

    def _keep_and_tell(self, tenant: str, findings: Sequence[Finding], agent: Agent, now: datetime) -> None:
        kept = [kept_finding(each, agent, now, is_own=True) for each in findings]
        topics = self._stores.findings.record(tenant, kept)
        for finding, each in zip(findings, kept, strict=True):
            if self._is_told(finding, topics[each.topic], agent, now) and (
                self._stores.findings.claim_notice(tenant, each.id)
            ):
                self._tell(tenant, finding, each.id, now)

    def _is_told(self, finding: Finding, topic: Topic, agent: Agent, now: datetime) -> bool:
        return (
            finding.insight_type == "alert"
            and is_confident(finding, agent)
            and finding.at is not None
            and now - finding.at < _TOLD_FOR
            and not topic.is_muted(now.timestamp())
            and not topic.is_unwanted
        )

    def _tell(self, tenant: str, finding: Finding, name: str, now: datetime) -> None:
        findings = self._stores.findings
        try:
            self._stores.bus.send(SOURCE, KIND, dict(notice(finding, name, tenant, self._stack, now)), attempts=1)
        except ServiceError as error:
            # What AWS refused has reached nobody. Where no answer came it may have, and is not sent again.
            if error.aws_code and not error.is_transient:
                findings.release_notice(tenant, name)
            else:
                emit_metric("InsightNoticeUnknown")
            raise
        event = Event(id=f"evt_{name}", type=EventType.INSIGHT_FOUND, created_at=int(now.timestamp()), subject=name)
        self._stores.announcer.announce(tenant, event)
        findings.finish_notice(tenant, name)


def kept_finding(finding: Finding, agent: Agent, now: datetime, *, is_own: bool) -> NewFinding:
    """A finding as it is kept: of what a dashboard sent, no values."""
    name, topic = finding_id(finding, now, is_own=is_own), topic_of(finding)
    content = ""
    if is_own:
        shown = shown_insight(finding, name, Topic(), is_confident=is_confident(finding, agent))
        content = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    return NewFinding(
        id=name, topic=topic, series=finding.series, kind=kind_of(finding), title=finding.title, content=content
    )
