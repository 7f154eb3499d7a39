"""The jobs that evaluate every organization. One that cannot be evaluated keeps no other's alerts back, and shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from engine.alerting.departing import depart, organizations_with_departures
from engine.alerting.passing import pass_time
from engine.errors import BursarError
from engine.ledger.database import Database
from jobs.evaluation.budgets import judge_all_budgets, judge_crossings
from jobs.evaluation.levels import evaluate_rules
from jobs.organizations import for_each_organization


class EvaluationFailed(BursarError):
    """Some organizations could not be evaluated; the others were."""


def evaluate_crossings(database: Database, *, dashboard_url: str, now: datetime) -> int:
    """Judge what the ledger writer has just seen crossing; how many alerts are new. Cheap when nothing did."""

    def judge(org_id: str) -> int:
        return judge_crossings(database, org_id, dashboard_url=dashboard_url, now=now)

    return _for_each(database, "judge the crossings of", judge)


def evaluate_all(database: Database, *, dashboard_url: str, now: datetime) -> int:
    """Evaluate every organization; how many alerts about budgets are new. Raises `EvaluationFailed` at the end."""

    def evaluate(org_id: str) -> int:
        return evaluate_organization(database, org_id, dashboard_url=dashboard_url, now=now)

    return _for_each(database, "evaluate the alert rules of", evaluate)


def evaluate_organization(database: Database, org_id: str, *, dashboard_url: str, now: datetime) -> int:
    """Judge budgets, evaluate the slots of rules that are due, and let time pass; how many budget alerts are new."""
    fired = judge_budgets(database, org_id, dashboard_url=dashboard_url, now=now)
    evaluate_rules(database, org_id, dashboard_url=dashboard_url, now=now)
    pass_time(database, org_id, dashboard_url=dashboard_url, now=now)
    return fired


def depart_all(database: Database, *, dashboard_url: str, now: datetime) -> int:
    """Let first messages leave that have waited for others of their rule; how many groups. Cheap when none waits."""

    def leave(org_id: str) -> int:
        return depart(database, org_id, dashboard_url=dashboard_url, now=now)

    waiting = organizations_with_departures(database, now)
    return _for_each(database, "let messages leave of", leave, among=waiting) if waiting else 0


def judge_budgets(database: Database, org_id: str, *, dashboard_url: str, now: datetime) -> int:
    """Judge what has crossed, and then every counter; how many alerts are new."""
    crossed = judge_crossings(database, org_id, dashboard_url=dashboard_url, now=now)
    return crossed + judge_all_budgets(database, org_id, dashboard_url=dashboard_url, now=now)


def _for_each(database: Database, what: str, do: Callable[[str], int], *, among: Sequence[str] | None = None) -> int:
    total = 0

    def add(org_id: str) -> None:
        nonlocal total
        total += do(org_id)

    failures = for_each_organization(database, what, add, among=among)
    if failures.sentences:
        raise EvaluationFailed(f"{failures.share} not evaluated; {failures.sentences[0]}")
    return total
