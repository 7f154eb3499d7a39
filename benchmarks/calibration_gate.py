"""How often the gate lets a challenger through: one that is no better, one that is, and one in between.

Calls differ in price (log-normal, sd 0.5); what a call costs is its true price x log-normal noise of mean one. A model
estimates true price x `level`, and the challenger may add noise of its own. The champion's reserve has the book's
buffer of 20 %; the challenger's has the buffer fitted on 100 other calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from benchmarks.calibration_rates import Need, Rate
from engine.analytics.amounts import Floats
from engine.analytics.backtest import Holdout, judge
from engine.analytics.calibration import buffer_for
from engine.analytics.ratio import SegmentSums, ratio_of

NOISES = (0.2, 0.4)
SIZES = (20, 50, 100, 300, 1000)
COVERED_SIZES = (100, 300, 1000)
FIT_CALLS = 100
HOLDOUT_DAYS = 7
FIT_DAYS = 28
PRICE_MICROS = 50_000
PRICE_SPREAD = 0.5
BOOK_BUFFER = 0.20
NORMAL = NormalDist()

FALSE_PROMOTION = Need(high=0.05)
POWER = Need(low=0.80)
COVERAGE = Need(low=0.90, high=0.97)
NULLS = "False promotions of a challenger that is no better, by calls held out"
GAINS = "Promotions of one that is better in one measure and equal in the other"
BETTER = "Promotions of one that is right"
INTERVALS = "95 % intervals of the ratio that hold the true one, by calls"


@dataclass(frozen=True, slots=True)
class Duel:
    """Two models by their level (1 is right). A level of None is fitted on 100 noisy calls."""

    key: str
    text: str
    champion: float
    challenger: float | None
    scatter: float = 0.0
    """The sd of the challenger's own noise from call to call."""
    days: float = 0.0
    """The sd of what all calls of one of seven days have in common."""


DAY_SD = 0.15
DAYS_DIFFER = (
    Duel("days_fitted", "days differ by 15 %, challenger fitted on 100 calls", 1.0, None, days=DAY_SD),
    Duel("days_over", "days differ by 15 %, challenger 6 % too high", 1.0, 1.06, days=DAY_SD),
    Duel("days_under", "days differ by 15 %, challenger 6 % too low", 1.0, 0.94, days=DAY_SD),
)


def measure(seeds: int, done: Callable[[], None]) -> Iterator[Rate]:
    """All rates of the gate and of the ratio, calling `done` after each cell."""
    for noise in NOISES:
        for duel in _nulls(noise):
            for calls in SIZES:
                yield _rate(NULLS, duel, noise, calls, seeds, FALSE_PROMOTION)
                done()
        for duel in DAYS_DIFFER:
            for calls in SIZES[2:]:
                yield _rate(NULLS, duel, noise, calls, seeds, FALSE_PROMOTION)
                done()
        for duel in _gains(noise):
            for calls in SIZES:
                yield _rate(GAINS, duel, noise, calls, seeds)
                done()
        for duel in _fifteen_points(noise):
            yield _rate(BETTER, duel, noise, 50, seeds, POWER)
            done()
        for duel in _fifteen_percent():
            for calls in SIZES[1:]:
                yield _rate(BETTER, duel, noise, calls, seeds)
                done()
        yield from _best_possible(noise)
        for calls in COVERED_SIZES:
            yield _coverage(noise, calls, seeds)
            done()
        for calls in COVERED_SIZES[1:]:
            yield _coverage(noise, calls, seeds, DAY_SD)
            done()


def cells() -> int:
    """How often `measure` calls `done`."""
    each = [len(_nulls(noise)) + len(_gains(noise)) for noise in NOISES]
    powers = len(NOISES) * (2 + 2 * len(SIZES[1:]) + len(COVERED_SIZES) + len(COVERED_SIZES[1:]))
    powers += len(NOISES) * len(DAYS_DIFFER) * len(SIZES[2:])
    return sum(each) * len(SIZES) + powers


def true_wape(level: float, noise: float) -> float:
    """E|X - level| for log-normal X of mean one: what WAPE tends to with ever more calls.

    A model with a scatter of its own is one with sqrt(noise² + scatter²): the difference of two log-normal values.
    """
    d = -math.log(level) / noise + noise / 2
    return 2 * (NORMAL.cdf(d) - level * NORMAL.cdf(d - noise)) - (1 - level)


def _nulls(noise: float) -> list[Duel]:
    """In none of these is the challenger's true WAPE or true |bias| smaller.

    In the first three the champion is right; in the others the two err on opposite sides, which is hardest to tell.
    """
    lower = _root(lambda level: true_wape(1.10, noise) - true_wape(level, noise), 0.3, math.exp(-noise * noise / 2))
    duels = [
        Duel("fitted", "challenger fitted on 100 calls", 1.0, None),
        Duel("off_over", "challenger 10 % too high", 1.0, 1.10),
        Duel("off_under", "challenger 10 % too low", 1.0, 0.90),
        Duel("equal_wape", "equal WAPE, worse |bias|", 1.10, lower),
        Duel("equal_bias", "equal |bias|, worse WAPE", 1 / 1.15, 1 / 0.85),
    ]
    for bias in (0.10, 0.15, 0.20):
        over, under = 1 / (1 - bias), 1 / (1 + bias)
        total = _noise_with(under, true_wape(over, noise))
        scatter = math.sqrt(max(0.0, total * total - noise * noise))
        text = f"equal WAPE, both biased {100 * bias:.0f} %"
        duels.append(Duel(f"equal_both_{100 * bias:.0f}", text, over, under, scatter))
    return duels


