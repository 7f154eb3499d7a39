"""Lint the alerts of a document: routes of nobody, rules about nothing, channels and people nobody reaches. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from engine.alerting.rules import unknown_offs
from engine.document.limits_lint import DocumentCode
from engine.document.schema import AlertsSpec, GovernanceDocument
from engine.document.shipped_rules import shipped_rules
from engine.policy.lint.findings import Finding


def alert_findings(document: GovernanceDocument) -> Iterator[Finding]:
    """Findings about channels, routes, responders and rules, in the order of the schema."""
    alerts = document.alerts
    used = _used(alerts)
    for channel in alerts.channels:
        if channel not in used:
            yield _finding(
                DocumentCode.UNUSED_CHANNEL,
                f"Channel '{channel}' is in no route, so nothing is sent to it; add it to one, or remove it.",
            )
    names = _Names(document)
    for kind in ("owner", "team", "provider"):
        for name in getattr(alerts, f"by_{kind}"):
            for problem in names.unknown(kind, name):
                yield _finding(DocumentCode.UNKNOWN_NAME, f"The routes of {kind} '{name}' are never taken: {problem}.")
    for name, responder in alerts.responders.items():
        if responder.slack is None:
            yield _finding(
                DocumentCode.NO_SLACK_ID,
                f"Responder '{name}' has no slack id, so their clicks on buttons are refused; give it, such as "
                "slack: U0123ABCD.",
            )
    yield from _of_rules(document, names)


def _of_rules(document: GovernanceDocument, names: _Names) -> Iterator[Finding]:
    for sentence in unknown_offs(shipped_rules(), document.alerts):
        yield _finding(DocumentCode.UNKNOWN_NAME, f"{sentence}.")
    for rule in document.alerts.rules:
        if not rule.enabled:
            continue
        for kind, name in rule.filter.model_dump(exclude_none=True).items():
            for problem in names.unknown(kind, name):
                yield _finding(
                    DocumentCode.MATCHES_NOTHING, f"Alert rule '{rule.id}' is about {kind} '{name}': {problem}."
                )


class _Names:
    """The names that agents and budgets of a document have."""

    def __init__(self, document: GovernanceDocument) -> None:
        agents = document.agents.values()
        self._known: dict[str, set[str]] = {
            "agent": set(document.agents),
            "budget": {budget.id for budget in document.budgets},
            "owner": {agent.owner for agent in agents if agent.owner is not None},
            "team": {agent.team for agent in agents if agent.team is not None},
            "provider": {agent.provider for agent in agents},
        }
        self._nobody = not document.agents
        # An agent without a team may be called for any.
        self._any_team = any(agent.team is None for agent in agents)

    def unknown(self, kind: str, name: str) -> Iterator[str]:
        """What is wrong with a name, as a clause; nothing when something has it, or may have."""
        known = self._known[kind]
        if name in known or (self._nobody and kind != "budget"):
            return
        meant = _closest(name, known)
        # A team that calls may name is no mistake, unless it is nearly one that is known.
        if kind == "team" and self._any_team and not meant:
            return
        guess = f"; did you mean '{meant}'?" if meant else ""
        match kind:
            case "budget":
                yield f"no budget has this id{guess}"
            case "agent":
                yield f"no agent of this name is registered{guess}"
            case _:
                yield f"no registered agent has this {kind}{guess}"


def _used(alerts: AlertsSpec) -> set[str]:
    tables = [alerts.routes, *(each for kind in ("owner", "team", "provider")
                               for each in getattr(alerts, f"by_{kind}").values())]  # fmt: skip
    used = {channel for routes in tables for channels in routes.values() for channel in channels}
    reviews = alerts.reviews
    for channels in (alerts.fallback, reviews.daily, reviews.weekly, reviews.monthly):
        used.update(channels or ())
    return used


def _closest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    return close[0] if close else ""


def _finding(code: DocumentCode, message: str) -> Finding:
    return Finding(code, None, message.removesuffix(".") if message.endswith("?.") else message)
