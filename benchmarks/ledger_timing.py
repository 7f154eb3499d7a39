"""Time every case of a filled ledger, interleaved, and show why the slowest is slow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPICursor

from benchmarks.blocks import interleave, percentile
from engine.ledger.database import Database

if TYPE_CHECKING:
    from benchmarks.ledger_cases import Ask


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one case took, in milliseconds, how many statements it ran, and whether it found nothing."""

    milliseconds: tuple[float, ...]
    statements: int
    empty: bool

    @property
    def p50(self) -> float:
        """The median."""
        return percentile(self.milliseconds, 50)

    @property
    def p95(self) -> float:
        """The 95th percentile."""
        return percentile(self.milliseconds, 95)


def time_cases(
    database: Database, asked: Mapping[str, Ask], rounds: int, after_case: Callable[[], None] = lambda: None
) -> dict[str, Timing]:
    """Ask each case once in each round, on a connection from the pool, as a page does: from the call to Python rows.

    One round before that is not counted: it reads from disk what a server that is in use has in memory.
    """
    for ask in asked.values():
        _once(database, ask)
    times = interleave({name: partial(_once, database, ask) for name, ask in asked.items()}, rounds, after_case)
    timings = {}
    for name, found in times.items():
        statements, answer = observed(database, asked[name])
        timings[name] = Timing(tuple(found), len(statements), finds_nothing(answer))
    return timings


def finds_nothing(answer: Any) -> bool:
    """Whether an answer has nothing in it: no rows, only zeros, only what has nothing in it itself.

    A question that finds nothing may be fast because there is nothing to find.
    """
    if is_dataclass(answer):
        return all(finds_nothing(getattr(answer, field.name)) for field in fields(answer))
    if isinstance(answer, Mapping):
        return all(finds_nothing(value) for value in answer.values())
    if isinstance(answer, Collection) and not isinstance(answer, str | bytes):
        return all(finds_nothing(value) for value in answer)
    return not answer


def observed(database: Database, ask: Ask) -> tuple[list[tuple[str, Any]], Any]:
    """The statements that a case runs, with their parameters, and its answer."""
    seen: list[tuple[str, Any]] = []

    def note(_c: Connection, _d: DBAPICursor, statement: str, parameters: Any, _x: Any, _m: bool) -> None:
        seen.append((statement, parameters))

    with database.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        answer = ask(connection)
        event.remove(connection, "before_cursor_execute", note)
    return seen, answer


def plans_of(database: Database, ask: Ask) -> list[str]:
    """EXPLAIN (ANALYZE, BUFFERS) of each statement of a case."""
    plans = []
    for statement, parameters in observed(database, ask)[0]:
        with database.read() as connection:
            rows = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
            plans.append("\n".join(str(row[0]) for row in rows))
    return plans


def _once(database: Database, ask: Ask) -> float:
    started = perf_counter_ns()
    with database.read() as connection:
        ask(connection)
    return (perf_counter_ns() - started) / 1e6
