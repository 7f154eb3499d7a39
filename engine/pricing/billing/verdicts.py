"""What one agent's day turned out to be: the same on both sides, different, or not to be compared at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

TOLERANCE_MICROS = 10_000
TOLERANCE_PERCENT = 1
"""A cent, or one percent of what the ledger has, whichever is more, is no difference."""

BILLED_LATE_DAYS = 1
"""Providers' reports lag about a day: what was spent yesterday and today may not be in a bill yet."""


class Verdict(StrEnum):
    """What an agent-day turned out to be."""

    MATCHED = "matched"
    DRIFT = "drift"
    MISSING_IN_LEDGER = "missing_in_ledger"
    UNKNOWN_AGENT = "unknown_agent"
    MISSING_IN_BILL = "missing_in_bill"
    NOT_BILLED_YET = "not_billed_yet"
    BEFORE_LEDGER = "before_ledger"


DIFFERENT = frozenset({Verdict.DRIFT, Verdict.MISSING_IN_LEDGER, Verdict.UNKNOWN_AGENT, Verdict.MISSING_IN_BILL})
"""What somebody should look at."""

ONE_SIDED = frozenset({Verdict.NOT_BILLED_YET, Verdict.BEFORE_LEDGER})
"""What the other side cannot have, so that it is no difference between the two."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the amounts.

    `today` is the UTC day of now, `first_day` the first that the ledger has anything of, `None` when it is empty,
    `billed_through` the last day that the bill's source ever billed, `agents` are those of the live document.
    """

    today: date
    first_day: date | None
    billed_through: date | None
    agents: Collection[str]


def judge(agent_id: str, billed_micros: int, spent_micros: int, day: date, known: Known) -> Verdict:
    """What one agent-day is."""
    if billed_micros and (known.first_day is None or day < known.first_day):
        return Verdict.BEFORE_LEDGER
    difference = abs(billed_micros - spent_micros)
    if difference <= TOLERANCE_MICROS or difference * 100 <= spent_micros * TOLERANCE_PERCENT:
        return Verdict.MATCHED
    if spent_micros == 0 and billed_micros > 0:
        return Verdict.MISSING_IN_LEDGER if agent_id in known.agents else Verdict.UNKNOWN_AGENT
    if billed_micros == 0:
        late = day >= known.today - timedelta(days=BILLED_LATE_DAYS)
        return Verdict.NOT_BILLED_YET if late else Verdict.MISSING_IN_BILL
    return Verdict.DRIFT
