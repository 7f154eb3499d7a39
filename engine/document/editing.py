"""Change a budget in the live document: a new version and its audit entry, in one transaction.

Whoever calls has seen that the author may do it. Every function takes `base`, the version that the author was shown:
when another one is live `DocumentMoved` is raised, and nothing is written. The text that the version was applied from
is changed at that one place and keeps its comments; a text in which that cannot be done is let go, and `bursar export`
writes the document anew.

A version that is made is not in force yet: `engine.in_force` says so to Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.admission.limits import limits_of
from engine.clock import to_ms
from engine.document.authorship import LONGEST_AUTHOR, one_line
from engine.document.budget_text import Edit, edited_text
from engine.document.live import LiveDocument
from engine.document.load import document_content, parse_document
from engine.document.raise_spec import LONGEST_REASON, MOST_RAISES, RaiseSpec, written_instant
from engine.document.raises_lint import scopes_of
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.document.store import locked_document, publish_within, source_text, version_facts
from engine.errors import DocumentError, InvalidValue
from engine.ids import check_id
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.database import Database
from engine.money import format_usd, to_micros, to_usd
from engine.periods import PERIOD_KINDS, PeriodKind
from engine.policy.instants import read_instant

MOST_HOURS = 744
"""The longest month."""
_LIMITS: Mapping[PeriodKind, tuple[str, str, str]] = {
    "month": ("monthly", "monthly_budget_usd", "monthly_usd"),
    "day": ("daily", "daily_budget_usd", "daily_usd"),
}


@dataclass(frozen=True)
class Author:
    """Who changes something, why and when; checked."""

    name: str
    reason: str
    at: datetime

    @classmethod
    def of(cls, author: str, reason: str, now: datetime) -> Author:
        """Raises `InvalidValue` for what cannot stay for ever. Line breaks of a reason become spaces."""
        return cls(
            one_line(author, "author", LONGEST_AUTHOR),
            one_line(" ".join(reason.split()), "reason", LONGEST_REASON),
            read_instant(now, "now"),
        )


@dataclass(frozen=True)
class _Changed:
    """A budget as it is to be, and how that is done in a text."""

    fields: Mapping[str, Any]
    edit: Edit | None
    details: Mapping[str, Any] = field(default_factory=dict)


def raise_budget(
    database: Database,
    org_id: str,
    budget_id: str,
    *,
    base: int,
    kind: PeriodKind,
    new_limit_usd: Decimal,
    author: str,
    reason: str,
    now: datetime,
) -> LiveDocument:
    """Give a budget a higher money limit for good. Raises `InvalidValue` for one that is not higher, or for none."""
    by = Author.of(author, reason, now)
    new = _amount(new_limit_usd, "new_limit_usd")
    word, limited, _ = _names_of(kind)

    def change(budget: BudgetSpec, document: GovernanceDocument) -> _Changed:
        del document
        old = _own_limit(budget, kind)
        if to_micros(new) <= old:
            raise InvalidValue(
                "new_limit_usd",
                f"must be more than {format_usd(old)}, the {word} limit of budget {budget.id}; a limit is lowered in "
                "the document's file, with `bursar plan` and `bursar apply`",
            )
        return _Changed(
            {limited: new},
            lambda text: text.with_amount(limited, new),
            {"period": kind, "old_limit_usd": _written(to_usd(old)), "new_limit_usd": _written(new)},
        )

    return _edit(database, org_id, budget_id, base, by, "budget.raise", change)


def raise_for_a_while(
    database: Database,
    org_id: str,
    budget_id: str,
    *,
    base: int,
    scope: str | None,
    kind: PeriodKind,
    by_usd: Decimal,
    hours: int,
    author: str,
    reason: str,
    now: datetime,
) -> LiveDocument:
    """Raise a budget from now on for so many hours, for one scope value or, with `None`, for all of its counters."""
    by = Author.of(author, reason, now)
    more = _amount(by_usd, "by_usd")
    _, _, raised = _names_of(kind)
    if isinstance(hours, bool) or not isinstance(hours, int) or not 1 <= hours <= MOST_HOURS:
        raise InvalidValue("hours", f"must be a whole number from 1 to {MOST_HOURS}, got {hours!r}")
    start = by.at.replace(microsecond=0)
    added = RaiseSpec.model_validate(
        {
            **({} if scope is None else {"scope": check_id(scope, "scope")}),
            raised: more,
            "from": written_instant(start),
            "until": written_instant(start + timedelta(hours=hours)),
            "reason": by.reason,
        }
    )

    def change(budget: BudgetSpec, document: GovernanceDocument) -> _Changed:
        _own_limit(budget, kind)
        known = scopes_of(document, budget)
        if scope is not None and known and scope not in known:
            raise InvalidValue("scope", f"budget {budget.id} counts no {budget.per} that is called {scope!r}")
        kept = budget.raises
        if len(kept) >= MOST_RAISES:
            # Only then: those that have ended are a record of what was allowed.
            kept = [each for each in kept if each.until_ms > to_ms(by.at)]
        edit: Edit | None = None if len(kept) < len(budget.raises) else lambda text: text.with_raise(added)
        return _Changed({"raises": [*kept, added]}, edit, _facts(added))

    return _edit(database, org_id, budget_id, base, by, "budget.raise_for_a_while", change)


def end_raise(
    database: Database,
    org_id: str,
    budget_id: str,
    *,
    base: int,
    index: int,
    author: str,
    reason: str,
    now: datetime,
) -> LiveDocument:
    """End a raise now: the one at `index` of the budget's raises in version `base`. One not begun yet is removed."""
    by = Author.of(author, reason, now)

    def change(budget: BudgetSpec, document: GovernanceDocument) -> _Changed:
        del document
        if not 0 <= index < len(budget.raises):
            raise InvalidValue("index", f"budget {budget.id} has no raise of number {index}")
        ended = budget.raises[index]
        if ended.until_ms <= to_ms(by.at):
            raise InvalidValue("index", f"this raise of budget {budget.id} has ended already, at {ended.until}")
        others = list(budget.raises)
        if ended.from_ms >= to_ms(by.at):
            del others[index]
            return _Changed({"raises": others}, lambda text: text.without_raise(index), _facts(ended))
        until = written_instant(by.at)
        facts = ended.model_dump(exclude_unset=True) | {"until": until}
        others[index] = RaiseSpec.model_validate(facts)
        details = _facts(ended) | {"ended_at": until}
        return _Changed({"raises": others}, lambda text: text.with_raise_until(index, until), details)

    return _edit(database, org_id, budget_id, base, by, "budget.end_raise", change)


