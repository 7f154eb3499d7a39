"""What kept an alert from people, for the message that tells them after all."""

from __future__ import annotations

from sqlalchemy import Connection, select

from engine.alerting.alert import HiddenBy
from engine.alerting.effects import Why
from engine.alerting.messages.given import Given, shown
from engine.alerting.telling import Telling
from engine.ledger.tables import alerts, silences


def what_hid(connection: Connection, telling: Telling) -> str:
    """`a silence of ann: load test`, `another alert: Calls pass without Redis`; empty where it is not known.

    Whoever evaluates the alert leaves in `facts["was_hidden"]` what hid it: `by` and `source` of a `Hidden`.
    """
    hidden = telling.facts.get("was_hidden")
    if telling.effect.why is not Why.NO_LONGER_HIDDEN or not isinstance(hidden, dict):
        return ""
    given = Given(hidden)
    source = given.text("source")
    if given.text("by") == HiddenBy.SILENCED:
        of = silences.c.org_id == telling.org_id, silences.c.silence_id == source
        silence = connection.execute(select(silences.c.author, silences.c.reason).where(*of)).first()
        if silence is None:
            return "a silence"
        author, reason = (shown({"it": words}, "it") for words in (silence.author, silence.reason))
        return f"a silence of {author}{f': {reason}' if reason else ''}"
    of = alerts.c.org_id == telling.org_id, alerts.c.alert_id == source
    title = connection.execute(select(alerts.c.title).where(*of)).scalar()
    return f"another alert: {shown({'it': title}, 'it')}" if title else "another alert"
