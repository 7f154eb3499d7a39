from datetime import UTC, date, datetime, timedelta

import pytest

from dashboard.parts.spend_headline import Headline, headline_of
from dashboard.parts.spend_numbers import numbers_of
from dashboard.reading.spend import RangeView
from dashboard.reading.spend_budgets import Ahead
from dashboard.reading.spend_month import Comparison, Month, Plan, month_of_days
from engine.ledger.queries.spend import Move

USD = 1_000_000
NOW = datetime(2026, 11, 16, tzinfo=UTC)
COMPARISON = Comparison(
    NOW - timedelta(days=7), NOW, NOW - timedelta(days=14), NOW - timedelta(days=7), "the last 7 days",
    "the 7 days before",
)  # fmt: skip
MOVES = [Move("saver", USD, 9 * USD), Move("spender", 8 * USD, 2 * USD)]
SALES = Ahead("sales-plan", "sales", 470 * USD, 200 * USD, 620 * USD, datetime(2026, 11, 24, tzinfo=UTC))
FULL = Ahead("sales-plan", "sales", 470 * USD, 499 * USD, 560 * USD, NOW)


def month(plan: int | None, *, now: datetime = NOW, days: int = 60) -> Month:
    """$10 a day before today."""
    known = {now.date() - timedelta(days=number): 10 * USD for number in range(1, days + 1)}
    return month_of_days(known, now=now, zone="UTC", plan=None if plan is None else Plan("org", plan * USD))


def headline(plan: int | None, ahead: tuple[Ahead, ...] = (), *, now: datetime = NOW, days: int = 60) -> Headline:
    return headline_of(month(plan, now=now, days=days), MOVES, COMPARISON, ahead, ("spender", 0.4))


@pytest.mark.parametrize(
    ("plan", "standing", "verdict"),
    [
        (400, "good", "On plan"),
        (290, "bad", "Heading over plan"),
        (149, "bad", "Over plan"),
        (None, "unknown", "No plan"),
    ],
)
def test_the_verdict_compares_the_month_with_its_plan(plan: int | None, standing: str, verdict: str) -> None:
    found = headline(plan)
    assert (found.standing, found.verdict) == (standing, verdict)


def test_a_month_on_plan_says_what_is_spent_planned_and_forecast() -> None:
    assert headline(400).text == (
        "On plan: $150.00 spent so far in November ($200.00 planned by now); forecast $300.00 of $400.00. "
        "saver moved it most: -$8.00, the last 7 days against the 7 days before."
    )


def test_who_spends_less_is_not_blamed_for_a_month_over_its_plan() -> None:
    assert headline(290).text == (
        "Heading over plan: $150.00 spent so far in November ($145.00 planned by now); "
        "forecast $300.00 of $290.00, past it on 30 Nov. "
        "spender moved it most: +$6.00, the last 7 days against the 7 days before."
    )
    assert headline(145).text.startswith("Over plan: $150.00 of $145.00 spent in November, passed on 15 Nov. spender ")


def test_another_budget_that_does_not_last_leads_where_there_is_no_plan() -> None:
    assert headline(None, (SALES,)).text.startswith(
        "Heading over budget: Budget sales-plan of sales will run out on 24 Nov at this pace ($620.00 of $470.00). "
        "$150.00 spent so far in November; forecast $300.00. spender moved it most"
    )
    over = headline(None, (FULL, SALES))
    assert (over.standing, over.verdict) == ("bad", "Over budget")
    assert over.sentences[0] == "Budget sales-plan of sales is used up ($499.00 of $470.00)."


def test_beside_a_plan_another_budget_is_said_second() -> None:
    found = headline(400, (FULL, FULL))
    assert found.verdict == "On plan"
    assert found.sentences[1] == "Budget sales-plan of sales and 1 more are used up ($499.00 of $470.00)."


@pytest.mark.parametrize("moment", [timedelta(seconds=1), timedelta(hours=3), timedelta(days=1, hours=9)])
def test_the_first_hours_of_a_month_are_not_judged_by_themselves(moment: timedelta) -> None:
    found = headline(290, now=datetime(2026, 12, 1, tzinfo=UTC) + moment, days=62)
    spent = "$10.00" if moment.days else "$0.00"
    assert found.sentences[0] == (
        f"December has just begun ({spent} so far); November came to $300.00; "
        "forecast $310.00 of $290.00, past it on 30 Dec."
    )
    assert headline(None, now=datetime(2026, 12, 1, tzinfo=UTC) + moment).verdict == "No plan"


def test_few_days_are_said_to_be_few_and_give_no_verdict() -> None:
    young = headline(290, now=datetime(2026, 11, 2, 9, tzinfo=UTC), days=3)
    assert (young.standing, young.verdict) == ("unknown", "Too early to say")
    assert "(rough, from 3 days)" in young.text
    new = headline_of(month(290, days=0), [], None, (), None)
    assert new.verdict == "Too early to say"
    assert "forecast" not in new.text


def test_without_a_comparison_who_spends_most_is_named() -> None:
    found = headline_of(month(400), [], None, (), ("spender", 0.4))
    assert found.sentences[-1] == "spender spends most of it, 40 %."


def test_numbers_of_a_young_ledger_have_words_instead_of_nothing() -> None:
    empty = month_of_days({date(2026, 11, 16): 0}, now=NOW, zone="UTC", plan=None)
    numbers = numbers_of(empty, RangeView([], None, []), "the last 30 days")
    assert [number.value for number in numbers] == ["$0.00", "–", "–", "$0.00", "–"]
    assert [number.beside for number in numbers[:2]] == ["no plan", "needs a complete day"]


def test_the_forecast_says_when_the_plan_is_passed_and_how_sure_that_is() -> None:
    forecast = numbers_of(month(290), RangeView([], None, []), "x")[1]
    assert forecast.value == "$300.00"
    assert forecast.beside == "past plan 30 Nov"
    assert "80 % of such months end between $300.00 and $300.00. Passes the plan on 30 Nov." in forecast.help
    assert forecast.colour == "red"
    rough = numbers_of(month(290, days=4), RangeView([], None, []), "x")[1]
    assert rough.beside == "rough, from 4 days"
    assert rough.colour == "off"
    assert numbers_of(month(100), RangeView([], None, []), "x")[1].beside == "passed plan 11 Nov"
    assert numbers_of(month(400), RangeView([], None, []), "x")[1].beside == "80 %: $300 to $300"


@pytest.mark.parametrize(
    ("words", "beside"), [("the last hour", "0 denied, 1 hour"), ("the last 30 days", "0 denied, 30 days")]
)
def test_what_is_beside_a_number_is_short_enough_for_a_phone(words: str, beside: str) -> None:
    numbers = numbers_of(month(290), RangeView([], None, []), words)
    assert numbers[3].beside == beside
    assert max(len(number.beside) for number in numbers) <= 20
