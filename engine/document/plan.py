"""What a document would do to its organization: what changes, and what that means for money already spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from engine.admission.limits import limits_at, limits_of
from engine.clock import to_ms
from engine.document.diff import Change, diff_documents
from engine.document.live import LiveDocument
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.document.wording import BUDGET_LIMITS, amount, amounts
from engine.ledger.recount import CounterTotals, Recount, recount
from engine.periods import PERIOD_KINDS, Period, PeriodKind, period_of


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A change with its effects on money and calls: half sentences, none when there is nothing to say."""

    change: Change
    effects: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The change as people read it: one effect stays on its line, several have a line each."""
        if len(self.effects) > 1:
            return (self.change.text, *self.effects)
        return ("; ".join((self.change.text, *self.effects)),)

    def __str__(self) -> str:
        """The lines, the effects indented."""
        return "\n  ".join(self.lines)

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
    # What is denied now is known only by the budgets that are live now.
    ends = any(change.object == "budget" and change.kind != "added" for change in changes)
    before = recount(connection, old, at) if ends and old is not None and connection is not None else Recount()
    effects = _Effects(old, document, before, counted, at)
    return Plan(
        document.organization,
        0 if live is None else live.version,
        tuple(PlannedChange(change, tuple(effects.of(change))) for change in changes),
    )


class _Effects:
    """What changes of budgets mean for what their current periods have spent."""

    def __init__(
        self, old: GovernanceDocument | None, new: GovernanceDocument, before: Recount, counted: Recount, at: datetime
    ) -> None:
        self._old = {budget.id: budget for budget in old.budgets} if old else {}
        self._new = {budget.id: budget for budget in new.budgets}
        self._moved = old is not None and old.timezone != new.timezone
        self._old_zone = new.timezone if old is None else old.timezone
        self._zone = new.timezone
        self._before = before
        self._counted = counted
        self._at = at
        self._freed_said: set[str] = set()

    def of(self, change: Change) -> Iterator[str]:
        """The effects of one change."""
        if change.object == "document" and change.field == "timezone":
            for budget in self._new.values():
                if budget.id in self._old:
                    yield from (f"budget {budget.id} {effect}" for effect in self._anew(budget, named=True))
        elif change.object == "budget" and change.kind == "removed":
            yield from self._freed(self._old[str(change.id)], None)
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
            yield from self._freed(old, new)
        elif field == "raises" and not rescoped:
            for limit in _limits(new):
                if limit.endswith("_usd"):
                    yield from self._over(new, limit, BUDGET_LIMITS[limit])
            yield from self._freed(old, new)
        elif field == "enforcement_mode" and new.enforcement_mode == "hard":
            for limit in _limits(new):
                yield from self._over(new, limit, BUDGET_LIMITS[limit])
        elif field == "enforcement_mode" and not rescoped:
            yield from self._freed(old, new)

    def _anew(self, budget: BudgetSpec, *, named: bool = False) -> Iterator[str]:
        limits = _limits(budget)
        for field in limits:
            yield from self._limit(budget, field, BUDGET_LIMITS[field] if named or len(limits) > 1 else "", anew=True)

    def _limit(self, budget: BudgetSpec, field: str, name: str = "", *, anew: bool) -> Iterator[str]:
        uses = self._uses(budget, _kind(field))
        over = list(self._over(budget, field, name))
        if not uses or over:
            yield from over
            return
        most = max(uses, key=lambda use: _carried(use, field))
        spent = _words(_carried(most, field), field)
        left = self._left(field, uses)
        if anew:
            scopes = "" if budget.per == "org" else f"{_many(len(uses), budget.per)}, at most "
            whose = "" if budget.per == "org" else f" ({most.counter.scope})"
            said = f"counts what its period has already {_verb(field)}: {scopes}{spent}{whose}"
        elif len(uses) == 1:
            said = f"{spent} already {_verb(field)} is kept"
        else:
            said = f"{_many(len(uses), budget.per)} have {_verb(field)}, at most {spent} ({most.counter.scope}); kept"
        yield f"{name} {said}{left}".lstrip()

    def _left(self, field: str, uses: list[CounterTotals]) -> str:
        """How much room the scope with the least has, when that is little."""
        limited = [(limit - _used(use, field), limit) for use in uses if (limit := _limit_of(use, field)) is not None]
        if not limited:
            return ""
        left, limit = min(limited)
        if left * 10 >= limit:
            return ""
        held = max(use.held_micros for use in uses) if field.endswith("_usd") else 0
        held_words = f" besides {amount(held)} held" if held and len(uses) == 1 else ""
        return f", {'at least ' if len(uses) > 1 else ''}{_words(left, field)} left{held_words}"

    def _over(self, budget: BudgetSpec, field: str, name: str = "") -> Iterator[str]:
        """Whether so much is used already that nothing, or nothing for some, will pass."""
        uses = self._uses(budget, _kind(field))
        over = [use for use in uses if _is_used_up(use, field)]
        if not over:
            return
        most = max(over, key=lambda use: _used(use, field))
        used = " of ".join(_both(_used(most, field), _limit_of(most, field) or 0, field))
        held = f"{amount(most.held_micros)} of it held" if field.endswith("_usd") and most.held_micros else ""
        fate = "denied" if budget.enforcement_mode == "hard" else "marked over_soft_budget"
        end = self._day(most.counter.period.end)
        if budget.per == "org":
            held = f" ({held})" if held else ""
            yield f"{name} {used} is already used{held}: calls are {fate} until {end}".lstrip()
        else:
            verb, whose = ("has", "its") if len(over) == 1 else ("have", "their")
            example = f"{most.counter.scope}: {used}" + (f", {held}" if held else "")
            yield (
                f"{f'{name}: ' if name else ''}{len(over):,} of {_many(len(uses), budget.per)} {verb} used it up "
                f"({example}): {whose} calls are {fate} until {end}"
            )

    def _freed(self, old: BudgetSpec, new: BudgetSpec | None) -> Iterator[str]:
        """Whose calls a budget denies now, and does not any more; said once for all of its changes."""
        if self._moved or old.id in self._freed_said:
            return
        denied = _denied(old, self._before, self._at, self._old_zone)
        still = set() if new is None else _denied(new, self._counted, self._at, self._zone)
        freed = denied - still
        # A limit of 0 denies everybody, also who has used nothing and is not counted.
        all_freed = (
            _denies_everybody(old, self._at) and not still and (new is None or not _denies_everybody(new, self._at))
        )
        if not freed and not all_freed:
            return
        self._freed_said.add(old.id)
        if old.per == "org" or all_freed:
            yield "calls that it denies now are allowed again"
        elif len(freed) == 1:
            yield f"calls of {min(freed)} that it denies now are allowed again"
        else:
            yield f"calls of {_many(len(freed), old.per)} that it denies now are allowed again"

    def _uses(self, budget: BudgetSpec, kind: PeriodKind) -> list[CounterTotals]:
        return _uses(budget, self._counted, period_of(kind, self._at, self._zone))

    def _day(self, instant: datetime) -> str:
        local = instant.astimezone(ZoneInfo(self._zone))
        return f"{local.day} {local:%b %Y} ({self._zone})"


def _limits(budget: BudgetSpec) -> list[str]:
    return [field for field in BUDGET_LIMITS if getattr(budget, field) is not None]


def _limit_of(use: CounterTotals, field: str) -> int | None:
    """The limit of a counter, with the raises that are in force."""
    return use.counter.limit_micros if field.endswith("_usd") else use.counter.execution_limit


def _is_used_up(use: CounterTotals, field: str) -> bool:
    limit = _limit_of(use, field)
    return limit is not None and _used(use, field) >= limit


def _uses(budget: BudgetSpec, counted: Recount, period: Period) -> list[CounterTotals]:
    return [
        totals
        for totals in counted.totals.values()
        if totals.counter.budget_id == budget.id
        and totals.counter.period == period
        and (totals.spent_micros or totals.held_micros or totals.executions)
    ]


def _denies_everybody(budget: BudgetSpec, at: datetime) -> bool:
    # Whom a raise of one scope concerns is not everybody.
    limits = [limits_at(budget, kind, "", to_ms(at)) for kind in PERIOD_KINDS]
    return budget.enforcement_mode == "hard" and any(0 in (limit.micros, limit.executions) for limit in limits)


def _denied(budget: BudgetSpec, counted: Recount, at: datetime, zone: str) -> set[str]:
    """The scopes that have used a hard budget up."""
    if budget.enforcement_mode != "hard":
        return set()
    return {
        use.counter.scope
        for field in _limits(budget)
        for use in _uses(budget, counted, period_of(_kind(field), at, zone))
        if _is_used_up(use, field)
    }


def _kind(field: str) -> PeriodKind:
    return "month" if field.startswith("monthly") else "day"


def _used(totals: CounterTotals, field: str) -> int:
    return totals.spent_micros + totals.held_micros if field.endswith("_usd") else totals.executions


def _carried(totals: CounterTotals, field: str) -> int:
    return totals.spent_micros if field.endswith("_usd") else totals.executions


def _words(number: int, field: str) -> str:
    return amount(number) if field.endswith("_usd") else f"{number:,}"


def _both(used: int, limit: int, field: str) -> tuple[str, str]:
    return amounts(used, limit) if field.endswith("_usd") else (f"{used:,}", f"{limit:,}")


def _verb(field: str) -> str:
    return "spent" if field.endswith("_usd") else "executed"


def _many(count: int, per: str) -> str:
    return f"{count:,} {per}" if count == 1 else f"{count:,} {per}s"
