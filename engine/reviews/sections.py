"""What a review says, ready to be laid out: sections of sentences and bars. Pure; no markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.reviews.amounts import change_text, money_text, percent_text
from engine.reviews.content import Compared, CounterUse, DayPoint

Level = Literal["usual", "earlier", "high", "over"]
HIGH_SHARE = 0.8
"""The guide's warning threshold."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a chart: what it is, how long (0 to 1 of the widest), and the same in words."""

    label: str
    share: float
    words: str
    level: Level = "usual"
    note: str = ""
    """A sentence below it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with sentences, then bars, then sentences about them."""

    title: str
    sentences: tuple[str, ...] = ()
    bars: tuple[Bar, ...] = ()
    after: tuple[str, ...] = ()


def count_text(number: int) -> str:
    """`12,345`."""
    return f"{number:,}"


def counted(number: int, thing: str) -> str:
    """`1 execution`, `1,234 executions`."""
    return f"{number:,} {thing}{'' if number == 1 else 's' if not thing.endswith('s') else 'es'}"


def beside(compared: Compared, before: str, show: Callable[[int], str] = money_text) -> str:
    """`$12.30 (+12 % against $11.00 the day before)`; `before` is when the other one was."""
    if compared.now is None:
        return "none" if not compared.before else f"none (against {show(compared.before)} {before})"
    if compared.before is None:
        return f"{show(compared.now)} (nothing to compare with {before})"
    if compared.change is None:
        return f"{show(compared.now)} (against {show(compared.before)} {before})"
    return f"{show(compared.now)} ({change_text(compared.change)} against {show(compared.before)} {before})"


def day_bars(days: Sequence[DayPoint], amount: Callable[[DayPoint], int | None], *, earlier: int) -> tuple[Bar, ...]:
    """A bar for each day; the first `earlier` are those that the others are compared with."""
    most = max((amount(day) or 0 for day in days), default=0)
    bars = []
    for place, day in enumerate(days):
        micros = amount(day)
        bars.append(
            Bar(
                f"{day.day:%a %d %b}",
                max(0, micros or 0) / most if most > 0 else 0.0,
                "no executions" if micros is None else money_text(micros),
                "earlier" if place < earlier else "usual",
            )
        )
    return tuple(bars)


def counter_name(budget_id: str, scope: str, org_id: str) -> str:
    """The budget, and whose counter of it."""
    return budget_id if scope == org_id else f"{budget_id} · {scope}"


def counter_bars(counters: Iterable[CounterUse], org_id: str, before: str) -> tuple[Bar, ...]:
    """A bar for each counter: how much of its limit was used, money or executions, whichever is fuller."""
    bars = []
    for use in counters:
        share = counter_share(use)
        money, ran = use.spent.now or 0, use.executions.now or 0
        parts = [
            f"{money_text(money)} spent, no limit of cost"
            if use.limit_micros is None
            else f"{money_text(money)} of {money_text(use.limit_micros)}{_of(money, use.limit_micros)}",
            counted(ran, "execution")
            if use.execution_limit is None
            else f"{count_text(ran)} of {count_text(use.execution_limit)} executions{_of(ran, use.execution_limit)}",
        ]
        earlier = (
            f"Not used {before}."
            if use.spent.before is None
            else f"{before.capitalize()}: {money_text(use.spent.before)}, "
            f"{counted(use.executions.before or 0, 'execution')}."
        )
        denied = "It denied calls. " if use.blocked else ""
        bars.append(
            Bar(
                counter_name(use.budget_id, use.scope, org_id),
                min(1.0, max(0.0, share or 0.0)),
                ", ".join(parts),
                level_of(share, blocked=use.blocked),
                f"{denied}{earlier}",
            )
        )
    return tuple(bars)


def counter_share(use: CounterUse) -> float | None:
    """The fuller of its shares of cost and executions; None when neither is limited. A limit of 0 is full."""
    pairs = ((use.spent.now, use.limit_micros), (use.executions.now, use.execution_limit))
    shares = [(now or 0) / limit if limit else 1.0 for now, limit in pairs if limit is not None]
    return max(shares, default=None)


def level_of(share: float | None, *, blocked: bool = False) -> Level:
    """How a used share is coloured."""
    if blocked or (share is not None and share >= 1):
        return "over"
    return "high" if share is not None and share >= HIGH_SHARE else "usual"


def _of(now: int, limit: int) -> str:
    return f" ({percent_text(now / limit)})" if limit else ""