def _edit(
    database: Database,
    org_id: str,
    budget_id: str,
    base: int,
    by: Author,
    action: str,
    change: Callable[[BudgetSpec, GovernanceDocument], _Changed],
) -> LiveDocument:
    """1. Hold the live version. 2. Change the budget, and validate the whole. 3. New version and audit entry."""
    with database.write() as connection:
        live = locked_document(connection, org_id, base)
        budget = next((each for each in live.document.budgets if each.id == budget_id), None)
        if budget is None:
            raise InvalidValue("budget", f"there is no budget {budget_id!r} in version {base}")
        changed: _Changed = change(budget, live.document)
        document = _with_budget(live.document, budget_id, changed.fields)
        text = source_text(connection, org_id, base) if changed.edit is not None else None
        new_text = None if changed.edit is None else edited_text(text, budget_id, changed.edit, document)
        made = publish_within(connection, document, base=base, author=by.name, reason=by.reason, source_text=new_text)
        details = {**changed.details, **version_facts(made)}
        record_audit(connection, org_id, AuditEntry(by.at, by.name, action, budget_id, by.reason, details))
        return made


def _with_budget(document: GovernanceDocument, budget_id: str, fields: Mapping[str, Any]) -> GovernanceDocument:
    content = document_content(document)
    for each in content["budgets"]:
        if each["id"] == budget_id:
            for name, value in fields.items():
                each[name] = (
                    [part.model_dump(mode="json", exclude_unset=True) for part in value]
                    if isinstance(value, list)
                    else _written(value)
                )
    try:
        return parse_document(content, "the changed document")
    except DocumentError as refused:
        raise InvalidValue("budget", f"cannot be changed so: {refused.problems[0]}") from None


def _own_limit(budget: BudgetSpec, kind: PeriodKind) -> int:
    limit, _ = limits_of(budget, kind)
    if limit is None:
        word, _, _ = _names_of(kind)
        raise InvalidValue("budget", f"{budget.id} has no {word} money limit to raise: it is unlimited")
    return limit


def _names_of(kind: PeriodKind) -> tuple[str, str, str]:
    if kind not in PERIOD_KINDS:
        raise InvalidValue("kind", f"must be month or day, got {kind!r}")
    return _LIMITS[kind]


def _amount(usd: Decimal, name: str) -> Decimal:
    micros = to_micros(usd, name)
    if micros <= 0:
        raise InvalidValue(name, f"must be more than $0, got {usd}")
    exact = to_usd(micros)
    if exact != Decimal(str(usd)):
        raise InvalidValue(name, f"must have at most 6 digits after the point, got {usd}")
    return exact


def _written(usd: Decimal) -> str:
    return format(usd.normalize(), "f")


def _facts(each: RaiseSpec) -> dict[str, Any]:
    return each.model_dump(mode="json", exclude_unset=True, exclude={"reason"})
