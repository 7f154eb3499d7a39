"""What an import says: for people in lines, for machines as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from engine.pricing.billing.lines import headline, report_lines
from engine.pricing.billing.reconciling import Recorded, reconcile
from engine.pricing.billing.report import ImportReport, Stored, report_json
from engine.pricing.billing.scope import Scope
from engine.pricing.billing.tally import Bill, Portion
from engine.pricing.billing.verdicts import Known

TODAY = date(2026, 11, 25)
DAY = date(2026, 11, 3)
USD = 1_000_000
KNOWN = Known(TODAY, date(2026, 11, 1), DAY, {"a"})


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
                "Nothing to compare: for these days and agents there is no amount that both sides can have. "
                "$1.00 of today is not billed yet."
            ),
        ),
    ],
)
def test_the_headline_says_it_in_one_sentence(billed: int, spent: int, day: date, said: str) -> None:
    result = reconcile({"a": {day: billed}}, {"a": {day: Recorded(spent, spent)}}, days=[day], known=KNOWN)
    assert headline(result) == said


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ([25], "$1.00 of today"),
        ([24], "$1.00 of yesterday"),
        ([24, 25], "$2.00 of yesterday and today"),
        ([20], "$1.00 of 2026-11-20"),
        ([20, 25], "$2.00 of 2026-11-20 to 2026-11-25"),
    ],
)
def test_what_is_not_billed_yet_is_said_after_the_difference(days: list[int], said: str) -> None:
    spent = {date(2026, 11, day): Recorded(USD, USD) for day in days}
    recorded = {"a": {DAY: Recorded(2 * USD, 2 * USD), **spent}}
    result = reconcile({"a": {DAY: 2 * USD}}, recorded, days=[DAY], known=KNOWN)
    assert headline(result) == (
        f"Bill $2.00, ledger $2.00: no difference; every other agent-day matches. {said} is not billed yet."
    )


def test_what_was_billed_before_the_ledgers_first_day_is_said_after_the_difference() -> None:
    before = date(2026, 10, 31)
    result = reconcile(
        {"a": {before: 5 * USD, DAY: USD}}, {"a": {DAY: Recorded(USD, USD)}}, days=[before, DAY], known=KNOWN
    )
    assert headline(result) == (
        "Bill $1.00, ledger $1.00: no difference; every other agent-day matches. "
        "$5.00 was billed for days before the ledger's first day, 2026-11-01."
    )
    empty = Known(TODAY, None, DAY, {"a"})
    assert headline(reconcile({"a": {DAY: USD}}, {}, days=[DAY], known=empty)).endswith(
        " $1.00 was billed for days before the ledger's first day."
    )


def test_small_amounts_in_tables_have_two_digits() -> None:
    amounts = {"a": {DAY: 20_123_456, date(2026, 11, 4): 12_345}}
    result = reconcile(amounts, {}, days=[DAY, date(2026, 11, 4)], known=KNOWN)
    lines = report_lines(replace(report(0), reconciliation=result))
    assert [line.split()[2:5] for line in lines if line.startswith("  2026")] == [
        ["$20.12", "$0.00", "+$20.12"],
        ["$0.012", "$0.00", "+$0.012"],
    ]


def test_what_one_side_cannot_have_is_below_what_differs() -> None:
    before = date(2026, 10, 31)
    result = reconcile({"a": {before: 50 * USD, DAY: USD}}, {}, days=[before, DAY], known=KNOWN)
    lines = report_lines(replace(report(0), reconciliation=result))
    assert [line.split("  ")[-1].strip() for line in lines if line.startswith("  2026")] == [
        "ungoverned use: no call with a cost was recorded that day",
        "before the ledger's first day",
    ]


def test_agents_that_are_not_compared_are_never_silently_left_out() -> None:
    scope = Scope(frozenset(), frozenset({"openai"}), {"copilot_studio": 232_190_000, "webhook": 5_000})
    said = (
        "Not compared: $232.19 of copilot_studio agents, $0.005 of webhook agents; "
        "--provider openai --provider copilot_studio --provider webhook compares them too."
    )
    assert said in report_lines(report(1, scope=scope))
    (line,) = [
        line
        for line in report_lines(report(1, scope=replace(scope, left_out={f"p{n}": n + 1 for n in range(8)})))
        if line.startswith("Not compared")
    ]
    assert line.endswith("of p3 agents and 3 more; --provider compares them too.")
    nameless = report_lines(report(1, scope=Scope(frozenset(), frozenset(), {"": USD})))
    assert "Not compared: $1.00 of agents without a provider." in nameless
    told = report_json(report(1, scope=scope))["reconciliation"]
    assert told["providers"] == ["openai"]
    assert told["not_compared"][0] == {"provider": "copilot_studio", "ledger_usd": "232.19"}


def test_a_file_that_another_source_has_is_said_to_count_more_than_once() -> None:
    told = report(1, also_as=("azure",))
    assert "This file is kept as source azure too, so its amounts count more than once." in report_lines(told)
    assert report_json(told)["also_imported_as"] == ["azure"]


def report(
    agents: int, *, stored: Stored | None = None, scope: Scope | None = None, also_as: tuple[str, ...] = ()
) -> ImportReport:
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
        scope=scope or Scope(frozenset(amounts)),
        also_as=also_as,
        sources={"microsoft": bill.total_micros, "openai": USD},
        reconciliation=reconcile(amounts, {}, days=[DAY], known=KNOWN),
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
    assert table[0] == (
        "  2026-11-03  agent-22  $23.00   $0.00     +$23.00    ungoverned use: the live document has no such agent"
    )
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
        "verdict": "unknown_agent",
    }
    assert result["counts"]["unknown_agent"] == 23
    assert told["sources"] == {"microsoft": "276", "openai": "1"}
    assert told["left_out"] == [{"category": "Tax", "rows": 2, "amount_usd": "0.3"}]


def test_nothing_new_is_said_as_such() -> None:
    assert report_lines(report(2, stored=Stored(0, 0, 2, 0)))[1] == (
        "Nothing changed: every amount in this file was imported before."
    )
    assert report_lines(report(0, stored=Stored(0, 0, 0, 0)))[1] == (
        "Nothing to import: no usage in this file belongs to an agent."
    )
