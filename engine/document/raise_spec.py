"""A raise of a budget for a while: it begins and ends by itself, and no job has a part in that."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from engine.clock import to_ms
from engine.document.parts import Id, Part, decimal_of_float, plain_line
from engine.errors import InvalidValue
from engine.money import LARGEST_AMOUNT_USD
from engine.periods import PeriodKind
from engine.policy.instants import read_instant

MOST_RAISES = 100
"""Of one budget. Those that have ended can be removed."""
LONGEST_REASON = 500


def written_instant(at: datetime) -> str:
    """An instant as a document keeps it: in UTC, and to the millisecond, which is what the gate counts in."""
    finest = "milliseconds" if at.microsecond >= 1000 else "seconds"
    return read_instant(at).isoformat(timespec=finest).replace("+00:00", "Z")


def _canonical(value: Any) -> str:
    try:
        return written_instant(read_instant(value))
    except InvalidValue as refused:
        raise ValueError(refused.problem) from None


Instant = Annotated[str, BeforeValidator(_canonical), WithJsonSchema({"type": "string", "format": "date-time"})]
MoreUsd = Annotated[
    Decimal, BeforeValidator(decimal_of_float), Field(gt=0, le=LARGEST_AMOUNT_USD, max_digits=16, decimal_places=6)
]


class RaiseSpec(Part):
    """A raise of a budget's money limits, in force from an instant until just before another.

    While it is in force the limit is that of the budget and all of its raises together. What is spent meanwhile stays
    spent: when it ends, a counter above the budget's own limit is full.
    """

    # `from` is a word of Python's own.
    model_config = ConfigDict(use_attribute_docstrings=True, serialize_by_alias=True)

    scope: Id | None = None
    """Only the total of this organization, team, user, agent or provider. Left out, every total of the budget."""
    monthly_usd: MoreUsd | None = None
    """US dollars on top of monthly_budget_usd."""
    daily_usd: MoreUsd | None = None
    """US dollars on top of daily_budget_usd."""
    from_: Instant = Field(alias="from")
    """From this instant on, with its offset, such as 2026-11-26T10:00:00Z."""
    until: Instant
    """Until just before this instant, with its offset."""
    reason: Annotated[str, StringConstraints(max_length=LONGEST_REASON), AfterValidator(plain_line)] = ""
    """Why, for whoever reads it later."""

    @model_validator(mode="after")
    def _makes_sense(self) -> RaiseSpec:
        if self.monthly_usd is None and self.daily_usd is None:
            raise ValueError("needs monthly_usd or daily_usd: by how much is the budget raised?")
        if self.until_ms <= self.from_ms:
            raise ValueError(f"until: must be later than from, which is {self.from_}, got {self.until}")
        return self

    @cached_property
    def from_ms(self) -> int:
        """The first millisecond at which it is in force."""
        return to_ms(read_instant(self.from_))

    @cached_property
    def until_ms(self) -> int:
        """The first millisecond at which it is not any more."""
        return to_ms(read_instant(self.until))

    def usd(self, kind: PeriodKind) -> Decimal | None:
        """By how much it raises the limit of a month or day; `None` leaves that alone."""
        return self.monthly_usd if kind == "month" else self.daily_usd

    def concerns(self, scope: str) -> bool:
        """Whether it raises the counter of this scope value."""
        return self.scope in (None, scope)
