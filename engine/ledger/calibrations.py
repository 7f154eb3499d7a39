"""Calibrations in SQL: the calls they rest on, what they propose, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, func, insert, select, update

from engine.analytics.backtest import Check, Verdict
from engine.clock import to_ms, utc_now
from engine.errors import BursarError
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.organizations import ensure_organization
from engine.ledger.price_books import StoredBook, live_book, publish_book
from engine.ledger.queries.variance import Days, segment_totals
from engine.ledger.tables import calibrations, decisions
from engine.ledger.variance import about_the_book, start_of
from engine.pricing.challenger import Challenger, ProposedCorrection, SettledCall
from engine.pricing.rows import decimal_text
from engine.pricing.segment import Segment
from engine.pricing.usage import Usage

HOLDOUT_DAYS = 7
FIT_DAYS = 28
MOST_CALLS = 2000
"""Calls looked at for each segment and window, each then standing for several."""
MOST_SEGMENTS = 100
"""Segments looked at, the most expensive first; the others' turn comes when these are mended."""

State = Literal["proposed", "promoted", "rejected"]


class UnknownCalibration(BursarError):
    """The organization has no such calibration."""


class NotPromoted(BursarError):
    """The calibration cannot become the price book; the message says why. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Window:
    """UTC days: fitted from `start` on, judged from `holdout` to just before `end`."""

    start: date
    holdout: date
    end: date

    @classmethod
    def before(cls, day: date, fit_days: int = FIT_DAYS) -> Window:
        """The last seven days before `day`, which is not over yet, and those before them."""
        holdout = day - timedelta(days=HOLDOUT_DAYS)
        return cls(holdout - timedelta(days=fit_days), holdout, day)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A stored calibration."""

    number: int
    created_at: datetime
    author: str
    reason: str
    champion: int
    window: Window
    challenger: Challenger
    state: State


def doubtful_segments(connection: Connection, org_id: str, window: Window) -> list[Segment]:
    """The segments whose counted days say that their estimates are off by more than 5 %."""
    totals = segment_totals(connection, Days(org_id, window.start, window.holdout))
    doubtful = [segment for segment, each in totals.items() if each.judged(window.holdout).beyond_proposal]
    return doubtful[:MOST_SEGMENTS]


def settled_calls(
    connection: Connection, org_id: str, segments: Iterable[Segment], start: date, end: date
) -> list[SettledCall]:
    """Settled calls of these segments from `start` to just before `end`: all, or a random selection of many."""
    calls: list[SettledCall] = []
    counted = segment_totals(connection, Days(org_id, start, end))
    for segment in segments:
        rows = connection.execute(
            select(decisions.c.at, decisions.c.estimated_usage, decisions.c.actual_micros)
            .where(
                decisions.c.org_id == org_id,
                *(decisions.c[name] == value for name, value in segment._asdict().items()),
                decisions.c.at >= start_of(start),
                decisions.c.at < start_of(end),
                decisions.c.state == "settled",
                about_the_book(),
            )
            # The last digits of an id are random, and the same at every look.
            .order_by(func.substr(decisions.c.decision_id, 25), decisions.c.decision_id)
            .limit(MOST_CALLS)
        ).all()
        settled = counted[segment].sums.calls if segment in counted else 0
        weight = max(1.0, settled / len(rows)) if rows else 1.0
        calls += [
            SettledCall(segment, to_ms(row.at), Usage(**(row.estimated_usage or {})), row.actual_micros, weight)
            for row in rows
        ]
    return calls


def has_slot(connection: Connection, org_id: str, slot: date) -> bool:
    """Whether there is a scheduled calibration of a day."""
    found = connection.execute(
        select(calibrations.c.slot).where(calibrations.c.org_id == org_id, calibrations.c.slot == slot)
    )
    return found.first() is not None


def keep_calibration(
    connection: Connection,
    org_id: str,
    *,
    champion: int,
    window: Window,
    challenger: Challenger,
    author: str,
    reason: str,
    slot: date | None = None,
) -> int | None:
    """Store a calibration, with its entry in the audit log. Returns its number.

    `None` when `slot`, the day of a scheduled one, has one already.
    """
    ensure_organization(connection, org_id, lock=True)
    mine = calibrations.c.org_id == org_id
    if slot is not None and has_slot(connection, org_id, slot):
        return None
    newest = connection.execute(select(func.max(calibrations.c.calibration)).where(mine)).scalar_one()
    number = (newest or 0) + 1
    now = utc_now()
    connection.execute(
        insert(calibrations).values(
            org_id=org_id,
            calibration=number,
            created_at=now,
            author=author,
            reason=reason,
            champion=champion,
            window_start=window.start,
            holdout_start=window.holdout,
            window_end=window.end,
            passed=challenger.verdict.passed,
            content=_content(challenger),
            state="proposed",
            slot=slot,
        )
    )
    details = {"passed": challenger.verdict.passed, "champion": champion, "proposals": len(challenger.proposals)}
    record_audit(
        connection, org_id, AuditEntry(now, author, "costs.calibrate", f"calibration {number}", reason, details)
    )
    return number


