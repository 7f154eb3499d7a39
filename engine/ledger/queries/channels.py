"""Where notifications go, and whether they arrive there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import Connection, select

from engine.ledger.queries.alerts import delivered_by
from engine.ledger.queries.slice import MOST_ROWS
from engine.ledger.tables import lanes, outbox

LATELY = timedelta(days=30)
MOST_LANES = 5_000
TEST_KEY = "test|"
"""How the `dedupe_key` of a test message begins."""
TESTS_SHOWN_FOR = timedelta(days=1)
_SOME_ADDRESS = "a web address"


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One place: its newest message, the pause it asked for, and since when it takes no messages at all."""

    channel_type: str
    target: str
    last_started_at: datetime | None
    last_delivered_at: datetime | None
    paused_until: datetime | None
    broken_since: datetime | None
    broken_reason: str | None

    @property
    def broken(self) -> bool:
        """Whether messages for it take the fallback."""
        return self.broken_since is not None


def channel_states(connection: Connection, org_id: str, now: datetime, *, limit: int = MOST_ROWS) -> list[ChannelState]:
    """The places that messages of an organization went to of late; broken ones first, those longest broken first.

    A place that several organizations share is in the states of each.
    """
    lately = outbox.c.created_at >= now - LATELY
    used = connection.execute(
        select(outbox.c.channel_type, outbox.c.target)
        .where(outbox.c.org_id == org_id, lately)
        .distinct()
        .order_by(outbox.c.channel_type, outbox.c.target)
        .limit(MOST_ROWS)
    ).all()
    # Lanes are shared by all who name the same place: that Slack's names have a # is the one difference.
    wanted = {(row.channel_type, _plain(row.target)) for row in used} | {(row.channel_type, "") for row in used}
    rows = connection.execute(
        select(*(lanes.c[name] for name in ChannelState.__slots__))
        .where(lanes.c.channel_type.in_({kind for kind, _ in wanted}))
        .order_by(lanes.c.broken_since.is_(None), lanes.c.broken_since, lanes.c.channel_type, lanes.c.target)
        .limit(MOST_LANES)
    )
    states = [ChannelState(*row) for row in rows]
    return [state for state in states if (state.channel_type, _plain(state.target)) in wanted][:limit]


@dataclass(frozen=True, slots=True)
class ChannelTest:
    """A test message that a page has queued for a channel, and what became of it; `by` took it, the log maybe."""

    channel: str
    channel_type: str
    state: str
    created_at: datetime
    delivered_at: datetime | None
    error: str | None
    by: str | None


def last_tests(connection: Connection, org_id: str, now: datetime, *, limit: int = MOST_ROWS) -> list[ChannelTest]:
    """The newest test message for each channel, of those queued in the last day."""
    table = outbox
    rows = connection.execute(
        select(
            table.c.channel, table.c.channel_type, table.c.state, table.c.created_at, table.c.delivered_at,
            table.c.error, table.c.receipt,
        )
        .where(
            table.c.org_id == org_id,
            table.c.created_at >= now - TESTS_SHOWN_FOR,
            table.c.alert_id.is_(None),
            table.c.dedupe_key.startswith(f"{TEST_KEY}{org_id}|", autoescape=True),
        )
        .order_by(table.c.created_at.desc(), table.c.notification_id.desc())
        .limit(limit)
    )  # fmt: skip
    newest: dict[str, ChannelTest] = {}
    for row in rows:
        by = delivered_by(row.state, row.channel_type, row.receipt)
        newest.setdefault(row.channel, ChannelTest(*row[:-1], by))
    return list(newest.values())


def broken_notice(states: Iterable[ChannelState]) -> str | None:
    """One sentence on the channels that are broken, for a banner; None when all are well."""
    broken = [state for state in states if state.broken]
    if not broken:
        return None
    named = "; ".join(f"{_named(state)} ({state.broken_reason})" for state in broken[:3])
    more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
    cure = "They take the fallback; once it is mended, run bursar alerts send-test."
    return f"Notifications do not reach {named}{more}. {cure}"


def shown_target(target: str) -> str:
    """A target for logs, pages and messages. Of a web address only where it goes: the rest of it is a secret."""
    if "://" not in target:
        return target
    try:
        address = urlsplit(target)
        return f"{address.scheme}://{address.hostname}" if address.hostname else _SOME_ADDRESS
    except ValueError:
        return _SOME_ADDRESS


def _named(state: ChannelState) -> str:
    return f"{state.channel_type} {shown_target(state.target)}".strip()


def _plain(target: str) -> str:
    return target[:512].lstrip("#")
