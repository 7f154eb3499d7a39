"""Rows as CSV text that a spreadsheet opens without calculating it. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""OWASP, CSV Injection: a spreadsheet calculates a cell that begins with one of these, also the full-width ones."""


def csv_lines(rows: Iterable[Sequence[str]]) -> str:
    """Rows as RFC 4180 wants them."""
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with a header, by the names of the first one; empty for none."""
    if not rows:
        return ""
    names = list(rows[0])
    return csv_lines([names, *([_cell(row.get(name)) for name in names] for row in rows)])


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe before it shows it as it is."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULA_STARTS) else text


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return harmless(value) if isinstance(value, str) else str(value)
