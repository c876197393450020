"""Topics: findings of one kind in one series, which are muted and found useful together. Pure."""

from sluice.loading.dataclass import dataclass

_UNWANTED = 3
"""By how many more keys a kind of finding is not useful than useful for it to be told of no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What is thought of a kind of finding in a series. `muted_until` is in seconds since 1970, 0 if never muted."""

    muted_until: int = 0
    useful: int = 0
    not_useful: int = 0

    def is_muted(self, now_s: float) -> bool:
        """Whether it is muted now."""
        return now_s < self.muted_until

    @property
    def is_unwanted(self) -> bool:
        """Whether those who said so do not want to be told of it."""
        return self.not_useful - self.useful >= _UNWANTED
