"""Estimate against actual, counted in SQL: a row for each segment (provider, model, complexity, agent) and UTC day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, and_, case, cast, delete, func, or_, select

from engine.analytics.percents import HIGHEST_PERCENT
from engine.ledger.database import Database
from engine.ledger.tables import cost_variance, decisions
from engine.ledger.upsert import insert_or
from engine.money import MICROS_PER_USD
from engine.pricing.basis import EstimateBasis
from engine.pricing.segment import Segment

SEGMENT = Segment._fields
VARIANCE_JOB = "variance"
"""The job that does it; its heartbeat says what is counted already."""
LATE = timedelta(hours=26)
"""How long a settle may be on its way into the ledger and still be counted in its day."""
FIRST_TIME = timedelta(days=90)


def refresh_variance(database: Database, org_id: str, now: datetime, last_success: datetime | None) -> Iterator[date]:
    """Count anew every day that may have changed since the last success, and name each one that is done.

    The very first time these are all days of the last 90.
    """
    with database.read() as connection:
        days = days_to_count(connection, org_id, now, last_success)
    for day in days:
        count_day(database, org_id, day, now)
        yield day


def days_to_count(connection: Connection, org_id: str, now: datetime, last_success: datetime | None) -> list[date]:
    """The UTC days with calls or settles since a day before the last success, oldest first."""
    since = now - FIRST_TIME if last_success is None else min(now, last_success) - LATE
    day = _utc_day(connection, decisions.c.at)
    rows = connection.execute(
        select(day.label("day"))
        .distinct()
        .where(decisions.c.org_id == org_id, or_(decisions.c.closed_at >= since, decisions.c.at >= since))
    )
    return sorted(found if isinstance(found, date) else date.fromisoformat(found) for found in rows.scalars())


def count_day(database: Database, org_id: str, day: date, now: datetime) -> int:
    """Count one UTC day anew, whatever was counted before; how many segments it has.

    Calls with the caller's own `estimated_cost` are left out: they say nothing about the price book.
    """
    with database.read() as connection:
        histograms = _histograms(connection, org_id, day)
        found = connection.execute(
            select(*_segment(), *_sums()).where(_calls_of(org_id, day)).group_by(*_segment()).order_by(*_segment())
        ).all()
    rows = [
        {
            "org_id": org_id,
            "day": day,
            **{name: getattr(row, name) for name in SEGMENT},
            **{name: int(getattr(row, name) or 0) for name in _WHOLE},
            **{name: float(getattr(row, name) or 0) for name in _REAL},
            "ratio_percents": histograms.get(tuple(getattr(row, name) for name in SEGMENT), {}),
            "updated_at": now,
        }
        for row in found
    ]
    # Read first, then written, so that nobody waits for a file that is only being read. Several workers may count the
    # same day: in the same order, so that they do not wait for each other, and with the same result.
    with database.write() as connection:
        if rows:
            statement = insert_or(connection, cost_variance)
            replaced = ("ratio_percents", "updated_at", *_WHOLE, *_REAL)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[column.name for column in cost_variance.primary_key],
                    set_={name: statement.excluded[name] for name in replaced},
                ),
                rows,
            )
        connection.execute(
            delete(cost_variance).where(
                cost_variance.c.org_id == org_id, cost_variance.c.day == day, cost_variance.c.updated_at < now
            )
        )
    return len(rows)


def start_of(day: date) -> datetime:
    """Its first instant, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def about_the_book() -> ColumnElement[bool]:
    """Allowed calls that were not cancelled and were estimated by the price book."""
    return and_(
        decisions.c.outcome == "allowed",
        decisions.c.state != "cancelled",
        decisions.c.estimate_basis != EstimateBasis.GIVEN.value,
    )


_WHOLE = ("calls", "settled", "calls_estimate_micros", "estimate_micros", "actual_micros", "absolute_error_micros")
_REAL = ("estimate_squares", "actual_squares", "products")


def _segment() -> list[Any]:
    return [decisions.c[name] for name in SEGMENT]


def _sums() -> Iterable[ColumnElement[Any]]:
    settled = decisions.c.state == "settled"
    # Micro-dollars squared do not fit into 64 bits.
    estimate = cast(decisions.c.estimate_micros, Float) / float(MICROS_PER_USD)
    actual = cast(decisions.c.actual_micros, Float) / float(MICROS_PER_USD)

    def over(amount: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.sum(case((settled, amount), else_=0))

    yield func.count().label("calls")
    yield func.sum(case((settled, 1), else_=0)).label("settled")
    yield func.sum(decisions.c.estimate_micros).label("calls_estimate_micros")
    yield over(decisions.c.estimate_micros).label("estimate_micros")
    yield over(decisions.c.actual_micros).label("actual_micros")
    yield over(func.abs(decisions.c.actual_micros - decisions.c.estimate_micros)).label("absolute_error_micros")
    yield over(estimate * estimate).label("estimate_squares")
    yield over(actual * actual).label("actual_squares")
    yield over(estimate * actual).label("products")


def _histograms(connection: Connection, org_id: str, day: date) -> dict[tuple[Any, ...], dict[str, int]]:
    # As `percent_of` has it: rounded up, the top one open.
    rounded_up = (decisions.c.actual_micros * 100 + decisions.c.estimate_micros - 1) // decisions.c.estimate_micros
    percent = case(
        (and_(decisions.c.estimate_micros == 0, decisions.c.actual_micros == 0), 100),
        (decisions.c.estimate_micros == 0, HIGHEST_PERCENT),
        (decisions.c.actual_micros >= decisions.c.estimate_micros * (HIGHEST_PERCENT // 100), HIGHEST_PERCENT),
        else_=rounded_up,
    )
    # Grouping by the label, not by the expression: its bound values would count as different expressions.
    inner = (
        select(*_segment(), percent.label("percent"))
        .where(_calls_of(org_id, day), decisions.c.state == "settled")
        .subquery()
    )
    columns = [inner.c[name] for name in (*SEGMENT, "percent")]
    histograms: dict[tuple[Any, ...], dict[str, int]] = {}
    rows = connection.execute(select(*columns, func.count().label("calls")).group_by(*columns).order_by(*columns))
    for row in rows:
        histograms.setdefault(tuple(row[: len(SEGMENT)]), {})[str(int(row.percent))] = int(row.calls)
    return histograms


def _calls_of(org_id: str, day: date) -> ColumnElement[bool]:
    start = start_of(day)
    return and_(
        decisions.c.org_id == org_id,
        decisions.c.at >= start,
        decisions.c.at < start + timedelta(days=1),
        about_the_book(),
    )


def _utc_day(connection: Connection, instant: Any) -> ColumnElement[Any]:
    # SQLite keeps UTC without a zone; PostgreSQL would take the session's zone.
    return func.date(func.timezone("UTC", instant) if connection.dialect.name == "postgresql" else instant)
