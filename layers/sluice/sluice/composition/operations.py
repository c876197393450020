"""Operations: what operators see and do, and reports."""

from typing import TYPE_CHECKING

from sluice.composition.knowledge import KnowledgeParts
from sluice.composition.part import part

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from sluice.conversations.oversight import Oversight
    from sluice.gateway.allowances import Allowances
    from sluice.operations.caches import Caches
    from sluice.operations.deployments import Overview
    from sluice.operations.gateway_keys import GatewayKeyReader
    from sluice.operations.interventions import Interventions
    from sluice.operations.summary import Summaries
    from sluice.operations.trial import Trials
    from sluice.operations.user_deletion import UserDeletion
    from sluice.reports.claims import Claims
    from sluice.reports.reporter import Reporter, ReportStores
    from sluice.request_log.reader import RequestLogReader


class OperationsParts(KnowledgeParts):
    """What operators see and do, and what reports are made of."""

    @part
    def allowances(self) -> "Allowances":
        """What is left of the limits of tenants, keys and users."""
        from sluice.gateway.allowances import Allowances

        return Allowances(self.ledger, self.settings)

    @part
    def caches(self) -> "Caches":
        """The tenants' caches, for operators."""
        from sluice.operations.caches import Caches

        return Caches(self.response_cache, self.cache_sums, self.usage_reader, self.audit_log)

    @part
    def overview(self) -> "Overview":
        """How the deployments stand, for operators."""
        from sluice.operations.deployments import Overview

        return Overview(self.registry_loader, self.ledger)

    @part
    def gateway_keys(self) -> "GatewayKeyReader":
        """What gateways say of their keys."""
        from sluice.operations.gateway_keys import GatewayKeyReader

        return GatewayKeyReader(self.registry, self.request_threads)

    @part
    def interventions(self) -> "Interventions":
        """What admins do to the quotas by hand."""
        from sluice.operations.interventions import Interventions

        return Interventions(self.registry, self.ledger, self.directory, self.audit_log)

    @part
    def trials(self) -> "Trials":
        """Tries deployments: once, and without waiting."""
        from sluice.operations.trial import Trials
        from sluice.routing.router import RetryLimits, Router
        from sluice.routing.scoring import Weights

        settings = self.settings
        weights = Weights(settings.health_weight, settings.quota_weight, settings.speed_weight)
        return Trials(self.registry, Router(self.deployment_quota, weights, RetryLimits(retries=0, attempts=1)))

    @part
    def summaries(self) -> "Summaries":
        """What is going on, at a glance."""
        from sluice.operations.summary import Summaries

        return Summaries(self.directory, self.ledger, self.allowances, self.usage_reader, self.request_log_reader)

    @part
    def request_log_reader(self) -> "RequestLogReader":
        """Reads how requests were answered."""
        from sluice.request_log.reader import RequestLogReader

        return RequestLogReader(self.settings.request_log_table, client=self.dynamodb)

    @part
    def oversight(self) -> "Oversight":
        """A tenant's conversations, for its operators."""
        from sluice.conversations.oversight import Oversight

        return Oversight(self.settings.conversations_table, self.conversations, self.dynamodb)

    @part
    def user_deletion(self) -> "UserDeletion":
        """Deletes the data of users."""
        from sluice.operations.user_deletion import UserDeletion, UserStores
        from sluice.request_log.erasure import RequestLogErasure
        from sluice.usage.erasure import UsageErasure

        erasure = UsageErasure(self.settings.usage_table, self.dynamodb)
        records = RequestLogErasure(self.settings.request_log_table, self.dynamodb, self.idempotency.release)
        tasks = self.task_library.names()
        stores = UserStores(
            self.conversations, self.oversight, erasure, records, self.task_results, tasks, self._erase_from_reports
        )
        return UserDeletion(self.directory, stores, self.audit_log)

    def _erase_from_reports(self, tenant: str, user: str, days: "Iterable[date]") -> int:
        if not self.settings.files_bucket:
            return 0  # without a bucket there are no reports
        # With boto3, which reading conversations does not take.
        from sluice.reports.erasure import ReportErasure

        return ReportErasure(self.report_claims, self.objects).erase(tenant, user, days)

    @part
    def report_claims(self) -> "Claims":
        """What reports and alerts there are."""
        from sluice.reports.claims import Claims

        return Claims(self.settings.usage_table, self.dynamodb)

    @part
    def report_stores(self) -> "ReportStores":
        """What reports and alerts read and write."""
        from sluice.reports.limits import Standings
        from sluice.reports.reporter import ReportStores
        from sluice.storage.event_bus import EventBus

        return ReportStores(
            directory=self.directory,
            standings=Standings(self.ledger, self.allowances),
            usage=self.usage_reader,
            claims=self.report_claims,
            objects=self.objects,
            bus=EventBus(self.settings.event_bus),
            registry=self.registry,
        )

    @part
    def reporter(self) -> "Reporter":
        """Makes reports and gives alerts."""
        from sluice.reports.reporter import Reporter

        return Reporter(self.report_stores, self.settings.stack)
