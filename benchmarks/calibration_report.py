"""The rates as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.calibration_rates import Rate, missed

ENOUGH_SEEDS = 1000
"""With fewer a rate of 5 % is uncertain by several points, and a miss says little."""

NOTES = (
    "sd: log-normal noise of mean one on each call's cost. Rates without a requirement are for information.",
    "No better: the champion is right in the first three rows; in the others the two err on opposite sides.",
    "Right: the champion's level is off, by so much that its WAPE is 15 points higher, or by 15 %.",
    "A challenger is let through when its WAPE or its |bias| is surely better by 2 points.",
    "A level 15 % off changes WAPE by -0.3 to 5 points only, so few calls cannot show it.",
    "The best tests know noise and levels; the gate knows neither, and wants 2 points on top.",
)


def as_json(rates: Sequence[Rate], seeds: int, seconds: float) -> dict[str, Any]:
    """Every rate by its key, how many requirements were missed, and which."""
    return {
        **{rate.key: round(rate.value, 4) for rate in rates},
        "missed": len(missed(rates)),
        "missed_rates": [rate.key for rate in missed(rates)],
        "seeds": seeds,
        "seconds": round(seconds, 1),
    }


def show(console: Console, rates: Sequence[Rate], seeds: int, seconds: float) -> None:
    """Print a table for each section, and what was missed."""
    for section in dict.fromkeys(rate.section for rate in rates):
        console.print(_table(section, [rate for rate in rates if rate.section == section]))
    for line in (*NOTES, "", f"{seeds:,} seeds a rate, {seconds:.0f} s in all.", _verdict(rates, seeds)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _table(section: str, rates: Sequence[Rate]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=f"{section}, in %", title_justify="left", title_style="bold")
    columns = list(dict.fromkeys(rate.column for rate in rates))
    for heading in ("", *columns, "required", "reached"):
        # On a narrow screen the words are folded and the numbers stay whole.
        table.add_column(heading, justify="right" if heading in columns else "left", no_wrap=bool(heading))
    for row in dict.fromkeys(rate.row for rate in rates):
        cells = {rate.column: rate for rate in rates if rate.row == row}
        needs = {str(rate.need): rate.column for rate in cells.values() if rate.need is not None}
        required = [rate for rate in cells.values() if rate.need is not None]
        where = "" if len(required) == len(cells) else f" at {', '.join(needs.values())}"
        bad = bool(missed(required))
        table.add_row(
            row,
            *(f"{100 * cells[column].value:.1f}" if column in cells else "" for column in columns),
            f"{', '.join(needs)}{where}" if needs else "",
            ("MISSED" if bad else "MET") if required else "",
            style="red" if bad else None,
        )
    return table


def _verdict(rates: Sequence[Rate], seeds: int) -> str:
    required = sum(rate.need is not None for rate in rates)
    bad = missed(rates)
    if not bad:
        return f"All {required} required rates are met."
    doubt = f" {seeds} seeds are too few to tell by." if seeds < ENOUGH_SEEDS else ""
    return f"{len(bad)} of {required} required rates are missed: {', '.join(rate.key for rate in bad)}.{doubt}"
