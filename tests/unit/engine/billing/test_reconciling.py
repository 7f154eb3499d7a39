"""The bill beside the ledger: what is the same, what differs, what is missing, and how it is told."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest

from engine.pricing.billing.reconciling import Recorded, Verdict, judge, percent_of, reconcile
from engine.pricing.billing.report import ImportReport, Stored, headline, report_json, report_lines
from engine.pricing.billing.tally import Bill, Portion

TODAY = date(2026, 11, 25)
DAY = date(2026, 11, 3)
USD = 1_000_000


@pytest.mark.parametrize(
    ("billed", "spent", "day", "verdict"),
    [
        (0, 0, DAY, "matched"),
        (10_000, 0, DAY, "matched"),
        (0, 10_000, DAY, "matched"),
        (10_001, 0, DAY, "missing_in_ledger"),
        (-10_001, 0, DAY, "drift"),
        (0, 10_001, DAY, "missing_in_bill"),
        (0, 10_001, date(2026, 11, 23), "missing_in_bill"),
        (0, 10_001, date(2026, 11, 24), "not_billed_yet"),
        (0, 10_001, TODAY, "not_billed_yet"),
        (101 * USD, 100 * USD, DAY, "matched"),
        (101 * USD + 1, 100 * USD, DAY, "drift"),
        (99 * USD, 100 * USD, DAY, "matched"),
        (99 * USD - 1, 100 * USD, TODAY, "drift"),
        (510_000, 500_000, DAY, "matched"),
        (510_001, 500_000, DAY, "drift"),
    ],
)
def test_a_cent_or_one_percent_is_no_difference(billed: int, spent: int, day: date, verdict: str) -> None:
    assert judge(billed, spent, day, TODAY) is Verdict(verdict)


def test_every_agent_of_either_side_is_compared_on_the_days_of_the_bill_and_no_others() -> None:
    other = date(2026, 11, 4)
    result = reconcile(
        {"a": {DAY: 2 * USD}, "b": {DAY: 5 * USD}},
        {
            "a": {DAY: Recorded(USD, 900_000), other: Recorded(9 * USD, 0)},
            "c": {DAY: Recorded(3 * USD, 3 * USD)},
            "denied": {DAY: Recorded(0, 0)},
        },
        days=[DAY],
        today=TODAY,
    )
    assert [(each.agent_id, each.difference_micros, each.verdict.value) for each in result.agent_days] == [
        ("b", 5 * USD, "missing_in_ledger"),
        ("c", -3 * USD, "missing_in_bill"),
        ("a", USD, "drift"),
    ]
    assert [(each.agent_id, each.days, each.different) for each in result.agents] == [
        ("b", 1, 1),
        ("c", 1, 1),
        ("a", 1, 1),
    ]
    assert (result.billed_micros, result.spent_micros, result.actual_micros) == (7 * USD, 4 * USD, 3_900_000)


def test_percents_are_of_what_the_ledger_has() -> None:
    assert percent_of(6_090_000, 1_198_020_000) == Decimal("0.51")
    assert percent_of(-1, 3) == Decimal("-33.33")
    assert percent_of(1, 0) is None


@pytest.mark.parametrize(
    ("billed", "spent", "day", "said"),
    [
        (
            1_204_110_000,
            1_198_020_000,
            DAY,
            "Bill $1,204.11, ledger $1,198.02: $6.09 (0.5 %) more was billed than recorded; every agent-day matches.",
        ),
        (
            USD,
            2 * USD,
            DAY,
            (
                "Bill $1.00, ledger $2.00: $1.00 (50.0 %) less was billed than recorded; 1 agent-day differs by more "
                "than 1 %."
            ),
        ),
        (USD, USD, DAY, "Bill $1.00, ledger $1.00: no difference; every agent-day matches."),
        (
            USD,
            0,
            DAY,
            "Bill $1.00, ledger $0.00: $1.00 more was billed than recorded; 1 agent-day differs by more than 1 %.",
        ),
        (
            0,
            USD,
            TODAY,
            (
                "Bill $0.00, ledger $1.00: $1.00 (100.0 %) less was billed than recorded; "
                "every other agent-day matches; $1.00 is not billed yet."
            ),
        ),
    ],
)
def test_the_headline_says_it_in_one_sentence(billed: int, spent: int, day: date, said: str) -> None:
    result = reconcile({"a": {day: billed}}, {"a": {day: Recorded(spent, spent)}}, days=[day], today=TODAY)
    assert headline(result) == said


def report(agents: int, *, stored: Stored | None = None) -> ImportReport:
    amounts = {f"agent-{number}": {DAY: (number + 1) * USD} for number in range(agents)}
    bill = Bill(
        kind="focus",
        rows=agents,
        amounts=amounts,  # type: ignore[arg-type]
        days=frozenset([DAY]),
        unassigned={f"service {number}": Portion(1, Decimal(number)) for number in range(7)},
        left_out={"Tax": Portion(2, Decimal("0.30"))},
    )
    return ImportReport(
        org_id="acme",
        source="microsoft",
        file="f.csv",
        sha256="00",
        dry_run=False,
        bill=bill,
        stored=stored or Stored(agents, 0, 0, 1),
        sources={"microsoft": bill.total_micros, "openai": USD},
        reconciliation=reconcile(amounts, {}, days=[DAY], today=TODAY),
    )


def test_people_see_the_worst_first_and_how_much_more_there_is() -> None:
    lines = report_lines(report(23))
    assert lines[:6] == [
        "acme: f.csv, source microsoft: 23 lines, 23 agent-days on 2026-11-03, $276.00",
        "Imported: 23 agent-days added, 0 changed, 0 unchanged.",
        "1 agent-day that source microsoft has for these days is not in this file and stays.",
        (
            "Usage of no agent: service 6 $6.00 (1 line), service 5 $5.00 (1 line), service 4 $4.00 (1 line), "
            "service 3 $3.00 (1 line), service 2 $2.00 (1 line) and 2 more. A tag `agent` says whose it is."
        ),
        "Not usage, left out: Tax $0.30 (2 lines).",
        "Billed for these days by other sources too: openai $1.00.",
    ]
    table = [line for line in lines if line.startswith("  2026-11-03")]
    assert len(table) == 20
    assert table[0] == "  2026-11-03  agent-22  $23.00   $0.00     +$23.00    not in the ledger: ungoverned use"
    assert "... and 3 more; --json has all" in lines
    assert lines[-1] == "... and 3 more agents; --json has all"


def test_json_has_all_with_amounts_as_text() -> None:
    told = json.loads(json.dumps(report_json(report(23))))
    result = told["reconciliation"]
    assert len(result["agent_days"]) == len(result["agents"]) == 23
    assert result["agent_days"][0] == {
        "agent": "agent-22",
        "day": "2026-11-03",
        "billed_usd": "23",
        "ledger_usd": "0",
        "ledger_actual_usd": "0",
        "difference_usd": "23",
        "difference_percent": None,
        "verdict": "missing_in_ledger",
    }
    assert result["counts"]["missing_in_ledger"] == 23
    assert told["sources"] == {"microsoft": "276", "openai": "1"}
    assert told["left_out"] == [{"category": "Tax", "rows": 2, "amount_usd": "0.3"}]


def test_nothing_new_is_said_as_such() -> None:
    assert report_lines(report(2, stored=Stored(0, 0, 2, 0)))[1] == (
        "Nothing changed: every amount in this file was imported before."
    )
    assert report_lines(report(0, stored=Stored(0, 0, 0, 0)))[1] == (
        "Nothing to import: no usage in this file belongs to an agent."
    )
