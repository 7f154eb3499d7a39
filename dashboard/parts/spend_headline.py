"""The sentence an executive reads first: are we on plan, and if not, who moved it? Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dashboard.charts.base import label_of
from dashboard.charts.spend import signed
from dashboard.reading.spend_budgets import Ahead
from dashboard.reading.spend_month import Comparison, Month
from dashboard.wording import money, percent, plural
from engine.analytics.forecast import WEEK
from engine.ledger.queries.local_days import local_day
from engine.ledger.queries.spend import Move

Standing = Literal["good", "warning", "bad", "unknown"]


@dataclass(frozen=True, slots=True)
class Headline:
    """A verdict in two or three words, and the sentences behind it."""

    standing: Standing
    verdict: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it as one line."""
        return f"{self.verdict}: {' '.join(self.sentences)}"


def headline_of(
    month: Month,
    moves: Sequence[Move],
    comparison: Comparison | None,
    ahead: Sequence[Ahead],
    largest: tuple[str, float] | None,
) -> Headline:
    """The verdict on the month, other budgets that are in trouble, and who moved it.

    `largest` is who spent most of what is shown, and which share of it: said while there is nothing to compare with.
    """
    standing, verdict = _verdict(month)
    others, trouble = budgets_in_trouble(month, ahead)
    stands = _where_it_stands(month)
    sentences = [stands, others]
    if trouble and month.plan is None:
        standing, verdict = trouble
        sentences = [others, stands]
    sentences.append(_mover(moves, comparison, largest, rising=standing in ("bad", "warning")))
    return Headline(standing, verdict, tuple(sentence for sentence in sentences if sentence))


def _verdict(month: Month) -> tuple[Standing, str]:
    plan, forecast, spent = month.plan, month.forecast, month.to_date_micros
    if plan is None:
        return "unknown", "No plan"
    if spent > plan.limit_micros:
        return "bad", "Over plan"
    if forecast is not None and month.complete_days >= WEEK:
        if forecast.surely_exceeds(plan.limit_micros):
            return "bad", "Heading over plan"
        if forecast.total_micros > plan.limit_micros:
            return "warning", "Likely over plan"
        return "good", "On plan"
    if month.early or forecast is None:
        return "unknown", "Too early to say"
    return ("warning", "Ahead of plan") if spent > (month.plan_to_date_micros or 0) else ("good", "On plan")


def _where_it_stands(month: Month) -> str:
    spent, plan, forecast = month.to_date_micros, month.plan, month.forecast
    crossing = None if forecast is None or forecast.crossing is None else forecast.crossing.day
    if plan is not None and spent > plan.limit_micros:
        since = "" if crossing is None else f", passed on {crossing:%d %b}"
        return f"{money(spent)} of {money(plan.limit_micros)} spent in {month.name}{since}."
    if month.early:
        said = f"{month.name} has just begun ({money(spent)} so far)"
        if month.last_month_micros is not None:
            said += f"; {month.last_first_day:%B} came to {money(month.last_month_micros)}"
    else:
        said = f"{money(spent)} spent so far in {month.name}"
        if plan is not None:
            said += f" ({money(month.plan_to_date_micros or 0)} planned by now)"
    if forecast is not None:
        said += f"; forecast {money(forecast.total_micros)}"
    if plan is not None:
        said += f" of {money(plan.limit_micros)}"
        said += "" if crossing is None else f", past it on {crossing:%d %b}"
    if forecast is not None and month.complete_days < WEEK:
        said += f" (rough, from {plural(month.complete_days, 'day')})"
    return f"{said}."


def budgets_in_trouble(month: Month, ahead: Sequence[Ahead]) -> tuple[str, tuple[Standing, str] | None]:
    """Monthly budgets beside the plan that are used up, or will be: the furthest gone by name."""
    others = [each for each in ahead if month.plan is None or each.budget_id != month.plan.budget_id]
    if not others:
        return "", None
    first = others[0]
    alike = sum(each.used_up == first.used_up for each in others) - 1
    name = f"Budget {first.budget_id} of {first.scope}" + (f" and {alike} more" if alike else "")
    limit = money(first.limit_micros)
    if first.used_up:
        verb = "are" if alike else "is"
        return f"{name} {verb} used up ({money(first.spent_micros)} of {limit}).", ("bad", "Over budget")
    day = f"{local_day(first.runs_out, month.zone):%d %b}"
    said = f"{name} will run out on {day} at this pace ({money(first.expected_micros)} of {limit})."
    return said, ("warning", "Heading over budget")


def _mover(
    moves: Sequence[Move], comparison: Comparison | None, largest: tuple[str, float] | None, *, rising: bool
) -> str:
    if comparison is None or not moves:
        if largest is None:
            return ""
        name, share = largest
        return f"{label_of(name)} spends most of it, {percent(share)}."
    # Who spends less has not moved a month over its plan.
    most = next((move for move in moves if move.change_micros > 0), moves[0]) if rising else moves[0]
    than = f"{comparison.words} against {comparison.before_words}"
    who, change = label_of(most.name), signed(most.change_micros)
    return f"{who} moved it most: {change}, {than}."
