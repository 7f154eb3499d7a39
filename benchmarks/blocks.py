"""Interleaved blocks, and ratios inside them.

A machine's speed drifts, and other programs come and go. Contenders that take turns in short blocks see the same
weather, so a ratio of two neighbouring blocks means more than a ratio of two long runs. Pure, but for the clock.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


class CannotRun(Exception):
    """The benchmark could not be run; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median ratio of all block pairs, and where the middle 80 % of them lie."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float]) -> Ratio:
        """The ratio of two contenders, each with one number for each round, in the order of the rounds."""
        pairs = sorted(a / b for a, b in zip(above, below, strict=True))
        return cls(statistics.median(pairs), percentile(pairs, 10), percentile(pairs, 90))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that at least `percent` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def interleave(
    contenders: Mapping[str, Callable[[], T]], rounds: int, after_block: Callable[[], None] = lambda: None
) -> dict[str, list[T]]:
    """Let each contender run one block in each round, and return what its blocks returned.

    Every other round goes backwards, so that nobody is always first, and nobody always follows the same one.
    """
    blocks: dict[str, list[T]] = {name: [] for name in contenders}
    for name in _turns(list(contenders), rounds):
        blocks[name].append(contenders[name]())
        after_block()
    return blocks


def time_each(call: Callable[[A], B], arguments: Sequence[A]) -> tuple[list[int], list[B]]:
    """Call with each argument; how long each call took, in nanoseconds, and what it returned."""
    times: list[int] = []
    results: list[B] = []
    for argument in arguments:
        started = perf_counter_ns()
        result = call(argument)
        times.append(perf_counter_ns() - started)
        results.append(result)
    return times, results


def _turns(names: list[str], rounds: int) -> Iterator[str]:
    for number in range(rounds):
        yield from names if number % 2 == 0 else reversed(names)
