"""The facts of an alert, read with care: a message says less where one is missing, and never fails for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from engine.alerting.messages.words import number_of, threshold_percent
from engine.alerting.rules import Rule
from engine.decision import COST_REASONS, EXECUTION_REASONS, ReasonCode
from engine.ids import is_id

_LONGEST = 200
_MOST_MICROS = 10**21
_MOST_LEVELS = 10


@dataclass(frozen=True, slots=True)
class Given:
    """Facts with their types. What is missing or of another type is None or empty."""

    facts: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A short text."""
        value = self.facts.get(name)
        return value[:_LONGEST] if isinstance(value, str) else ""

    def number(self, name: str) -> Decimal | None:
        """An exact number."""
        return number_of(self.facts.get(name))

    def micros(self, name: str) -> int | None:
        """An amount in micro-dollars."""
        value = self.facts.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MOST_MICROS:
            return None
        return value

    def count(self, name: str) -> int | None:
        """A whole number from 0 on."""
        value = self.micros(name)
        return None if value is None or value < 0 else value

    def instant(self, name: str) -> datetime | None:
        """A moment with its zone."""
        value = self.facts.get(name)
        if not isinstance(value, str):
            return None
        try:
            instant = datetime.fromisoformat(value)
            return None if instant.tzinfo is None else instant.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    @property
    def by_denial(self) -> bool:
        """Whether the alert is about a call that a budget denied."""
        return self.facts.get("by_denial") is True

    @property
    def denied_executions(self) -> bool:
        """Whether it was the limit of executions that denied that call, and not that of cost."""
        return self.by_denial and self.facts.get("denied_for") == "executions"

    @property
    def denial_reason(self) -> ReasonCode | None:
        """With which reason the budget's limit denies calls."""
        return (EXECUTION_REASONS if self.denied_executions else COST_REASONS).get(self.text("period"))

    @property
    def period_over(self) -> bool:
        """Whether the budget's period had ended when the alert fired."""
        return self.facts.get("period_over") is True

    @property
    def share(self) -> Decimal | None:
        """What is spent of a budget's limit; None without a limit, and of a limit of 0."""
        spent, limit = self.micros("spent_micros"), self.micros("limit_micros")
        if limit is None or limit <= 0 or spent is None:
            return None
        return Decimal(spent) / Decimal(limit)

    @property
    def instead_of(self) -> list[str]:
        """The lower thresholds that the one message stands for as well."""
        given = self.facts.get("instead_of")
        levels = given[:_MOST_LEVELS] if isinstance(given, list | tuple) else ()
        return [words for level in levels if (words := _level(level))]

    def threshold(self, rule: Rule) -> Decimal:
        """What the value was compared with: a budget's own threshold may stand in for the rule's."""
        number = self.number("threshold")
        return rule.threshold if number is None else number


def label(labels: Mapping[str, str], name: str) -> str | None:
    """A label that can be an id; None without one."""
    value = labels.get(name)
    return value if is_id(value) else None


def shown(labels: Mapping[str, str], name: str) -> str:
    """A label for people, on one line and not too long; empty without one."""
    value = labels.get(name)
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _level(level: object) -> str:
    """`80 %`, whether it came as that or as the share 0.8."""
    number = number_of(level)
    if number is not None:
        return threshold_percent(number)
    return level[:_LONGEST] if isinstance(level, str) else ""
