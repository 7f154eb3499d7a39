"""The numbers as a table for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.async_check import TASKS, AsyncResult
from benchmarks.blocks import percentile
from benchmarks.ground import Ground
from benchmarks.policy_check import OURS, PolicyResult
from benchmarks.price_check import PriceResult
from benchmarks.scope_memory import ScopeMemory
from benchmarks.sync_check import BARE, BLOCK, CHECK, COUNTER, MOVING, SyncResult

BUSY_LOAD = 0.5
"""For each core; the numbers of a busier machine mean little."""

NOTES = ("Every user has an address of his own; the policies' answers to a combination that was seen are remembered.",)
PERCENTS = (10, 50, 95)
STAGES = {
    "prepare": "prepare_us: policies, price, plan",
    "gate": "gate_us: event, trip, script",
    "rest": "the rest",
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
    Promise("check_vs_noop", "a full check takes so many bare EVALSHA no-ops", 3.0, 2.0, "x", at_most=True),
    Promise(
        "check_vs_limits",
        "9 sliding-window-counter hits of limits take so many full checks",
        4.0,
        6.0,
        "x",
        at_most=False,
    ),
    Promise("policy_us_1000", "p50 of one evaluation of 1,000 policies", 15.0, 5.0, " us", at_most=True),
    Promise("policy_vs_cedarpy", "one by cedarpy, policies parsed, takes so many", 100, 500, "x", at_most=False),
    Promise("price_us", "p50 of pricing one call, its tokens read and validated", 5.0, None, " us", at_most=True),
    Promise("asyncio_vs_noop", "checks/s for each no-op/s of redis.asyncio", 0.6, 1.0, "x", at_most=False),
    Promise("bytes_per_scope", "MEMORY USAGE of the largest rate scope, key included", 1200, None, " B", at_most=True),
)


@dataclass(frozen=True)
class Results:
    """Everything measured in one run; `missing` says why there is no peer."""

    sync: SyncResult
    together: AsyncResult
    policies: PolicyResult
    prices: PriceResult
    memory: ScopeMemory
    missing: str
    seconds: float

    @property
    def numbers(self) -> dict[str, float]:
        """The measured promises by name; without a peer its row is left out."""
        numbers = {"check_vs_noop": self.sync.ratio(CHECK, BARE).median}
        if COUNTER in self.sync.contenders:
            numbers["check_vs_limits"] = self.sync.ratio(COUNTER, CHECK).median
        numbers["policy_us_1000"] = self.policies.us(50)
        if self.policies.ratio is not None:
            numbers["policy_vs_cedarpy"] = self.policies.ratio.median
        numbers["price_us"] = self.prices.us(50)
        numbers["asyncio_vs_noop"] = self.together.ratio
        numbers["bytes_per_scope"] = self.memory.bytes
        return {name: round(value, 3) for name, value in numbers.items()}

    @property
    def peer_versions(self) -> dict[str, str]:
        """The libraries compared with."""
        cedar = {"cedarpy": self.policies.cedar_version} if self.policies.cedar_version else {}
        return {**self.sync.peer_versions, **cedar}

    @property
    def spreads(self) -> dict[str, tuple[float, float]]:
        """Where the middle 80 % of the block pairs lie."""
        ratios = {"check_vs_noop": self.sync.ratio(CHECK, BARE), "asyncio_vs_noop": self.together.spread}
        if COUNTER in self.sync.contenders:
            ratios["check_vs_limits"] = self.sync.ratio(COUNTER, CHECK)
        if self.policies.ratio is not None:
            ratios["policy_vs_cedarpy"] = self.policies.ratio
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
        "calls": {
            "sync": sync.calls,
            "asyncio": results.together.calls,
            "policies": results.policies.evaluations,
            "prices": results.prices.calls,
            "memory": results.memory.calls,
        },
        "spread_of_block_pairs": {name: list(spread) for name, spread in results.spreads.items()},
        "contenders_us": {
            name: {
                **{f"p{percent}": round(contender.us(percent), 1) for percent in PERCENTS},
                "server": round(statistics.median(contender.server_us), 1),
            }
            for name, contender in sync.contenders.items()
        },
        "policy_us": {f"p{percent}": round(results.policies.us(percent), 2) for percent in PERCENTS},
        "price_us": {f"p{percent}": round(results.prices.us(percent), 2) for percent in PERCENTS},
        "stages_us": {
            name: {f"p{percent}": round(percentile(values, percent), 1) for percent in PERCENTS}
            for name, values in sync.stages.items()
        },
        "asyncio_per_second": {
            "checks": round(statistics.median(results.together.checks)),
            "noops": round(statistics.median(results.together.noops)),
        },
        "bytes_per_scope_key": results.memory.key,
        "peer_versions": results.peer_versions,
        "notes": [*NOTES, *([results.missing] if results.missing else [])],
    }
    if MOVING in sync.contenders:
        details["check_vs_limits_moving_window"] = round(sync.ratio(MOVING, CHECK).median, 3)
    return {**results.numbers, "details": details}


def show(console: Console, results: Results, facts: Mapping[str, Any]) -> None:
    """Print the tables, and what they mean."""
    console.print(_promises(results))
    console.print(_microseconds(results))
    for line in _words(results, facts):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _promises(results: Results) -> Table:
    table = _table("Speed against the promises", "name", ["measured", "spread", "must", "aim", "reached"])
    numbers, spreads = results.numbers, results.spreads
    for promise in PROMISES:
        if promise.name not in numbers:
            continue
        value, spread = numbers[promise.name], spreads.get(promise.name)
        sign = "<=" if promise.at_most else ">="
        reached = promise.reached(value)
        table.add_row(
            promise.name,
            f"{value:,.4g}{promise.unit}",
            f"{spread[0]:.3g}-{spread[1]:.3g}" if spread else "",
            f"{sign} {promise.must:,g}{promise.unit}",
            f"{sign} {promise.aim:,g}{promise.unit}" if promise.aim is not None else "",
            reached,
            style="red" if reached == "neither" else None,
        )
    return table


def _microseconds(results: Results) -> Table:
    table = _table("Microseconds, one call at a time", "", ["p10", "p50", "p95", "server"])
    for name, contender in results.sync.contenders.items():
        server = statistics.median(contender.server_us)
        table.add_row(name, *(f"{contender.us(percent):,.1f}" for percent in PERCENTS), f"{server:,.1f}")
        if name == CHECK:
            for stage, values in results.sync.stages.items():
                table.add_row(f"  {STAGES[stage]}", *(f"{percentile(values, percent):,.1f}" for percent in PERCENTS))
    table.add_row(OURS, *(f"{results.policies.us(percent):,.1f}" for percent in PERCENTS), "")
    table.add_row("prices", *(f"{results.prices.us(percent):,.1f}" for percent in PERCENTS), "")
    return table


def _table(title: str, first: str, headings: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _words(results: Results, facts: Mapping[str, Any]) -> Iterator[str]:
    sync, together = results.sync, results.together
    for promise in PROMISES:
        if promise.name in results.numbers:
            yield f"{promise.name}: {promise.what}."
    if facts["load_before"] > BUSY_LOAD * (facts["cores"] or 1):
        yield f"This machine seemed busy (load {facts['load_before']}): run again on a quiet one before you believe it."
    yield "spread: the middle 80 % of the ratios of neighbouring blocks."
    if MOVING in sync.contenders:
        yield f"Against limits' exact moving-window strategy a check is {sync.ratio(MOVING, CHECK).median:.1f}x faster."
    yield (
        f"{TASKS} tasks: {statistics.median(together.checks):,.0f} checks/s, "
        f"{statistics.median(together.noops):,.0f} no-ops/s."
    )
    yield f"Largest of {results.memory.scopes} rate scopes: {results.memory.key}"
    yield from NOTES
    if results.missing:
        yield f"check_vs_limits and policy_vs_cedarpy are left out: {results.missing}"
    yield ""
    yield f"{facts['cores']} cores, load {facts['load_before']} before, {facts['python']}, {facts['system']}."
    yield f"Server {facts['server']} on a unix socket, append-only file on, flushed every second."
    peers = "".join(f", {name} {number}" for name, number in results.peer_versions.items())
    yield f"redis-py {facts['redis_py']}, hiredis {facts['hiredis']}{f'; the peers have{peers[1:]}' if peers else ''}."
    yield f"{sync.calls + together.calls:,} counted calls, blocks of {BLOCK}, {results.seconds:.0f} s in all."
