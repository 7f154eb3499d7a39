"""Is it healthy? The one function behind `bursar doctor` and the pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engine.doctor.finding import Finding, Level
from engine.doctor.findings import findings
from engine.doctor.gathering import gather
from engine.ledger.database import Database
from engine.settings import Settings


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was looked at, at one instant."""

    at: datetime
    findings: tuple[Finding, ...]

    def of(self, level: Level) -> list[Finding]:
        """The findings of one level."""
        return [finding for finding in self.findings if finding.level is level]

    @property
    def is_well(self) -> bool:
        """Whether nothing is a problem; there may be warnings."""
        return not self.of(Level.PROBLEM)


def examine(
    database: Database | None, settings: Settings, org_id: str | None = None, agent_id: str | None = None
) -> Report:
    """Look at everything, or at one organization, and one of its agents besides.

    Changes nothing, starts nothing, and answers within some seconds whatever hangs: what does not answer is a finding.
    Cheap enough to be asked every 30 s. `database` is None while there is no ledger.

    Raises `InvalidValue` for an organization that the ledger does not have, and for an agent of no organization where
    there are several.
    """
    facts = gather(database, settings, org_id=org_id, agent_id=agent_id)
    return Report(facts.now, tuple(findings(facts)))
