"""A challenger to the price book: corrections fitted on past calls, judged on later ones (the backtest gate). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from engine.analytics.backtest import FEWEST_CALLS_OF_SEGMENT, Check, Holdout, Verdict, judge
from engine.analytics.calibration import fit_segment
from engine.errors import UnknownPrice
from engine.money import EXACT
from engine.pricing.basis import Estimate
from engine.pricing.price_list import PriceList
from engine.pricing.rows import Correction
from engine.pricing.segment import Segment
from engine.pricing.usage import Usage

DAY_MS = 86_400_000
SMALLEST_FACTOR, LARGEST_FACTOR = Decimal("0.2"), Decimal(5)
"""What is further off is no matter of tuning: somebody has to look at the price."""


class SettledCall(NamedTuple):
    """A call whose cost is known. `usage` is what its estimate was made from, not what it used in the end.

    `weight` is how many calls it stands for, when only some of many are looked at.
    """

    segment: Segment
    at_ms: int
    usage: Usage
    actual_micros: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ProposedCorrection:
    """What a segment's estimates would be multiplied by, beside what they are multiplied by now.

    `ratio`, `low` and `high` are those of the calls that it was fitted on, `calls` so many.
    """

    segment: Segment
    old_factor: Decimal
    new_factor: Decimal
    old_buffer: Decimal
    new_buffer: Decimal
    calls: int
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Challenger:
    """Proposed corrections, and whether they stood the backtest; without any there is nothing to judge.

    `left_out` has a sentence for each segment that is off and for which none is proposed.
    """

    proposals: tuple[ProposedCorrection, ...]
    verdict: Verdict
    left_out: tuple[str, ...] = ()

    def corrections(self, source: str) -> list[Correction]:
        """As rows of the price book."""
        return [
            Correction(
                **proposal.segment._asdict(), factor=proposal.new_factor, buffer=proposal.new_buffer, source=source
            )
            for proposal in self.proposals
        ]


NOTHING_TO_CORRECT = Verdict(
    False,
    (
        Check(
            "proposals",
            passed=False,
            sentence="No segment has 100 calls to fit on with an interval that excludes ±5 %, and 30 later ones.",
        ),
    ),
)


def challenge(
    champion: PriceList, fit_calls: Iterable[SettledCall], holdout_calls: Iterable[SettledCall], *, seed: int = 0
) -> Challenger:
    """Fit corrections on `fit_calls` and judge them on `holdout_calls`, which must be later.

    Both are estimated anew by the champion, each at its own time, so that a change of prices within the window counts
    as what it is. Only calls of corrected segments are judged: the others would be estimated alike. A segment that has
    fewer than 30 later calls cannot be judged, and so is not corrected.
    """
    later = _by_segment(holdout_calls)
    proposals: list[ProposedCorrection] = []
    left_out: list[str] = []
    for segment, calls in sorted(_by_segment(fit_calls).items()):
        proposed = _proposed(champion, segment, calls)
        if proposed is None:
            continue
        if not SMALLEST_FACTOR <= proposed.new_factor <= LARGEST_FACTOR:
            times = f"{proposed.ratio:.3g} times its estimate"
            left_out.append(f"{segment} costs {times}: too far off to be tuned, so look at its price.")
        elif len(later.get(segment, ())) < FEWEST_CALLS_OF_SEGMENT:
            left_out.append(
                f"{segment} has {len(later.get(segment, ()))} later calls; "
                f"{FEWEST_CALLS_OF_SEGMENT} are needed to judge a correction of it."
            )
        else:
            proposals.append(proposed)
    if not proposals:
        return Challenger((), NOTHING_TO_CORRECT, tuple(left_out))
    challenger = Challenger(tuple(proposals), NOTHING_TO_CORRECT, tuple(left_out))
    book = champion.book.with_corrections(challenger.corrections("the backtest"))
    verdict = _judged(champion, PriceList(book, champion.options), proposals, later, seed)
    return replace(challenger, verdict=verdict)


def _proposed(champion: PriceList, segment: Segment, calls: Sequence[SettledCall]) -> ProposedCorrection | None:
    priced = [(call, estimate) for call in calls if (estimate := _estimate(champion, call))]
    proposal = fit_segment(
        [estimate.estimate_micros for _, estimate in priced],
        [call.actual_micros for call, _ in priced],
        [call.at_ms // DAY_MS for call, _ in priced],
    )
    if proposal is None:
        return None
    _, now = max(priced, key=lambda pair: pair[0].at_ms)
    return ProposedCorrection(
        segment=segment,
        old_factor=now.factor,
        new_factor=EXACT.quantize(EXACT.multiply(now.factor, proposal.factor), Decimal("0.0001")),
        old_buffer=now.buffer_share,
        new_buffer=proposal.buffer,
        calls=proposal.calls,
        ratio=proposal.ratio.value,
        low=proposal.ratio.low,
        high=proposal.ratio.high,
    )


def _judged(
    champion: PriceList,
    challenger: PriceList,
    proposals: Sequence[ProposedCorrection],
    later: Mapping[Segment, Sequence[SettledCall]],
    seed: int,
) -> Verdict:
    rows: list[tuple[float, ...]] = []
    labels: list[tuple[int, int]] = []
    for number, call in ((number, call) for number, each in enumerate(proposals) for call in later[each.segment]):
        # By the whole price list, as it would be: a buffer of the document outweighs a proposed one.
        before, after = _estimate(champion, call), _estimate(challenger, call)
        if before is not None and after is not None:
            # Sums of weighted amounts are what all calls would come to.
            amounts = (before.estimate_micros, before.reserve_micros, after.estimate_micros, after.reserve_micros)
            rows.append(tuple(call.weight * amount for amount in (*amounts, call.actual_micros)))
            labels.append((number, call.at_ms // DAY_MS))
    columns = list(zip(*rows, strict=True)) or [()] * 5
    holdout = Holdout.of(
        champion_estimate=columns[0],
        champion_reserve=columns[1],
        challenger_estimate=columns[2],
        challenger_reserve=columns[3],
        actual=columns[4],
        segment=[number for number, _ in labels],
        day=[day for _, day in labels],
    )
    return judge(holdout, seed=seed, names={number: str(each.segment) for number, each in enumerate(proposals)})


def _estimate(prices: PriceList, call: SettledCall) -> Estimate | None:
    """The call's estimate; `None` when there is no price (any more)."""
    try:
        return prices.of(*call.segment.key).estimate(call.usage, call.at_ms)
    except UnknownPrice:
        return None


def _by_segment(calls: Iterable[SettledCall]) -> dict[Segment, list[SettledCall]]:
    by_segment: dict[Segment, list[SettledCall]] = defaultdict(list)
    for call in calls:
        by_segment[call.segment].append(call)
    return by_segment
