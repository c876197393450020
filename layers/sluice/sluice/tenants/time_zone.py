"""Time zones by their names in the IANA database, from the package tzdata where the system has none."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC_NAME = "UTC"
"""Where tenants are that do not say."""


def time_zone(name: str | None) -> ZoneInfo:
    """The time zone of that name, UTC for None. Raises ValueError if there is none."""
    try:
        return ZoneInfo(UTC_NAME if name is None else name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # An OSError is a folder's name, as America.
        raise ValueError(f"{name!r} is no time zone; Europe/Berlin is one") from None
