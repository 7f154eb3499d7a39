"""The five numbers of the Spend page."""

from __future__ import annotations

from dashboard.cards import Colour, Number
from dashboard.reading.spend import RangeView
from dashboard.reading.spend_month import Month
from dashboard.wording import count, money, percent, plural
from engine.analytics.forecast import WEEK
from engine.money import MICROS_PER_USD

FORECAST = "Month forecast"
NEXT_STEP = "Write a budget with per: org and a monthly_budget_usd in the governance document."


def numbers_of(month: Month, range_view: RangeView, words: str) -> list[Number]:
    """Month against plan, forecast, cost per successful call, blocked, share under a budget."""
    spent = sum(agent.sums.spent_micros for agent in range_view.agents)
    succeeded = sum(agent.sums.succeeded for agent in range_view.agents)
    denied = sum(agent.sums.denied for agent in range_view.agents)
    blocked = sum(agent.sums.denied_estimate_micros for agent in range_view.agents)
    coverage, span = range_view.coverage, _span(words)
    covered = None if coverage is None else coverage.covered_share
    return [
        _to_date(month),
        _forecast(month),
        Number(
            "Cost per success",
            money(round(spent / succeeded)) if succeeded else "–",
            f"{plural(succeeded, 'call')}, {span}",
            f"All that was spent in {words}, {money(spent)}, for each of the "
            f"{plural(succeeded, 'call')} settled as successful.",
        ),
        Number(
            "Blocked (estimated)",
            money(blocked),
            f"{count(denied)} denied, {span}",
            f"What the calls denied in {words} would have cost by their estimates. "
            "A call that was tried again counts each time.",
        ),
        Number(
            "Spend under a budget",
            "–" if covered is None else percent(covered),
            f"in {span}" if covered is not None else "nothing spent" if coverage is not None else "no document",
            f"Share of the spend in {words} that any budget with a money limit is about.",
        ),
    ]


def _to_date(month: Month) -> Number:
    spent, planned = month.to_date_micros, month.plan_to_date_micros
    explained = (
        f"Settled cost since the first of the month ({month.zone}), and expired holds at their reserve. "
        "Open holds are not in it."
    )
    if month.plan is None or planned is None:
        return Number("Month to date", money(spent), "no plan", f"{explained} {NEXT_STEP}")
    limit = month.plan.limit_micros
    apart = spent - planned
    beside = f"{money(abs(apart))} {'above' if apart > 0 else 'below'} plan"
    colour: Colour = "red" if spent > limit else "orange" if apart > 0 else "green"
    plan = f"Plan: budget {month.plan.budget_id}, {money(limit)} a month, so {money(planned)} by now."
    return Number("Month to date", money(spent), beside, f"{explained} {plan}", colour)


def _forecast(month: Month) -> Number:
    forecast = month.forecast
    if forecast is None:
        return Number(FORECAST, "–", "needs a complete day", "A forecast begins after the first complete day.")
    days = month.complete_days
    crossing = forecast.crossing
    explained = (
        f"Month to date, and the mean of the last {min(days, WEEK)} complete days for each day that is left. "
        f"{range_words(month)}"
    )
    colour: Colour = "off"
    if crossing is not None and month.plan is not None:
        if crossing.day is not None:
            explained += f" Passes the plan on {crossing.day:%d %b}"
            between = [f"{day:%d %b}" if day else "not this month" for day in (crossing.earliest, crossing.latest)]
            explained += "." if between[0] == between[1] else f" (80 %: {between[0]} to {between[1]})."
        else:
            explained += " Does not pass the plan this month."
        surely = forecast.surely_exceeds(month.plan.limit_micros)
        colour = "red" if surely else "orange" if crossing.day is not None else "green"
    # Beside a number there is room for little.
    beside = f"80 %: {_whole(forecast.low_micros)} to {_whole(forecast.high_micros)}"
    if days < WEEK:
        beside, colour = f"rough, from {plural(days, 'day')}", "off"
        explained += f" Fewer than {WEEK} complete days are known, so it is rough."
    elif crossing is not None and crossing.day is not None:
        # A month that is over its plan already keeps the day on which it passed it.
        over = month.plan is not None and month.to_date_micros > month.plan.limit_micros
        beside = f"{'passed plan' if over else 'past plan'} {crossing.day:%d %b}"
    return Number(FORECAST, money(forecast.total_micros), beside, explained, colour)


def range_words(month: Month) -> str:
    """Between what the month will probably end; empty while there is no forecast."""
    forecast = month.forecast
    if forecast is None:
        return ""
    return f"80 % of such months end between {money(forecast.low_micros)} and {money(forecast.high_micros)}."


def _span(words: str) -> str:
    """`30 days` of `the last 30 days`."""
    span = words.removeprefix("the last ")
    return "1 hour" if span == "hour" else span


def _whole(micros: int) -> str:
    """An amount without cents from $100 on."""
    return f"${round(micros / MICROS_PER_USD):,}" if 100 <= micros / MICROS_PER_USD < 999.5 else money(micros)
