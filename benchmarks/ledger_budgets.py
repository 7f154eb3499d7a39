"""Budget counters of the made-up company: the organization's, each team's and each agent's, by month and day (UTC)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from benchmarks.ledger_day import Day
from benchmarks.ledger_world import DAILY_LIMIT, MONTHLY_LIMIT, ORG, Agent, agents
from engine.periods import PeriodKind, period_of

COUNTER_COLUMNS = (
    "org_id", "budget_id", "scope", "period", "period_label", "period_start", "period_end", "limit_micros",
    "execution_limit", "spent_micros", "held_micros", "executions", "updated_at",
)  # fmt: skip


class Counters:
    """The running totals, day by day."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, str, str, str], list[Any]] = {}

    def add(self, day: Day) -> None:
        """Count a day in."""
        frame = day.frame
        spent, held, executions = (
            np.bincount(frame["agent"], weights=weights, minlength=len(agents())).astype(np.int64)
            for weights in (
                frame["spent"],
                frame["reserve"].where(frame["state"] == 3, 0),
                (frame["state"] < 4) & (frame["state"] != 2),
            )
        )
        for number, agent in enumerate(agents()):
            if not (spent[number] or held[number] or executions[number]):
                continue
            for budget_id, scope, share in _counters(agent):
                for kind, limit in _LIMITS.items():
                    period = period_of(kind, day.start, "UTC")
                    key = (budget_id, scope, kind, period.label)
                    row = self._totals.setdefault(key, [period.start, period.end, limit // share, None, 0, 0, 0])
                    row[4] += int(spent[number])
                    row[5] += int(held[number])
                    row[6] += int(executions[number])

    def rows(self, now: datetime) -> list[tuple[Any, ...]]:
        """Rows of `budget_usage` in the order of `COUNTER_COLUMNS`."""
        return [(ORG, *key, *row, now) for key, row in self._totals.items()]


_LIMITS: dict[PeriodKind, int] = {"month": MONTHLY_LIMIT, "day": DAILY_LIMIT}


def _counters(agent: Agent) -> tuple[tuple[str, str, int], ...]:
    return ("org", ORG, 1), ("teams", agent.team_id, 8), ("copilots", agent.agent_id, 40)
