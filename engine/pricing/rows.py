"""Rows of the price book: what something costs from a day on, and who says so. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Self

from engine.errors import InvalidValue
from engine.ids import check_id, check_model
from engine.money import EXACT

COMPLEXITIES = ("simple", "standard", "complex")
LARGEST_PRICE_USD = Decimal(1_000_000)
"""Per call or per million tokens; more is a typing error."""
MOST_DECIMALS = 12
LONGEST_SOURCE = 256
PLANS = ("pay_as_you_go", "pack", "prepaid")
"""How Copilot Credits are bought."""

ONE_LINE = "must be one line of UTF-8 text without control characters"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What every row has: where it comes from."""

    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not self.source.strip() or len(self.source) > LONGEST_SOURCE:
            raise InvalidValue("source", f"must say where the price comes from, in at most {LONGEST_SOURCE} characters")
        if not is_one_line(self.source):
            raise InvalidValue("source", ONE_LINE)

    def to_json(self) -> dict[str, Any]:
        """The row as JSON has it: decimals as texts, no empty fields."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: _to_json(value) for name, value in values if value is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote. Raises `InvalidValue` naming the field."""
        known = {field.name: field for field in fields(cls)}
        for name in values:
            if name not in known:
                raise InvalidValue(name, f"is not a field of a price row, which has {', '.join(known)}")
        read = {name: _from_json(name, value) for name, value in values.items()}
        try:
            return cls(**read)
        except TypeError:
            missing = next(name for name in known if name not in read)
            raise InvalidValue(missing, "is missing") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedRow(Row):
    """A row that holds from an instant on, until a newer one of the same key does."""

    effective_from: datetime

    def __post_init__(self) -> None:
        Row.__post_init__(self)
        if not isinstance(self.effective_from, datetime) or self.effective_from.tzinfo is None:
            raise InvalidValue("effective_from", "must be a date, or a time with its offset from UTC")

    @property
    def key(self) -> tuple[str, str]:
        """What the row is about."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow(DatedRow):
    """What calls of a provider, or of one of its models, cost.

    `per_call_usd` or `credits_per_call` (Copilot Credits) is the base, which complexity scales; on top come US dollars
    per million tokens. Without a price of their own, cached tokens cost what input tokens do.
    """

    provider: str
    model: str | None = None
    per_call_usd: Decimal | None = None
    credits_per_call: Decimal | None = None
    input_usd_per_million: Decimal | None = None
    output_usd_per_million: Decimal | None = None
    cached_input_usd_per_million: Decimal | None = None
    cache_write_usd_per_million: Decimal | None = None

    def __post_init__(self) -> None:
        DatedRow.__post_init__(self)
        check_id(self.provider, "provider")
        if self.model is not None:
            check_model(self.model)
        for name in PRICE_NAMES:
            check_price(getattr(self, name), name)
        if self.per_call_usd is not None and self.credits_per_call is not None:
            raise InvalidValue("credits_per_call", "contradicts per_call_usd; give one of them")
        if (self.input_usd_per_million is None) != (self.output_usd_per_million is None):
            missing = "input_usd_per_million" if self.input_usd_per_million is None else "output_usd_per_million"
            raise InvalidValue(missing, "is missing; tokens are priced both ways or not at all")
        if self.input_usd_per_million is None:
            for name in ("cached_input_usd_per_million", "cache_write_usd_per_million"):
                if getattr(self, name) is not None:
                    raise InvalidValue(name, "needs input_usd_per_million and output_usd_per_million beside it")
        if all(getattr(self, name) is None for name in PRICE_NAMES):
            raise InvalidValue("per_call_usd", "is missing, and so is every other price")

    @property
    def key(self) -> tuple[str, str]:
        """What the row prices: provider and model, the latter empty for any."""
        return self.provider, self.model or ""


PRICE_NAMES = (
    "per_call_usd",
    "credits_per_call",
    "input_usd_per_million",
    "output_usd_per_million",
    "cached_input_usd_per_million",
    "cache_write_usd_per_million",
)
"""The prices that a row may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRow(DatedRow):
    """How many Copilot Credits a feature takes for so many units (messages, responses, pages, actions)."""

    feature: str
    credits: Decimal
    units: int = 1

    def __post_init__(self) -> None:
        DatedRow.__post_init__(self)
        check_id(self.feature, "feature")
        check_price(self.credits, "credits")
        if isinstance(self.units, bool) or not isinstance(self.units, int) or self.units < 1:
            raise InvalidValue("units", f"must be a whole number from 1, got {self.units!r}")

    @property
    def key(self) -> tuple[str, str]:
        """What the row is about."""
        return self.feature, ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditRow(DatedRow):
    """What one Copilot Credit costs under a plan."""

    plan: str
    usd: Decimal

    def __post_init__(self) -> None:
        DatedRow.__post_init__(self)
        if self.plan not in PLANS:
            raise InvalidValue("plan", f"must be one of {', '.join(PLANS)}, got {self.plan!r}")
        check_price(self.usd, "usd")

    @property
    def key(self) -> tuple[str, str]:
        """What the row is about."""
        return self.plan, ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermRow(DatedRow):
    """Terms under which tokens cost a multiple of their list price, such as a data zone or a batch."""

    term: str
    factor: Decimal

    def __post_init__(self) -> None:
        DatedRow.__post_init__(self)
        check_id(self.term, "term")
        check_price(self.factor, "factor")

    @property
    def key(self) -> tuple[str, str]:
        """What the row is about."""
        return self.term, ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction(Row):
    """What calibration found for a segment: estimates times `factor`, and its own `buffer`. Actuals are untouched."""

    provider: str
    model: str
    complexity: str
    agent_id: str
    factor: Decimal = Decimal(1)
    buffer: Decimal | None = None

    def __post_init__(self) -> None:
        Row.__post_init__(self)
        check_id(self.provider, "provider")
        check_id(self.agent_id, "agent_id")
        if self.model:
            check_model(self.model)
        check_complexity(self.complexity)
        check_price(self.factor, "factor")
        check_price(self.buffer, "buffer")
        if not self.factor:
            raise InvalidValue("factor", "must not be 0, which would make calls free")

    @property
    def segment(self) -> tuple[str, str, str, str]:
        """Provider, model (empty without one), complexity, agent."""
        return self.provider, self.model, self.complexity, self.agent_id


