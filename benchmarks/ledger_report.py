"""The ledger's numbers as a table for people and as JSON for programs."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.ledger_timing import Timing

MUST_MS, AIM_MS = 200, 100
MUST_EVENTS, AIM_EVENTS = 5_000, 20_000
SHOWN = 25
NUMBERS_WIDTH = 46
"""Letters for the columns beside the question."""
BUSY_LOAD = 0.5
"""For each core; the numbers of a busier machine mean little."""


@dataclass(frozen=True, slots=True)
class Writers:
    """Events per second of each run, each with so many events; none when not measured."""

    events: int = 0
    sqlite: tuple[float, ...] = ()
    postgres: tuple[float, ...] = ()
    sqlite_settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """Everything measured in one run."""

    rows: int
    rounds: int
    version: str
    settings: Mapping[str, str]
    fill_seconds: float | None
    timings: Mapping[str, Timing]
    slowest: str
    plans: Sequence[str]
    writers: Writers
    load: float = field(default_factory=lambda: round(os.getloadavg()[0], 2))

    @property
    def worst(self) -> float:
        """The largest p95, in milliseconds."""
        return self.timings[self.slowest].p95

    @property
    def empty(self) -> list[str]:
        """The questions that found nothing."""
        return sorted(name for name, timing in self.timings.items() if timing.empty)


def as_json(results: Results) -> dict[str, Any]:
    """The promises' numbers on top, then each question's own."""
    writers = results.writers
    rates = {"writer_events_per_s_sqlite": writers.sqlite, "writer_events_per_s_postgres": writers.postgres}
    return {
        "rows": results.rows,
        **{name: round(median(runs)) for name, runs in rates.items() if runs},
        "page_query_p95_ms": round(results.worst, 1),
        "slowest": results.slowest,
        "queries": {
            name: {"p50_ms": round(timing.p50, 2), "p95_ms": round(timing.p95, 2), "statements": timing.statements}
            for name, timing in sorted(results.timings.items(), key=lambda item: -item[1].p95)
        },
        "plans_of_slowest": list(results.plans),
        "details": {
            "rounds": results.rounds,
            "empty_answers": results.empty,
            "postgres_settings": dict(results.settings),
            "writer": {
                "events": writers.events,
                "runs": {name: [round(rate) for rate in runs] for name, runs in rates.items()},
                "sqlite_settings": dict(writers.sqlite_settings),
            },
            "fill_seconds": None if results.fill_seconds is None else round(results.fill_seconds),
            "machine": {
                "cores": os.cpu_count(),
                "load_after": results.load,
                "python": platform.python_version(),
                "system": platform.platform(terse=True),
                "server": results.version,
            },
        },
    }


def show(console: Console, results: Results) -> None:
    """Print the slowest questions, the promises and the slowest one's plan."""
    ordered = sorted(results.timings.items(), key=lambda item: -item[1].p95)
    table = Table(
        box=box.SIMPLE_HEAD, title=f"The slowest of {len(ordered)} questions, in milliseconds", title_justify="left"
    )
    # A narrow terminal takes from the names.
    table.add_column("question", no_wrap=True, max_width=max(20, console.width - NUMBERS_WIDTH))
    for heading in ("p50", f"p95 of {results.rounds}", "statements", "found"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, timing in ordered[:SHOWN]:
        style = "red" if timing.p95 >= MUST_MS else None
        found = "nothing" if timing.empty else ""
        table.add_row(name, f"{timing.p50:,.1f}", f"{timing.p95:,.1f}", str(timing.statements), found, style=style)
    console.print(table)
    for line in _words(results):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for plan in results.plans:
        console.print(
            f"\nPlan of {results.slowest}:\n{_shortened(plan)}", highlight=False, markup=False, soft_wrap=True
        )


def _words(results: Results) -> list[str]:
    words = [
        f"{results.rows:,} decisions on {results.version}, {results.rounds} rounds, no caches.",
        f"page_query_p95_ms {results.worst:,.1f}: must < {MUST_MS}, aim < {AIM_MS} ({_reached(results.worst)}).",
        f"{_meaning(results.rounds)} {len(results.empty)} of {len(results.timings)} questions found nothing.",
    ]
    writers = results.writers
    for kind, runs in (("SQLite", writers.sqlite), ("PostgreSQL", writers.postgres)):
        if runs:
            words.append(
                f"The ledger writer stores {median(runs):,.0f} events/s in {kind}: the median of {len(runs)} runs of "
                f"{writers.events:,} events, {min(runs):,.0f} to {max(runs):,.0f}."
            )
    if writers.postgres:
        synced = ", ".join(f"{name} {results.settings.get(name, 'unknown')}" for name in ("fsync", "full_page_writes"))
        words.append(f"PostgreSQL must >= {MUST_EVENTS:,}, aim >= {AIM_EVENTS:,}; it ran with {synced}.")
    if results.load > BUSY_LOAD * (os.cpu_count() or 1) + 1:
        words.append(f"This machine seemed busy (load {results.load}): run again on a quiet one before you believe it.")
    return words


def _meaning(rounds: int) -> str:
    """What a p95 of so few rounds is."""
    place = rounds - max(0, math.ceil(rounds * 95 / 100) - 1)
    which = "the slowest" if place == 1 else f"number {place} of the slowest"
    return f"A p95 of {rounds} rounds is {which} of them."


def _reached(worst: float) -> str:
    return "aim" if worst < AIM_MS else "must" if worst < MUST_MS else "neither"


def _shortened(plan: str) -> str:
    """Conditions of a hundred ranges fill a screen and say nothing more."""
    return "\n".join(line if len(line) <= 300 else f"{line[:300]} ..." for line in plan.splitlines())
