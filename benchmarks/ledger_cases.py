"""Every question the pages and rules ask, with every filter, as the ledger benchmark asks it.

A case is named `function` or `function: filter`. A test sees to it that no public query is missing.
"""

from __future__ import annotations

from benchmarks.ledger_asks import Ask
from benchmarks.ledger_cases_decisions import decision_cases
from benchmarks.ledger_cases_spend import budget_cases, estimate_cases, spend_cases
from benchmarks.ledger_cases_watch import alert_cases, health_cases, policy_cases, rate_limit_cases, rule_cases
from benchmarks.ledger_filled import Filled

__all__ = ["NOT_A_PAGE", "Ask", "cases"]

NOT_A_PAGE = {
    "count_decisions", "decision_batch", "decisions_stored",
    "add_review", "made_reviews", "stored_review", "review_labels", "days_by_agent", "counters_of_period",
    "named_counters", "counters_between", "counters_that_denied", "largest_residuals", "count_recorded", "count_late",
    "channel_states", "database_clock",
}  # fmt: skip
"""Of the export, the demo, jobs and reviews: nobody waits for a page. `decision_batch` is measured all the same."""
_KINDS = (
    spend_cases,
    budget_cases,
    alert_cases,
    rate_limit_cases,
    policy_cases,
    estimate_cases,
    decision_cases,
    health_cases,
    rule_cases,
)


def cases(filled: Filled) -> dict[str, Ask]:
    """The questions by name."""
    return dict(case for kind in _KINDS for case in kind(filled))
