"""The tool that reads usage: hours of the tenants and keys that who asks may see, and the names in them."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Protocol

from sluice.answering.figures import utc_days
from sluice.answering.names import Names
from sluice.answering.periods import Period
from sluice.answering.plan import Dimension
from sluice.answering.request import Asked
from sluice.catalog.catalog import catalog
from sluice.errors import NotFoundError
from sluice.tenants.directory import Directory
from sluice.tenants.tenant import Role
from sluice.tenants.verification import ADMIN_ID
from sluice.tenants.visibility import usage_reach
from sluice.usage.sums import DaySums, UsageSum

MOST_SUMS = 200_000
"""How many sums one question adds up: some seconds' work."""
_MOST_TENANTS = 200
_MOST_KEYS = 100
# What the rest of an answer takes.
_LEAST_S = 4.0
_NAMED: tuple[Dimension, ...] = ("user", "task", "provider", "credential", "model")


class ReadsUsage(Protocol):
    """Reads sums, day by day; see UsageReader."""

    def by_day(
        self, days: Iterable[tuple[str, date]], *, caller: str | None = None, user: str | None = None
    ) -> Iterator[DaySums]:
        """The sums of some days of some tenants."""


class TooMuchUsageError(Exception):
    """There is more usage in a period than one question adds up."""


class UsageTool:
    """Reads the usage that one question is about, each day once. Raises StorageUnavailableError."""

    def __init__(
        self, asked: Asked, usage: ReadsUsage, directory: Directory, task_names: Callable[[], Iterable[str]]
    ) -> None:
        self._asked = asked
        self._usage = usage
        self._directory = directory
        self._task_names = task_names
        tenants, self._caller = usage_reach(asked.principal, asked.tenant, None, directory)
        self._tenants = [tenant for tenant, _ in zip(tenants, range(_MOST_TENANTS + 1), strict=False)]
        self._read: dict[tuple[str, date], tuple[UsageSum, ...]] = {}
        self._sums = 0

    @property
    def whose(self) -> str:
        """Whose usage it is, in words."""
        if self._caller is not None:
            return "your login" if self._asked.principal.is_login else "your API key"
        return f"tenant {self._tenants[0]}" if len(self._tenants) == 1 else "all tenants"

    def read(self, periods: Iterable[Period]) -> list[UsageSum]:
        """The sums of the days of some periods. Raises TooMuchUsageError."""
        if len(self._tenants) > _MOST_TENANTS:
            raise TooMuchUsageError
        days = utc_days(periods, self._asked.zone)
        wanted = [(tenant, day) for tenant in self._tenants for day in days]
        missing = [each for each in wanted if each not in self._read]
        for each in self._usage.by_day(missing, caller=self._caller):
            self._read[each.tenant, each.day] = each.sums
            self._sums += len(each.sums)
            if self._sums > MOST_SUMS or self._asked.context.deadline.remaining_s < _LEAST_S:
                # A shorter period may be read after it.
                self._read.clear()
                self._sums = 0
                raise TooMuchUsageError
        return [found for each in wanted for found in self._read[each]]

    def known_names(self) -> Names:
        """Names that are known without any usage: of the catalogue, of tasks, of keys that who asks may see."""
        names = Names()
        known = catalog()
        for provider in known.providers:
            names.add("provider", provider)
        for model in known.models:
            names.add("model", model.id)
        for task in self._task_names():
            names.add("task", task)
        asked = self._asked
        if asked.principal.role is Role.CALLER:
            names.add("key", asked.principal.key.id, asked.principal.key.name)
            return names
        for tenant in self._tenants if len(self._tenants) == 1 else ():
            self._add_keys(names, tenant)
        if asked.principal.role is Role.ADMIN:
            for tenant in self._tenants:
                names.add("tenant", tenant)
        else:
            names.add("tenant", asked.principal.tenant.id, asked.principal.tenant.name)
        return names

    def add_names(self, names: Names, sums: Iterable[UsageSum]) -> None:
        """Know the names in some usage, too."""
        for each in sums:
            for dimension in _NAMED:
                if value := getattr(each.key, dimension):
                    names.add(dimension, value)
            names.add("key", each.key.caller)

    def _add_keys(self, names: Names, tenant: str) -> None:
        # The first admin key's tenant is in no directory.
        if tenant == ADMIN_ID:
            return
        try:
            keys = self._directory.keys(tenant, after=None, limit=_MOST_KEYS).entries
        except NotFoundError:
            return  # a deleted tenant's usage is there for admins
        for key in keys:
            names.add("key", key.id, key.name)
