"""Read instants that people write."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.errors import InvalidValue


def read_instant(value: object, field: str = "instant") -> datetime:
    """An ISO 8601 text or a `datetime`, with an offset from UTC; returned in UTC. Raises `InvalidValue`."""
    if value is None:
        raise InvalidValue(field, "is missing")
    instant = value
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidValue(field, f"must be a time such as 2026-12-25T00:00:00Z, got {value!r}") from None
    if not isinstance(instant, datetime):
        raise InvalidValue(field, f"must be a time such as 2026-12-25T00:00:00Z, got {value!r}")
    if instant.utcoffset() is None:
        raise InvalidValue(
            field, f"needs an offset from UTC, such as {instant.isoformat()}Z or {instant.isoformat()}-05:00"
        )
    try:
        # In one zone of its own, Python would compare wall clocks, which stand still for an hour each autumn.
        return instant.astimezone(UTC)
    except OverflowError:
        raise InvalidValue(field, f"is outside the years 1 to 9999 in UTC, got {value!r}") from None
