"""One rule at one slot: which question it is to the ledger."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import get_args

from sqlalchemy import Connection

from engine.alerting.alert import observed
from engine.alerting.measuring.anomalies import anomalies
from engine.alerting.measuring.counter_totals import budgets_left
from engine.alerting.measuring.counts import SPENT, counts, latencies, unsettled
from engine.alerting.measuring.credentials import credential_ages
from engine.alerting.measuring.forecasts import forecasts
from engine.alerting.measuring.passing import fail_open, ledger_lag
from engine.alerting.measuring.rate_scopes import least_left
from engine.alerting.measuring.redis_readings import evicted_keys, evicting_policy
from engine.alerting.measuring.variances import variances
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Rule
from engine.document.alert_rules import CountMetric, LatencyMetric
from engine.errors import InvalidValue

Measure = Callable[[Connection, Rule, Measuring], list[Reading]]

_BY_METRIC: dict[str, Measure] = {
    **dict.fromkeys((*get_args(CountMetric), SPENT), counts),
    "budget_remaining_usd": budgets_left,
    "budget_forecast_percentage": forecasts,
    "budget_days_uncovered": forecasts,
    "rate_limit_remaining": least_left,
    "cost_variance_percentage": variances,
    "unsettled_percentage": unsettled,
    "spend_anomaly_usd": anomalies,
    "credential_age_days": credential_ages,
}
_OF_ALL: dict[str, Measure] = {
    **dict.fromkeys(get_args(LatencyMetric), latencies),
    "fail_open_seconds": lambda connection, _, measuring: fail_open(connection, measuring),
    "ledger_lag_seconds": lambda connection, _, measuring: ledger_lag(connection, measuring),
    "redis_evicted_keys": evicted_keys,
    "redis_evicting_policy": lambda connection, _, measuring: evicting_policy(connection, measuring),
    "watchdog": lambda *_: [Reading(observed(Decimal(1)))],
}
"""They have one value of the whole organization or server, so nothing can be filtered."""


def measure(connection: Connection, rule: Rule, measuring: Measuring) -> list[Reading]:
    """What is known of each group of a rule at `measuring.slot`, a whole minute (`cadence.slots`).

    A group without a reading had nothing to measure: no calls, no history. `budget_usage_percentage` has no readings,
    because its crossings are found where budgets are counted.
    Raises `InvalidValue` for a rule that cannot be measured as it is written.
    """
    if rule.metric in _OF_ALL:
        if rule.filter:
            names = ", ".join(f"filter.{name}" for name in rule.filter)
            raise InvalidValue(names, f"{rule.metric} is of the whole organization; leave the filter out")
        return _OF_ALL[rule.metric](connection, rule, measuring)
    known = _BY_METRIC.get(rule.metric)
    return [] if known is None else known(connection, rule, measuring)
