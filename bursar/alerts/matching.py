"""What a silence's matchers can mean: values that no alert can have are refused, names that nobody has warned about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from engine.alerting.quieting import Matcher
from engine.alerting.rule_tests.matchers import shown_matcher
from engine.alerting.rules import RANKS
from engine.alerting.shipped import rules_of, shipped_rules
from engine.decision import ReasonCode
from engine.document.parts import Scope
from engine.document.schema import GovernanceDocument
from engine.document.shipped_rules import closest
from engine.errors import InvalidValue

FIELD = "MATCHER"


def checked(matchers: Sequence[Matcher], document: GovernanceDocument) -> list[str]:
    """A sentence for each name that the document does not have: alerts may still come to have it.

    Raises `InvalidValue` for an empty value, and for one that no alert can have.
    """
    known = _values(document)
    for matcher in matchers:
        if not matcher.value:
            raise InvalidValue(FIELD, f"{shown_matcher(matcher)} needs a value, such as {matcher.label}=NAME")
        values = known.get(matcher.label)
        if values is not None and matcher.value not in values:
            raise InvalidValue(FIELD, f"{shown_matcher(matcher)}: {_refusal(matcher, values)}")
    return list(_unknown(matchers, document))


def _values(document: GovernanceDocument) -> dict[str, tuple[str, ...]]:
    """The labels whose values are all known."""
    rules = [rule.rule_id for rule in rules_of(document.alerts)]
    # One that is turned off may have left an alert behind.
    off = [spec.id for spec in (*shipped_rules(), *document.alerts.rules) if spec.id not in rules]
    return {
        "rule": tuple(dict.fromkeys([*rules, *off])),
        "severity": tuple(RANKS),
        "per": get_args(Scope),
        "period": ("day", "month"),
        "reason": tuple(code.value for code in ReasonCode),
    }


def _refusal(matcher: Matcher, values: Sequence[str]) -> str:
    if matcher.label == "rule":
        return f"no rule is called {matcher.value!r}{closest(matcher.value, values)}; `bursar alerts rules` lists them"
    return f"{matcher.label} is one of {', '.join(values)}"


def _unknown(matchers: Sequence[Matcher], document: GovernanceDocument) -> Iterator[str]:
    agents = document.agents.values()
    names: dict[str, set[str | None]] = {
        "agent": set(document.agents),
        "team": {agent.team for agent in agents},
        "provider": {agent.provider for agent in agents},
        "owner": {agent.owner for agent in agents},
        "budget": {budget.id for budget in document.budgets},
    }
    for matcher in matchers:
        known = names.get(matcher.label)
        if known is not None and matcher.value not in known:
            guess = closest(matcher.value, sorted(name for name in known if name))
            who = "is" if matcher.label in ("agent", "budget") else "of an agent is"
            yield f"no {matcher.label} {who} called {matcher.value!r} in the document{guess}"
