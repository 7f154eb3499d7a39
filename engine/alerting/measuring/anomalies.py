"""Whether yesterday cost far more than days like it: of the organization, and of each agent."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from engine.alerting.alert import observed
from engine.alerting.measuring.daily_spend import DailySpend, daily_spend
from engine.alerting.measuring.labels import labels_about
from engine.alerting.measuring.windows import period_facts
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Rule
from engine.analytics.anomaly import anomaly_of
from engine.money import to_usd
from engine.periods import period_of
from engine.reviews.reading import organization_budget


def anomalies(connection: Connection, rule: Rule, measuring: Measuring) -> list[Reading]:
    """The excess over what was expected of the last complete local day, in US dollars; 0 when it was usual.

    Unusual is what `anomaly_of` says it is. Who has fewer than 7 days with spend before it has no reading. Samples are
    days of history. A slot belongs to the day that it ends, and the day before that is judged, so that each day is
    judged by the slots of one day. The period in the facts is the judged one.
    """
    document = measuring.document
    days = daily_spend(connection, measuring)
    found: list[tuple[tuple[str, ...], dict[str, str], DailySpend]] = [(("organization",), {}, days.all_together())]
    found += [
        (("agent", name), labels_about(document, {"agent": name}), each) for name, each in days.by_agent().items()
    ]
    yesterday = days.today - timedelta(days=1)
    noon = datetime.combine(yesterday, time(12), ZoneInfo(document.timezone))
    period = period_of("day", noon, document.timezone)
    budget = organization_budget(document)
    readings = []
    for group, labels, each in found:
        *history, spent = each.before(days.today) or [0]
        judged = (
            anomaly_of(history, spent, day=yesterday, budget_micros=budget and budget[1])
            if rule.concerns(labels)
            else None
        )
        if judged is None:
            continue
        facts = {
            **period_facts(period),
            "day": yesterday.isoformat(),
            "spent_micros": spent,
            "expected_micros": judged.expected_micros,
            "excess_micros": judged.excess_micros,
            "score": round(judged.score, 3),
            "cutoff": round(judged.cutoff, 3),
        }
        value = to_usd(judged.excess_micros if judged.is_anomaly else 0)
        readings.append(Reading(observed(value, samples=len(history)), group, labels, facts))
    return readings
