"""What a rule asks, and what an alert of it measured, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from engine.alerting.messages.metrics import limit_words, value_words, window_words
from engine.alerting.messages.words import duration, number_of, plain_number
from engine.alerting.rules import Rule
from engine.document.alert_rules import COUNT_METRICS, LATENCY_METRICS
from engine.ledger.queries.alerts import AlertLine


def condition(rule: Rule) -> str:
    """`policy_deny_count > 50 calls in 5 min, for 2 min, by agent`."""
    quantile = f" p{plain_number(rule.quantile * 100)}" if rule.metric in LATENCY_METRICS else ""
    limit = limit_words(rule, rule.threshold) or plain_number(rule.threshold)
    windowed = rule.metric in COUNT_METRICS | LATENCY_METRICS or rule.metric in ("spent_usd", "redis_evicted_keys")
    parts = [f"{rule.metric}{quantile} {rule.comparison} {limit}{f' {window_words(rule)}' if windowed else ''}"]
    if rule.budget_threshold is not None:
        parts.append(f"or the budget's own {rule.budget_threshold} threshold")
    if rule.hold:
        parts.append(f"for {duration(int(rule.hold.total_seconds()))}")
    if rule.group_by:
        parts.append(f"by {', '.join(rule.group_by)}")
    parts += [f"{name} {value}" for name, value in rule.filter.items()]
    return ", ".join(parts)


def rule_of(line: AlertLine, rules: Mapping[str, Rule]) -> Rule:
    """The rule of an alert; of one that is gone, or is another one by now, as much as the alert itself knows."""
    rule = rules.get(line.rule_id)
    metric = str(line.facts.get("metric", "" if rule is None else rule.metric))
    if rule is not None and rule.metric == metric:
        return rule
    return Rule(line.rule_id, metric, number_of(line.facts.get("threshold")) or Decimal(0))


def measured(line: AlertLine, rules: Mapping[str, Rule]) -> tuple[str, str]:
    """The newest value of an alert and the threshold it was compared with, in the units of its metric.

    The threshold is empty where it says nothing.
    """
    value, threshold = number_of(line.facts.get("value")), number_of(line.facts.get("threshold"))
    rule = rule_of(line, rules)
    # A call was denied before the limit was reached: no number says at which value that happens.
    early = line.facts.get("by_denial") is True and value is not None and threshold is not None and value < threshold
    limit = "" if threshold is None or early else limit_words(rule, threshold)
    return value_words(rule, value), f"{line.facts.get('comparison', rule.comparison)} {limit}" if limit else ""
