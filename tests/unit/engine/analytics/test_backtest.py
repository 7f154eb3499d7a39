"""The gate between champion and challenger."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analytics.amounts import p95
from engine.analytics.backtest import Check, Holdout, Verdict, _drawn_p95, judge
from engine.analytics.resampling import blocks
from engine.errors import InvalidValue

FIELDS = (
    "champion_estimate",
    "champion_reserve",
    "challenger_estimate",
    "challenger_reserve",
    "actual",
    "segment",
)


def holdout(calls: int = 200, *, champion: float = 1.0, challenger: float = 1.0, **change: Any) -> Holdout:
    """Calls whose actual costs have a noise of 20 %, estimated by two levels."""
    rng = np.random.default_rng(7)
    prices = 50_000 * np.exp(rng.normal(0, 0.5, calls))
    columns = {
        "champion_estimate": prices * champion,
        "champion_reserve": prices * champion * 1.2,
        "challenger_estimate": prices * challenger,
        "challenger_reserve": prices * challenger * 1.4,
        "actual": prices * np.exp(rng.normal(-0.02, 0.2, calls)),
        "segment": np.zeros(calls, dtype=int),
    }
    return Holdout.of(**(columns | change))


def check(verdict: Verdict, name: str) -> Check:
    return next(check for check in verdict.checks if check.name == name)


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.passed]


def test_a_challenger_that_is_right_where_the_champion_is_not_is_let_through() -> None:
    verdict = judge(holdout(champion=0.7))
    assert verdict.passed
    assert [check.name for check in verdict.checks] == ["enough_calls", "accuracy", "bias", "segments", "shortfall"]


def test_the_other_way_round_it_is_not() -> None:
    assert failed(judge(holdout(challenger=0.7))) == ["accuracy", "bias", "segments", "shortfall"]


@settings(max_examples=40)
@given(
    calls=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=80),
    seed=st.integers(0, 2**32 - 1),
)
def test_an_identical_challenger_is_never_let_through(calls: list[tuple[int, int]], seed: int) -> None:
    estimate, actual = np.array(calls, dtype=float).reshape(-1, 2).T
    same = Holdout.of(
        champion_estimate=estimate,
        champion_reserve=estimate * 1.2,
        challenger_estimate=estimate,
        challenger_reserve=estimate * 1.2,
        actual=actual,
        segment=np.zeros(len(calls), dtype=int),
    )
    assert not judge(same, seed=seed, resamples=200).passed


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), level=st.sampled_from([0.8, 0.9, 1.1]))
def test_the_same_seed_gives_the_same_verdict(seed: int, level: float) -> None:
    first = judge(holdout(60, champion=level), seed=seed, resamples=200)
    # Other draws in between.
    judge(holdout(50), seed=seed, resamples=100)
    assert judge(holdout(60, champion=level), seed=seed, resamples=200) == first


@settings(max_examples=20)
@given(factor=st.floats(1e-3, 1e6))
def test_the_unit_of_money_does_not_matter(factor: float) -> None:
    one = holdout(60, champion=0.85)
    other = Holdout.of(**{field: getattr(one, field) * (1 if field == "segment" else factor) for field in FIELDS})
    assert failed(judge(other, resamples=200)) == failed(judge(one, resamples=200))


@pytest.mark.parametrize(("calls", "enough"), [(19, False), (20, True)])
def test_20_calls_are_enough(calls: int, enough: bool) -> None:
    verdict = judge(holdout(calls, champion=0.5))
    assert check(verdict, "enough_calls").passed is enough
    assert check(verdict, "accuracy").passed
    assert verdict.passed is enough


def test_a_wrong_level_is_corrected_though_wape_does_not_see_it() -> None:
    rng = np.random.default_rng(3)
    prices = np.full(2000, 50_000.0)
    actual = prices * np.exp(rng.normal(-0.08, 0.4, 2000))
    columns = {
        "champion_estimate": prices / 1.15,
        "champion_reserve": prices / 1.15 * 1.2,
        "challenger_estimate": prices,
        "challenger_reserve": prices * 1.8,
        "actual": actual,
        "segment": np.zeros(2000, dtype=int),
    }
    champion_wape = np.abs(actual - prices / 1.15).sum() / actual.sum()
    challenger_wape = np.abs(actual - prices).sum() / actual.sum()
    assert abs(champion_wape - challenger_wape) < 0.02
    assert judge(Holdout.of(**columns)).passed


def test_less_bias_at_the_price_of_more_error_is_not_better() -> None:
    # The champion misses all calls by 10 %; the challenger is right on average, and off by 40 % each time.
    actual = np.full(200, 100_000.0)
    verdict = judge(
        holdout(
            200,
            champion_estimate=actual / 1.1,
            champion_reserve=actual * 1.4,
            challenger_estimate=actual * np.tile([0.6, 1.4], 100),
            challenger_reserve=actual * 1.4,
            actual=actual,
        )
    )
    assert failed(verdict) == ["accuracy", "segments"]


def test_a_gain_of_less_than_2_points_is_not_enough_however_certain() -> None:
    actual = np.full(1000, 100_000.0)
    reserves: dict[str, Any] = {"champion_reserve": actual, "challenger_reserve": actual, "actual": actual}

    def off_by(share: float) -> Verdict:
        # Half above and half below: no bias, only error.
        sides = np.tile([1 - share, 1 + share], 500)
        wider = np.tile([0.9, 1.1], 500)
        return judge(holdout(1000, champion_estimate=actual * wider, challenger_estimate=actual * sides, **reserves))

    assert failed(off_by(0.085)) == ["accuracy"]
    assert off_by(0.075).passed


def test_more_bias_stops_a_challenger_with_less_error() -> None:
    actual = np.full(200, 100_000.0)
    verdict = judge(
        holdout(
            200,
            champion_estimate=actual * np.tile([0.7, 1.3], 100),
            champion_reserve=actual * 1.3,
            challenger_estimate=actual * 0.9,
            challenger_reserve=actual * 1.3,
            actual=actual,
        )
    )
    assert failed(verdict) == ["bias"]
    assert "Bias +0.0 % -> +11.1 %" in check(verdict, "bias").sentence


@pytest.mark.parametrize(("calls", "judged"), [(29, False), (30, True)])
def test_no_segment_of_30_calls_may_pay_for_the_others(calls: int, judged: bool) -> None:
    actual = np.full(300, 100_000.0)
    few = np.arange(300) < calls
    verdict = judge(
        holdout(
            300,
            champion_estimate=np.where(few, 1.0, 0.6) * actual,
            champion_reserve=actual * 1.3,
            challenger_estimate=np.where(few, 1.1, 1.0) * actual,
            challenger_reserve=actual * 1.3,
            actual=actual,
            segment=np.where(few, 5, 9),
        ),
        names={5: "openai / gpt-4o / simple / helper"},
    )
    assert failed(verdict) == (["segments"] if judged else [])
    assert ("openai / gpt-4o / simple / helper" in check(verdict, "segments").sentence) is judged


def test_a_segment_that_gets_worse_by_less_than_5_points_is_let_through() -> None:
    actual = np.full(300, 100_000.0)
    few = np.arange(300) < 50
    verdict = judge(
        holdout(
            300,
            champion_estimate=np.where(few, 1.0, 0.6) * actual,
            champion_reserve=actual,
            challenger_estimate=np.where(few, 1.049, 1.0) * actual,
            challenger_reserve=actual,
            actual=actual,
            segment=few.astype(int),
        )
    )
    assert verdict.passed


def test_a_reserve_that_falls_short_stops_a_challenger_with_good_estimates() -> None:
    good = holdout(champion=1.4)
    assert judge(good).passed
    thin = holdout(champion=1.4, challenger_reserve=good.challenger_estimate)
    verdict = judge(thin)
    assert failed(verdict) == ["shortfall"]
    assert "overran its reserve by 0.0 % or more" in check(verdict, "shortfall").sentence


def test_a_champion_that_estimates_too_much_can_be_corrected_when_the_buffer_follows() -> None:
    # Against the estimates the shortfall rises from nothing; against the reserves it does not.
    assert judge(holdout(champion=1.5)).passed


def test_reserves_of_nothing_are_ten_times_exceeded_and_not_infinitely() -> None:
    verdict = judge(holdout(champion=0.7, challenger_reserve=np.zeros(200)))
    assert failed(verdict) == ["shortfall"]
    assert "more than 900.0 %" in check(verdict, "shortfall").sentence
    assert judge(holdout(champion=0.7, champion_reserve=np.zeros(200), challenger_reserve=np.zeros(200))).passed


@settings(max_examples=40)
@given(values=st.lists(st.sampled_from([0.0, 0.0, 0.1, 0.3, 0.7, 9.0]), min_size=2, max_size=60))
def test_p95_of_a_resample_is_that_of_the_calls_drawn(values: list[float]) -> None:
    shortfalls = np.array(values)
    counts = next(blocks(len(values), 20, seed=4))
    drawn = [p95(np.repeat(shortfalls, row.astype(int))) for row in counts]
    assert _drawn_p95(shortfalls, 4, 20).tolist() == drawn


@pytest.mark.parametrize("calls", [0, 1])
def test_hardly_any_calls_are_no_basis(calls: int) -> None:
    assert failed(judge(holdout(calls))) == ["enough_calls", "accuracy"]


@pytest.mark.parametrize("field", ["actual", "champion_estimate", "challenger_estimate"])
def test_without_costs_or_estimates_there_is_nothing_to_compare(field: str) -> None:
    verdict = judge(holdout(**dict[str, Any]({field: np.zeros(200)})))
    assert failed(verdict) == ["accuracy"]
    assert "nothing to compare" in check(verdict, "accuracy").sentence


def test_a_few_calls_that_cost_anything_make_no_noise() -> None:
    # A resample may then have cost nothing at all.
    actual = np.zeros(40)
    actual[0] = 1_000_000
    assert not judge(holdout(40, actual=actual)).passed


def test_large_holdouts_are_drawn_in_blocks() -> None:
    verdict = judge(holdout(30_000, champion=0.7), resamples=300)
    assert verdict.passed


@pytest.mark.parametrize("field", FIELDS[:-1])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_wrong_amount_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InvalidValue) as refused:
        holdout(3, **dict[str, Any]({field: [1.0, value, 1.0]}))
    assert refused.value.field == field


def test_arrays_of_other_lengths_and_labels_that_are_no_whole_numbers_are_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match=r"^champion_reserve: has 2 values where actual has 3$"):
        holdout(3, champion_reserve=[1, 2])
    for labels in ([0.5, 1.0, 2.0], ["a", "b", "c"], [[1], [2], [3]]):
        with pytest.raises(InvalidValue, match=r"^segment: must be a flat array of whole numbers"):
            holdout(3, segment=labels)
    with pytest.raises(InvalidValue, match=r"^segment: has 1 values"):
        holdout(3, segment=[1])
