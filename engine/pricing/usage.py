"""What a call uses: tokens and Copilot Credits, validated. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from engine.errors import InvalidValue
from engine.money import EXACT, shown_value

LARGEST_TOKEN_COUNT = 1_000_000_000
LARGEST_CREDITS = Decimal(1_000_000_000)
MICROCREDITS = 1_000_000


class Usage(NamedTuple):
    """Tokens and Copilot Credits of one call; `None` is not told.

    `cached_input_tokens` (read from a prompt cache) and `cache_write_tokens` are counted apart from `input_tokens`:
    no token is in two of them, so none is billed twice. `microcredits` are millionths of a Copilot Credit.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    microcredits: int | None = None

    @property
    def tokens(self) -> int:
        """All tokens told."""
        return sum(count or 0 for count in self[:4])

    @property
    def credits(self) -> Decimal | None:
        """Copilot Credits."""
        return None if self.microcredits is None else EXACT.divide(Decimal(self.microcredits), Decimal(MICROCREDITS))

    def told(self) -> dict[str, int]:
        """What was told, by name."""
        return {name: count for name, count in zip(self._fields, self, strict=True) if count is not None}


NO_USAGE = Usage()
TOKEN_FIELDS = Usage._fields[:4]
USAGE_NAMES = (*TOKEN_FIELDS, "credits")
"""The arguments of `check` and `settle` that say what a call uses."""


def read_usage(arguments: Mapping[str, Any]) -> Usage:
    """The usage among the arguments of `check` or `settle`. Raises `InvalidValue` naming the field."""
    get = arguments.get
    tokens_in, tokens_out = get("input_tokens"), get("output_tokens")
    cached, written, credit = get("cached_input_tokens"), get("cache_write_tokens"), get("credits")
    # Most calls tell two counts or none, and time counts here.
    if tokens_in is not None:
        check_tokens(tokens_in, "input_tokens")
    if tokens_out is not None:
        check_tokens(tokens_out, "output_tokens")
    if cached is not None:
        check_tokens(cached, "cached_input_tokens")
    if written is not None:
        check_tokens(written, "cache_write_tokens")
    return Usage(tokens_in, tokens_out, cached, written, None if credit is None else to_microcredits(credit))


def check_tokens(count: int | None, field: str) -> int:
    """A token count, 0 when left out. Raises `InvalidValue` unless it is a whole number from 0 to 1e9."""
    if count is None:
        return 0
    if isinstance(count, bool) or not isinstance(count, int):
        raise InvalidValue(field, f"must be a whole number of tokens, got {shown_value(count)}")
    if not 0 <= count <= LARGEST_TOKEN_COUNT:
        raise InvalidValue(field, f"must be between 0 and {LARGEST_TOKEN_COUNT:,} tokens, got {shown_value(count)}")
    return count


def to_microcredits(credits: Decimal | int | str | float, field: str = "credits") -> int:
    """Copilot Credits as millionths of one. Raises `InvalidValue` unless they are from 0 to 1e9, to six decimals."""
    if isinstance(credits, bool):
        raise InvalidValue(field, "must be a number of Copilot Credits, not true or false")
    try:
        # By its shortest decimal form, so that a float of 0.1 means 0.1.
        amount = Decimal(str(credits))
    except (InvalidOperation, ValueError):
        raise InvalidValue(
            field, f"must be a number of Copilot Credits such as 12, not {shown_value(credits)}"
        ) from None
    if not amount.is_finite() or not 0 <= amount <= LARGEST_CREDITS:
        raise InvalidValue(
            field, f"must be between 0 and {LARGEST_CREDITS:,} Copilot Credits, got {shown_value(credits)}"
        )
    scaled = EXACT.scaleb(amount, 6)
    if scaled != int(scaled):
        raise InvalidValue(field, f"must have at most six decimals, got {shown_value(credits)}")
    return int(scaled)
