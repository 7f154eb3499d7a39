"""What a diagnosis looks at, as it was gathered: nothing here is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine.admission.diagnosis import RedisState
from engine.alerting.rule_health import RuleHealth
from engine.document.live import LiveDocument
from engine.ledger.queries.channels import ChannelState
from engine.ledger.queries.diagnosis import OutdatedDecisions, Undelivered
from engine.ledger.queries.health import Backlog, JobState, WaitingEvents
from engine.ledger.queries.measures import Measures
from engine.settings import Settings

Reasons = Mapping[str, Measures]
"""What the calls of the last hour come to, by the reason of their decision."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Something did not answer, or cannot be used; `why` is a clause without a full stop."""

    why: str


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """Redis. `said` is None when there is no server to ask: nothing has started the private one."""

    place: str
    is_private: bool
    said: RedisState | Unanswered | None

    @property
    def is_away(self) -> bool:
        """Whether nobody answers."""
        return not isinstance(self.said, RedisState)


@dataclass(frozen=True, slots=True)
class VaultFacts:
    """How many credentials are wrapped by which key, and the keys that this machine has.

    `refused` says why it has none, and `is_set_up` whether it was meant to: there is a keyring, or a setting names one.
    """

    used: Mapping[str, int]
    known: frozenset[str] = frozenset()
    refused: str | None = None
    is_set_up: bool = True


@dataclass(frozen=True, slots=True)
class OrganizationFacts:
    """One organization. `live` is None without a document, `Unanswered` when the stored one cannot be read.

    `called` are the agents of the last days; `outdated` the calls that an older document version decided although the
    live one should have been known by then. `agent_reasons` are of the one agent that was asked about. `vault` is None
    without credentials.
    """

    org_id: str
    live: LiveDocument | Unanswered | None = None
    live_since: datetime | None = None
    drained_through: datetime | None = None
    waiting: WaitingEvents | None = None
    backlog: Backlog = field(default_factory=lambda: Backlog({}, 0, 0))
    reasons: Reasons = field(default_factory=dict)
    agent_reasons: Reasons = field(default_factory=dict)
    called: frozenset[str] = frozenset()
    outdated: OutdatedDecisions | None = None
    channels: tuple[ChannelState, ...] = ()
    undelivered: Undelivered = field(default_factory=lambda: Undelivered(None, 0))
    rules: Mapping[str, RuleHealth] = field(default_factory=dict)
    vault: VaultFacts | None = None


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """The ledger database. `tables` is the version of its tables, None while they are the newest.

    `ahead` is how far its clock is before this host's; None of a file. `round_trip` bounds the error of that.
    `left_out` organizations were not looked at: there are too many.
    """

    ahead: timedelta | None = None
    round_trip: timedelta = timedelta(0)
    has_ledger: bool = True
    tables: str | None = None
    newest_tables: str = ""
    jobs: tuple[JobState, ...] = ()
    organizations: tuple[OrganizationFacts, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was gathered at `now`, by this host's clock. `ledger` is None when there is no database yet."""

    now: datetime
    settings: Settings
    redis: RedisFacts
    database_place: str
    ledger: LedgerFacts | Unanswered | None
    agent_id: str | None = None
