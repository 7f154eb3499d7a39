"""How the ledger benchmark asks: a case is a function of a connection, and one question has many filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import Connection

from benchmarks.ledger_filled import Filled
from engine.ledger.queries.slice import Slice

Ask = Callable[[Connection], Any]
Case = tuple[str, Ask]
T = TypeVar("T")


def given(value: T, ask: Callable[[Connection, T], Any]) -> Ask:
    """A question about a value of now, whatever a loop makes of its variable later."""
    return lambda connection: ask(connection, value)


def at_present(filled: Filled, part: Slice) -> Slice:
    """A slice of a ledger that may have been filled days ago: its minutes are those of its own present."""
    return replace(part, now=filled.now)


def last(filled: Filled, days: float, **dimensions: Any) -> Slice:
    """The last so many days."""
    return at_present(filled, filled.last(days, **dimensions))


def each(name: str, filled: Filled, days: float, ask: Callable[[Connection, Slice], Any]) -> Iterator[Case]:
    """The same question with every filter that a page has."""
    for words, part in _filters(filled, days).items():
        label = ", ".join(filter(None, (f"{days:g} days", words)))
        yield f"{name}: {label}", given(part, ask)


def _filters(filled: Filled, days: float) -> dict[str, Slice]:
    return {
        "": last(filled, days),
        "team": last(filled, days, team_id=filled.team),
        "provider": last(filled, days, provider=filled.provider),
        "agent": last(filled, days, agent_id=filled.busy_agent),
        "rare agent": last(filled, days, agent_id=filled.rare_agent),
        "all three": last(filled, days, team_id=filled.team, provider=filled.provider, agent_id=filled.busy_agent),
    }
