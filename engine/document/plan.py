"""What a document would do to its organization: what changes, and what that means for money already spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from engine.admission.plan import limits_of
from engine.document.diff import Change, diff_documents
from engine.document.live import LiveDocument
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.document.wording import BUDGET_LIMITS, amount
from engine.ledger.recount import CounterTotals, Recount, recount
from engine.periods import PeriodKind, period_of


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A change with its effects on what has been spent: half sentences, none when there is nothing to say."""

    change: Change
    effects: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The change and its effects as a sentence."""
        return "; ".join((self.change.text, *self.effects))

    def as_json(self) -> dict[str, Any]:
        """The change for programs."""
        return {**self.change.as_json(), "effects": list(self.effects)}


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying a document would change. `base` is the version that it was planned against, 0 for none."""

    organization: str
    base: int
    changes: tuple[PlannedChange, ...]

    @property
    def changes_nothing(self) -> bool:
        """Whether what is live already means the same. A first version always changes something."""
        return self.base > 0 and not self.changes

    @property
    def version(self) -> int:
        """The version that would be live afterwards."""
        return self.base if self.changes_nothing else self.base + 1

    def as_json(self) -> dict[str, Any]:
        """The plan for programs."""
        return {
            "organization": self.organization,
            "live_version": self.base or None,
            "next_version": self.version,
            "changes": [change.as_json() for change in self.changes],
        }


def make_plan(
    connection: Connection | None, live: LiveDocument | None, document: GovernanceDocument, at: datetime
) -> Plan:
    """Compare `document` with the live version. Without a `connection` nothing has been spent yet.

    Usage is counted by the new document, as it will be when that is live: what Redis holds and the ledger does not
    yet know is missing.
    """
    old = None if live is None else live.document
    changes = diff_documents(old, document)
    counts = any(change.object == "budget" or change.field == "timezone" for change in changes)
    counted = recount(connection, document, at) if counts and connection is not None else Recount()
    effects = _Effects(old, document, counted, at)
    return Plan(
        document.organization,
        0 if live is None else live.version,
        tuple(PlannedChange(change, tuple(effects.of(change))) for change in changes),
    )


class _Effects:
    """What changes of budgets mean for what their current periods have spent."""

    def __init__(self, old: GovernanceDocument | None, new: GovernanceDocument, counted: Recount, at: datetime) -> None:
        self._old = {budget.id: budget for budget in old.budgets} if old else {}
        self._new = {budget.id: budget for budget in new.budgets}
        self._moved = old is not None and old.timezone != new.timezone
        self._zone = new.timezone
        self._counted = counted
        self._at = at

    def of(self, change: Change) -> Iterator[str]:
        """The effects of one change."""
        if change.object == "document" and change.field == "timezone":
            for budget in self._new.values():
                if budget.id in self._old:
                    yield from (f"budget {budget.id} {effect}" for effect in self._anew(budget, named=True))
        elif change.object == "budget" and change.kind == "added":
            yield from self._anew(self._new[str(change.id)])
        elif change.object == "budget" and change.kind == "changed":
            yield from self._of_change(self._old[str(change.id)], self._new[str(change.id)], str(change.field))

    def _of_change(self, old: BudgetSpec, new: BudgetSpec, field: str) -> Iterator[str]:
        rescoped = (old.per, old.applies_to) != (new.per, new.applies_to)
        if field in ("per", "applies_to"):
            # When both changed it is said once.
            if field == "per" or old.per == new.per:
                yield from self._anew(new)
        elif field in BUDGET_LIMITS and not rescoped:
            kind = _kind(field)
            counts_already = limits_of(old, kind) != (None, None) and not self._moved
            yield from self._limit(new, field, anew=not counts_already)
        elif field == "enforcement_mode" and new.enforcement_mode == "hard":
            for limit in _limits(new):
                yield from self._over(new, limit, named=True)

    def _anew(self, budget: BudgetSpec, *, named: bool = False) -> Iterator[str]:
        limits = _limits(budget)
        for field in limits:
            for effect in self._limit(budget, field, anew=True):
                yield f"{BUDGET_LIMITS[field]} {effect}" if named or len(limits) > 1 else effect

    def _limit(self, budget: BudgetSpec, field: str, *, anew: bool) -> Iterator[str]:
        uses = self._uses(budget, _kind(field))
        over = list(self._over(budget, field))
        if not uses or over:
            yield from over
            return
        most = max(uses, key=lambda use: _carried(use, field))
        spent = _words(_carried(most, field), field)
        if budget.per == "org":
            yield (
                f"counts what its period has already {_verb(field)}: {spent}"
                if anew
                else (f"{spent} already {_verb(field)} is kept")
            )
        else:
            scopes = f"{_many(len(uses), budget.per)}, at most {spent} ({most.counter.scope})"
            yield (
                f"counts what its period has already {_verb(field)}: {scopes}"
                if anew
                else (f"what is already {_verb(field)} is kept: {scopes}")
            )

    def _over(self, budget: BudgetSpec, field: str, *, named: bool = False) -> Iterator[str]:
        """Whether so much is used already that nothing, or nothing for some, will pass."""
        kind = _kind(field)
        usd, executions = limits_of(budget, kind)
        limit = usd if field.endswith("_usd") else executions
        uses = self._uses(budget, kind)
        over = [use for use in uses if limit is not None and _used(use, field) >= limit]
        if not over or limit is None:
            return
        most = max(over, key=lambda use: _used(use, field))
        used = f"{_words(_used(most, field), field)} of {_words(limit, field)}"
        held = f" ({amount(most.held_micros)} of it held)" if field.endswith("_usd") and most.held_micros else ""
        fate = "denied" if budget.enforcement_mode == "hard" else "marked over_soft_budget"
        end = self._day(most.counter.period.end)
        name = f"{BUDGET_LIMITS[field]} " if named else ""
        if budget.per == "org":
            yield f"{name}{used} is already used{held}: calls are {fate} until {end}"
        else:
            yield (
                f"{name}{used} is already used by {most.counter.scope}{held}: calls of "
                f"{_many(len(over), budget.per)} out of {len(uses)} are {fate} until {end}"
            )

    def _uses(self, budget: BudgetSpec, kind: PeriodKind) -> list[CounterTotals]:
        period = period_of(kind, self._at, self._zone)
        return [
            totals
            for totals in self._counted.totals.values()
            if totals.counter.budget_id == budget.id
            and totals.counter.period == period
            and (totals.spent_micros or totals.held_micros or totals.executions)
        ]

    def _day(self, instant: datetime) -> str:
        local = instant.astimezone(ZoneInfo(self._zone))
        return f"{local.day} {local:%b %Y} ({self._zone})"


def _limits(budget: BudgetSpec) -> list[str]:
    return [field for field in BUDGET_LIMITS if getattr(budget, field) is not None]


def _kind(field: str) -> PeriodKind:
    return "month" if field.startswith("monthly") else "day"


def _used(totals: CounterTotals, field: str) -> int:
    return totals.spent_micros + totals.held_micros if field.endswith("_usd") else totals.executions


def _carried(totals: CounterTotals, field: str) -> int:
    return totals.spent_micros if field.endswith("_usd") else totals.executions


def _words(number: int, field: str) -> str:
    return amount(number) if field.endswith("_usd") else f"{number:,}"


def _verb(field: str) -> str:
    return "spent" if field.endswith("_usd") else "executed"


def _many(count: int, per: str) -> str:
    return f"{count:,} {per}" if count == 1 else f"{count:,} {per}s"
