"""Read recorded usage of language models: when a request came and how many tokens went in and out.

Two public formats are known by their header:

* Azure LLM inference trace: `TIMESTAMP,ContextTokens,GeneratedTokens`
  (Patel et al., "Splitwise: Efficient generative LLM inference using phase splitting", ISCA 2024)
* BurstGPT: `Timestamp,Model,Request tokens,Response tokens,...`, the time in seconds
  (Wang et al., "BurstGPT: A Real-world Workload Dataset to Optimize LLM Serving Systems", 2024)
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import BursarError
from engine.ids import check_model
from engine.pricing.usage import LARGEST_TOKEN_COUNT

AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
BURSTGPT_COLUMNS = ("Timestamp", "Model", "Request tokens", "Response tokens")


class TraceError(BursarError, ValueError):
    """The file is not a usage trace; the message names it and says what is expected."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One recorded request: `at` is seconds on the trace's own clock."""

    line: int
    at: float
    input_tokens: int
    output_tokens: int
    model: str | None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, and why."""

    line: int
    problem: str


class Trace:
    """A trace file. Opening reads the header; iterating reads the rows, of which it keeps none."""

    def __init__(self, path: Path) -> None:
        """Raises `TraceError` when the file cannot be read or its header is of no known format."""
        self.path = path
        self.size_bytes = 0
        self.position_bytes = 0
        try:
            self.size_bytes = path.stat().st_size
            if not path.is_file():
                raise TraceError(f"{path}: is not a file")
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                header = [_bare(name) for name in next(_reader(file), [])]
        except OSError as error:
            raise TraceError(f"{path}: cannot be read: {error.strerror}") from None
        except csv.Error:
            raise TraceError(f"{path}: is not a CSV text file") from None
        for columns in (AZURE_COLUMNS, BURSTGPT_COLUMNS):
            if all(name in header for name in columns):
                self._columns = {name: header.index(name) for name in columns}
                self._is_azure = columns is AZURE_COLUMNS
                self._width = len(header)
                return
        raise TraceError(
            f"{path}: is not a known trace; its first line must have the columns "
            f"{', '.join(AZURE_COLUMNS)} or {', '.join(BURSTGPT_COLUMNS)}"
        )

    def __iter__(self) -> Iterator[TraceRow | BadRow]:
        """Every row in the file's order; blank lines are passed over."""
        # Bytes that are no text spoil their own row only.
        with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = _reader(self._measured(file))
            while True:
                try:
                    values = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield BadRow(reader.line_num, f"is not CSV: {error}")
                    continue
                if reader.line_num > 1 and any(value.strip() for value in values):
                    yield self._row(reader.line_num, values)

    def _measured(self, lines: Iterator[str]) -> Iterator[str]:
        self.position_bytes = 0
        for line in lines:
            self.position_bytes += len(line.encode(errors="replace"))
            yield line

    def _row(self, line: int, values: list[str]) -> TraceRow | BadRow:
        if len(values) != self._width:
            return BadRow(line, f"has {len(values)} columns instead of {self._width}")
        try:
            if self._is_azure:
                at = _azure_seconds(self._value(values, "TIMESTAMP"))
                tokens_in = self._tokens(values, "ContextTokens")
                tokens_out = self._tokens(values, "GeneratedTokens")
                return TraceRow(line, at, tokens_in, tokens_out, None)
            at = _seconds(self._value(values, "Timestamp"))
            tokens_in = self._tokens(values, "Request tokens")
            tokens_out = self._tokens(values, "Response tokens")
            model = self._value(values, "Model")
            return TraceRow(line, at, tokens_in, tokens_out, check_model(model) if model else None)
        except ValueError as problem:
            return BadRow(line, str(problem))

    def _value(self, values: list[str], column: str) -> str:
        return _bare(values[self._columns[column]])

    def _tokens(self, values: list[str], column: str) -> int:
        text = self._value(values, column)
        if not _is_digits(text) or len(text) > 20 or int(text) > LARGEST_TOKEN_COUNT:
            raise ValueError(f"{column} must be a whole number from 0 to {LARGEST_TOKEN_COUNT:,}, got {text[:40]!r}")
        return int(text)


def _reader(lines: Iterable[str]) -> Any:
    # One line, one row: a stray quotation mark must not swallow the rows after it.
    return csv.reader(lines, quoting=csv.QUOTE_NONE)


def _bare(text: str) -> str:
    return text.strip().strip('"')


def _azure_seconds(text: str) -> float:
    # Seven decimals; Python reads six.
    moment, point, fraction = text.removesuffix("Z").removesuffix("+00:00").partition(".")
    try:
        whole = datetime.fromisoformat(moment)
        seconds = int(fraction[:9]) / 10 ** len(fraction[:9]) if _is_digits(fraction) else None
    except ValueError:
        whole, seconds = None, None
    if whole is None or (point and seconds is None):
        raise ValueError(f"TIMESTAMP must look like 2023-11-16 18:17:03.9799600, got {text[:40]!r}")
    return whole.replace(tzinfo=whole.tzinfo or UTC).timestamp() + (seconds or 0.0)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not 0 <= seconds < 1e12:
        raise ValueError(f"Timestamp must be a number of seconds, got {text[:40]!r}")
    return seconds
