"""The numbers as a table for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.async_check import TASKS, AsyncResult
from benchmarks.blocks import percentile
from benchmarks.ground import Ground
from benchmarks.scope_memory import ScopeMemory
from benchmarks.sync_check import BARE, BLOCK, CHECK, COUNTER, MOVING, SyncResult

NOTES = (
    "The policies' conditions are environments and providers, the kinds there are now; the engine remembers its answer "
    "for each pair of them, so 1,000 policies cost next to nothing here.",
    "policy_us_1000 and policy_vs_cedarpy are not measured yet: they wait for the compiled policy engine.",
)


STAGES = {
    "prepare": "facts, policies, price, plan (prepare_us)",
    "gate": "event, round trip, script (gate_us)",
    "rest": "everything else",
}


@dataclass(frozen=True, slots=True)
class Promise:
    """One row of the table. `at_most`: smaller is better."""

    name: str
    what: str
    must: float
    aim: float | None
    unit: str
    at_most: bool

    def reached(self, value: float) -> Literal["aim", "must", "neither"]:
        """How far a value comes. Without an aim there is only must."""
        if self.aim is not None and self._within(value, self.aim):
            return "aim"
        return "must" if self._within(value, self.must) else "neither"

    def _within(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


PROMISES = (
    Promise("check_vs_noop", "full check, p50 / bare EVALSHA no-op, p50", 3.0, 2.0, "x", at_most=True),
    Promise("check_vs_limits", "limits, 9 sliding-window hits, p50 / full check, p50", 4.0, 6.0, "x", at_most=False),
    Promise("asyncio_vs_noop", f"{TASKS} tasks: checks/s / redis.asyncio no-ops/s", 0.6, 1.0, "x", at_most=False),
    Promise("bytes_per_scope", "memory of one rate scope, the largest seen", 1200, None, " B", at_most=True),
)


@dataclass(frozen=True)
class Results:
    """Everything measured in one run; `missing` says why there is no peer."""

    sync: SyncResult
    together: AsyncResult
    memory: ScopeMemory
    missing: str
    seconds: float

    @property
    def numbers(self) -> dict[str, float]:
        """The measured promises by name; without a peer its row is left out."""
        numbers = {"check_vs_noop": self.sync.ratio(CHECK, BARE).median}
        if COUNTER in self.sync.contenders:
            numbers["check_vs_limits"] = self.sync.ratio(COUNTER, CHECK).median
        numbers["asyncio_vs_noop"] = self.together.ratio
        numbers["bytes_per_scope"] = self.memory.bytes
        return {name: round(value, 3) for name, value in numbers.items()}

    @property
    def spreads(self) -> dict[str, tuple[float, float]]:
        """Where the middle 80 % of the block pairs lie."""
        ratios = {"check_vs_noop": self.sync.ratio(CHECK, BARE), "asyncio_vs_noop": self.together.spread}
        if COUNTER in self.sync.contenders:
            ratios["check_vs_limits"] = self.sync.ratio(COUNTER, CHECK)
        return {name: (round(ratio.low, 3), round(ratio.high, 3)) for name, ratio in ratios.items()}


def machine(ground: Ground) -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(terse=True),
        "server": ground.server.version,
        "redis_py": version("redis"),
        "hiredis": version("hiredis"),
    }


def as_json(results: Results, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The promises' numbers on top, all else under `details`."""
    sync = results.sync
    details: dict[str, Any] = {
        "machine": dict(facts),
        "seconds": round(results.seconds, 1),
        "calls": {"sync": sync.calls, "asyncio": results.together.calls, "memory": results.memory.calls},
        "spread_of_block_pairs": {name: list(spread) for name, spread in results.spreads.items()},
        "contenders_us": {
            name: {
                "p50": round(contender.us(50), 1),
                "p95": round(contender.us(95), 1),
                "server_mean": round(statistics.mean(contender.server_us), 1),
            }
            for name, contender in sync.contenders.items()
        },
        "stages_us": {
            name: {"p50": round(percentile(values, 50), 1), "p95": round(percentile(values, 95), 1)}
            for name, values in sync.stages.items()
        },
        "asyncio_per_second": {
            "checks": round(statistics.median(results.together.checks)),
            "noops": round(statistics.median(results.together.noops)),
        },
        "bytes_per_scope_key": results.memory.key,
        "peer_versions": sync.peer_versions,
        "notes": [*NOTES, *([results.missing] if results.missing else [])],
    }
    if MOVING in sync.contenders:
        details["check_vs_limits_moving_window"] = round(sync.ratio(MOVING, CHECK).median, 3)
    return {**results.numbers, "details": details}


