"""The pages' times as a table for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.blocks import percentile
from benchmarks.pages_browser import Times

MUST_COLD_S, MUST_WARM_S = 2.0, 0.5
BUSY_LOAD = 0.5
"""For each core; the numbers of a busier machine mean little."""


@dataclass(frozen=True)
class Results:
    """Everything measured in one run."""

    rows: int
    rounds: int
    version: str
    times: Mapping[str, Times]
    load: float = field(default_factory=lambda: round(os.getloadavg()[0], 2))

    @property
    def cold_p95_s(self) -> float:
        """Over all pages and rounds."""
        return percentile([*chain.from_iterable(each.cold for each in self.times.values())], 95)

    @property
    def warm_p95_s(self) -> float:
        """Over all pages and rounds."""
        return percentile([*chain.from_iterable(each.warm for each in self.times.values())], 95)


def as_json(results: Results) -> dict[str, Any]:
    """Names carry their unit."""
    return {
        "rows": results.rows,
        "rounds": results.rounds,
        "cold_p95_s": round(results.cold_p95_s, 3),
        "warm_p95_s": round(results.warm_p95_s, 3),
        "pages": {
            path: {
                "cold_p95_s": round(percentile(each.cold, 95), 3),
                "cold_p50_s": round(percentile(each.cold, 50), 3),
                "warm_p95_s": round(percentile(each.warm, 95), 3),
                "warm_p50_s": round(percentile(each.warm, 50), 3),
            }
            for path, each in results.times.items()
        },
        "must": {"cold_p95_s": MUST_COLD_S, "warm_p95_s": MUST_WARM_S},
        "postgres": results.version,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load_after": results.load},
    }


def show(console: Console, results: Results) -> None:
    """Print the table."""
    table = Table(title=f"Pages on {results.rows:,} decisions, {results.rounds} rounds, seconds", box=box.SIMPLE)
    table.add_column("Page")
    for column in ("cold p50", "cold p95", "warm p50", "warm p95"):
        table.add_column(column, justify="right")
    for path, each in results.times.items():
        table.add_row(path, *(f"{percentile(part, q):.2f}" for part in (each.cold, each.warm) for q in (50, 95)))
    table.add_section()
    table.add_row("all", "", f"{results.cold_p95_s:.2f}", "", f"{results.warm_p95_s:.2f}")
    console.print(table)
    for name, found, must in (("cold", results.cold_p95_s, MUST_COLD_S), ("warm", results.warm_p95_s, MUST_WARM_S)):
        console.print(f"{name}: p95 {found:.2f} s, must be below {must} s: {'reached' if found < must else 'MISSED'}")
    if results.load > BUSY_LOAD * (os.cpu_count() or 1):
        console.print(f"The machine was busy (load {results.load}): these numbers mean little.")
