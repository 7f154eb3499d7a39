"""Billed costs in SQL: what providers' bills said, by source, agent and UTC day."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from engine.ledger.tables import audit_log, billed_costs, usage
from engine.ledger.upsert import insert_or
from engine.pricing.billing.reconciling import Recorded

_ROWS_AT_ONCE = 2_000
_NOTHING = Recorded(0, 0)


@dataclass(frozen=True, slots=True)
class BilledChanges:
    """What storing a bill means for the rows of its source.

    `kept` counts the rows that an earlier bill of the source has for this one's days and this one lacks.
    """

    added: tuple[tuple[str, date], ...]
    changed: tuple[tuple[str, date], ...]
    unchanged: int
    kept: int

    @property
    def any(self) -> bool:
        """Whether a row has to be written."""
        return bool(self.added or self.changed)


@dataclass(frozen=True, slots=True)
class BilledTotals:
    """What is billed on some days: micro-dollars by agent and day of all sources together, and by source and agent."""

    amounts: dict[str, dict[date, int]]
    sources: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class RecordedSpend:
    """What the ledger has on some days: by agent and day, and what agents spent in all by agent and provider."""

    days: dict[str, dict[date, Recorded]] = field(default_factory=dict)
    providers: dict[str, dict[str, int]] = field(default_factory=dict)


def hold_billed(connection: Connection, org_id: str) -> None:
    """Have those who import bills of one organization take turns until their transactions end.

    Nobody else waits: the organization's row is the ledger writer's. On SQLite writers take turns anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"bursar bills of {org_id}", 0))))


def billed_changes(
    connection: Connection, org_id: str, source: str, amounts: Mapping[str, Mapping[date, int]], days: Collection[date]
) -> BilledChanges:
    """Compare a bill with the rows that its source has on `days`, the days of the bill."""
    added = {(agent_id, day) for agent_id, mine in amounts.items() for day in mine}
    changed: list[tuple[str, date]] = []
    unchanged = kept = 0
    for row in _billed(connection, org_id, days, source):
        key = (row.agent_id, row.day)
        if key not in added:
            kept += 1
            continue
        added.discard(key)
        if amounts[row.agent_id][row.day] == row.billed_micros:
            unchanged += 1
        else:
            changed.append(key)
    return BilledChanges(tuple(sorted(added)), tuple(sorted(changed)), unchanged, kept)


def store_billed(
    connection: Connection,
    org_id: str,
    source: str,
    amounts: Mapping[str, Mapping[date, int]],
    changes: BilledChanges,
    now: datetime,
) -> None:
    """Write the rows that `changes` names; the others stay as they are, with the time of their import."""
    statement: Any = insert_or(connection, billed_costs)
    statement = statement.on_conflict_do_update(
        index_elements=["org_id", "source", "agent_id", "day"],
        set_={name: statement.excluded[name] for name in ("billed_micros", "imported_at")},
    )
    keys = itertools.chain(changes.added, changes.changed)
    while batch := list(itertools.islice(keys, _ROWS_AT_ONCE)):
        connection.execute(
            statement,
            [
                {
                    "org_id": org_id,
                    "source": source,
                    "agent_id": agent_id,
                    "day": day,
                    "billed_micros": amounts[agent_id][day],
                    "imported_at": now,
                }
                for agent_id, day in batch
            ],
        )


def billed_totals(
    connection: Connection,
    org_id: str,
    days: Collection[date],
    *,
    source: str,
    amounts: Mapping[str, Mapping[date, int]],
) -> BilledTotals:
    """What is billed on `days`, as if `amounts` were stored for `source`: the same before and after storing them."""
    billed: dict[str, dict[date, int]] = {agent_id: dict(mine) for agent_id, mine in amounts.items()}
    sources: dict[str, dict[str, int]] = defaultdict(dict)
    sources[source] = {agent_id: sum(mine.values()) for agent_id, mine in amounts.items()}
    for row in _billed(connection, org_id, days):
        if row.source == source and row.day in amounts.get(row.agent_id, {}):
            continue
        mine = billed.setdefault(row.agent_id, {})
        mine[row.day] = mine.get(row.day, 0) + row.billed_micros
        of_source = sources[row.source]
        of_source[row.agent_id] = of_source.get(row.agent_id, 0) + row.billed_micros
    return BilledTotals(billed, dict(sources))


