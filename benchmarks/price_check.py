"""One thread: the price of a call, as a check works it out. Kinds of calls take turns, each with a correction."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from benchmarks.blocks import percentile, time_each
from engine.clock import to_ms
from engine.pricing.basis import Estimate
from engine.pricing.options import PriceOptions
from engine.pricing.price_list import CallPrices, PriceList
from engine.pricing.rows import Correction
from engine.pricing.segment import Segment
from engine.pricing.shipped import SHIPPED_BOOK
from engine.pricing.usage import read_usage

CALLS = 2_000
WARM_UP = 200
BEGIN = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
SEGMENTS = (
    Segment("openai", "gpt-4o", "standard", "coder"),
    Segment("anthropic", "claude-sonnet-5-5", "complex", "writer"),
    Segment("copilot_studio", "", "standard", "hr"),
    Segment("webhook", "", "simple", "hook"),
)

Asked = tuple[CallPrices, dict[str, object], int]


@dataclass
class PriceResult:
    """Nanoseconds of each estimate, arguments read and validated included."""

    blocks: list[list[int]]

    @property
    def calls(self) -> int:
        """Counted estimates."""
        return sum(map(len, self.blocks))

    def us(self, percent: float) -> float:
        """A percentile in microseconds."""
        return percentile(list(itertools.chain.from_iterable(self.blocks)), percent) / 1000


def measure(rounds: int, advance: Callable[[], None]) -> PriceResult:
    """Run `rounds` rounds; `advance` is called after each."""
    asked = _asked()
    blocks = []
    for _ in range(rounds):
        time_each(_estimate, asked[:WARM_UP])
        blocks.append(time_each(_estimate, asked)[0])
        advance()
    return PriceResult(blocks)


def _estimate(asked: Asked) -> Estimate:
    prices, arguments, at_ms = asked
    return prices.estimate(read_usage(arguments), at_ms)


def _asked() -> list[Asked]:
    corrections = [
        Correction(**segment._asdict(), factor=Decimal("1.137"), buffer=Decimal("0.31"), source="the benchmark")
        for segment in SEGMENTS
    ]
    prices = PriceList(SHIPPED_BOOK.with_corrections(corrections), PriceOptions())
    dice = random.Random(7)
    asked: list[Asked] = []
    for number in range(CALLS):
        segment = SEGMENTS[number % len(SEGMENTS)]
        arguments: dict[str, object] = {
            "input_tokens": dice.randint(50, 8000),
            "output_tokens": dice.randint(10, 2000),
            "cached_input_tokens": dice.randint(0, 8000) if number % 3 == 0 else None,
        }
        if not segment.model and number % 2:
            arguments = {}
        asked.append((prices.of(*segment.key), arguments, to_ms(BEGIN + number * timedelta(seconds=1))))
    return asked
