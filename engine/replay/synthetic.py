"""Made-up calls whose arrivals and token counts follow public traces of real services. Pure: seeded, no clock."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrafficShape:
    """How calls arrive and how large they are; log-normal throughout.

    `gap_cv` is the coefficient of variation of the time between two calls: 1 is a steady stream of people, 13 is
    long silence and sudden bursts. Tokens are given by their median and the standard deviation of their logarithm.
    """

    gap_cv: float
    input_median: float
    input_ln_sd: float
    output_median: float
    output_ln_sd: float


# Measured on the Azure LLM inference traces of 2023-11-16 (Patel et al., "Splitwise", ISCA 2024).
CONVERSATION = TrafficShape(gap_cv=1.1, input_median=1020, input_ln_sd=0.99, output_median=129, output_ln_sd=0.86)
CODING = TrafficShape(gap_cv=13.0, input_median=1469, input_ln_sd=1.36, output_median=13, output_ln_sd=0.85)

LARGEST_CALL_TOKENS = 200_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """One made-up call: seconds since the beginning, and its tokens."""

    at: float
    input_tokens: int
    output_tokens: int


def arrivals(shape: TrafficShape, calls_per_second: float, random_source: random.Random) -> Iterator[Arrival]:
    """Calls without end, `calls_per_second` on average."""
    gap_ln_sd = math.sqrt(math.log(1 + shape.gap_cv**2))
    gap_ln_mean = -math.log(calls_per_second) - gap_ln_sd**2 / 2
    at = 0.0
    while True:
        at += random_source.lognormvariate(gap_ln_mean, gap_ln_sd)
        yield Arrival(
            at,
            _tokens(random_source, shape.input_median, shape.input_ln_sd),
            _tokens(random_source, shape.output_median, shape.output_ln_sd),
        )


def _tokens(random_source: random.Random, median: float, ln_sd: float) -> int:
    return max(1, min(LARGEST_CALL_TOKENS, round(random_source.lognormvariate(math.log(median), ln_sd))))
