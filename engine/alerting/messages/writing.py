"""From an effect in an alert's life to what people are told. Pure.

1. What every message about an alert says: what, how bad, what waiting costs, since when, who, and where to look.
2. What happened just now, in a line of its own. Of that alone consists a line in the thread.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from engine.alerting.alert import Ending
from engine.alerting.alert_message import AlertMessage, Resolution
from engine.alerting.attention import ESCALATE_AFTER
from engine.alerting.effects import EffectKind, Why
from engine.alerting.messages.costs import budget_outlook, cost_of_inaction, is_used_up, when_used_up
from engine.alerting.messages.details import details_of
from engine.alerting.messages.found import Found
from engine.alerting.messages.given import Given, shown
from engine.alerting.messages.links import alert_page, decisions_page, matter_page
from engine.alerting.messages.metrics import Topic, about, limit_words, value_words
from engine.alerting.messages.titles import title_of
from engine.alerting.messages.words import calls as calls_text
from engine.alerting.messages.words import duration, executions, number_of, percent
from engine.alerting.telling import Telling
from engine.document.schema import GovernanceDocument
from engine.money import format_usd

CALLING = frozenset((EffectKind.FIRST_MESSAGE, EffectKind.REPEAT, EffectKind.ESCALATION))
"""What may mention somebody, besides a rise that the whole channel sees."""
_BRIEF = frozenset((Why.VALUE_MOVED, Why.ACKNOWLEDGED, Why.NO_DATA))
_ENDINGS = {
    Ending.CLEARED: "the value is fine again",
    Ending.PERIOD_ENDED: "its period has ended",
    Ending.BUDGET_CHANGED: "the budget was changed",
    Ending.BUDGET_REMOVED: "the budget was removed",
    Ending.SPEND_CORRECTED: "the spend was corrected",
    Ending.RULE_CHANGED: "the rule was changed",
    Ending.RULE_REMOVED: "the rule was removed",
}


def written(
    telling: Telling, document: GovernanceDocument, found: Found, *, dashboard_url: str, mention: str | None = None
) -> AlertMessage:
    """The message of an effect. Who is mentioned is mentioned only where a critical alert calls."""
    effect, alert, given = telling.effect, telling.alert, Given(telling.facts)
    calls = effect.kind in CALLING or effect.broadcast
    full = AlertMessage(
        severity=effect.severity,
        title=telling.title or title_of(telling.rule, telling.labels, telling.facts, document),
        alert_id=telling.alert_id,
        kind=effect.kind.value,
        why=effect.why.value,
        value=_value(telling),
        limit=_limit(telling),
        cost_of_inaction=cost_of_inaction(telling, document, found),
        since=alert.fired_at,
        zone=document.timezone,
        callers=found.callers,
        details=details_of(telling, document, found),
        alert_link=alert_page(telling, dashboard_url),
        page_link=matter_page(telling, document, dashboard_url),
        data_link=decisions_page(telling, document, found, dashboard_url),
        runbook_link=telling.rule.runbook or "",
        mention=mention if calls and effect.severity == "critical" else None,
        acknowledged_by=shown({"by": "" if alert.ack is None else alert.ack.by}, "by"),
        resolved=_resolution(telling, found),
        org_id=telling.org_id,
        rule_id=telling.rule.rule_id,
        state=alert.state.value,
        labels=dict(telling.labels),
        value_number=_number(given.number("value") if alert.value is None else alert.value),
        threshold_number=_number(given.threshold(telling.rule)),
    )
    line = _line(telling, document, found, full)
    in_thread = effect.kind is EffectKind.THREAD_REPLY and effect.why in _BRIEF
    brief = effect.kind is EffectKind.RESOLVE_LINE or in_thread
    return replace(full, line=line, brief=brief and bool(line))


def _line(telling: Telling, document: GovernanceDocument, found: Found, full: AlertMessage) -> str:
    """What happened just now; empty where the message itself is what happened."""
    effect, alert = telling.effect, telling.alert
    match effect.kind:
        case EffectKind.FIRST_MESSAGE if effect.why is Why.NO_DATA:
            return "There is nothing to measure, and this rule takes that for an alert."
        case EffectKind.FIRST_MESSAGE if effect.why is Why.NO_LONGER_HIDDEN:
            return f"Until now it was hidden by {found.hidden_by or 'a silence or another alert'}."
        case EffectKind.RESOLVE_LINE:
            return _over(full)
        case EffectKind.REPEAT:
            return f"Still so after {_passed(alert.fired_at, telling.now)}." if alert.fired_at else "Still so."
        case EffectKind.ESCALATION:
            waited = ESCALATE_AFTER[min(max(effect.step, 1), len(ESCALATE_AFTER)) - 1]
            return f"Nobody has acknowledged this for {duration(int(waited.total_seconds()))}."
        case EffectKind.THREAD_REPLY:
            return _reply(telling, document, found, full)
        case _:
            return ""


def _reply(telling: Telling, document: GovernanceDocument, found: Found, full: AlertMessage) -> str:
    match telling.effect.why:
        case Why.VALUE_MOVED:
            return _moved(telling, document, found, full)
        case Why.ACKNOWLEDGED:
            by = shown({"by": telling.effect.by}, "by") or "Somebody"
            # Of what is latched people are told once: there are no repeats to stop.
            none = "further mentions or escalation" if telling.rule.kind == "latched" else "repeats or escalation"
            return f"{by} has acknowledged this: no {none} for 24 h, unless it gets worse."
        case Why.NO_DATA:
            return "There is nothing to measure any more; the alert stays as it is."
        case Why.SEVERITY_ROSE:
            return f"It is {full.severity} now."
        case _:
            return ""


def _moved(telling: Telling, document: GovernanceDocument, found: Found, full: AlertMessage) -> str:
    """`93.4 % now, $12.40/h, gone 14:20 tomorrow, 24 Nov (UTC)`; `100.4 % now, used up, calls are denied`."""
    given, of_budget = Given(telling.facts), about(telling.rule).topic is Topic.BUDGET
    share = given.share if of_budget and not given.denied_executions else None
    value = percent(share) if share is not None else full.value
    outlook: tuple[str, ...] = (full.cost_of_inaction,)
    if of_budget and is_used_up(given):
        outlook = () if given.period_over else ("used up", when_used_up(given, document))
    elif share is not None:
        outlook = budget_outlook(telling, document, found, with_zone=True)
    return ", ".join(filter(None, (f"{value or 'A new value'} now", *outlook)))


def _over(full: AlertMessage) -> str:
    over = full.resolved
    if over is None:
        return "Over."
    cost = "" if over.cost_micros is None else f" {format_usd(over.cost_micros)} was spent meanwhile."
    reason, number = f": {over.reason}" if over.reason else "", over.turned_away
    turned_away = f" {calls_text(number)} {'was' if number == 1 else 'were'} turned away meanwhile." if number else ""
    return f"Over after {duration(over.lasted_seconds)}{reason}.{cost}{turned_away}"


def _resolution(telling: Telling, found: Found) -> Resolution | None:
    effect, alert = telling.effect, telling.alert
    ending = effect.ending or alert.ending
    if ending is None or alert.is_open:
        return None
    at = alert.resolved_at or effect.at
    lasted = effect.lasted or (None if alert.fired_at is None else at - alert.fired_at)
    seconds = 0 if lasted is None else int(lasted.total_seconds())
    return Resolution(
        at, max(seconds, 0), found.cost_while_open, _ENDINGS.get(ending, ""), found.turned_away_while_open
    )


def _number(value: Decimal | None) -> str | None:
    """An exact number for programs; none that is infinite or beyond all sense."""
    number = number_of(value)
    return None if number is None else str(number)


def _value(telling: Telling) -> str:
    given, rule = Given(telling.facts), telling.rule
    spent = given.micros("spent_micros")
    if rule.metric == "budget_usage_percentage" and given.denied_executions:
        ran = given.count("executions")
        return "" if ran is None else executions(ran)
    if rule.metric == "budget_usage_percentage" and spent is not None:
        share = given.share
        return format_usd(spent) + (f" ({percent(share)})" if share is not None else "")
    least = given.micros("lower_micros")
    if rule.metric == "budget_forecast_percentage" and least is not None:
        return f"{format_usd(least)} at the least"
    if rule.metric == "redis_evicting_policy":
        return f"maxmemory-policy {policy}" if (policy := shown({"it": given.text("maxmemory_policy")}, "it")) else ""
    value = telling.alert.value
    return value_words(rule, given.number("value") if value is None else value)


def _limit(telling: Telling) -> str:
    given, rule = Given(telling.facts), telling.rule
    limit, most = given.micros("limit_micros"), given.count("execution_limit")
    if given.denied_executions:
        return "" if most is None else executions(most)
    if rule.metric in ("budget_usage_percentage", "budget_forecast_percentage") and limit is not None:
        return format_usd(limit)
    threshold = given.threshold(rule)
    return limit_words(rule, threshold) if threshold else ""


def _passed(since: datetime, now: datetime) -> str:
    return duration(int((now - since).total_seconds()))
