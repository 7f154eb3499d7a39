"""Count rollups anew from decisions, and mend what differs, while the ledger goes on being written.

Nobody has to stop. Decisions and rollups are read on one snapshot: what differs there is wrong, whatever comes in
meanwhile. The difference is then added, as a writer adds its events; sums do not mind the order, so neither loses or
repeats anything of the other. Two who mend at once would add it twice: they take turns by `rollup_repairs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, delete, func, select, update

from engine.admission.plan import CallPlan
from engine.errors import BursarError
from engine.ledger.bulk import upsert_rows
from engine.ledger.database import Database
from engine.ledger.decision_rows import COUNTED, count_denied_many, examined_of
from engine.ledger.decision_walk import next_decisions
from engine.ledger.entries import DENIED_MANY, LedgerEvent, read_event
from engine.ledger.organizations import decisions_kept_from
from engine.ledger.rollups import GRAINS, Rollups, minutes_from
from engine.ledger.tables import decisions, events, limits, organizations, usage
from engine.ledger.totals import ROLLUPS, key_columns
from engine.ledger.variance import start_of

BATCH = 2_000
CLOCK_MARGIN = timedelta(minutes=10)
"""Rows by the minute are compared from so much later on than they are kept: the writer's clock may be another one."""
_PEAK = len(ROLLUPS["limits"][1])
"""The place of the peak among the amounts of `limits`; all others are sums."""
_HOUR = key_columns(limits).index("bucket")

Cells = dict[tuple[Any, ...], tuple[int, ...]]


class DecisionsDropped(BursarError):
    """Decisions of the day are no longer kept: its rollups are all that is left of them."""

    def __init__(self, day: date, kept_from: date) -> None:
        self.kept_from = kept_from
        super().__init__(f"decisions of before {kept_from} are no longer kept, so {day} cannot be counted anew")


@dataclass(frozen=True, slots=True)
class DayResult:
    """One UTC day: how many decisions it has, and by table how many rollup rows were wrong."""

    day: date
    decisions: int
    drift: dict[str, int]

    @property
    def drifted(self) -> int:
        """Wrong rows of all tables."""
        return sum(self.drift.values())


@dataclass(frozen=True, slots=True)
class _Counted:
    repairs: int
    decisions: int
    counted: dict[str, Cells]
    stored: dict[str, Cells]


def rebuild_day(
    database: Database,
    org_id: str,
    day: date,
    now: datetime,
    *,
    mend: bool = True,
    counting: Callable[[int], None] = lambda _: None,
) -> DayResult:
    """Compare the rollups of a UTC day with its decisions; with `mend`, correct what differs, in one transaction.

    `counting` is told after each batch how many decisions were read. `latencies` of a gate are counted from what
    settles told; crossings are not counted anew, because they happened or not. Raises `DecisionsDropped`.
    """
    while True:
        found = _count(database, org_id, day, now, counting)
        wrong = {
            name: {
                key: (found.counted[name].get(key), found.stored[name].get(key))
                for key in sorted(found.counted[name].keys() | found.stored[name].keys())
                if found.counted[name].get(key) != found.stored[name].get(key)
            }
            for name in ROLLUPS
        }
        result = DayResult(day, found.decisions, {name: len(rows) for name, rows in wrong.items()})
        if not mend or not result.drifted or _mend(database, org_id, found.repairs, wrong):
            return result


def count_decisions(database: Database, org_id: str, first: date, last: date) -> int:
    """How many decisions these UTC days have, both included."""
    with database.read() as connection:
        return int(
            connection.execute(
                select(func.count()).where(
                    decisions.c.org_id == org_id,
                    decisions.c.at >= start_of(first),
                    decisions.c.at < start_of(last) + timedelta(days=1),
                )
            ).scalar_one()
        )


def _count(database: Database, org_id: str, day: date, now: datetime, counting: Callable[[int], None]) -> _Counted:
    with database.snapshot() as connection:
        repairs: int = connection.execute(
            select(organizations.c.rollup_repairs).where(organizations.c.org_id == org_id)
        ).scalar_one()
        _must_have_decisions(connection, org_id, day)
        rollups, number = Rollups(), 0
        for batch in _decisions_of(connection, org_id, day):
            for row in batch:
                rollups.count_decision(row, examined_of(row))
                rollups.count_outcome(row)
            number += len(batch)
            counting(len(batch))
        for event in _counted_alike(connection, org_id, day):
            count_denied_many(rollups, event)
        minutes = minutes_from(now) + CLOCK_MARGIN
        counted = rollups.rows(org_id, minutes)
        stored = {name: _stored(connection, name, org_id, day, minutes) for name in ROLLUPS}
        counted["limits"] = _with_old_peaks(counted["limits"], stored["limits"], _outages(connection, org_id, day))
    return _Counted(repairs, number, counted, stored)


def _must_have_decisions(connection: Connection, org_id: str, day: date) -> None:
    kept_from = decisions_kept_from(connection, org_id)
    if kept_from is not None and start_of(day) < kept_from:
        raise DecisionsDropped(day, kept_from.date())


def _decisions_of(connection: Connection, org_id: str, day: date) -> Iterator[list[dict[str, Any]]]:
    start = start_of(day)
    of_day = (decisions.c.at >= start, decisions.c.at < start + timedelta(days=1))
    after: dict[str, Any] | None = None
    while True:
        batch = next_decisions(connection, org_id, (*COUNTED, "tests"), *of_day, after=after, limit=BATCH)
        if batch:
            yield batch
        if len(batch) < BATCH:
            return
        after = batch[-1]


