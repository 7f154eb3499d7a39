"""Feed a recorded trace through the real service."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from engine.decision import Decision
from engine.drain import LedgerDrain
from engine.errors import BursarError
from engine.ledger.queries.progress import decisions_stored
from engine.money import to_usd
from engine.replay.traces import BadRow, TraceRow
from engine.service import GovernanceService

DRAIN_EVERY = 5_000
"""Calls after which the ledger is brought up to date, so that the stream stays small."""
LONGEST_SLEEP_SECONDS = 3600.0
"""A gap of centuries in a trace is more than one sleep can take."""


@dataclass
class ReplayReport:
    """What a replay did. Amounts are micro-dollars; `busy_seconds` is time spent in check and settle."""

    rows: int = 0
    bad_rows: int = 0
    allowed: int = 0
    denied: Counter[str] = field(default_factory=Counter)
    estimated_micros: int = 0
    actual_micros: int = 0
    ledger_rows: int = 0
    busy_seconds: float = 0.0

    @property
    def decisions(self) -> int:
        """Calls decided."""
        return self.allowed + self.denied.total()

    def as_json(self) -> dict[str, object]:
        """The report with its published names; amounts in US dollars."""
        return {
            "rows": self.rows,
            "bad_rows": self.bad_rows,
            "decisions": self.decisions,
            "allowed": self.allowed,
            "denied": dict(sorted(self.denied.items())),
            "estimated_usd": float(to_usd(self.estimated_micros)),
            "actual_usd": float(to_usd(self.actual_micros)),
            "ledger_rows": self.ledger_rows,
            "checks_per_second": round(self.decisions / self.busy_seconds, 1) if self.busy_seconds else 0.0,
        }


class Replay:
    """One agent's calls, taken from a trace. `speed` is a multiple of the recorded pace, `None` for no waiting.

    Every call is checked with the recorded tokens and, when allowed, settled by them.
    """

    def __init__(
        self,
        service: GovernanceService,
        *,
        agent_id: str,
        user_id: str | None = None,
        model: str | None = None,
        speed: float | None = None,
        on_bad_row: Callable[[BadRow], None] = lambda row: None,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.report = ReplayReport()
        self._service = service
        self._agent_id = agent_id
        self._user_id = user_id
        self._model = model
        self._fixed_model = service.document.document.agents[agent_id].model
        self._speed = speed
        self._on_bad_row = on_bad_row
        self._on_progress = on_progress
        self._drain = LedgerDrain(service.database, service.gate, service.org_id)
        self._not_seen_in_sql: list[str] = []

    def run(self, rows: Iterable[TraceRow | BadRow]) -> ReplayReport:
        """Replay all rows. What was done before an interruption is in the ledger and in `report`."""
        first_at: float | None = None
        started = time.monotonic()
        try:
            for row in rows:
                if isinstance(row, BadRow):
                    self.report.bad_rows += 1
                    self._on_bad_row(row)
                    continue
                first_at = row.at if first_at is None else first_at
                if self._speed is not None:
                    _sleep_until(started + (row.at - first_at) / self._speed)
                self._call(row)
                self._on_progress()
        finally:
            self._bring_ledger_up_to_date()
        return self.report

    def _call(self, row: TraceRow) -> None:
        self.report.rows += 1
        started = time.perf_counter()
        decision = self._service.check(
            self._agent_id,
            user_id=self._user_id,
            model=self._model or (row.model if self._fixed_model is None else None),
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
        )
        if decision.allowed:
            self.report.actual_micros += self._service.settle(
                decision,
                input_tokens=row.input_tokens,
                output_tokens=row.output_tokens,
            )
        self.report.busy_seconds += time.perf_counter() - started
        self._count(decision)
        if len(self._not_seen_in_sql) >= DRAIN_EVERY:
            self._bring_ledger_up_to_date()

    def _count(self, decision: Decision) -> None:
        if decision.allowed:
            self.report.allowed += 1
            self.report.estimated_micros += decision.estimate.estimate_micros
        else:
            self.report.denied[decision.reason.value] += 1
        self._not_seen_in_sql.append(decision.id)

    def _bring_ledger_up_to_date(self) -> None:
        if not self._drain.drain():
            raise BursarError("the ledger was not brought up to date within a minute; is its worker stuck?")
        # Kept, an idle lease would stop others from writing or rebuilding for this organization.
        self._drain.release()
        with self._service.database.read() as connection:
            self.report.ledger_rows += decisions_stored(connection, self._not_seen_in_sql)
        self._not_seen_in_sql.clear()


def _sleep_until(moment: float) -> None:
    while (wait := moment - time.monotonic()) > 0:
        time.sleep(min(wait, LONGEST_SLEEP_SECONDS))
