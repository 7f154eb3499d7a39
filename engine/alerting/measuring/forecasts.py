"""What the month's budgets will come to: for each counter the forecast's lower end, and the days left uncovered."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Connection

from engine.admission.plan import PlannedCounter
from engine.alerting.alert import observed
from engine.alerting.latched import Counter, labels_of
from engine.alerting.measuring.daily_spend import AllDailySpend, DailySpend, daily_spend
from engine.alerting.measuring.windows import last_moment, period_facts
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Number, Rule
from engine.analytics.forecast import Forecast, forecast_month
from engine.ledger.queries.local_days import local_day


def forecasts(connection: Connection, rule: Rule, measuring: Measuring) -> list[Reading]:
    """A reading for each cost budget counter of the running month that has calls; budgets per user have none.

    `budget_forecast_percentage` is the lower end of the 80 % interval as a share of the limit: it is 1 when even a
    favourable month uses the budget up. `budget_days_uncovered` are the whole days of the month that follow the one
    on which the budget is used up; 0 when it lasts. Samples are the complete days of history, so that a rule with
    `min_samples` 7 is silent in a first week. A budget of 0 has no forecast.
    """
    document = measuring.document
    budgets = {budget.id: budget for budget in document.budgets}
    days = daily_spend(connection, measuring)
    readings = []
    for counter, spent in days.by_counter(measuring).items():
        budget, period = budgets[counter.budget_id], counter.period
        labels = labels_of(document, budget, Counter(counter.budget_id, counter.scope, period.kind, period.label))
        limit = counter.limit_micros
        if not limit or not rule.concerns(labels):
            continue
        forecast, history = _forecast(days, spent, limit)
        if forecast is None or forecast.crossing is None:
            continue
        used_up = forecast.crossing.day
        facts = {
            "budget_id": counter.budget_id,
            "per": budget.per,
            "scope": counter.scope,
            **period_facts(period),
            "limit_micros": limit,
            "spent_micros": forecast.month_to_date_micros,
            "forecast_micros": forecast.total_micros,
            "lower_micros": forecast.low_micros,
            "upper_micros": forecast.high_micros,
            "exhausted_on": None if used_up is None else used_up.isoformat(),
            "per_day_micros": forecast.mean_day_micros,
            "rough": forecast.rough,
        }
        value: Number
        if rule.metric == "budget_forecast_percentage":
            value = Decimal(forecast.low_micros) / limit
        else:
            value = _uncovered(forecast, counter, document.timezone)
        group = counter.budget_id, counter.scope, period.kind
        readings.append(Reading(observed(value, samples=history), group, labels, facts))
    return readings


def _forecast(days: AllDailySpend, spent: DailySpend, limit: int) -> tuple[Forecast | None, int]:
    history = spent.before(days.today)
    so_far = spent.on(days.today)
    return forecast_month(history, today=days.today, so_far_micros=so_far, limit_micros=limit), len(history)


def _uncovered(forecast: Forecast, counter: PlannedCounter, zone: str) -> int:
    if forecast.crossing is None or forecast.crossing.day is None:
        return 0
    return (local_day(last_moment(counter.period.end), zone) - forecast.crossing.day).days