def _counted_alike(connection: Connection, org_id: str, day: date) -> Iterator[LedgerEvent]:
    """Events that stand for many denials: of these there are no decisions."""
    start = start_of(day)
    found = connection.execute(
        select(events.c.stream_id, events.c.payload).where(
            events.c.org_id == org_id,
            events.c.kind == DENIED_MANY,
            events.c.at >= start,
            events.c.at < start + timedelta(days=1),
        )
    )
    for row in found:
        # Back into the fields of the stream, which is what is read everywhere else.
        yield read_event(row.stream_id, {**row.payload, "k": DENIED_MANY, "d": ""}, lambda *_: CallPlan(org_id))


def _outages(connection: Connection, org_id: str, day: date) -> set[datetime]:
    """Hours in which calls passed without Redis, and those before and after: a clock may have been another one."""
    start, hour = start_of(day), timedelta(hours=1)
    found = connection.execute(
        select(usage.c.bucket)
        .where(usage.c.org_id == org_id, usage.c.grain == "hour", usage.c.fail_open > 0)
        .where(usage.c.bucket >= start - hour, usage.c.bucket <= start + timedelta(days=1))
        .distinct()
    ).scalars()
    return {bucket + shift for bucket in found for shift in (-hour, hour * 0, hour)}


def _with_old_peaks(counted: Cells, stored: Cells, outages: set[datetime]) -> Cells:
    """Let peaks of these hours be as high as they are stored.

    A denial by the gate of which nobody heard, so that its process said yes, is no decision any more. Its reading
    stays, and was true: the window was that full.
    """
    raised = dict(counted)
    for key, found in stored.items():
        if key[_HOUR] in outages:
            mine = counted.get(key, (0,) * len(found))
            raised[key] = (*mine[:_PEAK], max(mine[_PEAK], found[_PEAK]))
    return raised


def _stored(connection: Connection, name: str, org_id: str, day: date, minutes: datetime) -> Cells:
    table, added, largest = ROLLUPS[name]
    key, amounts = key_columns(table), (*added, *largest)
    start = start_of(day)
    within = and_(table.c.org_id == org_id, table.c.bucket >= start, table.c.bucket < start + timedelta(days=1))
    if "grain" in key:
        # One after the other, because the keys begin with it.
        conditions = [
            and_(within, table.c.grain == grain, table.c.bucket >= (minutes if grain == "minute" else start))
            for grain in GRAINS
        ]
    else:
        conditions = [within]
    return {
        tuple(row[: len(key)]): tuple(row[len(key) :])
        for condition in conditions
        for row in connection.execute(select(*(table.c[column] for column in (*key, *amounts))).where(condition))
        # Rows that corrections have emptied count for nothing.
        if any(row[len(key) :])
    }


Wrong = dict[tuple[Any, ...], tuple[tuple[int, ...] | None, tuple[int, ...] | None]]


def _mend(database: Database, org_id: str, repairs: int, wrong: dict[str, Wrong]) -> bool:
    """Add the differences; false when somebody else has mended since, so that they are other ones now."""
    with database.write() as connection:
        # The organization's row first, as a writer does.
        taken = connection.execute(
            update(organizations)
            .where(organizations.c.org_id == org_id, organizations.c.rollup_repairs == repairs)
            .values(rollup_repairs=repairs + 1)
        )
        if taken.rowcount != 1:
            return False
        for name, rows in wrong.items():
            table, added, largest = ROLLUPS[name]
            key, nothing = key_columns(table), (0,) * (len(added) + len(largest))
            differences = []
            for place, (counted, stored) in rows.items():
                wanted, found = counted or nothing, stored or nothing
                sums = (wanted[index] - found[index] for index in range(len(added)))
                differences.append((*place, *sums, *wanted[len(added) :]))
            upsert_rows(connection, table, (*key, *added, *largest), differences, added=added, largest=largest)
            if largest:
                _lower_peaks(connection, rows)
            _remove_empty(connection, table, [place for place, (counted, _) in rows.items() if counted is None])
    return True


def _lower_peaks(connection: Connection, rows: Wrong) -> None:
    """Lower peaks that were too high, unless they have risen since: then that is the peak."""
    too_high = [
        {**{f"the_{name}": value for name, value in zip(key_columns(limits), place, strict=True)},
         "was": stored[_PEAK], "now": counted[_PEAK] if counted else 0}
        for place, (counted, stored) in rows.items()
        if stored is not None and stored[_PEAK] > (counted[_PEAK] if counted else 0)
    ]  # fmt: skip
    if too_high:
        connection.execute(
            update(limits).where(*_at_key(limits), limits.c.peak_permille == bindparam("was")).values(
                peak_permille=bindparam("now")
            ),
            too_high,
        )  # fmt: skip


def _remove_empty(connection: Connection, table: Table, places: list[tuple[Any, ...]]) -> None:
    """Remove rows that should not be there, unless something has been added to them since."""
    if places:
        key = key_columns(table)
        amounts = [column for column in table.columns if column.name not in key]
        connection.execute(
            delete(table).where(*_at_key(table), *(amount == 0 for amount in amounts)),
            [{f"the_{name}": value for name, value in zip(key, place, strict=True)} for place in places],
        )


def _at_key(table: Table) -> list[Any]:
    return [table.c[name] == bindparam(f"the_{name}") for name in key_columns(table)]
