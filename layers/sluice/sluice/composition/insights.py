"""Insights: what is unusual in figures, and who is told of it."""

from typing import TYPE_CHECKING

from sluice.composition.operations import OperationsParts
from sluice.composition.part import part

if TYPE_CHECKING:
    from sluice.insights.figures import FigureReader
    from sluice.insights.narrative import Narrator
    from sluice.insights.proactive import ProactiveInsights, ProactiveStores
    from sluice.insights.store import FindingStore


class InsightParts(OperationsParts):
    """What finds insights, keeps them and tells of them."""

    @part
    def insight_figures(self) -> "FigureReader":
        """Reads Sluice's own figures."""
        from sluice.insights.figures import FigureReader

        return FigureReader(self.usage_reader, lambda tenant: self.ingest_sources.all(tenant), self.ingest_journal)

    @part
    def findings(self) -> "FindingStore":
        """What was found."""
        from sluice.insights.store import FindingStore

        return FindingStore(self.settings.usage_table, self.dynamodb, self.audit_log)

    @part
    def narrator(self) -> "Narrator":
        """Tells of findings."""
        from sluice.insights.narrative import Narrator

        return Narrator(self.task_runner)

    @part
    def proactive_stores(self) -> "ProactiveStores":
        """What is read and written where nobody has asked."""
        from sluice.insights.proactive import ProactiveStores
        from sluice.storage.event_bus import EventBus

        return ProactiveStores(
            directory=self.directory,
            preferences=self.preferences,
            figures=self.insight_figures,
            findings=self.findings,
            claims=self.report_claims,
            bus=EventBus(self.settings.event_bus),
            announcer=self.webhook_announcer,
        )

    @part
    def proactive_insights(self) -> "ProactiveInsights":
        """Looks for insights unasked."""
        from sluice.insights.proactive import ProactiveInsights

        return ProactiveInsights(self.proactive_stores, self.settings.stack)
