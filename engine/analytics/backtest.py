"""The gate a challenger passes before a person is asked to promote it: both models against the same held-out calls.

Accuracy is WAPE, sum|actual - estimate| / sum(actual). Two things make a challenger better, and one is enough:

* its WAPE is lower by 2 points, with confidence;
* its |bias| is lower by 2 points, with confidence, and its WAPE is at most 1 point higher.

The second is there because WAPE does not see a wrong level. The sum of absolute errors is least when the estimate is
the median call, and the costs of calls are skewed: with a noise of 40 % a call, raising all estimates by the 15 % they
are short of changes WAPE by less than 2 points, so no number of calls would ever let it be corrected. The sum of
many calls, which is what a budget feels, is off by the full 15 %.

"With confidence" is said by the paired bootstrap, of calls and of whole days, whichever is less sure: calls of one day
often cost too much or too little together, and then a thousand of them say no more than a few.

"With confidence" means that the lower bound itself reaches 2 points. Were it enough that the bound is above zero while
the measured value reaches 2 points, up to 9 % of challengers that are no better would be let through; so it is less
than 5 %, also with 20 calls and with errors on opposite sides. For the same reason each of the two ways is tried at
more than 95 %: a challenger has two chances, and together they must stay below 5 %. `make bench-calibration` measures
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.amounts import Floats, Ints, amounts, p95, rank_of_95, same_length
from engine.analytics.resampling import blocks, lower_bound, resampled_sums
from engine.errors import InvalidValue

RESAMPLES = 2000
WAPE_CONFIDENCE = 0.96
BIAS_CONFIDENCE = 0.975
SHORTFALL_CONFIDENCE = 0.95
FEWEST_CALLS = 20
FEWEST_CALLS_OF_SEGMENT = 30
FEWEST_DAYS = 5
"""From so many days on, whole days are drawn as well."""
BETTER_BY = 0.02
WAPE_MAY_RISE_BY = 0.01
BIAS_MAY_RISE_BY = 0.01
SEGMENT_MAY_RISE_BY = 0.05
SHORTFALL_MAY_RISE_BY = 0.05
LARGEST_SHORTFALL = 9.0
"""Ten times the reserve or more; so is anything above a reserve of nothing."""


class Check(NamedTuple):
    """One condition of the gate: its name, whether it holds, and the numbers as a sentence for a person."""

    name: str
    passed: bool
    sentence: str


class Verdict(NamedTuple):
    """Whether every check passed."""

    passed: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Holdout:
    """Calls the challenger was not fitted on, one value each in the same order, in micro-USD.

    `segment` and `day` are labels, for which any whole numbers do.
    """

    champion_estimate: Floats
    champion_reserve: Floats
    challenger_estimate: Floats
    challenger_reserve: Floats
    actual: Floats
    segment: Ints
    day: Ints

    @classmethod
    def of(
        cls,
        *,
        champion_estimate: ArrayLike,
        champion_reserve: ArrayLike,
        challenger_estimate: ArrayLike,
        challenger_reserve: ArrayLike,
        actual: ArrayLike,
        segment: ArrayLike,
        day: ArrayLike | None = None,
    ) -> Holdout:
        """Take the arrays, or raise `InvalidValue` that names the one that is not finite, negative or too short."""
        money = {
            "actual": actual,
            "champion_estimate": champion_estimate,
            "champion_reserve": champion_reserve,
            "challenger_estimate": challenger_estimate,
            "challenger_reserve": challenger_reserve,
        }
        columns = {field: amounts(field, values) for field, values in money.items()}
        segments = _labels("segment", segment)
        days = np.zeros(len(segments), dtype=np.int64) if day is None else _labels("day", day)
        same_length([*columns.items(), ("segment", segments), ("day", days)])
        return cls(**columns, segment=segments, day=days)


def judge(
    holdout: Holdout, *, seed: int = 0, resamples: int = RESAMPLES, names: Mapping[int, str] | None = None
) -> Verdict:
    """Let the challenger through or not. The same holdout and seed give the same verdict.

    `names` has the segments' names by label, for the sentences. Where there is nothing to compare, being fewer than
    two calls or a sum that is zero, the verdict is no and has two checks; else it has five.
    """
    calls = len(holdout.actual)
    enough = Check(
        "enough_calls", calls >= FEWEST_CALLS, f"{calls:,} calls were held out; at least {FEWEST_CALLS} are needed."
    )
    if calls < 2 or not (
        holdout.actual.sum() and holdout.champion_estimate.sum() and holdout.challenger_estimate.sum()
    ):
        nothing = Check("accuracy", passed=False, sentence="Without estimates and costs there is nothing to compare.")
        return Verdict(False, (enough, nothing))
    columns = _columns(holdout)
    measured = _scores(columns.sum(axis=0, keepdims=True))
    drawn = [(calls, _scores(resampled_sums(columns, resamples, seed)))]
    by_day = _summed(columns, holdout.day)
    if len(by_day) >= FEWEST_DAYS:
        drawn.append((len(by_day), _scores(resampled_sums(by_day, resamples, seed))))
    checks = (
        enough,
        _accuracy(measured, drawn),
        _bias(measured),
        _segments(columns, holdout.segment, names or {}),
        _shortfall(holdout, seed, resamples),
    )
    return Verdict(all(check.passed for check in checks), checks)


class _Scores(NamedTuple):
    """WAPE and bias of both, one value for each row of sums."""

    champion_wape: Floats
    challenger_wape: Floats
    champion_bias: Floats
    challenger_bias: Floats

    @property
    def wape_gain(self) -> Floats:
        return self.champion_wape - self.challenger_wape

    @property
    def bias_gain(self) -> Floats:
        return np.abs(self.champion_bias) - np.abs(self.challenger_bias)


def _columns(holdout: Holdout) -> Floats:
    actual, champion, challenger = holdout.actual, holdout.champion_estimate, holdout.challenger_estimate
    return np.column_stack((actual, np.abs(actual - champion), np.abs(actual - challenger), champion, challenger))


def _summed(columns: Floats, day: Ints) -> Floats:
    _, place = np.unique(day, return_inverse=True)
    return np.column_stack([np.bincount(place, column) for column in columns.T])


def _labels(field: str, values: ArrayLike) -> Ints:
    labels = np.asarray(values)
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
        raise InvalidValue(field, "must be a flat array of whole numbers")
    return labels.astype(np.int64)


def _scores(sums: Floats) -> _Scores:
    actual, champion_error, challenger_error, champion, challenger = sums.T
    # A resample may by chance have only calls that cost nothing.
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = (champion_error / actual, challenger_error / actual, actual / champion - 1, actual / challenger - 1)
        return _Scores(*(np.nan_to_num(score, nan=0.0, posinf=1e9) for score in scores))


def _accuracy(measured: _Scores, drawn: Sequence[tuple[int, _Scores]]) -> Check:
    """`drawn` has the resamples of calls, and those of whole days; what both are sure of counts."""
    wape_gain = float(measured.wape_gain[0])
    wape_bound = min(lower_bound(scores.wape_gain, number, WAPE_CONFIDENCE) for number, scores in drawn)
    bias_bound = min(lower_bound(scores.bias_gain, number, BIAS_CONFIDENCE) for number, scores in drawn)
    by_wape = wape_bound >= BETTER_BY
    by_bias = bias_bound >= BETTER_BY and wape_gain >= -WAPE_MAY_RISE_BY
    sentence = (
        f"WAPE {_percent(measured.champion_wape[0])} -> {_percent(measured.challenger_wape[0])}, surely better by at "
        f"least {_points(wape_bound)}; bias {_signed(measured.champion_bias[0])} -> "
        f"{_signed(measured.challenger_bias[0])}, surely nearer to zero by at least {_points(bias_bound)}. One of them "
        f"must be {_points(BETTER_BY)}, with WAPE at most {_points(WAPE_MAY_RISE_BY)} worse."
    )
    return Check("accuracy", by_wape or by_bias, sentence)


def _bias(measured: _Scores) -> Check:
    """A little is allowed: of two models without bias, chance alone says which seems to have less."""
    passed = bool(measured.bias_gain[0] >= -BIAS_MAY_RISE_BY)
    return Check(
        "bias",
        passed,
        f"Bias {_signed(measured.champion_bias[0])} -> {_signed(measured.challenger_bias[0])}. It must not be further "
        f"from zero than before by more than {_points(BIAS_MAY_RISE_BY)}.",
    )


def _segments(columns: Floats, segment: Ints, names: Mapping[int, str]) -> Check:
    labels, index, counts = np.unique(segment, return_inverse=True, return_counts=True)
    actual, champion, challenger = (np.bincount(index, columns[:, column]) for column in range(3))
    judged = (counts >= FEWEST_CALLS_OF_SEGMENT) & (actual > 0)
    if not judged.any():
        return Check(
            "segments", passed=True, sentence=f"No segment has {FEWEST_CALLS_OF_SEGMENT} calls to judge it by."
        )
    rise = np.where(judged, challenger - champion, -np.inf) / np.where(judged, actual, 1.0)
    worst = int(rise.argmax())
    label = int(labels[worst])
    return Check(
        "segments",
        bool(rise[worst] <= SEGMENT_MAY_RISE_BY),
        f"Of the segments with {FEWEST_CALLS_OF_SEGMENT} calls or more {names.get(label, label)} fares worst: its WAPE "
        f"changes by {100 * rise[worst]:+.1f} points. It must not rise by more than {_points(SEGMENT_MAY_RISE_BY)}.",
    )


def _shortfall(holdout: Holdout, seed: int, resamples: int) -> Check:
    """What calls exceed their reserve by, and not their estimate: a model that estimates too much has a fat reserve.

    P95 of a few calls jumps about. A rise is held against the challenger only when the resamples agree on it.
    """
    champion = _shortfalls(holdout.actual, holdout.champion_reserve)
    challenger = _shortfalls(holdout.actual, holdout.challenger_reserve)
    before, after = p95(champion), p95(challenger)
    rise = after - before if after > before else 0.0
    surely = rise
    if rise > SHORTFALL_MAY_RISE_BY:
        drawn = _drawn_p95(challenger, seed, resamples) - _drawn_p95(champion, seed, resamples)
        surely = lower_bound(drawn, len(champion), SHORTFALL_CONFIDENCE)
    return Check(
        "shortfall",
        surely <= SHORTFALL_MAY_RISE_BY,
        f"One call in twenty overran its reserve by {_overrun(before)} or more; it would be {_overrun(after)}. "
        f"That must not surely be more by {_points(SHORTFALL_MAY_RISE_BY)}.",
    )


def _drawn_p95(values: Floats, seed: int, resamples: int) -> Floats:
    """P95 in each resample: going down from the largest value, the one that more than 5 % of the draws have reached."""
    order = np.argsort(-values)[: np.count_nonzero(values)]
    # A zero at the end, for resamples in which fewer calls than that have a shortfall.
    descending = np.append(values[order], 0.0)
    above = len(values) - rank_of_95(len(values))
    places = []
    for counts in blocks(len(values), resamples, seed):
        reached = np.cumsum(counts[:, order], axis=1) > above
        reached = np.column_stack((reached, np.ones(len(counts), dtype=bool)))
        places.append(reached.argmax(axis=1))
    drawn: Floats = descending[np.concatenate(places)]
    return drawn


def _shortfalls(actual: Floats, reserve: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(actual > reserve, np.minimum(actual / reserve - 1, LARGEST_SHORTFALL), 0.0)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _overrun(share: float) -> str:
    return f"more than {_percent(LARGEST_SHORTFALL)}" if share >= LARGEST_SHORTFALL else _percent(share)


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %"


def _points(share: float) -> str:
    size = f"{100 * share:.1f}"
    return f"{size} point" if size == "1.0" else f"{size} points"
