"""Raises of a budget for a while: what is refused, what holds at which instant, and how it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.admission.limits import LimitsInForce, limits_at, limits_now
from engine.admission.plan import Planner
from engine.clock import to_ms
from engine.document.diff import diff_documents
from engine.document.export import export_text
from engine.document.json_schema import document_schema
from engine.document.limits_lint import DocumentCode
from engine.document.lint import lint_document
from engine.document.load import content_hash, document_content, parse_document, parse_text
from engine.document.schema import BudgetSpec, GovernanceDocument
from engine.errors import DocumentError
from engine.periods import PERIOD_KINDS, period_of
from engine.request import CallFacts

USD = 1_000_000
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
INSTANT = timedelta(milliseconds=1)


def raised(hours: float = 1, begins: datetime = NOON, **more: Any) -> dict[str, Any]:
    amounts = {} if "daily_usd" in more else {"monthly_usd": 50}
    return {"from": begins.isoformat(), "until": (begins + hours * HOUR).isoformat(), **amounts, **more}


def document(*raises: Any, **budget: Any) -> GovernanceDocument:
    content = {
        "organization": "acme",
        "agents": {"copilot_hr": {"provider": "copilot_studio", "team": "hr"}, "coder": {"provider": "openai"}},
        "budgets": [
            {"id": "b", "per": "agent", "monthly_budget_usd": 500, **budget, **({"raises": raises} if raises else {})}
        ],
    }
    return parse_document(content, "test")


@pytest.mark.parametrize(
    ("written", "field", "problem"),
    [
        ({"monthly_usd": 0}, "monthly_usd", "must be more than 0, got 0"),
        ({"monthly_usd": None}, "raises.0", "needs monthly_usd or daily_usd"),
        ({"daily_usd": 5}, "daily_usd", "there is no daily_budget_usd to raise, which is unlimited already"),
        ({"until": NOON.isoformat()}, "until", "must be later than from"),
        ({"until": "2026-11-26T14:00:00"}, "until", "needs an offset from UTC"),
        ({"from": 5}, "from", "must be a time such as"),
        ({"reason": "a\nb"}, "reason", "must be one line of text"),
        ({"reason": "a" * 501}, "reason", "must have at most 500 characters, got 501"),
        ({"scope": "a|b"}, "scope", "must be 1 to 128 letters"),
        ({"for": "a"}, "for", "is not a known key"),
        ({"monthly_usd": 1_000_000_000}, "raises", "with all of them monthly_budget_usd would be more than"),
    ],
)
def test_a_raise_that_cannot_be_meant_so_is_refused_in_one_sentence(
    written: dict[str, Any], field: str, problem: str
) -> None:
    with pytest.raises(DocumentError, match=field) as refused:
        document({**raised(), **written})
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_raise_is_the_same_however_its_instants_are_written() -> None:
    there = document({**raised(), "from": "2026-11-26T13:00:00+01:00", "until": "2026-11-26T13:00:00.000400Z"})
    assert content_hash(there) == content_hash(document(raised()))
    assert parse_document(document_content(there), "stored") == there
    for form in ("yaml", "json"):
        assert parse_text(export_text(there, 1, None, form), "exported").document == there


def test_a_document_without_raises_means_what_it_meant_before() -> None:
    assert content_hash(document()) == content_hash(document(raises=[]))


def test_the_limit_is_raised_from_the_first_millisecond_to_the_last() -> None:
    live = document(raised(scope="copilot_hr"))
    (budget,) = live.budgets

    def limits(at: datetime, scope: str = "copilot_hr") -> LimitsInForce:
        return limits_at(budget, "month", scope, to_ms(at))

    begins, ends = to_ms(NOON), to_ms(NOON + HOUR)
    assert [limits(at).micros for at in (NOON - INSTANT, NOON, NOON + HOUR - INSTANT, NOON + HOUR)] == [
        500 * USD, 550 * USD, 550 * USD, 500 * USD,
    ]  # fmt: skip
    assert (limits(NOON).from_ms, limits(NOON).until_ms) == (begins, ends)
    assert limits(NOON - INSTANT).until_ms == begins
    assert limits(NOON + HOUR).from_ms == ends
    assert (limits(NOON).base_micros, limits(NOON).raised_by_micros) == (500 * USD, 50 * USD)
    assert limits(NOON, "coder") == LimitsInForce(500 * USD, None, 500 * USD), "another scope is not concerned"
    assert limits_now(live, "b", "copilot_hr", "month", NOON) == limits(NOON)
    assert limits_now(live, "gone", "copilot_hr", "month", NOON) is None


def test_a_raise_of_the_day_leaves_the_month_alone() -> None:
    (budget,) = document(raised(daily_usd=7), daily_budget_usd=20).budgets
    at = to_ms(NOON)
    assert [limits_at(budget, kind, "coder", at).micros for kind in PERIOD_KINDS] == [500 * USD, 27 * USD]
    assert limits_at(budget, "month", "coder", at).until_ms > to_ms(NOON + 1000 * HOUR)


SOME_RAISES = st.lists(
    st.builds(
        lambda start, hours, usd, scope, kind: raised(
            hours, NOON + start * HOUR, **{kind: usd}, **({"scope": scope} if scope else {})
        ),
        st.integers(-20, 20),
        st.integers(1, 15),
        st.integers(1, 9),
        st.sampled_from([None, "copilot_hr", "coder"]),
        st.sampled_from(["monthly_usd", "daily_usd"]),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(raises=SOME_RAISES, hours=st.integers(-30, 40), ms=st.sampled_from([-1, 0, 1]))
def test_the_limit_at_an_instant_is_the_base_and_the_raises_then_in_force(
    raises: list[dict[str, Any]], hours: int, ms: int
) -> None:
    (budget,) = document(*raises, daily_budget_usd=20).budgets
    at = NOON + hours * HOUR + ms * INSTANT
    for scope in ("copilot_hr", "coder"):
        for kind, base, field in (("month", 500, "monthly_usd"), ("day", 20, "daily_usd")):
            in_force = [
                each.get(field) or 0
                for each in raises
                if each.get("scope") in (None, scope)
                and datetime.fromisoformat(each["from"]) <= at < datetime.fromisoformat(each["until"])
            ]
            found = limits_at(budget, kind, scope, to_ms(at))  # type: ignore[arg-type]
            assert found.micros == (base + sum(in_force)) * USD
            assert found.from_ms <= to_ms(at) < found.until_ms


def facts(agent_id: str) -> CallFacts:
    return CallFacts("acme", agent_id, "openai", "hr", None, None, None, "standard", "invoke")


@settings(deadline=None)
@given(raises=SOME_RAISES, hours=st.integers(-30, 40), steps=st.lists(st.integers(0, 90), min_size=1, max_size=8))
def test_a_plan_holds_just_as_long_as_its_periods_and_limits_do(
    raises: list[dict[str, Any]], hours: int, steps: list[int]
) -> None:
    live = document(*raises, daily_budget_usd=20)
    planner = Planner(live)
    at_ms = to_ms(NOON + hours * HOUR)
    for step in steps:
        at_ms += step * 600_000
        plan = planner.plan(facts("coder"), at_ms)
        assert plan.from_ms <= at_ms < plan.until_ms
        for moment in (at_ms, plan.from_ms, plan.until_ms - 1):
            fresh = Planner(live).plan(facts("coder"), moment)
            assert fresh.counters == plan.counters, "remembered or made anew, the same everywhere between its ends"
        for outside in (plan.from_ms - 1, plan.until_ms):
            other = Planner(live).plan(facts("coder"), outside)
            assert other.counters != plan.counters
        assert plan.nearest_ms(plan.until_ms + 5) == plan.until_ms - 1


def test_a_plan_ends_with_the_period_when_that_ends_before_the_raise() -> None:
    plan = Planner(document(raised(48), daily_budget_usd=20)).plan(facts("coder"), to_ms(NOON))
    assert plan.until_ms == period_of("day", NOON, "UTC").end_ms


WORDS = "from 2026-11-26 12:00 UTC until 2026-11-26 13:00 UTC"


def test_a_change_of_raises_is_told_in_words() -> None:
    one = raised(scope="copilot_hr", reason="quarter end")
    two = raised(daily_usd="7.50", monthly_usd=5)
    days = {"daily_budget_usd": 20}
    assert [str(each) for each in diff_documents(document(**days), document(one, two, **days))] == [
        (
            f"budget b raised by 5 USD a month and 7.50 USD a day {WORDS}; "
            f"raised for copilot_hr by 50 USD a month {WORDS} (quarter end)"
        )
    ]
    assert [str(each) for each in diff_documents(document(one), document())] == [
        f"budget b no longer raised for copilot_hr by 50 USD a month {WORDS} (quarter end)"
    ]
    assert diff_documents(document(one, two, **days), document(two, one, **days)) == []
    (added,) = [each for each in diff_documents(None, document(one)) if each.object == "budget"]
    assert str(added) == (
        f"budget b added: per agent, monthly 500 USD, raised for copilot_hr by 50 USD a month {WORDS} (quarter end)"
    )


def findings(live: GovernanceDocument, at: datetime) -> list[str]:
    codes = (DocumentCode.ENDED_RAISE, DocumentCode.MATCHES_NOTHING)
    return [each.message for each in lint_document(live, at) if each.code in codes]


def test_a_raise_that_has_ended_can_be_removed() -> None:
    live = document(raised(), raised(2), raised(900))
    assert findings(live, NOON + HOUR - INSTANT) == []
    assert findings(live, NOON + HOUR) == ["Budget 'b' has a raise that has ended (raises.0): it can be removed."]
    assert findings(live, NOON + 3 * HOUR) == [
        "Budget 'b' has 2 raises that have ended (raises.0, 1): they can be removed."
    ]


def test_a_raise_for_a_scope_that_the_budget_does_not_count_is_said() -> None:
    assert findings(document(raised(scope="copilot_hr")), NOON) == []
    assert findings(document(raised(scope="copilot_rh")), NOON) == [
        (
            "Budget 'b' raises nothing by raises.0: no agent that it counts is called 'copilot_rh'; correct the scope, "
            "or leave it out for all."
        )
    ]
    assert findings(document(raised(scope="acme"), per="org"), NOON) == []
    assert len(findings(document(raised(scope="hr"), per="org"), NOON)) == 1
    assert findings(document(raised(scope="any"), per="user"), NOON) == [], "the document does not list users"


def test_editors_know_every_key_of_a_raise() -> None:
    raises = document_schema()["$defs"]["RaiseSpec"]
    assert set(raises["properties"]) == {"scope", "monthly_usd", "daily_usd", "from", "until", "reason"}
    assert all(each.get("description") for each in raises["properties"].values())
    assert set(raises["required"]) == {"from", "until"}


def test_a_preset_fills_in_the_limit_that_is_raised() -> None:
    budget = BudgetSpec.model_validate({"id": "b", "per": "agent", "preset": "webhook", "raises": [raised()]})
    assert limits_at(budget, "month", "hook", to_ms(NOON)).micros == 100 * USD
