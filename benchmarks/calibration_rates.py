"""What is measured and what is required of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """Where a rate has to lie, both ends included; None: no end there. `below`: the upper end itself is too much."""

    low: float | None = None
    high: float | None = None
    below: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a value lies there."""
        above = self.low is None or value >= self.low
        under = self.high is None or (value < self.high if self.below else value <= self.high)
        return above and under

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{100 * self.low:g}-{100 * self.high:g}"
        if self.low is not None:
            return f">= {100 * self.low:g}"
        return f"{'<' if self.below else '<='} {100 * (self.high or 0):g}"


@dataclass(frozen=True, slots=True)
class Rate:
    """One cell of a table: `row` and `column` of `section`, a fraction, and what is required of it, if anything."""

    section: str
    row: str
    column: str
    key: str
    value: float
    need: Need | None = None

    @property
    def is_missed(self) -> bool:
        """Whether something is required that was not reached."""
        return self.need is not None and not self.need.is_met(self.value)


def missed(rates: Sequence[Rate]) -> list[Rate]:
    """The rates that are required and not reached."""
    return [rate for rate in rates if rate.is_missed]
