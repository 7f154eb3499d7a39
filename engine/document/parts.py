"""What the parts of a governance document are made of."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from engine.errors import InvalidValue
from engine.ids import ID_PATTERN
from engine.money import LARGEST_AMOUNT_USD
from engine.pricing.rows import LARGEST_PRICE_USD, MOST_DECIMALS, read_effective

T = TypeVar("T")

Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Scope = Literal["org", "team", "user", "agent", "provider"]


def decimal_of_float(value: Any) -> Any:
    """A number as it was written, for a `Decimal` to be exactly that."""
    return str(value) if isinstance(value, float) else value


Usd = Annotated[Decimal, BeforeValidator(decimal_of_float), Field(ge=0, le=LARGEST_AMOUNT_USD, max_digits=16)]
Share = Annotated[Decimal, BeforeValidator(decimal_of_float), Field(gt=0, le=1)]
Price = Annotated[
    Decimal,
    BeforeValidator(decimal_of_float),
    Field(ge=0, le=LARGEST_PRICE_USD, max_digits=18, decimal_places=MOST_DECIMALS),
]
"""US dollars per call or per million tokens, or Copilot Credits per call."""
Count = Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]


def with_preset(values: Any, presets: Mapping[str, Mapping[str, Any]]) -> Any:
    """The values of a part, filled in by the preset that it names."""
    # An unknown preset is left for the field itself to refuse.
    preset = presets.get(str(values.get("preset"))) if isinstance(values, dict) else None
    return values if preset is None else {**preset, **values}


def plain_line(text: str) -> str:
    """The text, when it is one line that any database and message can hold. Raises `ValueError`."""
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must be one line of text without control characters")
    return text


Text = Annotated[str, StringConstraints(max_length=256), AfterValidator(plain_line)]
"""Words for people: a database or a Slack message can hold them."""


class Part(BaseModel):
    """A part of the document: unknown keys are refused, nothing can be changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def checked_by(read: Callable[[T], object]) -> AfterValidator:
    """Refuses what `read` refuses, in its words."""

    def check(value: T) -> T:
        try:
            read(value)
        except InvalidValue as refused:
            raise ValueError(refused.problem) from None
        return value

    return AfterValidator(check)


def _written_date(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


Effective = Annotated[str, BeforeValidator(_written_date), StringConstraints(max_length=64), checked_by(read_effective)]
"""A date, which is midnight UTC, or a time with its offset."""
