"""How well the month's forecast and the anomaly rule do on made-up days.

Weekends have 30 % of a weekday's calls. A day has Poisson(100 x shape x demand) calls, where demand is log-normal from
day to day (sd 0.1, mean one), at $1 each x log-normal noise: dear enough for the $5 rule not to decide about weekends.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import numpy as np

from benchmarks.calibration_rates import Need, Rate
from engine.analytics.amounts import Floats
from engine.analytics.anomaly import anomaly_of
from engine.analytics.forecast import forecast_month

NOISES = (0.2, 0.4)
CALLS_A_DAY = 100
WEEKEND_SHAPE = 0.3
DEMAND_NOISE = 0.1
PRICE_MICROS = 1_000_000
FORECAST_AFTER = (3, 10, 20)
REQUIRED_AFTER = 3
HISTORIES = (7, 14, 28)
REQUIRED_HISTORY = 14
STARTS = 7
"""Each seed tries the rule on every day of the week."""

HALF = Need(high=0.5, below=True)
FALSE_ALARMS = Need(high=0.02)
FOUND = Need(low=0.75)
MONTHS = "Forecast of the month, by days of it that are over"
ALARMS = "Anomalies, by days of history"


def measure(seeds: int, done: Callable[[], None]) -> Iterator[Rate]:
    """All rates of forecasts and anomalies, calling `done` after each group."""
    for noise in NOISES:
        for over in FORECAST_AFTER:
            yield from _forecasts(noise, over, seeds)
            done()
        for history in HISTORIES:
            yield from _alarms(noise, history, seeds)
            done()


def cells() -> int:
    """How often `measure` calls `done`."""
    return len(NOISES) * (len(FORECAST_AFTER) + len(HISTORIES))


def _forecasts(noise: float, over: int, seeds: int) -> Iterator[Rate]:
    errors, linear_errors, held = np.empty(seeds), np.empty(seeds), 0
    for seed in range(seeds):
        # 60 months in a row start on every weekday.
        first = date(2024 + seed // 12 % 5, 1 + seed % 12, 1)
        length, before = calendar.monthrange(first.year, first.month)[1], 28 + seed % 29
        days = _days(seed, noise, first - timedelta(days=before), before + length)
        forecast = forecast_month(days[: before + over].tolist(), today=first + timedelta(days=over))
        assert forecast is not None
        actual = days[before:].sum()
        errors[seed] = abs(forecast.total_micros / actual - 1)
        linear_errors[seed] = abs(days[before : before + over].mean() * length / actual - 1)
        held += forecast.low_micros <= actual <= forecast.high_micros
    ours, linear = float(errors.mean()), float(linear_errors.mean())
    need = HALF if over == REQUIRED_AFTER else None
    for name, text, value, wanted in (
        ("error", "mean error", ours, None),
        ("linear_error", "mean error of run-rate", linear, None),
        ("against_linear", "the first of the second", ours / linear, need),
        ("coverage", "80 % intervals that hold it", held / seeds, None),
    ):
        yield Rate(
            MONTHS, f"sd {noise}: {text}", str(over), _key(f"forecast_{name}", noise, f"day{over}"), value, wanted
        )


def _alarms(noise: float, history: int, seeds: int) -> Iterator[Rate]:
    false, found = 0, 0
    for seed in range(seeds):
        for start in range(STARTS):
            first = date(2026, 1, 5) + timedelta(days=start)
            *before, last = _days(seed * STARTS + start, noise, first, history + 1).tolist()
            day = first + timedelta(days=history)
            ordinary, doubled = (anomaly_of(before, cost, day=day) for cost in (last, 2 * last))
            assert ordinary is not None
            assert doubled is not None
            false += ordinary.is_anomaly
            found += doubled.is_anomaly
    required = history == REQUIRED_HISTORY
    trials, column = seeds * STARTS, str(history)
    yield Rate(
        ALARMS,
        f"sd {noise}: false alarms",
        column,
        _key("anomaly_false", noise, f"days{history}"),
        false / trials,
        FALSE_ALARMS if required else None,
    )
    yield Rate(
        ALARMS,
        f"sd {noise}: doubled days found",
        column,
        _key("anomaly_found", noise, f"days{history}"),
        found / trials,
        FOUND if required else None,
    )


def _days(seed: int, noise: float, first: date, count: int) -> Floats:
    rng = np.random.default_rng((seed, count, round(100 * noise)))
    weekday = (first.weekday() + np.arange(count)) % 7
    demand = np.exp(rng.normal(-DEMAND_NOISE * DEMAND_NOISE / 2, DEMAND_NOISE, count))
    calls = rng.poisson(CALLS_A_DAY * np.where(weekday >= 5, WEEKEND_SHAPE, 1.0) * demand)
    costs = PRICE_MICROS * np.exp(rng.normal(-noise * noise / 2, noise, calls.sum()))
    return np.round(np.bincount(np.repeat(np.arange(count), calls), costs, minlength=count))


def _key(name: str, noise: float, rest: str) -> str:
    return f"{name}_sd{100 * noise:.0f}_{rest}"
