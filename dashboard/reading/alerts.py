"""What the Alerts page reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from dashboard.reading.base import database, read_live
from engine.alerting.actions import hidden_titles
from engine.alerting.opened import OpenedAlert, open_alert
from engine.alerting.quieting import Silence
from engine.alerting.rule_health import RuleHealth
from engine.alerting.rule_states import last_slots, rule_healths
from engine.alerting.rule_words import measured
from engine.alerting.rules import Rule
from engine.alerting.shipped import rules_of
from engine.alerting.silences import list_silences
from engine.alerting.silencing import Scope
from engine.clock import utc_now
from engine.document.schema import GovernanceDocument
from engine.ledger.queries.alerts import AlertFilter, AlertLine, Notification, RuleQuality, rule_quality
from engine.ledger.queries.on_call import AlertNumbers, alert_numbers, recent_messages, worst_alerts

MOST_ALERTS = 200
MOST_MESSAGES = 200


@dataclass(frozen=True, slots=True)
class NumbersView:
    """How many alerts are open, and which rules cannot be evaluated."""

    now: datetime
    numbers: AlertNumbers
    failing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedAlert:
    """One alert with its value and limit in words."""

    line: AlertLine
    value: str
    limit: str


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule in force: how its alerts were, and how its evaluation goes."""

    rule: Rule
    quality: RuleQuality | None
    slot: datetime | None
    health: RuleHealth | None


@dataclass(frozen=True, slots=True)
class SilenceView:
    """A silence with the titles of the open alerts that it hides, or will."""

    silence: Silence
    hides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SilencesView:
    """Silences, the first to end first; those that are over newest first."""

    running: tuple[SilenceView, ...]
    to_come: tuple[SilenceView, ...]
    over: tuple[SilenceView, ...]


def document_of(url: str, org_id: str) -> GovernanceDocument:
    """The live document; an empty one of an organization that has none yet, whose alerts are shown all the same."""
    live = read_live(url, org_id)
    return GovernanceDocument(organization=org_id) if live is None else live.document


def has_document(url: str, org_id: str) -> bool:
    """Whether rules are in force at all."""
    return read_live(url, org_id) is not None


def rules_in_force(url: str, org_id: str) -> tuple[Rule, ...]:
    """The rules of the live document; none without one."""
    return rules_of(document_of(url, org_id).alerts) if has_document(url, org_id) else ()


@st.cache_data(ttl=2, max_entries=64, show_spinner=False)
def read_numbers(url: str, org_id: str) -> NumbersView:
    """The numbers on top."""
    with database(url).read() as connection:
        failing = [rule_id for rule_id, health in rule_healths(connection, org_id).items() if health.failures]
        return NumbersView(utc_now(), alert_numbers(connection, org_id), tuple(sorted(failing)))


@st.cache_data(ttl=2, max_entries=128, show_spinner=False)
def read_alerts(url: str, org_id: str, wanted: AlertFilter) -> list[ListedAlert]:
    """The worst first, at most `MOST_ALERTS`."""
    rules = {rule.rule_id: rule for rule in rules_of(document_of(url, org_id).alerts)}
    with database(url).read() as connection:
        lines = worst_alerts(connection, org_id, wanted, limit=MOST_ALERTS)
    return [ListedAlert(line, *measured(line, rules)) for line in lines]


@st.cache_data(ttl=2, max_entries=64, show_spinner=False)
def read_opened(url: str, org_id: str, alert_id: str) -> OpenedAlert | None:
    """One alert with all that is kept of it; None when this organization has none of that id."""
    document = document_of(url, org_id)
    with database(url).read() as connection:
        # The address does not matter: pages link among themselves.
        return open_alert(connection, document, alert_id, now=utc_now(), dashboard_url="http://pages")


@st.cache_data(ttl=2, max_entries=64, show_spinner=False)
def read_scopes(url: str, org_id: str, scopes: tuple[Scope, ...]) -> list[tuple[str, ...]]:
    """What a silence of each scope would hide: the titles of open alerts."""
    if not has_document(url, org_id):
        return [() for _ in scopes]
    with database(url).read() as connection:
        found = hidden_titles(connection, org_id, {scope.words: scope.matchers for scope in scopes})
    return [tuple(found[scope.words]) for scope in scopes]


@st.cache_data(ttl=5, max_entries=64, show_spinner=False)
def read_rules(url: str, org_id: str, since: datetime) -> list[RuleView]:
    """The rules in force, with how their alerts since `since` were."""
    rules = rules_in_force(url, org_id)
    with database(url).read() as connection:
        quality = {each.rule_id: each for each in rule_quality(connection, org_id, since=since)}
        slots, healths = last_slots(connection, org_id), rule_healths(connection, org_id)
    return [
        RuleView(rule, quality.get(rule.rule_id), slots.get(rule.rule_id), healths.get(rule.rule_id)) for rule in rules
    ]


@st.cache_data(ttl=5, max_entries=64, show_spinner=False)
def read_silences(url: str, org_id: str) -> SilencesView:
    """Silences that run, those to come and those that are over."""
    now = utc_now()
    with database(url).read() as connection:
        known = list_silences(connection, org_id, now=now)
        over = list_silences(connection, org_id, now=now, over=True)
        titles = (
            hidden_titles(connection, org_id, {each.silence_id: each.matchers for each in known})
            if has_document(url, org_id)
            else {}
        )
    views = [SilenceView(each, tuple(titles.get(each.silence_id, ()))) for each in known]
    return SilencesView(
        tuple(view for view in views if view.silence.start <= now),
        tuple(view for view in views if view.silence.start > now),
        tuple(SilenceView(each, ()) for each in over),
    )


@st.cache_data(ttl=5, max_entries=64, show_spinner=False)
def read_messages(url: str, org_id: str) -> list[tuple[str | None, Notification]]:
    """The newest messages, each with the id of its alert."""
    with database(url).read() as connection:
        return recent_messages(connection, org_id, limit=MOST_MESSAGES)