def is_one_line(text: str) -> bool:
    """Whether a text can be kept and shown anywhere."""
    # Control characters, halves of characters (from a terminal that does not speak UTF-8), line separators.
    return all(unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") for character in text)


def check_complexity(value: str) -> str:
    """Return `value` when it is a complexity, else raise `InvalidValue`."""
    if not isinstance(value, str) or value not in COMPLEXITIES:
        raise InvalidValue("complexity", f"must be one of {', '.join(COMPLEXITIES)}, got {value!r}")
    return value


def check_price(value: Decimal | None, field: str) -> None:
    """Raise `InvalidValue` naming `field` unless it is left out or a `Decimal` from 0 to 1e6, to 12 decimals."""
    if value is None:
        return
    if not isinstance(value, Decimal) or not value.is_finite():
        raise InvalidValue(field, f"must be a finite decimal number, got {str(value)[:60]}")
    if not 0 <= value <= LARGEST_PRICE_USD:
        raise InvalidValue(field, f"must be between 0 and {LARGEST_PRICE_USD:,}, got {str(value)[:60]}")
    if _decimals(value) > MOST_DECIMALS:
        raise InvalidValue(field, f"must have at most {MOST_DECIMALS} decimals, got {str(value)[:60]}")


def to_decimal(value: Any, field: str) -> Decimal:
    """A number as it was written, in plain digits or with an exponent. Raises `InvalidValue` naming `field`."""
    text = str(value).strip()
    try:
        # Decimal itself takes underscores and the digits of every script.
        if not isinstance(value, bool) and _NUMBER.fullmatch(text):
            return Decimal(text)
    except InvalidOperation:
        pass  # an exponent beyond all bounds
    raise InvalidValue(field, f"must be a number such as 0.25, got {text[:60]!r}")


def _decimals(value: Decimal) -> int:
    # By its digits: arithmetic would first round them, to as few as the caller's context has.
    _, digits, exponent = value.as_tuple()
    if not value or not isinstance(exponent, int):
        return 0
    needless = next(count for count, digit in enumerate(reversed(digits)) if digit)
    return -exponent - needless


def decimal_text(value: Decimal) -> str:
    """A decimal without needless zeros: the same text for the same number."""
    return f"{EXACT.normalize(value):f}"


def read_effective(value: Any, field: str = "effective_from") -> datetime:
    """`2026-12-01` (midnight UTC), or a time with its offset. Raises `InvalidValue` naming `field`."""
    try:
        text = str(value)
        at = datetime.fromisoformat(text)
        if _DATE.fullmatch(text):
            at = at.replace(tzinfo=UTC)
    except ValueError:
        raise InvalidValue(field, f"must be a date such as 2026-12-01, got {str(value)[:60]!r}") from None
    if at.tzinfo is None:
        raise InvalidValue(field, f"needs an offset from UTC, as in 2026-12-01T09:00:00+01:00, got {text!r}")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise InvalidValue(field, f"is outside the calendar: {text}") from None


def show_effective(at: datetime) -> str:
    """The date alone at midnight UTC, else the whole."""
    utc = at.astimezone(UTC)
    return (
        utc.date().isoformat()
        if (utc.hour, utc.minute, utc.second, utc.microsecond) == (0, 0, 0, 0)
        else utc.isoformat()
    )


def _to_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return decimal_text(value)
    return show_effective(value) if isinstance(value, datetime) else value


def _from_json(name: str, value: Any) -> Any:
    if name == "effective_from":
        return read_effective(value)
    if name in (*PRICE_NAMES, "credits", "usd", "factor", "buffer"):
        return to_decimal(value, name)
    return value
