"""One effect in the life of an alert, on its way to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.alerting.alert import Alert
from engine.alerting.effects import Effect
from engine.alerting.rules import Rule


@dataclass(frozen=True, slots=True)
class Telling:
    """What a message is made of. `alert` is the alert after the effect; `facts` what was measured (`Reading.facts`).

    Facts of every alert: `value` and `threshold` as decimal text. Of budget alerts besides: budget_id, per, scope,
    period, period_label, period_start, period_end (ISO 8601), limit_micros, spent_micros, by_denial.
    """

    org_id: str
    alert_id: str
    title: str
    rule: Rule
    alert: Alert
    effect: Effect
    labels: Mapping[str, str]
    facts: Mapping[str, Any]
    now: datetime
