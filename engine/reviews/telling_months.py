"""The monthly review in words. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from engine.analytics.recommendation import WATCH_DAYS, Basis
from engine.reviews.amounts import change_text, money_text, percent_text
from engine.reviews.content import AgentValue, BudgetAdvice, MonthlyReview
from engine.reviews.sections import (
    Bar,
    Section,
    beside,
    count_text,
    counted,
    counter_bars,
    counter_name,
    level_of,
)

BEFORE = "the month before"
NO_VALUE = "no value configured"


def monthly_headline(review: MonthlyReview) -> str:
    """The month in one line."""
    spent = review.spent.now or 0
    return f"Monthly review of {review.org_id}, {review.label}: {money_text(spent)}{_of_budget(review)}"


def monthly_digest(review: MonthlyReview) -> tuple[str, ...]:
    """The month in a few lines."""
    spent, of_budget, ran, cost = _totals(review)
    return (spent, of_budget, ran, cost, _value_digest(review), _advice_digest(review))


def monthly_sections(review: MonthlyReview) -> tuple[Section, ...]:
    """The whole of it."""
    counters = counter_bars(review.counters, review.org_id, BEFORE)
    more = (f"{counted(review.more_counters, 'more counter')}, less full.",) if review.more_counters else ()
    others = review.other_agents
    rest = (f"All other agents: {beside(others, BEFORE)}.",) if others.now or others.before else ()
    return (
        Section("Total against budget", _totals(review), _total_bars(review)),
        Section("Monthly budgets", () if counters else ("No budget with a monthly limit was in use.",), counters, more),
        Section(
            "Value per agent",
            () if review.agents else ("No agent was called.",),
            _agent_bars(review),
            (*rest, _value_note(review)) if review.agents else rest,
        ),
        Section(
            f"Recommended budgets for {review.next_month}",
            () if review.advice else ("There is no budget of cost to recommend a limit for.",),
            _advice_bars(review, "month"),
            (*_said_once(review), *_more_advice(review)),
        ),
        *_daily_limits(review),
    )


def roi_text(roi: float) -> str:
    """`+250 %`, `-40 %`; from ten on as a multiple: `24x`."""
    return change_text(roi) if roi < 10 else f"{roi:,.0f}x"


def _of_budget(review: MonthlyReview) -> str:
    limit = review.limit_micros
    if limit is None:
        return ""
    share = f" ({percent_text((review.spent.now or 0) / limit)})" if limit else ""
    return f" of {money_text(limit)}{share}"


def _totals(review: MonthlyReview) -> tuple[str, str, str, str]:
    return (
        f"Spent {beside(review.spent, BEFORE)}{_few_days(review)}.",
        f"That is {money_text(review.spent.now or 0)}{_of_budget(review)}, budget {review.budget_id}."
        if review.limit_micros is not None
        else "There is no monthly budget for the whole organization.",
        f"Executions: {beside(review.executions, BEFORE, count_text)}.",
        f"Cost per execution: {beside(review.cost_per_execution, BEFORE)}.",
    )


def _few_days(review: MonthlyReview) -> str:
    """That the month is known in part only."""
    known, first = review.days_with_calls, review.first_day_with_calls
    if review.days is None or first is None or known >= WATCH_DAYS:
        return ""
    return f"; there were calls on {known} of its {review.days} days only, the first on {first.isoformat()}"


def _total_bars(review: MonthlyReview) -> tuple[Bar, ...]:
    limit, now, before = review.limit_micros, review.spent.now or 0, review.spent.before or 0
    most = max(now, before, limit or 0)
    if most <= 0:
        return ()
    bars = [
        Bar("The month before", max(0, before) / most, money_text(before), "earlier"),
        Bar(
            review.label,
            max(0, now) / most,
            f"{money_text(now)}{_of_budget(review)}",
            level_of(now / limit if limit else None),
        ),
    ]
    return (*bars, *(() if limit is None else (Bar("Budget", limit / most, money_text(limit), "earlier"),)))


def _agent_bars(review: MonthlyReview) -> tuple[Bar, ...]:
    most = max((agent.spent.now or 0 for agent in review.agents), default=0)
    return tuple(
        Bar(
            agent.agent_id,
            max(0, agent.spent.now or 0) / most if most > 0 else 0.0,
            _value_words(agent),
            "usual",
            f"{BEFORE.capitalize()}: {money_text(agent.spent.before or 0)}, "
            f"{counted(agent.succeeded.before or 0, 'success')}{_roi_before(agent)}.",
        )
        for agent in review.agents
    )


def _value_words(agent: AgentValue) -> str:
    cost, succeeded = money_text(agent.spent.now or 0), counted(agent.succeeded.now or 0, "success")
    if agent.value.now is None or agent.value_per_success_micros is None:
        return f"cost {cost}, {succeeded}"
    worth = f"cost {cost}, {succeeded} x {money_text(agent.value_per_success_micros)} = {money_text(agent.value.now)}"
    return worth if agent.roi is None else f"{worth}, ROI {roi_text(agent.roi)}"


def _roi_before(agent: AgentValue) -> str:
    return "" if agent.roi_before is None else f", ROI {roi_text(agent.roi_before)} at today's value"


def _value_note(review: MonthlyReview) -> str:
    if all(agent.value.now is None for agent in review.agents):
        names = ", ".join(agent.agent_id for agent in review.agents)
        how = "Set value_per_success_usd of an agent in the governance document to see its return."
        return f"{NO_VALUE.capitalize()}: {names}. {how}"
    without = [agent.agent_id for agent in review.agents if agent.value.now is None]
    missing = f" {NO_VALUE.capitalize()}: {', '.join(without)}." if without else ""
    return f"ROI = (successes x value_per_success_usd - cost) / cost.{missing}"


def _value_digest(review: MonthlyReview) -> str:
    valued = [agent for agent in review.agents if agent.value.now is not None]
    if not valued:
        return f"Value per agent: {NO_VALUE}."
    value, cost = sum(agent.value.now or 0 for agent in valued), sum(agent.spent.now or 0 for agent in valued)
    roi = f", ROI {roi_text((value - cost) / cost)}" if cost else ""
    return (
        f"Value: {money_text(value)} for {money_text(cost)} by {len(valued)} of {len(review.agents)} agents{roi}; "
        f"the others have {NO_VALUE}."
        if len(valued) < len(review.agents)
        else f"Value: {money_text(value)} for {money_text(cost)}{roi}."
    )


def _advice_digest(review: MonthlyReview) -> str:
    proposals = [each for each in review.advice if each.recommendation.change_micros]
    if not review.advice:
        return "Budgets: none to recommend a limit for."
    if not proposals:
        return f"Budgets for {review.next_month}: no change proposed."
    first = max(proposals, key=lambda each: abs(each.recommendation.change_micros))
    made = first.recommendation
    more = f"; {len(proposals) - 1} more" if len(proposals) > 1 else ""
    return (
        f"Budgets for {review.next_month}: {_advice_name(first, review.org_id)} "
        f"{money_text(made.limit_micros)} -> {money_text(made.proposed_micros or 0)}{more}."
    )


def _daily_limits(review: MonthlyReview) -> tuple[Section, ...]:
    bars = _advice_bars(review, "day")
    return (Section("Recommended daily limits", (), bars),) if bars else ()


def _advice_bars(review: MonthlyReview, period: Literal["month", "day"]) -> tuple[Bar, ...]:
    bars, repeated = [], _repeated(review)
    for each in review.advice:
        if each.period != period:
            continue
        made = each.recommendation
        if made.proposed_micros is None:
            words, share = f"{money_text(made.limit_micros)}, no proposal yet", 0.0
        elif not made.change_micros:
            words, share = f"{money_text(made.limit_micros)}, keep it", 1.0
        else:
            part = f" ({change_text(made.change_micros / made.limit_micros)})" if made.limit_micros else ""
            words = f"{money_text(made.limit_micros)} -> {money_text(made.proposed_micros)}{part}"
            share = made.proposed_micros / max(made.proposed_micros, made.limit_micros)
        reason = "" if made.reason in repeated else made.reason
        note = f"{reason}{_others(each)}".strip()
        bars.append(Bar(_advice_name(each, review.org_id), share, words, "usual", note))
    return tuple(bars)


def _repeated(review: MonthlyReview) -> Counter[str]:
    """Why there is no proposal yet, where that is the same for several limits."""
    reasons = Counter(each.recommendation.reason for each in review.advice if each.recommendation.basis is Basis.WATCH)
    return Counter({reason: number for reason, number in reasons.items() if number > 1})


def _said_once(review: MonthlyReview) -> tuple[str, ...]:
    return tuple(f"{number} limits without a proposal: {reason}" for reason, number in _repeated(review).items())


def _more_advice(review: MonthlyReview) -> tuple[str, ...]:
    if not review.more_advice:
        return ()
    return (f"{counted(review.more_advice, 'more limit')} of budgets that spent less, not judged here.",)


def _others(advice: BudgetAdvice) -> str:
    """Whose need the limit was judged by, where others share it."""
    others, unseen = advice.other_counters, advice.not_looked_at
    said = []
    if others:
        said.append(f"{counted(others, 'other')} with the same limit need{'s' if others == 1 else ''} no more")
    if unseen:
        said.append(f"{count_text(unseen)} that spent less {'was' if unseen == 1 else 'were'} not looked at")
    return f" {'; '.join(said)}." if said else ""


def _advice_name(advice: BudgetAdvice, org_id: str) -> str:
    kind = "a month" if advice.period == "month" else "a day"
    if advice.other_counters or advice.not_looked_at:
        return f"{advice.budget_id}, {kind} each, as {advice.scope} needs most"
    return f"{counter_name(advice.budget_id, advice.scope, org_id)}, {kind}"
