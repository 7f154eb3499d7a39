"""Latched rules on budget use: documents, totals and earlier crossings in, findings out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alerting.alert import Ending
from engine.alerting.latched import (
    Counter,
    CounterUse,
    Denial,
    Findings,
    Latch,
    LatchState,
    Level,
    Limits,
    find_crossings,
    labels_of,
    levels_of,
)
from engine.alerting.shipped import rules_of
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MONTH = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
DECEMBER = (MONTH[1], datetime(2027, 1, 1, tzinfo=UTC))
USD = 1_000_000
HALF, WARNING, DEGRADED, CRITICAL, FULL = (
    "budget_usage_half",
    "budget_usage_warning",
    "budget_usage_degraded",
    "budget_usage_critical",
    "budget_exhausted",
)


def document(limit: Any = 100, rules: Any = (), **budget: Any) -> GovernanceDocument:
    content = {
        "organization": "acme",
        "agents": {"bot": {"provider": "webhook", "team": "t1", "owner": "ann"}},
        "budgets": [{"id": "all", "per": "org", "monthly_budget_usd": limit, **budget}],
        "alerts": {"rules": list(rules)},
    }
    return parse_document(content, "test")


def use(
    usd: float,
    label: str = "2026-11",
    period: tuple[datetime, datetime] = MONTH,
    denied_at: float | None = -1,
    scope: str = "acme",
    called: datetime = NOW,
    executions: int | None = None,
) -> CounterUse:
    limit = None if denied_at is None else round(denied_at * USD)
    denial = Denial(called, Limits(limit, executions)) if denied_at != -1 else None
    return CounterUse(Counter("all", scope, "month", label), *period, round(usd * USD), denial)


class Books:
    """Looks again and again, and keeps the crossings as the store would."""

    def __init__(self) -> None:
        self.latches: dict[str, Latch] = {}

    def look(self, live: GovernanceDocument, *uses: CounterUse, now: datetime = NOW) -> Findings:
        findings = find_crossings(rules_of(live.alerts), live, uses, list(self.latches.values()), now)
        for latch_id, ending in findings.ended.items():
            over = replace(self.latches[latch_id], state=LatchState.RESOLVED, ending=ending, ended_at=now)
            self.latches[latch_id] = over
        for latch_id, seen in findings.seen.items():
            self.latches[latch_id] = replace(self.latches[latch_id], seen_spent_micros=seen)
        for crossing in findings.crossings:
            key = crossing.key("acme")
            assert key not in self.latches, "a crossing is named once"
            self.latches[key] = Latch(
                key, crossing.level.rule_id, crossing.use.counter, crossing.episode, crossing.state,
                crossing.level.threshold, crossing.use.period_start, crossing.use.period_end,
                crossing.limits, crossing.use.spent_micros, crossing.by_denial,
            )  # fmt: skip
        return findings

    def told(self, live: GovernanceDocument, *uses: CounterUse, now: datetime = NOW) -> list[str]:
        """The rules whose crossing is told to somebody."""
        return fired(self.look(live, *uses, now=now))


def fired(findings: Findings) -> list[str]:
    return [crossing.level.rule_id for crossing in findings.crossings if crossing.state is LatchState.FIRING]


def superseded(findings: Findings) -> list[str]:
    return [crossing.level.rule_id for crossing in findings.crossings if crossing.state is LatchState.SUPERSEDED]


@pytest.mark.parametrize(
    ("usd", "told", "instead_of"),
    [
        (49.999999, [], []),
        (50, [HALF], []),
        (79.999999, [HALF], []),
        (80, [WARNING], [HALF]),
        (90, [DEGRADED], [WARNING, HALF]),
        (94.999999, [DEGRADED], [WARNING, HALF]),
        (95, [CRITICAL], [DEGRADED, WARNING, HALF]),
        (99.999999, [CRITICAL], [DEGRADED, WARNING, HALF]),
        (100, [FULL], [CRITICAL, DEGRADED, WARNING, HALF]),
        (250, [FULL], [CRITICAL, DEGRADED, WARNING, HALF]),
    ],
)
def test_of_several_crossed_at_once_only_the_highest_is_told(
    usd: float, told: list[str], instead_of: list[str]
) -> None:
    findings = Books().look(document(), use(usd))
    assert fired(findings) == told
    assert superseded(findings) == instead_of


def test_the_one_message_goes_to_everybody_whom_the_lower_ones_would_have_told() -> None:
    [full, *lower] = Books().look(document(), use(100)).crossings
    assert full.routes == ("management", "critical", "warning", "info")
    assert [crossing.instead_of for crossing in lower] == [()] * 4
    [half] = Books().look(document(), use(50)).crossings
    assert half.routes == ("info",)


def test_no_threshold_is_lost_on_the_way_up() -> None:
    books = Books()
    assert [books.told(document(), use(usd)) for usd in (10, 50, 80, 85, 90, 95, 99, 100, 101)] == [
        [],
        [HALF],
        [WARNING],
        [],
        [DEGRADED],
        [CRITICAL],
        [],
        [FULL],
        [],
    ]


def test_a_warning_at_5_percent_left_follows_one_at_15_percent_left() -> None:
    rules = [
        {"id": "left_15", "metric": "budget_usage_percentage", "threshold": "85%"},
        {"id": "left_5", "metric": "budget_usage_percentage", "threshold": "95%"},
        *({"id": name, "enabled": False} for name in (HALF, WARNING, DEGRADED, CRITICAL, FULL)),
    ]
    books, live = Books(), document(rules=rules)
    assert books.told(live, use(85)) == ["left_15"]
    assert books.told(live, use(95)) == ["left_5"]


def test_a_threshold_is_told_once_however_often_one_looks() -> None:
    books = Books()
    books.look(document(), use(81))
    assert not books.look(document(), use(81))
    moved = books.look(document(), use(82))
    assert moved.crossings == []
    assert list(moved.seen.values()) == [82 * USD] * 2


def test_50_looks_at_the_same_crossing_name_it_alike() -> None:
    keys = {Books().look(document(), use(100)).crossings[0].key("acme") for _ in range(50)}
    assert keys == {"acme|budget_exhausted|2026-11|all|acme|month|1"}


def test_a_new_period_arms_every_threshold_again_and_ends_the_old_alerts() -> None:
    books = Books()
    books.look(document(), use(96))
    later = books.look(document(), use(85, "2026-12", DECEMBER), now=MONTH[1])
    assert set(later.ended.values()) == {Ending.PERIOD_ENDED}
    assert len(later.ended) == 4
    assert fired(later) == [WARNING]


def test_a_raised_budget_resolves_and_arms_again() -> None:
    books = Books()
    books.look(document(100), use(96))
    raised = books.look(document(200), use(97))
    assert set(raised.ended.values()) == {Ending.BUDGET_CHANGED}
    assert len(raised.ended) == 4
    assert books.told(document(200), use(165)) == [WARNING]
    assert books.told(document(200), use(190)) == [CRITICAL]


def test_a_budget_raised_and_crossed_between_two_looks_is_told_again() -> None:
    books = Books()
    books.look(document(100), use(96))
    again = books.look(document(200), use(196))
    assert len(again.ended) == 4
    assert fired(again) == [CRITICAL]
    assert again.crossings[0].episode == 2


def test_a_raise_that_never_took_the_use_below_a_threshold_tells_nobody_again() -> None:
    books = Books()
    books.look(document(100), use(81))
    books.look(document(100), use(94))
    assert books.told(document(110), use(94)) == [], "94 of 110 is still above 80 %"


def test_cross_reset_cross() -> None:
    books = Books()
    assert books.told(document(100), use(85)) == [WARNING]
    assert books.told(document(200), use(85)) == []
    assert books.told(document(100), use(85)) == [WARNING]


def test_a_correction_resolves_and_arms_again() -> None:
    books = Books()
    books.look(document(), use(81))
    corrected = books.look(document(), use(79))
    assert set(corrected.ended.values()) == {Ending.SPEND_CORRECTED}
    assert fired(corrected) == ["budget_usage_half"], "what is still reached is told in the place of what is over"
    assert books.told(document(), use(80)) == [WARNING]


def test_what_was_crossed_with_a_higher_one_is_told_when_that_is_over() -> None:
    books = Books()
    assert books.told(document(), use(97)) == [CRITICAL]
    corrected = books.look(document(), use(85))
    assert fired(corrected) == [WARNING]
    assert books.told(document(), use(85)) == []
    assert books.told(document(), use(97)) == [CRITICAL]


def test_the_first_call_that_a_budget_denied_is_100_percent() -> None:
    books = Books()
    [full] = books.look(document(), use(40, denied_at=100)).crossings
    assert (full.level.rule_id, full.state, full.by_denial) == (FULL, LatchState.FIRING, True)
    assert not books.look(document(), use(40, denied_at=100))


def test_management_is_told_once_in_a_period_whether_by_denial_or_spend() -> None:
    books = Books()
    assert books.told(document(), use(99, denied_at=100)) == [FULL]
    assert books.told(document(), use(100, denied_at=100)) == []
    assert books.told(document(), use(120, denied_at=100)) == []
    assert books.told(document(), use(100, "2026-12", DECEMBER), now=MONTH[1]) == [FULL]


def test_a_denial_hides_no_threshold_that_the_spend_crosses_later() -> None:
    books = Books()
    assert books.told(document(), use(10, denied_at=100)) == [FULL]
    assert books.told(document(), use(81, denied_at=100)) == [WARNING]
    assert books.told(document(), use(96, denied_at=100)) == [CRITICAL]


def test_a_denial_together_with_a_crossing_is_one_message() -> None:
    findings = Books().look(document(), use(85, denied_at=100))
    assert fired(findings) == [FULL]
    assert findings.crossings[0].routes == ("management", "warning", "info")


def test_a_correction_below_the_limit_does_not_undo_a_denial() -> None:
    books = Books()
    books.look(document(), use(100))
    corrected = books.look(document(), use(40, denied_at=100))
    assert FULL not in {books.latches[latch_id].rule_id for latch_id in corrected.ended}
    assert not books.look(document(), use(40, denied_at=100))
    assert books.told(document(), use(96, denied_at=100)) == [CRITICAL]
    assert books.told(document(), use(100, denied_at=100)) == [], "management knows already"


def test_a_denial_by_an_older_limit_is_history() -> None:
    books = Books()
    books.look(document(100), use(40, denied_at=100))
    raised = books.look(document(200), use(40, denied_at=100))
    assert list(raised.ended.values()) == [Ending.BUDGET_CHANGED]
    assert raised.crossings == []
    later = NOW + timedelta(minutes=1)
    assert books.told(document(200), use(40, denied_at=200, called=later)) == [FULL]


def test_a_denial_of_before_its_alert_was_over_is_history_even_when_its_limit_is_back() -> None:
    books = Books()
    assert books.told(document(100), use(40, denied_at=100)) == [FULL]
    books.look(document(200), use(40, denied_at=100), now=NOW + timedelta(minutes=1))
    back = NOW + timedelta(minutes=2)
    assert books.told(document(100), use(10, denied_at=100), now=back) == []
    assert books.told(document(100), use(10, denied_at=100, called=back), now=back) == [FULL]


def test_a_budget_raised_and_denying_again_between_two_looks_is_told_again() -> None:
    books = Books()
    books.look(document(100), use(40, denied_at=100))
    again = books.look(document(200), use(40, denied_at=200))
    assert list(again.ended.values()) == [Ending.BUDGET_CHANGED]
    assert fired(again) == [FULL]


def test_a_budget_of_executions_only_is_blocked_by_its_first_denial() -> None:
    live = document(None, monthly_execution_limit=10)
    assert Books().told(live, use(10**6)) == []
    books = Books()
    assert books.told(live, use(1, denied_at=None, executions=10)) == [FULL]
    raised = document(None, monthly_execution_limit=1000)
    over = books.look(raised, use(1, denied_at=None, executions=10))
    assert list(over.ended.values()) == [Ending.BUDGET_CHANGED]
    assert books.told(raised, use(1, denied_at=None, executions=1000, called=NOW + timedelta(hours=1))) == [FULL]


def test_a_limit_of_nothing_is_passed_by_any_spend() -> None:
    assert Books().told(document(0), use(0)) == []
    assert Books().told(document(0), use(0.000001)) == [FULL]


def test_a_budgets_own_thresholds_replace_80_and_90() -> None:
    live = document(warning_threshold="0.6", degradation_threshold="0.7")
    books = Books()
    assert [books.told(live, use(usd)) for usd in (59, 60, 70, 90)] == [[HALF], [WARNING], [DEGRADED], []]


def test_a_threshold_moved_below_what_is_spent_is_told_and_one_moved_above_is_over() -> None:
    books = Books()
    assert books.told(document(), use(75)) == [HALF]
    assert books.told(document(warning_threshold="0.7"), use(75)) == [WARNING]
    back = books.look(document(warning_threshold="0.9"), use(75))
    assert list(back.ended.values()) == [Ending.RULE_CHANGED]


def test_a_lower_threshold_that_is_new_below_a_told_one_tells_nobody() -> None:
    books = Books()
    books.look(document(), use(96))
    mine = {"id": "mine", "metric": "budget_usage_percentage", "threshold": "70%"}
    later = books.look(document(rules=[mine]), use(96))
    assert (fired(later), superseded(later)) == ([], ["mine"])


def test_a_rule_that_is_turned_off_ends_its_alert() -> None:
    books = Books()
    books.look(document(), use(81))
    off = books.look(document(rules=[{"id": WARNING, "enabled": False}]), use(81))
    assert list(off.ended.values()) == [Ending.RULE_REMOVED]


@pytest.mark.parametrize(
    ("live", "ending"),
    [
        (parse_document({"organization": "acme"}, "test"), Ending.BUDGET_REMOVED),
        (document(None), Ending.BUDGET_CHANGED),
    ],
)
def test_a_budget_without_a_limit_any_more_ends_its_alerts(live: GovernanceDocument, ending: Ending) -> None:
    books = Books()
    books.look(document(), use(81))
    assert set(books.look(live, use(81)).ended.values()) == {ending}


def test_workers_whose_clocks_differ_at_the_end_of_a_period_neither_repeat_nor_resolve() -> None:
    books = Books()
    ahead, behind = MONTH[1] + timedelta(seconds=1), MONTH[1] - timedelta(seconds=1)
    books.look(document(), use(85))
    books.look(document(), use(85, "2026-12", DECEMBER), now=ahead)
    assert not books.look(document(), use(85), now=behind)


def test_a_rule_more_than_a_threshold_does_not_fire_at_it() -> None:
    over = {"id": "over", "metric": "budget_usage_percentage", "threshold": "100%", "comparison": ">"}
    rules = [over, *({"id": name, "enabled": False} for name in (HALF, WARNING, DEGRADED, CRITICAL, FULL))]
    assert Books().told(document(rules=rules), use(100)) == []
    assert Books().told(document(rules=rules), use(100.000001)) == ["over"]


def test_a_rules_filter_chooses_counters_by_whose_they_are() -> None:
    rules = [{"id": "t1", "metric": "budget_usage_percentage", "threshold": "10%", "filter": {"team": "t1"}}]
    live = document(rules=rules, per="agent")
    assert Books().told(live, use(20, scope="bot")) == ["t1"]
    assert Books().told(live, use(20, scope="other")) == []


def test_a_counter_is_labelled_with_whose_it_is() -> None:
    live = document(per="agent")
    assert labels_of(live, live.budgets[0], Counter("all", "bot", "month", "2026-11")) == {
        "budget": "all", "per": "agent", "scope": "bot", "period": "month",
        "agent": "bot", "team": "t1", "provider": "webhook", "owner": "ann",
    }  # fmt: skip
    org = document()
    assert "team" not in labels_of(org, org.budgets[0], Counter("all", "acme", "month", "2026-11"))


def test_of_equal_thresholds_the_most_severe_comes_first() -> None:
    live = document(degradation_threshold="0.95")
    levels = levels_of(rules_of(live.alerts), live.budgets[0], {})
    assert [level.rule_id for level in levels][:3] == [FULL, CRITICAL, DEGRADED]


@given(
    spent=st.integers(0, 10**15),
    limit=st.integers(1, 10**15),
    threshold=st.decimals(min_value=Decimal("0.000001"), max_value=1, allow_nan=False, places=12),
)
def test_the_comparison_is_exact(spent: int, limit: int, threshold: Decimal) -> None:
    numerator, denominator = threshold.as_integer_ratio()
    at_least = Level("r", threshold, ">=", "warning", "warning")
    assert at_least.reached_by(spent, limit) == (spent * denominator >= numerator * limit)
    smallest = -(-numerator * limit // denominator)
    assert at_least.reached_by(smallest, limit)
    assert not at_least.reached_by(smallest - 1, limit)


@given(st.lists(st.tuples(st.integers(0, 130), st.sampled_from([100, 120, 200]), st.booleans()), max_size=25))
def test_whatever_happens_a_threshold_has_one_open_alert_and_tells_once_for_each(
    looks: list[tuple[int, int, bool]],
) -> None:
    books = Books()
    for usd, limit, denied in looks:
        live = document(limit)
        findings = books.look(live, use(usd, denied_at=limit if denied else -1))
        assert len(fired(findings)) <= 1
        open_rules = [latch.rule_id for latch in books.latches.values() if latch.is_open]
        assert len(open_rules) == len(set(open_rules))
        reached = [
            level.rule_id
            for level in levels_of(rules_of(live.alerts), live.budgets[0], {})
            if level.reached_by(usd * USD, limit * USD)
        ]
        assert set(reached) <= set(open_rules), "what is reached is known"
        assert not books.look(live, use(usd, denied_at=limit if denied else -1)), "a second look finds nothing new"