def last_billed_day(connection: Connection, org_id: str, source: str) -> date | None:
    """The last day that a source billed, `None` when it has billed nothing."""
    newest = select(func.max(billed_costs.c.day)).where(
        billed_costs.c.org_id == org_id, billed_costs.c.source == source
    )
    found: date | None = connection.execute(newest).scalar_one()
    return found


def sources_of_file(connection: Connection, org_id: str, action: str, sha256: str) -> list[str]:
    """The sources under which a file of this hash was imported, by the audit log's entries of `action`."""
    rows = connection.execute(
        select(audit_log.c.subject, audit_log.c.details).where(
            audit_log.c.org_id == org_id, audit_log.c.action == action
        ),
        execution_options={"yield_per": _ROWS_AT_ONCE},
    )
    return sorted({row.subject for row in rows if row.details.get("sha256") == sha256})


def first_recorded_day(connection: Connection, org_id: str) -> date | None:
    """The first day that the ledger has a decision of, `None` when it has none."""
    first = connection.execute(
        select(func.min(usage.c.bucket)).where(usage.c.org_id == org_id, usage.c.grain == "day")
    ).scalar_one()
    return None if first is None else first.date()


def recorded_providers(connection: Connection, org_id: str) -> set[str]:
    """The providers of which the ledger has a decision."""
    rows = connection.execute(
        select(usage.c.provider).where(usage.c.org_id == org_id, usage.c.grain == "day").distinct()
    )
    return {row.provider for row in rows if row.provider}


def recorded_spend(connection: Connection, org_id: str, days: Collection[date]) -> RecordedSpend:
    """What the ledger has on `days`, by agent and UTC day, from the daily rollups."""
    found = RecordedSpend()
    if not days:
        return found
    start, end = _midnight(min(days)), _midnight(max(days)) + timedelta(days=1)
    rows = connection.execute(
        select(
            usage.c.agent_id,
            usage.c.provider,
            usage.c.bucket,
            func.sum(usage.c.spent_micros).label("spent"),
            func.sum(usage.c.actual_micros).label("actual"),
        )
        .where(usage.c.org_id == org_id, usage.c.grain == "day", usage.c.bucket >= start, usage.c.bucket < end)
        .group_by(usage.c.agent_id, usage.c.provider, usage.c.bucket),
        execution_options={"yield_per": _ROWS_AT_ONCE},
    )
    for row in rows:
        day = row.bucket.date()
        if day not in days:
            continue
        mine, spent, actual = found.days.setdefault(row.agent_id, {}), int(row.spent), int(row.actual)
        before = mine.get(day, _NOTHING)
        mine[day] = Recorded(before.spent_micros + spent, before.actual_micros + actual)
        providers = found.providers.setdefault(row.agent_id, {})
        providers[row.provider] = providers.get(row.provider, 0) + spent
    return found


def unbilled_after(connection: Connection, org_id: str, last: date | None, today: date) -> RecordedSpend:
    """What the ledger has of the days after `last`, today included, but for the agents' days that any source billed."""
    if last is None or last >= today:
        return RecordedSpend()
    days = frozenset(last + timedelta(days=number) for number in range(1, (today - last).days + 1))
    found = recorded_spend(connection, org_id, days)
    for row in _billed(connection, org_id, days):
        found.days.get(row.agent_id, {}).pop(row.day, None)
    return found


def _billed(connection: Connection, org_id: str, days: Collection[date], source: str | None = None) -> Iterator[Any]:
    """The rows of these days; without a source, of all."""
    if not days:
        return
    columns = (billed_costs.c.source, billed_costs.c.agent_id, billed_costs.c.day, billed_costs.c.billed_micros)
    rows = select(*columns).where(
        billed_costs.c.org_id == org_id, billed_costs.c.day >= min(days), billed_costs.c.day <= max(days)
    )
    if source is not None:
        rows = rows.where(billed_costs.c.source == source)
    found = connection.execute(rows, execution_options={"yield_per": _ROWS_AT_ONCE})
    yield from (row for row in found if row.day in days)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
