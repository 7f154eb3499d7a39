"""Whether a rule can be evaluated: the ops channel hears after three failures in a row."""

from __future__ import annotations

from datetime import timedelta

from engine.alerting.alert import Failed, NoData, observed
from engine.alerting.rule_health import HealthNews, RuleHealth, health_after
from tests.unit.alerting.life import MINUTE, START

BAD, GOOD = Failed("no such table"), observed(1)


def news(*observations: object) -> list[HealthNews | None]:
    health, told = RuleHealth(), []
    for number, observation in enumerate(observations):
        health, said = health_after(health, observation, START + number * MINUTE)  # type: ignore[arg-type]
        told.append(said)
    return told


def test_the_ops_channel_hears_once_after_three_failures_in_a_row() -> None:
    assert news(BAD, BAD, BAD, BAD) == [None, None, HealthNews.CANNOT_BE_EVALUATED, None]
    assert news(BAD, BAD, GOOD, BAD, BAD) == [None] * 5


def test_and_once_when_the_rule_works_again() -> None:
    assert news(BAD, BAD, BAD, GOOD, GOOD)[3:] == [HealthNews.WORKS_AGAIN, None]
    assert news(BAD, BAD, GOOD)[2] is None


def test_a_rule_is_in_error_from_its_first_failure_on() -> None:
    health, _ = health_after(RuleHealth(succeeded_at=START), BAD, START + MINUTE)
    assert (health.state, health.error, health.failing_since) == ("error", "no such table", START + MINUTE)
    assert health.succeeded_at == START
    health, _ = health_after(health, BAD, START + 2 * MINUTE)
    assert health.failing_since == START + MINUTE
    health, _ = health_after(health, NoData(), START + 3 * MINUTE)
    assert health == RuleHealth(succeeded_at=START + timedelta(minutes=3))
    assert health.state == "ok"
