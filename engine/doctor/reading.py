"""Read from the ledger what a diagnosis looks at. Every question is bounded, whatever the ledger holds."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from engine.alerting.rule_states import rule_healths
from engine.clock import utc_now
from engine.doctor.facts import LedgerFacts, OrganizationFacts, Reasons, Unanswered, VaultFacts
from engine.document.live import LiveDocument
from engine.document.store import has_documents, live_document, live_version, version_history
from engine.errors import DocumentError, InvalidValue, VaultError
from engine.ledger.database import Database
from engine.ledger.migrate import newest_version, older_version
from engine.ledger.queries.channels import channel_states
from engine.ledger.queries.diagnosis import database_clock, outdated_decisions, undelivered
from engine.ledger.queries.health import OrganizationState, backlog, job_states, list_organizations, waiting_in_stream
from engine.ledger.queries.names import known_names
from engine.ledger.queries.slice import Slice
from engine.ledger.queries.spend import spend_by
from engine.settings import Settings
from engine.vault.ages import key_ages
from engine.vault.opening import key_provider, keyring_path

MOST_ORGANIZATIONS = 20
LOOK_BACK = timedelta(hours=1)
"""Of calls."""
CALLED_WITHIN = timedelta(days=7)
GIVEN_UP_WITHIN = timedelta(days=1)
CLOCKS_MAY_DIFFER = timedelta(seconds=5)
"""A version is dated by the host that applied it, a decision by Redis."""

ASKED_WRONGLY = ("--org", "--agent")
"""Fields of the errors that are about what was asked, not about what was found."""


def read_ledger(
    database: Database, settings: Settings, now: datetime, *, org_id: str | None, agent_id: str | None
) -> LedgerFacts:
    """Read all of it; of tables that are not this Bursar's, only their version.

    Raises `DatabaseError`, and `InvalidValue` as `gather` says.
    """
    ahead, round_trip = _clock(database)
    with database.read() as connection:
        if not has_documents(connection):
            return LedgerFacts(ahead, round_trip, has_ledger=False)
    older, newest = older_version(database), newest_version()
    if older is not None:
        return LedgerFacts(ahead, round_trip, tables=older, newest_tables=newest)
    with database.read() as connection:
        jobs = tuple(job_states(connection))
        known = list_organizations(connection)
    wanted = _wanted(known, org_id, agent_id)
    looked_at = wanted[:MOST_ORGANIZATIONS]
    return LedgerFacts(
        ahead,
        round_trip,
        newest_tables=newest,
        jobs=jobs,
        organizations=tuple(_organization(database, settings, now, each, agent_id) for each in looked_at),
        left_out=len(wanted) - len(looked_at),
    )


def _clock(database: Database) -> tuple[timedelta | None, timedelta]:
    """How far the database's clock is before this host's, taken for told half-way, and how long that took."""
    with database.read() as connection:
        # The first question pays for the connection.
        database_clock(connection)
        asked, started = utc_now(), time.monotonic()
        told = database_clock(connection)
        round_trip = timedelta(seconds=time.monotonic() - started)
    return None if told is None else told - (asked + round_trip / 2), round_trip


def _wanted(known: list[OrganizationState], org_id: str | None, agent_id: str | None) -> list[OrganizationState]:
    names = [each.org_id for each in known]
    listed = ", ".join(names[:MOST_ORGANIZATIONS])
    if org_id is not None and org_id not in names:
        raise InvalidValue("--org", f"{org_id!r} is not in this ledger, which has {listed or 'no organization yet'}")
    if org_id is None and agent_id is not None and len(names) > 1:
        raise InvalidValue("--agent", f"this ledger has several organizations: {listed}; choose one with --org")
    return [each for each in known if org_id in (None, each.org_id)]


def _organization(
    database: Database, settings: Settings, now: datetime, state: OrganizationState, agent_id: str | None
) -> OrganizationFacts:
    org_id = state.org_id
    live, live_since = _live(database, org_id)
    last_hour = Slice(org_id, now - LOOK_BACK, now, now=now)
    with database.read() as connection:
        outdated = None
        if isinstance(live, LiveDocument) and live_since is not None:
            known_by = live_since + timedelta(seconds=settings.cache_ttl_seconds) + CLOCKS_MAY_DIFFER
            outdated = outdated_decisions(connection, org_id, live.version, since=max(known_by, last_hour.start))
        return OrganizationFacts(
            org_id,
            live=live,
            live_since=live_since,
            drained_through=state.drained_through,
            waiting=waiting_in_stream(connection, org_id),
            backlog=backlog(connection, org_id),
            called=frozenset(known_names(connection, org_id, since=now - CALLED_WITHIN).agents),
            outdated=outdated,
            channels=tuple(channel_states(connection, org_id, now)),
            undelivered=undelivered(connection, org_id, given_up_since=now - GIVEN_UP_WITHIN),
            rules=rule_healths(connection, org_id),
            vault=_vault(database, settings, org_id),
            reasons=_reasons(database, last_hour),
            agent_reasons={} if agent_id is None else _reasons(database, _of_agent(last_hour, agent_id)),
        )


def _vault(database: Database, settings: Settings, org_id: str) -> VaultFacts | None:
    with database.read() as connection:
        used = {key.key_id: key.credentials for key in key_ages(connection, org_id)}
    if not used:
        return None
    is_set_up = bool(settings.vault_keys or settings.vault_keyring) or keyring_path(settings).exists()
    try:
        known = key_provider(settings).known()
    except (VaultError, InvalidValue) as error:
        return VaultFacts(used, refused=str(error), is_set_up=is_set_up)
    return VaultFacts(used, frozenset(key.key_id for key in known))


def _of_agent(part: Slice, agent_id: str) -> Slice:
    return Slice(part.org_id, part.start, part.end, agent_id=agent_id, now=part.now)


def _reasons(database: Database, part: Slice) -> Reasons:
    with database.read() as connection:
        return {each.name: each.sums for each in spend_by(connection, part, "reason")}


def _live(database: Database, org_id: str) -> tuple[LiveDocument | Unanswered | None, datetime | None]:
    with database.read() as connection:
        if live_version(connection, org_id) is None:
            return None, None
        since = version_history(connection, org_id, most=1)[0].created_at
        try:
            return live_document(connection, org_id), since
        except DocumentError as error:
            return Unanswered(str(error).splitlines()[0].rstrip(".")), since
