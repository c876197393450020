"""What admins do to the quotas by hand: a deployment is let in again, a tenant's month raised or begun anew.

Each is recorded in the audit log before it begins, and with how it ended. Other processes see it within a second.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field

from sluice.catalog.money import to_nanousd, to_usd
from sluice.errors import ConflictError, NotFoundError
from sluice.providers.registry import Registry
from sluice.quota.circuit import CircuitState
from sluice.quota.ledger import Ledger
from sluice.quota.limits import Limit, budget_limit
from sluice.quota.scopes import deployment_scope, tenant_scope
from sluice.quota.status import NEVER_USED
from sluice.tenants.audit import Act, Action, Actor, differences
from sluice.tenants.audit_log import AuditLog
from sluice.tenants.directory import Directory, no_tenant


class DeploymentStanding(TypedDict):
    """Whether requests are let through to a deployment."""

    object: Literal["deployment"]
    deployment: str
    circuit: CircuitState
    consecutive_failures: int
    blocked_for_seconds: int


class Budget(TypedDict):
    """A tenant's dollars of this month, UTC. `added_usd` is what was added to this month alone."""

    object: Literal["budget"]
    tenant: str
    budget_usd_per_month: float
    added_usd: float
    used_usd: Annotated[float, Field(description="With what is reserved for requests under way.")]
    remaining_usd: float
    resets_in_seconds: Annotated[int | None, Field(description="Until the next month; null if nothing is used.")]


class Interventions:
    """Changes how the quotas stand. All methods raise StorageUnavailableError.

    `registry` gives the deployments there are now.
    """

    def __init__(self, registry: Callable[[], Registry], ledger: Ledger, directory: Directory, log: AuditLog) -> None:
        self._registry = registry
        self._ledger = ledger
        self._directory = directory
        self._log = log

    def reset_deployment(self, deployment: str, actor: Actor) -> DeploymentStanding:
        """Forget what keeps requests from a deployment: blocks and failures. NotFoundError if there is none such."""
        if deployment not in {each.id for each in self._registry().deployments}:
            raise NotFoundError(f"There is no deployment {deployment!r}.", param="deployment")
        scope = deployment_scope(deployment)
        with self._log.recording(Act(Action.DEPLOYMENT_RESET, deployment, None), actor) as opened:
            before = self._standing(deployment)
            # What was never used has nothing to forget, and gets no item for it.
            if self._ledger.look_at([scope]):
                self._ledger.unblock(scope)
            after = self._standing(deployment)
            opened.changes |= differences(_of(before), _of(after))
        return after

    def budget(self, tenant_id: str) -> Budget:
        """How a tenant's month stands. NotFoundError without such a tenant, ConflictError if it has no budget."""
        return self._budget(tenant_id, self._limit(tenant_id))

    def add_to_budget(self, tenant_id: str, usd: Decimal, actor: Actor) -> Budget:
        """Let a tenant use `usd` more in this month, in place of what was added to it before; 0 takes that back.

        NotFoundError without such a tenant, ConflictError if it has no budget.
        """
        return self._change_budget(
            tenant_id,
            Action.BUDGET_RAISED,
            actor,
            lambda scope, limit: self._ledger.add_to_month(scope, limit, to_nanousd(usd)),
        )

    def restart_budget(self, tenant_id: str, actor: Actor) -> Budget:
        """Begin a tenant's month anew, with nothing used. What is reserved at this moment is not settled afterwards.

        NotFoundError without such a tenant, ConflictError if it has no budget, or was begun anew too often this month.
        """
        return self._change_budget(tenant_id, Action.BUDGET_RESTARTED, actor, self._ledger.restart_month)

    def _change_budget(
        self, tenant_id: str, action: Action, actor: Actor, change: Callable[[str, Limit], None]
    ) -> Budget:
        limit = self._limit(tenant_id)
        with self._log.recording(Act(action, tenant_id, tenant_id), actor) as opened:
            before = self._budget(tenant_id, limit)
            try:
                change(tenant_scope(tenant_id), limit)
            except OverflowError as error:
                raise ConflictError(f"The budget can't be begun anew: {error}.", param="id") from None
            after = self._budget(tenant_id, limit)
            opened.changes |= differences(_of(before), _of(after))
        return after

    def _limit(self, tenant_id: str) -> Limit:
        tenant = self._directory.tenant(tenant_id)
        if tenant is None:
            raise no_tenant(tenant_id)
        if tenant.budget_nanousd is None:
            raise ConflictError(f"The tenant {tenant_id!r} has no budget: nothing is counted against one.", param="id")
        return budget_limit(tenant.budget_nanousd)

    def _budget(self, tenant_id: str, limit: Limit) -> Budget:
        scope = tenant_scope(tenant_id)
        seen = self._ledger.look_at([scope]).get(scope, NEVER_USED)
        status = seen.status(limit, self._ledger.now_ms())
        return {
            "object": "budget",
            "tenant": tenant_id,
            "budget_usd_per_month": _dollars(limit.capacity),
            "added_usd": _dollars(status.capacity - limit.capacity),
            "used_usd": _dollars(status.used),
            "remaining_usd": _dollars(status.remaining),
            "resets_in_seconds": -(-status.resets_in_ms // 1000) if status.resets_in_ms else None,
        }

    def _standing(self, deployment: str) -> DeploymentStanding:
        scope = deployment_scope(deployment)
        now_ms = self._ledger.now_ms()
        seen = self._ledger.look_at([scope]).get(scope, NEVER_USED)
        return {
            "object": "deployment",
            "deployment": deployment,
            "circuit": seen.circuit.state(now_ms),
            "consecutive_failures": seen.circuit.failures,
            "blocked_for_seconds": max(0, -(-(seen.item.blocked_until_ms - now_ms) // 1000)),
        }


def _of(standing: DeploymentStanding | Budget) -> dict[str, Any]:
    """What of it an act may change."""
    return {name: value for name, value in standing.items() if name != "resets_in_seconds"}


def _dollars(nanousd: int) -> float:
    return float(to_usd(nanousd))
