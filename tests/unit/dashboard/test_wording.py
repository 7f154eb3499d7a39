from datetime import UTC, datetime, timedelta

import pytest

from dashboard.wording import (
    GROUPS,
    REASONS,
    clock_time,
    count,
    duration,
    money,
    percent,
    plain,
    plural,
    reason_group,
    reason_label,
)
from engine.decision import ReasonCode

NOW = datetime(2026, 11, 23, 9, 42, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000001"),
        (4_200, "$0.0042"),
        (8_153, "$0.0082"),
        (25_000, "$0.025"),
        (50_000, "$0.05"),
        (123_456, "$0.12"),
        (31_400_000, "$31.40"),
        (999_994_999, "$999.99"),
        (1_234_000_000, "$1.2k"),
        (999_949_000_000, "$999.9k"),
        (999_950_000_000, "$1.0M"),
        (-1_500_000, "-$1.50"),
    ],
)
def test_money_is_short_and_never_hides_an_amount(micros: int, text: str) -> None:
    assert money(micros) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (9_999, "9,999"), (12_300, "12.3k"), (4_500_000, "4.5M")])
def test_counts_are_exact_up_to_ten_thousand(number: int, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.0004, "0.1 %"), (0.271, "27 %"), (0.999, "99.9 %"), (1, "100 %"), (1.5, "150 %")]
)
def test_a_share_is_called_nothing_or_everything_only_when_it_is(share: float, text: str) -> None:
    assert percent(share) == text


def test_every_reason_code_has_words_and_a_group() -> None:
    assert set(REASONS) == set(ReasonCode)
    assert {reason_group(code) for code in ReasonCode} == set(GROUPS)


def test_a_code_of_a_newer_version_is_shown_as_it_is() -> None:
    assert reason_label("quota_of_2030") == "quota_of_2030"
    assert reason_group("quota_of_2030") == "quota_of_2030"


def test_markdown_in_data_is_not_interpreted() -> None:
    assert plain("$5.00 > $4.00 :red[x] **b** [a](http://e)") == (
        r"\$5\.00 \> \$4\.00 \:red\[x\] \*\*b\*\* \[a\]\(http\://e\)"
    )


def test_a_time_of_another_day_names_its_day() -> None:
    assert clock_time(NOW, NOW) == "09:42:10 UTC"
    assert clock_time(NOW - timedelta(days=1), NOW) == "22 Nov 2026, 09:42:10 UTC"


def test_durations_and_plurals_read_as_people_say_them() -> None:
    assert [duration(timedelta(seconds=s)) for s in (-1, 45, 200, 7_300, 200_000)] == [
        "0 s",
        "45 s",
        "3 min",
        "2 h",
        "2 days",
    ]
    assert (plural(1, "call"), plural(2, "call"), plural(2, "budget is", "budgets are")) == (
        "1 call",
        "2 calls",
        "2 budgets are",
    )
