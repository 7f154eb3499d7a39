"""What measuring a rule gives: of each group what is known, and the numbers that a message needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.alerting.alert import Observation
from engine.document.schema import GovernanceDocument


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured of one group.

    `group` are its values in the order of the rule's `group_by`, or what else tells it from the others (a budget's
    counter, a segment); `()` of a rule that has just one value. `labels` are what silences, inhibition and routes look
    at: of team, agent, provider, model, budget, per, scope, owner those that it has. `facts` are for messages and
    pages, ready for JSON: times in ISO 8601, money in micro-dollars.
    """

    observation: Observation
    group: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measuring:
    """For whom and when a rule is measured: `slot` is the end of what is looked at, `now` the clock."""

    org_id: str
    document: GovernanceDocument
    slot: datetime
    now: datetime
