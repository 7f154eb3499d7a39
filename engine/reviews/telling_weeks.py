"""The weekly review in words. Pure."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from engine.reviews.amounts import money_text, percent_text
from engine.reviews.content import AgentUse, Trajectory, WeeklyReview
from engine.reviews.sections import Bar, Section, beside, count_text, counted, day_bars, level_of

BEFORE = "the week before"


def weekly_headline(review: WeeklyReview) -> str:
    """The week in one line."""
    spent, ran = review.spent.now or 0, review.executions.now or 0
    return f"Weekly review of {review.org_id}, {review.label}: {money_text(spent)}, {counted(ran, 'execution')}"


def weekly_digest(review: WeeklyReview) -> tuple[str, ...]:
    """The week in a few lines."""
    dearest = review.agents[0] if review.agents else None
    top = "No agent was called." if dearest is None else f"Most by {dearest.agent_id}: {_agent_words(dearest)}."
    spent, ran, _ = _totals(review)
    return (spent, ran, *_trajectory(review), top, _outlier_digest(review))


def weekly_sections(review: WeeklyReview) -> tuple[Section, ...]:
    """The whole of it."""
    return (
        Section("Spend", _totals(review), day_bars(review.days, lambda day: day.spent_micros, earlier=7)),
        Section("Trajectory", _trajectory(review), _trajectory_bars(review.trajectory)),
        Section(
            "Utilisation by agent",
            () if review.agents else ("No agent was called.",),
            _agent_bars(review),
            _others(review),
        ),
        Section("Outliers", _outliers(review)),
    )


def _totals(review: WeeklyReview) -> tuple[str, str, str]:
    return (
        f"Spent {beside(review.spent, BEFORE)}.",
        f"Executions: {beside(review.executions, BEFORE, count_text)}.",
        f"Cost per execution: {beside(review.cost_per_execution, BEFORE)}.",
    )


def _trajectory(review: WeeklyReview) -> tuple[str, ...]:
    path = review.trajectory
    now, before = path.month_to_date.now or 0, path.month_to_date.before or 0
    limit = (
        "no budget for the whole organization"
        if path.limit_micros is None
        else f"budget {path.budget_id} {money_text(path.limit_micros)}"
    )
    if path.complete:
        return (f"{path.month} is over: {beside(path.month_to_date, 'the month before')}; {limit}.",)
    last = review.days[-1].day if review.days else None
    through = "" if last is None else f", through {last:%a} {last.isoformat()}"
    so_far = (
        f"{path.month} so far{through}: {money_text(now)} ({money_text(before)} in the whole month before); {limit}."
    )
    if path.forecast_micros is None or path.low_micros is None or path.high_micros is None:
        return (so_far, "No forecast yet: no complete day of calls.")
    rough = ", rough with so little history" if path.rough else ""
    interval = f"80 % interval {money_text(path.low_micros)} to {money_text(path.high_micros)}"
    return (
        so_far,
        f"Forecast for {path.month}: {money_text(path.forecast_micros)}, {interval}{rough}{_verdict(path)}.",
    )


def _verdict(path: Trajectory) -> str:
    if path.limit_micros is None or path.low_micros is None or path.high_micros is None:
        return ""
    if path.low_micros > path.limit_micros:
        return "; even its lower end is above the budget"
    if path.high_micros > path.limit_micros:
        return "; its upper end is above the budget"
    return "; all of it is within the budget"


def _trajectory_bars(path: Trajectory) -> tuple[Bar, ...]:
    limit = path.limit_micros
    known = [
        ("The month before", path.month_to_date.before, "earlier"),
        ("Month to date", path.month_to_date.now, "usual"),
        ("Forecast, lower end", path.low_micros, "usual"),
        ("Forecast", path.forecast_micros, "usual"),
        ("Forecast, upper end", path.high_micros, "usual"),
        ("Budget", limit, "earlier"),
    ]
    most = max((micros for _, micros, _ in known if micros), default=0)
    bars = []
    for label, micros, level in known:
        if micros is None or not most:
            continue
        share = micros / limit if limit else None
        words = money_text(micros)
        words += f" ({percent_text(share)} of budget)" if share is not None and label != "Budget" else ""
        shown = "earlier" if level == "earlier" else level_of(None if share is None or share <= 1 else share)
        bars.append(Bar(label, micros / most, words, "earlier" if shown == "earlier" else shown))
    return tuple(bars)


def _agent_words(agent: AgentUse) -> str:
    ran = counted(agent.executions.now or 0, "execution")
    share = agent.budget_share
    if agent.limit_micros is None:
        own = "no budget of its own"
    elif share is None:
        own = f"budget {agent.budget_id} allows nothing"
    else:
        own = f"{percent_text(share)} of its month's {money_text(agent.limit_micros)} used"
    return f"{money_text(agent.spent.now or 0)}, {ran}, {own}"


def _agent_bars(review: WeeklyReview) -> tuple[Bar, ...]:
    return tuple(
        Bar(
            agent.agent_id,
            _used(agent),
            _agent_words(agent),
            level_of(agent.budget_share),
            f"{BEFORE.capitalize()}: {money_text(agent.spent.before or 0)}, "
            f"{counted(agent.executions.before or 0, 'execution')}.",
        )
        for agent in review.agents
    )


def _used(agent: AgentUse) -> float:
    """How much of its own budget is used; nothing where it has none, all of one that allows nothing."""
    if agent.limit_micros is None:
        return 0.0
    share = 1.0 if agent.budget_share is None else agent.budget_share
    return min(1.0, max(0.0, share))


def _others(review: WeeklyReview) -> tuple[str, ...]:
    if not review.other_agents.now and not review.other_agents.before:
        return ()
    return (f"All other agents: {beside(review.other_agents, BEFORE)}.",)


def _outliers(review: WeeklyReview) -> tuple[str, ...]:
    days = [
        f"{each.day:%a} {each.day.isoformat()}: {each.agent_id or 'the organization'} spent "
        f"{money_text(each.spent_micros)} where {money_text(each.expected_micros)} was usual."
        for each in review.unusual_days
    ]
    calls = [
        f"Call {call.decision_id} of {call.agent_id}, {call.at.astimezone(ZoneInfo(review.zone)):%Y-%m-%d %H:%M} "
        f"{review.zone}: cost "
        f"{money_text(call.actual_micros)} where {money_text(call.estimate_micros)} was estimated."
        for call in review.costly_calls
    ]
    return (
        *(days or ["No day of the organization or of an agent was unusual."]),
        *(calls or ["No call cost 25 % more than its estimate."]),
    )


def _outlier_digest(review: WeeklyReview) -> str:
    if not review.unusual_days:
        return f"Outliers: no unusual day; {_calls(len(review.costly_calls))}."
    worst = review.unusual_days[0]
    days = len(review.unusual_days)
    return (
        f"Outliers: {days} unusual {'day' if days == 1 else 'days'}, the largest {worst.day.isoformat()} of "
        f"{worst.agent_id or 'the organization'} ({money_text(worst.spent_micros)} where "
        f"{money_text(worst.expected_micros)} was usual)."
    )


def _calls(number: int) -> str:
    if not number:
        return "no call cost 25 % more than its estimate"
    return f"{number} {'call' if number == 1 else 'calls'} far above their estimate are listed"
