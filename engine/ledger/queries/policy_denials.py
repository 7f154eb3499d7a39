"""Policy denials: what is blocked, by which policy, for which agent, and what shadow policies would have done.

`policies` has a row for every policy that applied, by the hour. Several may apply to one call, so these do not add up
to calls; the reasons of `usage` do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, case, false, func, select, true

from engine.decision import ReasonCode
from engine.ledger.queries.slice import MOST_ROWS, Slice, in_buckets, in_usage, of_dimensions
from engine.ledger.tables import policies, usage

POLICY_REASONS = (ReasonCode.POLICY_DENY, ReasonCode.POLICY_NO_ALLOW, ReasonCode.POLICY_ERROR)
"""Denied by the policies. An unknown price is refused beside them and has its own reason."""
FAIL_CLOSED_REASONS = (ReasonCode.POLICY_ERROR, ReasonCode.GATE_UNAVAILABLE)
"""Denied because nobody could say whether the call may happen."""


@dataclass(frozen=True, slots=True)
class PolicyEffect:
    """How often one policy applied with one effect; `shadow` ones only said what they would have done."""

    policy_id: str
    effect: str
    shadow: bool
    decisions: int
    agents: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class PolicyAgent:
    """How often one policy denied one agent; seen in the hours that begin at these instants."""

    policy_id: str
    agent_id: str
    decisions: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class DenialReason:
    """One reason and how many calls it denied; `new` when none had it in the time before the slice.

    `estimate_micros` is what these calls would have cost by their estimates.
    """

    reason: str
    denied: int
    estimate_micros: int
    new: bool

    @property
    def fail_closed(self) -> bool:
        """Not a rule said no: whoever should have decided could not."""
        return self.reason in FAIL_CLOSED_REASONS


def denial_reasons(
    connection: Connection, part: Slice, *, known_for: timedelta = timedelta(days=30)
) -> list[DenialReason]:
    """The reasons of a slice, the most frequent first; new are those not seen in `known_for` before it.

    At most one row for each reason code.
    """
    before = part.during(part.start - known_for, part.start)
    now = in_usage(part)
    rows = connection.execute(
        select(
            usage.c.reason,
            func.sum(case((now, usage.c.decisions), else_=0)).label("denied"),
            func.sum(case((now, usage.c.estimate_micros), else_=0)).label("estimate"),
            func.sum(case((now, 0), else_=usage.c.decisions)).label("before"),
        )
        .where(usage.c.outcome == "denied", now | in_usage(before))
        .group_by(usage.c.reason)
        .order_by(usage.c.reason)
        .limit(MOST_ROWS)
    )
    found = [DenialReason(row.reason, int(row.denied), int(row.estimate), not row.before) for row in rows if row.denied]
    return sorted(found, key=lambda each: -each.denied)


def policy_effects(connection: Connection, part: Slice, *, limit: int = MOST_ROWS) -> list[PolicyEffect]:
    """The policies that applied in the hours of a slice, shadow ones too, the most frequent denials first."""
    table = policies
    effect = ("policy_id", "effect", "shadow")
    # Agents first: counting distinct ones would sort every row.
    by_agent = (
        select(
            *(table.c[name] for name in effect),
            func.sum(table.c.decisions).label("decisions"),
            func.min(table.c.bucket).label("first_seen"),
            func.max(table.c.bucket).label("last_seen"),
        )
        .where(in_buckets(table, part, "hour"), of_dimensions(table, part))
        .group_by(*(table.c[name] for name in effect), table.c.agent_id)
        .subquery()
    )
    columns = [by_agent.c[name] for name in effect]
    decisions = func.sum(by_agent.c.decisions)
    rows = connection.execute(
        select(
            *columns,
            decisions.label("decisions"),
            func.count().label("agents"),
            func.min(by_agent.c.first_seen).label("first_seen"),
            func.max(by_agent.c.last_seen).label("last_seen"),
        )
        .group_by(*columns)
        .order_by(by_agent.c.effect.desc(), decisions.desc(), *columns)
        .limit(limit)
    )
    return [
        PolicyEffect(
            row.policy_id, row.effect, row.shadow, int(row.decisions), row.agents, row.first_seen, row.last_seen
        )
        for row in rows
    ]


def denials_over_time(
    connection: Connection, part: Slice, policy_ids: Sequence[str]
) -> list[tuple[datetime, str, int]]:
    """Hour, policy and denials of these policies, oldest first: at most hours x policies rows, none of shadow policies.

    Take the ids from `policy_effects`; a person sees no more than a handful apart. Raises `InvalidValue` for too many
    hours (`Slice.buckets`).
    """
    part.buckets("hour")
    table = policies
    rows = connection.execute(
        select(table.c.bucket, table.c.policy_id, func.sum(table.c.decisions).label("denied"))
        .where(_denied(part), table.c.policy_id.in_(policy_ids))
        .group_by(table.c.bucket, table.c.policy_id)
        .order_by(table.c.bucket, table.c.policy_id)
    )
    return [(row.bucket, row.policy_id, int(row.denied)) for row in rows]


def policy_agent_matrix(
    connection: Connection, part: Slice, *, shadow: bool = False, limit: int = MOST_ROWS
) -> list[PolicyAgent]:
    """Policy x agent, the most frequent denials first. With `shadow`, what shadow policies would have denied."""
    table = policies
    pair = (table.c.policy_id, table.c.agent_id)
    denied = func.sum(table.c.decisions)
    rows = connection.execute(
        select(
            *pair,
            denied.label("denied"),
            func.min(table.c.bucket).label("first_seen"),
            func.max(table.c.bucket).label("last_seen"),
        )
        .where(_denied(part, shadow=shadow))
        .group_by(*pair)
        .order_by(denied.desc(), *pair)
        .limit(limit)
    )
    return [PolicyAgent(row.policy_id, row.agent_id, int(row.denied), row.first_seen, row.last_seen) for row in rows]


def _denied(part: Slice, *, shadow: bool = False) -> ColumnElement[bool]:
    table = policies
    return (
        in_buckets(table, part, "hour")
        & of_dimensions(table, part)
        & (table.c.effect == "deny")
        & (table.c.shadow == (true() if shadow else false()))
    )