def stored_calibration(connection: Connection, org_id: str, number: int | None = None) -> Calibration:
    """One calibration, by default the newest. Raises `UnknownCalibration`."""
    wanted = select(calibrations).where(calibrations.c.org_id == org_id)
    if number is not None:
        wanted = wanted.where(calibrations.c.calibration == number)
    row = connection.execute(wanted.order_by(calibrations.c.calibration.desc()).limit(1)).one_or_none()
    if row is None:
        what = "no calibration yet" if number is None else f"no calibration {number}"
        raise UnknownCalibration(f"organization {org_id!r} has {what}; `bursar costs calibrate` makes one")
    return _read(row)


def recent_calibrations(connection: Connection, org_id: str, *, most: int = 20) -> list[Calibration]:
    """The newest calibrations first."""
    rows = connection.execute(
        select(calibrations)
        .where(calibrations.c.org_id == org_id)
        .order_by(calibrations.c.calibration.desc())
        .limit(most)
    )
    return [_read(row) for row in rows]


def promote(connection: Connection, org_id: str, number: int | None, *, author: str, reason: str) -> StoredBook:
    """Make a calibration's corrections part of the price book, as a new version.

    Raises `NotPromoted` when the gate said no, when it was promoted or rejected already, or when another version of
    the book is live than the one that it was judged against.
    """
    ensure_organization(connection, org_id, lock=True)
    calibration = stored_calibration(connection, org_id, number)
    refusal = _refusal(calibration, live_book(connection, org_id).version)
    if refusal:
        raise NotPromoted(f"calibration {calibration.number} {refusal}")
    live = live_book(connection, org_id)
    corrections = calibration.challenger.corrections(f"calibration {calibration.number}")
    published = publish_book(
        connection,
        org_id,
        live.book.with_corrections(corrections),
        base=calibration.champion,
        action="promote",
        author=author,
        reason=reason,
        details={
            "calibration": calibration.number,
            "corrections": [correction.to_json() for correction in corrections],
        },
    )
    _set_state(connection, org_id, calibration.number, "promoted")
    return published


def reject(connection: Connection, org_id: str, number: int | None, *, author: str, reason: str) -> Calibration:
    """Say no to a calibration, with an entry in the audit log. Raises `NotPromoted` when that is decided already."""
    ensure_organization(connection, org_id, lock=True)
    calibration = stored_calibration(connection, org_id, number)
    if calibration.state != "proposed":
        raise NotPromoted(f"calibration {calibration.number} is {calibration.state} already")
    _set_state(connection, org_id, calibration.number, "rejected")
    subject = f"calibration {calibration.number}"
    record_audit(connection, org_id, AuditEntry(utc_now(), author, "costs.reject", subject, reason, {}))
    return calibration


def _refusal(calibration: Calibration, live: int) -> str:
    if calibration.state != "proposed":
        return f"is {calibration.state} already"
    if not calibration.challenger.verdict.passed:
        failed = " ".join(check.sentence for check in calibration.challenger.verdict.checks if not check.passed)
        return f"did not stand the backtest: {failed}"
    if live != calibration.champion:
        return (
            f"was judged against version {calibration.champion} of the price book, but {live} is live: "
            "`bursar costs calibrate` judges anew"
        )
    return ""


def _set_state(connection: Connection, org_id: str, number: int, state: State) -> None:
    connection.execute(
        update(calibrations)
        .where(and_(calibrations.c.org_id == org_id, calibrations.c.calibration == number))
        .values(state=state)
    )


def _content(challenger: Challenger) -> dict[str, Any]:
    return {
        "proposals": [
            {name: decimal_text(value) if isinstance(value, Decimal) else value for name, value in fields.items()}
            for fields in ({**asdict(each), "segment": each.segment._asdict()} for each in challenger.proposals)
        ],
        "checks": [check._asdict() for check in challenger.verdict.checks],
        "left_out": list(challenger.left_out),
    }


def _read(row: Row[Any]) -> Calibration:
    checks = tuple(Check(**check) for check in row.content["checks"])
    return Calibration(
        number=row.calibration,
        created_at=row.created_at,
        author=row.author,
        reason=row.reason,
        champion=row.champion,
        window=Window(row.window_start, row.holdout_start, row.window_end),
        challenger=Challenger(
            _proposals(row.content["proposals"]), Verdict(row.passed, checks), tuple(row.content["left_out"])
        ),
        state=row.state,
    )


def _proposals(stored: Sequence[dict[str, Any]]) -> tuple[ProposedCorrection, ...]:
    return tuple(
        ProposedCorrection(
            segment=Segment(**each["segment"]),
            old_factor=Decimal(each["old_factor"]),
            new_factor=Decimal(each["new_factor"]),
            old_buffer=Decimal(each["old_buffer"]),
            new_buffer=Decimal(each["new_buffer"]),
            calls=each["calls"],
            ratio=each["ratio"],
            low=each["low"],
            high=each["high"],
        )
        for each in stored
    )
