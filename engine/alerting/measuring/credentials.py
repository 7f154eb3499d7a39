"""How old credentials are, and the keys that they are encrypted by."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection

from engine.alerting.alert import observed
from engine.alerting.measuring.labels import labels_about
from engine.alerting.reading import Measuring, Reading
from engine.alerting.rules import Rule
from engine.errors import InvalidValue
from engine.vault.ages import key_ages, secret_ages

DAY = timedelta(days=1)
TENTH = DAY / 10


def credential_ages(connection: Connection, rule: Rule, measuring: Measuring) -> list[Reading]:
    """The age of each credential in days and tenths, oldest first, and of each key in use; a filter may name an agent.

    A key counts whole days: the worker replaces it at 90 (`vault.rotation`), so 91 say that it could not.
    """
    agent_id = rule.filter.get("agent")
    if others := [name for name in rule.filter if name != "agent"]:
        raise InvalidValue(f"filter.{others[0]}", "credentials are of agents; filter.agent is what can be named")
    readings = []
    for secret in secret_ages(connection, measuring.org_id, agent_id=agent_id):
        labels = labels_about(measuring.document, {"agent": secret.agent_id, "credential": secret.name})
        age = Decimal((measuring.now - secret.since) // TENTH) / 10
        readings.append(_reading(age, (secret.agent_id, secret.name), labels, secret.since))
    for key in key_ages(connection, measuring.org_id) if agent_id is None else ():
        age = Decimal((measuring.now - key.since) // DAY)
        readings.append(_reading(age, ("", key.key_id), {"credential": key.key_id}, key.since))
    return readings


def _reading(age: Decimal, group: tuple[str, ...], labels: dict[str, str], since: datetime) -> Reading:
    return Reading(observed(max(age, Decimal(0))), group, labels, {"since": since.isoformat()})
