"""What a batch of events does to budget counters, and which thresholds they pass by it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from engine.admission.plan import PlannedCounter
from engine.admission.record import HoldRecord

BudgetKey = tuple[str, str, str, str]
"""Budget id, scope, period kind, period label."""

REMEMBERED = 8192
FULL = 10_000
"""Basis points of a limit."""
HALF, NEARLY_FULL = 5_000, 9_500
DENIALS_APART = timedelta(minutes=1)
"""A counter that denies all the time notes it so often, and no oftener."""
FIRST_DENIAL = 0
"""The threshold of a counter's first denied call: it can deny long before `spent` is at its limit."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A counter's limit in micro-dollars (`None`: no cost limit) and its own thresholds in basis points of it."""

    limit_micros: int | None
    warning: int
    degradation: int

    @classmethod
    def of(cls, counter: PlannedCounter) -> Thresholds:
        """As a document version has them."""
        return cls(
            counter.limit_micros,
            basis_points(counter.warning_threshold),
            basis_points(counter.degradation_threshold),
        )

    def reached(self, spent_micros: int) -> set[int]:
        """The thresholds that so much reaches: half, the counter's own two, 95 % and all of its limit."""
        limit = self.limit_micros
        if limit is None or spent_micros <= 0:
            return set()
        wanted = {HALF, self.warning, self.degradation, NEARLY_FULL, FULL}
        return {threshold for threshold in wanted if spent_micros * FULL >= threshold * limit}


class Spend(NamedTuple):
    """A change of a counter's `spent`: when, and by how much. A corrected one may be negative."""

    at: datetime
    micros: int


class Crossing(NamedTuple):
    """A counter's `spent` reached a threshold (in basis points), or it denied its first call (0).

    `execution_limit` and `reason` go with a denial, which may be by either limit.
    """

    threshold: int
    at: datetime
    spent_micros: int
    limit_micros: int | None
    execution_limit: int | None = None
    reason: str | None = None


@dataclass(slots=True)
class Move:
    """What a batch changes of one counter."""

    held_micros: int = 0
    executions: int = 0
    spends: list[Spend] = field(default_factory=list)

    @property
    def spent_micros(self) -> int:
        """All changes of `spent` together."""
        return sum(spend.micros for spend in self.spends)


class BudgetMoves:
    """Moves and denials by counter, and the counters as the newest checks of the batch planned them."""

    def __init__(self) -> None:
        self.moves: dict[BudgetKey, Move] = {}
        self.denials: dict[BudgetKey, list[Crossing]] = {}
        self.planned: dict[BudgetKey, PlannedCounter] = {}

    def hold(self, counters: Iterable[PlannedCounter], reserve_micros: int) -> None:
        """An allowed call holds its reserve and counts as an execution."""
        for counter in counters:
            key = key_of(counter)
            move = self._move(key)
            move.held_micros += reserve_micros
            move.executions += 1
            self.planned[key] = counter

    def close(self, before: HoldRecord, amount_micros: int, at: datetime, *, cancelled: bool) -> None:
        """A hold ended; the same changes that the gate made to its counters."""
        change = amount_micros - before.charged_micros
        for name in before.counters:
            move = self._move(budget_key(name))
            if before.state == "H":
                move.held_micros -= before.reserve_micros
            if change:
                move.spends.append(Spend(at, change))
            if cancelled:
                move.executions -= 1

    def deny(self, counter: PlannedCounter, spent_micros: int, at: datetime, reason: str) -> None:
        """A counter denied a call, with so much spent."""
        denial = Crossing(FIRST_DENIAL, at, spent_micros, counter.limit_micros, counter.execution_limit, reason)
        self.denials.setdefault(key_of(counter), []).append(denial)

    def _move(self, key: BudgetKey) -> Move:
        move = self.moves.get(key)
        if move is None:
            move = self.moves[key] = Move()
        return move


def crossed(
    spent_micros: int, before: Thresholds | None, after: Thresholds, spends: Sequence[Spend], now: datetime
) -> Iterator[Crossing]:
    """The thresholds that a counter with `spent_micros` passes upward by `spends`, in their order.

    `before` are the thresholds until then; `None` for a new counter. A lowered limit, or a budget that begins with
    what its period has spent already, passes them without a spend, at `now` when there is none. Each threshold is
    passed once here; whoever keeps crossings knows whether it was passed earlier.
    """
    passed = set() if before is None else before.reached(spent_micros)
    if after.reached(spent_micros + sum(max(0, spend.micros) for spend in spends)) <= passed:
        return
    for spend in (Spend(spends[0].at if spends else now, 0), *spends):
        spent_micros += spend.micros
        for threshold in sorted(after.reached(spent_micros) - passed):
            passed.add(threshold)
            yield Crossing(threshold, spend.at, spent_micros, after.limit_micros)


def noted_denial(noted: Crossing | None, denials: Iterable[Crossing]) -> Crossing | None:
    """Which denial is noted of a counter after these, one after the other; `noted` is the one until then.

    One by other limits takes its place: it is news once more. So does, now and then, one by the same: limits may have
    been raised and lowered again in between. What is heard of late takes nothing's place.
    """
    for denial in denials:
        if noted is None or _is_news(denial, noted):
            noted = denial
    return noted


def _is_news(denial: Crossing, noted: Crossing) -> bool:
    limits = (denial.limit_micros, denial.execution_limit) != (noted.limit_micros, noted.execution_limit)
    return denial.at > noted.at and (limits or denial.at >= noted.at + DENIALS_APART)


def basis_points(share: Decimal) -> int:
    """Rounded up: a use below it is below the exact share too."""
    return math.ceil(share * FULL)


def key_of(counter: PlannedCounter) -> BudgetKey:
    """What tells a counter from every other."""
    return counter.budget_id, counter.scope, counter.period.kind, counter.period.label


@lru_cache(maxsize=REMEMBERED)
def budget_key(counter_name: str) -> BudgetKey:
    """Take a counter's name apart. Raises `ValueError` when it is none."""
    budget_id, scope, kind, label = counter_name.split("|")
    return budget_id, scope, kind, label
