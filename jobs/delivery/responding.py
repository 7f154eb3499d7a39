"""Clicks in Slack become acts on alerts, of people whom the alert's organization names as responders."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta

from engine.alerting.actions import acknowledge_alert, add_silence
from engine.alerting.responders import AlertIdentity, identify_alert, slack_responder
from engine.alerting.silences import list_silences
from engine.alerting.silencing import alert_matchers
from engine.clock import utc_now
from engine.errors import BursarError
from engine.ledger.database import Database
from engine.settings import Settings
from jobs.delivery.interactions import AlertAction, Click, Wish
from jobs.delivery.sender import proxy_of
from jobs.delivery.socket_mode import SlackListener

UNKNOWN_ALERT = "This alert is not known here any more."
SILENCED_IN_SLACK = "Silenced in Slack"


class Responding:
    """Does what people click, as `SlackListener` wants it."""

    def __init__(self, database: Database, dashboard_url: str, clock: Callable[[], datetime] = utc_now) -> None:
        self._database, self._dashboard_url, self._clock = database, dashboard_url, clock

    def allowed(self, click: Click) -> str | None:
        """Who the clicking person is to the alert's organization."""
        with self._database.read() as connection:
            alert = identify_alert(connection, click.alert_id)
            if alert is None:
                return None
            person = click.person
            return slack_responder(connection, alert.org_id, user_id=person.user_id, workspace_id=person.team_id)

    def handle(self, action: AlertAction) -> str:
        """Acknowledge or silence; a sentence for the person. Raises `BursarError` when it is not possible."""
        with self._database.read() as connection:
            alert = identify_alert(connection, action.alert_id)
        if alert is None:
            raise BursarError(UNKNOWN_ALERT)
        now = self._clock()
        if action.wish is Wish.ACKNOWLEDGE:
            return acknowledge_alert(
                self._database, alert.org_id, action.alert_id, by=action.user, now=now,
                dashboard_url=self._dashboard_url,
            )  # fmt: skip
        assert action.silence_for is not None
        return self._silence(alert, action.user, action.silence_for, now)

    def _silence(self, alert: AlertIdentity, user: str, duration: timedelta, now: datetime) -> str:
        if not alert.is_open:
            raise BursarError(f"Nothing to silence: the alert is {alert.state}.")
        matchers = alert_matchers(alert.rule_id, alert.labels)
        with self._database.read() as connection:
            silences = list_silences(connection, alert.org_id, now=now)
        running = [each for each in silences if each.start <= now and set(each.matchers) == set(matchers)]
        if running:
            latest = max(running, key=lambda silence: silence.end)
            return f"Nothing changed: {latest.author} has silenced until {latest.end:%H:%M} UTC: {alert.title}."
        silence = add_silence(
            self._database,
            alert.org_id,
            matchers,
            start=now,
            end=now + duration,
            author=user,
            reason=SILENCED_IN_SLACK,
            now=now,
        )
        return f"{user} has silenced until {silence.end:%H:%M} UTC: {alert.title}."


def listener_of(settings: Settings, database: Database) -> AbstractContextManager[SlackListener | None]:
    """Listens to clicks while its block runs; nothing does without `BURSAR_SLACK_APP_TOKEN` and a bot token."""
    app_token, token = settings.slack_app_token, settings.slack_token
    if app_token is None or token is None or not app_token.get_secret_value().strip():
        return nullcontext()
    responding = Responding(database, settings.dashboard_url)
    return SlackListener(
        app_token.get_secret_value(),
        token.get_secret_value().strip(),
        settings.slack_base_url,
        allowed=responding.allowed,
        handler=responding.handle,
        proxy=proxy_of(settings),
    )
