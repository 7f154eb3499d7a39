"""From the record of calls to alerts: budgets, rules slot by slot, and what time alone does."""

from __future__ import annotations

from jobs.evaluation.evaluating import (
    EvaluationFailed,
    depart_all,
    evaluate_all,
    evaluate_crossings,
    evaluate_organization,
    judge_budgets,
)

__all__ = [
    "EvaluationFailed",
    "depart_all",
    "evaluate_all",
    "evaluate_crossings",
    "evaluate_organization",
    "judge_budgets",
]
