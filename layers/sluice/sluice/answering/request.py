"""A question on its way: who asks, of what, and how answers are wanted."""

from collections.abc import Sequence
from dataclasses import field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sluice.gateway.request import RequestContext
from sluice.loading.dataclass import dataclass
from sluice.tenants.preference_types import QuestionAnswering
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question of a principal's, and what comes with it.

    `tenant` is the one that an admin names, `stores` are the vector stores that alone are searched. `zone` is whose
    days are meant. `wishes` are what the tenant prefers of answers. `user` is whom the request is for. `about` is the
    tenant of `tenant`, None for one that was deleted: its usage is there, but nothing else of it.
    """

    question: str
    principal: Principal
    context: RequestContext
    now: datetime
    zone: ZoneInfo
    wishes: QuestionAnswering = field(default_factory=QuestionAnswering)
    tenant: str | None = None
    stores: Sequence[str] = ()
    user: str | None = None
    about: Tenant | None = None

    @property
    def today(self) -> date:
        """The day that it is where the days are meant."""
        return self.now.astimezone(self.zone).date()
