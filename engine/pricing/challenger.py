"""A challenger to the price book: corrections fitted on past calls, judged on later ones (the backtest gate). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from engine.analytics.backtest import Check, Holdout, Verdict, judge
from engine.analytics.calibration import Proposal, fit_segment
from engine.errors import UnknownPrice
from engine.money import EXACT
from engine.pricing.basis import Estimate
from engine.pricing.price_list import PriceList
from engine.pricing.rows import Correction
from engine.pricing.segment import Segment
from engine.pricing.usage import Usage


class SettledCall(NamedTuple):
    """A call whose cost is known. `usage` is what its estimate was made from, not what it used in the end."""

    segment: Segment
    at_ms: int
    usage: Usage
    actual_micros: int


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
    """Proposed corrections, and whether they stood the backtest; without any there is nothing to judge."""

    proposals: tuple[ProposedCorrection, ...]
    verdict: Verdict

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
            sentence="No segment has 100 calls in the fit window with an interval that excludes ±5 %.",
        ),
    ),
)


def challenge(
    champion: PriceList, fit_calls: Iterable[SettledCall], holdout_calls: Iterable[SettledCall], *, seed: int = 0
) -> Challenger:
    """Fit corrections on `fit_calls` and judge them on `holdout_calls`, which must be later.

    Both are estimated anew by the champion, each at its own time, so that a change of prices within the window counts
    as what it is. Only calls of corrected segments are judged: the others would be estimated alike.
    """
    proposals = [
        _proposed(champion, segment, calls, proposal)
        for segment, calls in sorted(_by_segment(fit_calls).items())
        if (proposal := _fitted(champion, calls)) is not None
    ]
    if not proposals:
        return Challenger((), NOTHING_TO_CORRECT)
    challenger = Challenger(tuple(proposals), NOTHING_TO_CORRECT)
    book = champion.book.with_corrections(challenger.corrections("the backtest"))
    verdict = _judged(champion, PriceList(book, champion.options), proposals, holdout_calls, seed)
    return replace(challenger, verdict=verdict)


def _fitted(champion: PriceList, calls: Sequence[SettledCall]) -> Proposal | None:
    priced = [(estimate, call.actual_micros) for call in calls if (estimate := _estimate(champion, call))]
    return fit_segment([estimate.estimate_micros for estimate, _ in priced], [actual for _, actual in priced])


def _proposed(
    champion: PriceList, segment: Segment, calls: Sequence[SettledCall], proposal: Proposal
) -> ProposedCorrection:
    newest = max(calls, key=lambda call: call.at_ms)
    now = champion.of(*segment.key).estimate(newest.usage, newest.at_ms)
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
    calls: Iterable[SettledCall],
    seed: int,
) -> Verdict:
    numbers = {proposal.segment: number for number, proposal in enumerate(proposals)}
    rows: list[tuple[int, ...]] = []
    for call in calls:
        number = numbers.get(call.segment)
        if number is None:
            continue
        # By the whole price list, as it would be: a buffer of the document outweighs a proposed one.
        before, after = _estimate(champion, call), _estimate(challenger, call)
        if before is not None and after is not None:
            rows.append(
                (
                    before.estimate_micros,
                    before.reserve_micros,
                    after.estimate_micros,
                    after.reserve_micros,
                    call.actual_micros,
                    number,
                )
            )
    columns = list(zip(*rows, strict=True)) or [()] * 6
    holdout = Holdout.of(
        champion_estimate=columns[0],
        champion_reserve=columns[1],
        challenger_estimate=columns[2],
        challenger_reserve=columns[3],
        actual=columns[4],
        segment=columns[5],
    )
    return judge(holdout, seed=seed, names={number: str(segment) for segment, number in numbers.items()})


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