def _noise_with(level: float, wape: float) -> float:
    return _root(lambda noise: true_wape(level, noise) - wape, 0.05, 3.0)


def _gains(noise: float) -> list[Duel]:
    """Two of the nulls the other way round: what is let through here is a gain, and no mistake."""
    lower = next(duel for duel in _nulls(noise) if duel.key == "equal_wape").challenger
    assert lower is not None
    nearer = 100 * (1 / lower - 1 - (1 - 1 / 1.10))
    better = 100 * (true_wape(1 / 0.85, noise) - true_wape(1 / 1.15, noise))
    return [
        Duel("nearer_bias", f"|bias| smaller by {nearer:.0f} points", lower, 1.10),
        Duel("lower_wape", f"WAPE lower by {better:.0f} points", 1 / 0.85, 1 / 1.15),
    ]


def _fifteen_points(noise: float) -> list[Duel]:
    target = true_wape(1.0, noise) + 0.15
    over = _root(lambda level: true_wape(level, noise) - target, 1.0, 4.0)
    under = _root(lambda level: target - true_wape(level, noise), 0.05, 0.9)
    return [
        Duel("wape15_under", f"WAPE 15 points lower (level {under:.2f})", under, 1.0),
        Duel("wape15_over", f"WAPE 15 points lower (level {over:.2f})", over, 1.0),
    ]


def _fifteen_percent() -> list[Duel]:
    return [
        Duel("level15_under", "level 15 % too low", 1 / 1.15, 1.0),
        Duel("level15_over", "level 15 % too high", 1.15, 1.0),
    ]


def _best_possible(noise: float) -> Iterator[Rate]:
    """The power of the best 5 % tests of a level 15 % off with 50 calls, which know the noise (Neyman-Pearson).

    To tell it from the right level is one thing. Which of the two is nearer to the truth is another: there the level to
    tell it from is the middle between both, half as far.
    """
    apart = math.sqrt(50) * math.log(1.15) / noise
    for key, text, distance in (
        ("told_apart", "best test of 15 % against 0 %", apart),
        ("nearer", "best test of which is nearer", apart / 2),
    ):
        power = NORMAL.cdf(distance - NORMAL.inv_cdf(0.95))
        yield Rate(BETTER, f"sd {noise}: {text}", "50", f"best_possible_{key}_sd{_in_key(noise)}_n50", power)


def _rate(section: str, duel: Duel, noise: float, calls: int, seeds: int, need: Need | None = None) -> Rate:
    kind = {NULLS: "false_promotion", GAINS: "gain", BETTER: "power"}[section]
    passed = sum(judge(_holdout(duel, noise, calls, seed)).passed for seed in range(seeds))
    key = f"{kind}_{duel.key}_sd{_in_key(noise)}_n{calls}"
    return Rate(section, f"sd {noise}: {duel.text}", f"{calls:,}", key, passed / seeds, need)


def _holdout(duel: Duel, noise: float, calls: int, seed: int) -> Holdout:
    rng = np.random.default_rng((seed, calls, round(100 * noise)))
    prices, actual = _calls(rng, calls, noise)
    day = rng.integers(0, HOLDOUT_DAYS, calls)
    actual *= _noise(rng, HOLDOUT_DAYS, duel.days)[day]
    fit_prices, fit_actual = _calls(rng, FIT_CALLS, noise)
    level = float(fit_actual.sum() / fit_prices.sum()) if duel.challenger is None else duel.challenger
    buffer = float(buffer_for(fit_prices * level * _noise(rng, FIT_CALLS, duel.scatter), fit_actual))
    challenger = prices * level * _noise(rng, calls, duel.scatter)
    return Holdout.of(
        champion_estimate=prices * duel.champion,
        champion_reserve=prices * duel.champion * (1 + BOOK_BUFFER),
        challenger_estimate=challenger,
        challenger_reserve=challenger * (1 + buffer),
        actual=actual,
        segment=rng.integers(0, 3, calls),
        day=day if duel.days else None,
    )


def _coverage(noise: float, calls: int, seeds: int, days: float = 0.0) -> Rate:
    held = 0
    for seed in range(seeds):
        rng = np.random.default_rng((seed, calls, round(100 * noise)))
        estimate, actual = _calls(rng, calls, noise)
        by_day: list[SegmentSums] = []
        if days:
            day = rng.integers(0, FIT_DAYS, calls)
            actual *= _noise(rng, FIT_DAYS, days)[day]
            by_day = [SegmentSums.of(estimate[day == one], actual[day == one]) for one in np.unique(day)]
        ratio = ratio_of(SegmentSums.of(estimate, actual), by_day)
        assert ratio is not None
        held += ratio.low <= 1 <= ratio.high
    key = f"coverage_ratio_{'days_' if days else ''}sd{_in_key(noise)}_n{calls}"
    text = f"sd {noise}, days differ by {100 * days:.0f} %" if days else f"sd {noise}"
    return Rate(INTERVALS, text, f"{calls:,}", key, held / seeds, COVERAGE)


def _calls(rng: np.random.Generator, calls: int, noise: float) -> tuple[Floats, Floats]:
    prices = PRICE_MICROS * _noise(rng, calls, PRICE_SPREAD)
    return prices, prices * _noise(rng, calls, noise)


def _noise(rng: np.random.Generator, calls: int, sd: float) -> Floats:
    """Log-normal, of mean one."""
    return np.exp(rng.normal(-sd * sd / 2, sd, calls))


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is zero, by halving."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def _in_key(noise: float) -> str:
    return f"{100 * noise:.0f}"
