"""The sentences of a message that fit under no label. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from engine.alerting.messages.found import Found
from engine.alerting.messages.given import Given, shown
from engine.alerting.messages.metrics import Topic, about
from engine.alerting.messages.words import date_and_time, listed, percent
from engine.alerting.telling import Telling
from engine.document.schema import GovernanceDocument
from engine.money import format_usd

_MOST = 3


def details_of(telling: Telling, document: GovernanceDocument, found: Found) -> tuple[str, ...]:
    """What else is known, each in a sentence."""
    given, rule = Given(telling.facts), telling.rule
    sentences = list(_of_budget(given, document)) if about(rule).topic is Topic.BUDGET else []
    match rule.metric:
        case "cost_variance_percentage":
            sentences += _of_variance(given)
        case "spend_anomaly_usd":
            sentences += _of_anomaly(given)
        case "rate_limit_remaining":
            sentences += _of_scopes(given)
        case _:
            pass
    if found.reasons:
        sentences.append(f"Reasons: {listed([f'{reason} {number:,}' for reason, number in found.reasons[:_MOST]])}.")
    return tuple(sentences)


def _of_budget(given: Given, document: GovernanceDocument) -> Iterator[str]:
    share = given.share
    if given.by_denial and not given.denied_executions and share is not None and share < 1:
        yield "What is held for open calls counts too: that is why not all of it is spent."
    end, period = given.instant("period_end"), shown({"it": given.text("period_label")}, "it")
    ends = "" if end is None else date_and_time(end, document.timezone)
    if given.period_over:
        yield f"Period {period} has ended since." if period else "Its period has ended since."
    elif ends:
        yield f"Period {period} ends {ends}." if period else f"Its period ends {ends}."
    if given.instead_of:
        yield f"This also stands for {listed(given.instead_of)}, passed at the same time."


def _of_variance(given: Given) -> Iterator[str]:
    actual, estimate, settled = (given.micros(name) for name in ("actual_micros", "estimate_micros", "settled"))
    if actual is not None and estimate is not None and settled is not None:
        yield f"{settled:,} settled calls cost {format_usd(actual)}; their estimates come to {format_usd(estimate)}."
    low, high = given.number("low"), given.number("high")
    if low is not None and high is not None:
        yield f"With 95 % certainty, actual cost is {_times(low)} to {_times(high)} of the estimate."


def _times(ratio: Decimal) -> str:
    return percent(ratio) or "?"


def _of_anomaly(given: Given) -> Iterator[str]:
    spent, expected, day = given.micros("spent_micros"), given.micros("expected_micros"), given.text("day")
    if spent is not None and expected is not None:
        when = f" on {shown({'day': day}, 'day')}" if day else ""
        yield f"{format_usd(spent)} was spent{when}; about {format_usd(expected)} was to be expected."


def _of_scopes(given: Given) -> Iterator[str]:
    scopes = given.facts.get("fullest")
    named = []
    for scope in scopes[:_MOST] if isinstance(scopes, list | tuple) else ():
        if isinstance(scope, dict):
            each = Given(scope)
            left = each.number("left_permille")
            words = " ".join(shown(scope, name) for name in ("rate_limit", "scope", "window"))
            named += [f"{words} {percent(left / 1000)}"] if left is not None and words.strip() else []
    if named:
        yield f"Least left: {listed(named)}."