def show(console: Console, results: Results, facts: Mapping[str, Any]) -> None:
    """Print the tables."""
    console.print(_promises(results))
    console.print(_microseconds(results))
    together = results.together
    lines = [
        f"{TASKS} tasks: {statistics.median(together.checks):,.0f} checks/s, "
        f"{statistics.median(together.noops):,.0f} no-ops/s by redis.asyncio.",
        f"Largest rate scope of {results.memory.scopes}: {results.memory.key}",
        _facts(results, facts),
        *NOTES,
    ]
    if MOVING in results.sync.contenders:
        exact = results.sync.ratio(MOVING, CHECK).median
        lines.insert(1, f"Against limits' exact moving-window strategy instead: {exact:.1f}x faster.")
    if results.missing:
        lines.append(f"check_vs_limits is left out: {results.missing}")
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _promises(results: Results) -> Table:
    table = Table(box=box.SIMPLE, title="Speed against the promises", title_justify="left")
    for heading in ("name", "what"):
        table.add_column(heading, no_wrap=heading == "name")
    for heading in ("measured", "spread", "must", "aim"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("reached", no_wrap=True)
    numbers, spreads = results.numbers, results.spreads
    for promise in PROMISES:
        if promise.name not in numbers:
            continue
        value, spread = numbers[promise.name], spreads.get(promise.name)
        sign = "<=" if promise.at_most else ">="
        reached = promise.reached(value)
        table.add_row(
            promise.name,
            promise.what,
            f"{value:,.4g}{promise.unit}",
            f"{spread[0]:.3g}-{spread[1]:.3g}" if spread else "",
            f"{sign} {promise.must:,g}{promise.unit}",
            f"{sign} {promise.aim:,g}{promise.unit}" if promise.aim is not None else "",
            reached,
            style="red" if reached == "neither" else None,
        )
    return table


def _microseconds(results: Results) -> Table:
    table = Table(box=box.SIMPLE, title="Microseconds", title_justify="left")
    table.add_column("one call at a time", no_wrap=True)
    for heading in ("p50", "p95", "in the server"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, contender in results.sync.contenders.items():
        table.add_row(
            name,
            f"{contender.us(50):,.1f}",
            f"{contender.us(95):,.1f}",
            f"{statistics.mean(contender.server_us):,.1f}",
        )
        if name == CHECK:
            for stage, values in results.sync.stages.items():
                table.add_row(f"  {STAGES[stage]}", f"{percentile(values, 50):,.1f}", f"{percentile(values, 95):,.1f}")
    return table


def _facts(results: Results, facts: Mapping[str, Any]) -> str:
    calls = results.sync.calls + results.together.calls
    peers = ", ".join(f"{name} {number}" for name, number in results.sync.peer_versions.items())
    return (
        f"{facts['cores']} cores (load {facts['load_before']} before), {facts['python']}, {facts['system']}; "
        f"server {facts['server']}, append-only file on, unix socket; "
        f"redis-py {facts['redis_py']}, hiredis {facts['hiredis']}{f'; peer: {peers}' if peers else ''}; "
        f"{calls:,} counted calls in blocks of {BLOCK}, {results.seconds:.0f} s. "
        "Spread: the middle 80 % of neighbouring blocks."
    )
