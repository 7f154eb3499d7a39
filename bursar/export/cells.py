"""Decisions as the cells of a CSV file. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

from engine.ledger.queries.export import EXPORTED
from engine.money import to_usd

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""OWASP, CSV Injection: a spreadsheet calculates a cell that begins with one of these, also the full-width ones."""
_MILLIONTHS = 1_000_000


def header() -> list[str]:
    """The names of the columns; money is in dollars and credits are whole ones here, and the names say so."""
    return [
        name.removesuffix("_micros") + "_usd" if name.endswith("_micros") else name.replace("microcredits", "credits")
        for name in EXPORTED
    ]


def cells(row: Sequence[Any]) -> list[str]:
    """One decision; what is unknown is empty."""
    return [_cell(name, value) for name, value in zip(EXPORTED, row, strict=True)]


def lines(rows: Iterable[Sequence[str]]) -> str:
    """Rows as RFC 4180 wants them."""
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if name.endswith("_micros"):
        return _plain(to_usd(value))
    if name == "microcredits":
        return _plain(Decimal(value) / _MILLIONTHS)
    return str(value) if isinstance(value, int) else harmless(str(value))


def _plain(amount: Decimal) -> str:
    """Every digit, and no exponent: 1E-6 is text to most programs."""
    return f"{amount:f}"


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe before it shows it as it is."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULA_STARTS) else text
