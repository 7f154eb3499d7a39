"""What reviews say, word by word."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analytics.recommendation import recommend_day
from engine.money import format_usd
from engine.reviews.amounts import change_text, money_text, percent_text
from engine.reviews.content import Compared, Review, kind_of, review_from_json, review_to_json
from engine.reviews.sections import beside, counted, level_of
from engine.reviews.telling import all_lines, digest, headline, sections
from engine.reviews.telling_months import roi_text
from tests.unit.reviews.reviews_by_hand import ALL, DAILY, MONTHLY, ODD, USD, WEEKLY


@pytest.mark.parametrize("review", ALL, ids=kind_of)
def test_a_digest_has_four_to_six_lines(review: Review) -> None:
    assert 4 <= len(digest(review)) <= 6
    assert all(line.endswith(".") and "\n" not in line for line in digest(review))


@pytest.mark.parametrize("review", ALL, ids=kind_of)
def test_a_stored_review_is_read_as_it_was(review: Review) -> None:
    assert review_from_json(kind_of(review), review_to_json(review)) == review


@pytest.mark.parametrize("review", ALL, ids=kind_of)
def test_the_text_has_all_sentences_and_bars(review: Review) -> None:
    lines = "\n".join(all_lines(review))
    for section in sections(review):
        for words in (section.title, *section.sentences, *section.after):
            assert words in lines
        for bar in section.bars:
            assert 0 <= bar.share <= 1
            assert f"{bar.label}: {bar.words}" in lines
            assert bar.note in lines


def test_a_day_in_words() -> None:
    assert headline(DAILY) == "Daily review of acme, 2026-11-25: $12.00, 1,200 executions"
    assert digest(DAILY) == (
        "Spent $12.00 (+20 % against $10.00 the day before).",
        "Executions: 1,200 (-4 % against 1,250 the day before).",
        "Cost per execution: $0.01 (+25 % against $0.008 in the 7 days before).",
        f"Fullest daily limit: each · {ODD} at 100 % ($10.00 of $10.00); it denied calls.",
        "Denied calls: 0 (-100 % against 3 the day before).",
    )
    bars = sections(DAILY)[1].bars
    assert bars[0].words == "$12.00 of $20.00 (60 %), 900 of 1,000 executions (90 %)"
    assert (bars[0].level, bars[0].share, bars[0].note) == ("high", 0.9, "The day before: $10.00, 950 executions.")
    assert (bars[1].level, bars[1].note) == ("over", "It denied calls. Not used the day before.")
    assert sections(DAILY)[1].after == ("1 more counter, less full.",)
    assert [bar.words for bar in sections(DAILY)[2].bars][4:6] == ["$1.00", "no executions"]


def test_a_day_without_limits_says_so() -> None:
    assert "No budget with a daily limit was in use." in digest(replace(DAILY, counters=(), more_counters=0))


def test_a_week_in_words() -> None:
    assert digest(WEEKLY) == (
        "Spent $50.00 (+25 % against $40.00 the week before).",
        "Executions: 100 (against 0 the week before).",
        "2026-11 so far, through Sun 2026-11-22: $150.00 ($180.00 in the whole month before); budget org $200.00.",
        "Forecast for 2026-11: $210.00, 80 % interval $190.00 to $230.00; its upper end is above the budget.",
        "Most by copilot: $30.00, 60 executions, 90 % of its month's $100.00 used.",
        "Outliers: 2 unusual days, the largest 2026-11-20 of copilot ($20.00 where $5.00 was usual).",
    )
    agents, outliers = sections(WEEKLY)[2], sections(WEEKLY)[3]
    assert agents.bars[1].words == "$20.00, 1 execution, no budget of its own"
    # By what each has of its own, not by what the others spent.
    assert [bar.share for bar in agents.bars] == [0.9, 0.0]
    assert agents.bars[1].note == "The week before: $20.00, 0 executions."
    assert outliers.sentences == (
        "Fri 2026-11-20: copilot spent $20.00 where $5.00 was usual.",
        "Fri 2026-11-20: the organization spent $30.00 where $12.00 was usual.",
        "Call call-1 of copilot, 2026-11-20 10:00 America/New_York: cost $0.40 where $0.10 was estimated.",
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"low_micros": 201 * USD}, "even its lower end is above the budget"),
        ({"high_micros": 200 * USD}, "all of it is within the budget"),
        ({"limit_micros": None, "budget_id": None}, "no budget for the whole organization."),
        ({"rough": True}, "rough with so little history"),
        (
            {"complete": True, "forecast_micros": None, "low_micros": None, "high_micros": None},
            "2026-11 is over: $150.00 (-17 % against $180.00 the month before); budget org $200.00.",
        ),
        ({"forecast_micros": None, "low_micros": None, "high_micros": None}, "No forecast yet"),
    ],
)
def test_where_the_month_goes(changed: dict[str, Any], words: str) -> None:
    path = replace(WEEKLY.trajectory, **changed)
    assert words in " ".join(digest(replace(WEEKLY, trajectory=path)))


def test_a_month_in_words() -> None:
    assert headline(MONTHLY) == "Monthly review of acme, 2026-11: $300.00 of $400.00 (75 %)"
    assert digest(MONTHLY) == (
        "Spent $300.00 (+50 % against $200.00 the month before).",
        "That is $300.00 of $400.00 (75 %), budget org.",
        "Executions: 3,000 (+50 % against 2,000 the month before).",
        "Cost per execution: $0.10 (+0 % against $0.10 the month before).",
        "Value: $560.00 for $110.00 by 2 of 3 agents, ROI +409 %; the others have no value configured.",
        "Budgets for 2026-12: org, a month $400.00 -> $310.00.",
    )
    values = sections(MONTHLY)[2].bars
    assert values[0].words == "cost $100.00, 700 successes x $0.50 = $350.00, ROI +250 %"
    assert values[0].note == "The month before: $80.00, 1 success, ROI -99 % at today's value."
    assert values[1].words == "cost $10.00, 1 success x $210.00 = $210.00, ROI 20x"
    assert values[2].words == "cost $190.00, 12 successes"
    assert sections(MONTHLY)[2].after[-1] == (
        f"ROI = (successes x value_per_success_usd - cost) / cost. No value configured: {ODD}."
    )
    month, day = sections(MONTHLY)[3:]
    assert (month.title, day.title) == ("Recommended budgets for 2026-12", "Recommended daily limits")
    assert [bar.words for bar in month.bars] == ["$400.00 -> $310.00 (-23 %)"]
    assert [bar.words for bar in day.bars] == ["$6.00, no proposal yet", "$6.00, keep it"]


def test_a_month_without_values_says_how_to_have_them() -> None:
    agents = tuple(
        replace(agent, value_per_success_micros=None, value=Compared(None, None)) for agent in MONTHLY.agents
    )
    bare = replace(MONTHLY, agents=agents, limit_micros=None, budget_id=None, advice=())
    assert headline(bare) == "Monthly review of acme, 2026-11: $300.00"
    assert digest(bare)[1] == "There is no monthly budget for the whole organization."
    assert digest(bare)[4:] == ("Value per agent: no value configured.", "Budgets: none to recommend a limit for.")
    assert any("value_per_success_usd" in sentence for sentence in sections(bare)[2].after)


def test_why_there_is_no_proposal_is_said_once() -> None:
    young = [replace(each, recommendation=recommend_day([USD] * 5, limit_micros=6 * USD)) for each in MONTHLY.advice]
    month, day = sections(replace(MONTHLY, advice=tuple(young)))[3:]
    reason = "Only 5 complete days of history so far: watch until there are 14 before changing the limit."
    assert month.after == (f"3 limits without a proposal: {reason}",)
    assert not any("Only 5" in bar.note for bar in (*month.bars, *day.bars))
    (alone,) = [bar.note for bar in sections(MONTHLY)[4].bars if "no proposal" in bar.words]
    assert alone == reason


def test_a_month_of_few_days_says_so() -> None:
    first = date(2026, 11, 26)
    few = replace(MONTHLY, days=30, days_with_calls=5, first_day_with_calls=first)
    said = "; there were calls on 5 of its 30 days only, the first on 2026-11-26."
    assert digest(few)[0].endswith(said)
    assert sections(few)[0].sentences[0].endswith(said)
    assert not digest(replace(few, days_with_calls=14))[0].endswith(said)
    old = {name: value for name, value in review_to_json(few).items() if "days" not in name and "first" not in name}
    assert review_from_json("monthly", old) == MONTHLY


def test_an_agent_with_a_budget_of_nothing_has_used_all_of_it() -> None:
    none = replace(WEEKLY.agents[0], limit_micros=0)
    over = replace(WEEKLY.agents[0], limit_micros=USD)
    assert [bar.share for bar in sections(replace(WEEKLY, agents=(none, over)))[2].bars] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("micros", "words"),
    [(0, "$0.00"), (1, "$0.000001"), (9_999, "$0.009999"), (12_344, "$0.01234"), (12_345, "$0.01235"),
     (99_994, "$0.09999"), (99_996, "$0.10"), (100_000, "$0.10"), (104_999, "$0.10"), (105_000, "$0.11"),
     (1_234_567, "$1.23"), (1_235_000, "$1.24"), (-105_000, "-$0.11"), (1_234_567_890, "$1,234.57")],
)  # fmt: skip
def test_money_has_cents_from_ten_cents_on_and_four_digits_below(micros: int, words: str) -> None:
    assert money_text(micros) == words


@pytest.mark.parametrize(
    ("change", "words"),
    [(0, "+0 %"), (0.125, "+13 %"), (-0.125, "-13 %"), (0.004, "+0.4 %"), (0.0004, "up < 0.1 %"),
     (-0.0004, "down < 0.1 %"), (-0.9996, "-99.9 %"), (-1, "-100 %"), (12.345, "+1235 %")],
)  # fmt: skip
def test_a_change_is_rounded_half_up(change: float, words: str) -> None:
    assert change_text(change) == words


@given(st.integers(0, 10**12), st.integers(1, 10**12))
def test_no_share_is_shown_at_a_threshold_that_it_has_not_reached(now: int, limit: int) -> None:
    words = percent_text(now / limit)
    shown = Fraction(words.removesuffix(" %").removeprefix("< "))
    for threshold in (50, 80, 90, 95, 100):
        if Fraction(str(now / limit)) * 100 < threshold:
            assert shown < threshold
        else:
            assert shown >= threshold


def test_small_words() -> None:
    assert [counted(number, "execution") for number in (0, 1, 1234)] == [
        "0 executions",
        "1 execution",
        "1,234 executions",
    ]
    assert counted(2, "success") == "2 successes"
    shares = (0, 0.0004, 0.0012, 0.081, 0.125, 0.5, 0.7951, 0.991, 0.996, 0.99999, 1, 1.014)
    assert [percent_text(share) for share in shares] == [
        "0 %", "< 0.1 %", "0.1 %", "8.1 %", "13 %", "50 %", "79.5 %", "99 %", "99.6 %", "99.9 %", "100 %", "101 %",
    ]  # fmt: skip
    assert [roi_text(roi) for roi in (-1, 0, 2.5, 9.99, 10, 1234.4)] == [
        "-100 %", "+0 %", "+250 %", "+999 %", "10x", "1,234x",
    ]  # fmt: skip
    assert [level_of(share) for share in (None, 0.79, 0.8, 1.0)] == ["usual", "usual", "high", "over"]
    assert beside(Compared(None, None), "before") == "none"
    assert beside(Compared(None, USD), "before") == "none (against $1.00 before)"
    assert beside(Compared(USD, None), "before", format_usd) == "$1.00 (nothing to compare with before)"
