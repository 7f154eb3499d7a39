"""`bursar costs import` on real databases: what is stored, what is compared, what refuses a file."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import select

from bursar import cli
from bursar.costs import importing
from bursar.costs.import_command import import_
from engine.document.load import parse_text
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.tables import audit_log, billed_costs, usage
from tests.support.ledger_copies import LedgerCopies

ROOT = Path(__file__).parents[3]
DOCUMENT = """\
organization: acme
agents:
  coder: {provider: azure_openai, model: gpt-4o, team: team-eng}
  copilot: {provider: copilot_studio}
policies:
  - {policy_id: go, effect: allow}
"""
HEADER = "agent,day,amount\n"
NOV_3, NOV_4 = date(2026, 11, 3), date(2026, 11, 4)
TODAY = date(2026, 11, 25)
UNKNOWN = "ungoverned use: the live document has no such agent"
FOCUS_COLUMNS = (
    "BilledCost", "BillingCurrency", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory", "ChargeClass",
    "ResourceName", "ServiceName", "ProviderName", "Tags",
)  # fmt: skip

tiny = typer.Typer()
tiny.callback()(lambda: None)
tiny.command("import")(import_)

RUN = """
import sys
from tests.integration.bursar.test_costs_import import cli, tiny
cli.app = tiny
cli.main()
"""


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


_ENTRIES = select(audit_log).where(audit_log.c.action != "document.apply").order_by(audit_log.c.entry)


class Office:
    """A folder with bills, and the ledger that the command works on."""

    def __init__(self, folder: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.database = database
        self._patch = monkeypatch
        monkeypatch.setattr(cli, "app", tiny)
        ticks = itertools.count()
        noon = datetime.combine(TODAY, time(12), UTC)
        monkeypatch.setattr(importing, "utc_now", lambda: noon + timedelta(milliseconds=next(ticks)))

    def file(self, text: str | bytes, name: str = "bill.csv") -> str:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def run(self, *arguments: str) -> Answer:
        self._patch.setattr(sys, "argv", ["bursar", "import", *arguments])
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
        return Answer(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    def done(self, *arguments: str) -> Answer:
        answer = self.run(*arguments)
        assert (answer.code, answer.err) == (0, "")
        return answer

    def refused(self, *arguments: str) -> str:
        before = self.stored()
        answer = self.run(*arguments)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("bursar: ")
        assert self.stored() == before
        return answer.err.removeprefix("bursar: ").removesuffix("\n")

    def stored(self) -> tuple[list[Any], list[Any]]:
        """Both tables, with the time of each import."""
        with self.database.read() as connection:
            costs = connection.execute(select(billed_costs).order_by(*billed_costs.primary_key.columns)).all()
            entries = connection.execute(_ENTRIES).all()
        return [tuple(row) for row in costs], [row._asdict() for row in entries]

    def billed(self) -> dict[tuple[str, str, str], int]:
        return {(row[1], row[2], row[3].isoformat()): row[4] for row in self.stored()[0]}

    def spend(
        self, agent_id: str, day: date, spent: int, *, actual: int | None = None, provider: str = "azure_openai"
    ) -> None:
        """The ledger's side of an agent's day: two cells, as of two models."""
        names = ("complexity", "environment", "team_id")
        zeros = (
            "decisions", "estimate_micros", "reserve_micros", "settled", "settled_estimate_micros", "failed",
            "cancelled", "expired",
        )  # fmt: skip
        known = spent if actual is None else actual
        cells = [("gpt-4o", spent // 3, known // 3), ("", spent - spent // 3, known - known // 3)]
        with self.database.write() as connection:
            for model, spent_part, actual_part in cells:
                for grain in ("day", "hour"):
                    connection.execute(
                        usage.insert().values(
                            org_id="acme", grain=grain, bucket=datetime.combine(day, time(), UTC), agent_id=agent_id,
                            provider=provider, model=model, outcome="allowed", reason="allowed",
                            spent_micros=spent_part, actual_micros=actual_part,
                            **dict.fromkeys(names, ""), **dict.fromkeys(zeros, 0),
                        )
                    )  # fmt: skip


@pytest.fixture
def office(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, ledger_copies: LedgerCopies
) -> Iterator[Office]:
    for name in [name for name in os.environ if name.startswith("BURSAR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BURSAR_DATABASE_URL", database_url)
    monkeypatch.setenv("BURSAR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("NO_COLOR", "1")
    ledger_copies.put(database_url, migrate)
    with closing(Database(database_url)) as database:
        publish_document(database, parse_text(DOCUMENT, "test").document, author="test", reason="test")
        yield Office(tmp_path, database, monkeypatch)


OCT_3 = {"ChargePeriodStart": "2026-10-03T00:00:00Z", "ChargePeriodEnd": "2026-10-04T00:00:00Z"}


def focus(*rows: dict[str, str]) -> str:
    usual = {
        "BillingCurrency": "USD",
        "ChargePeriodStart": "2026-11-03T00:00:00Z",
        "ChargePeriodEnd": "2026-11-04T00:00:00Z",
        "ChargeCategory": "Usage",
        "ServiceName": "Azure OpenAI",
        "ProviderName": "Microsoft Azure",
    }
    lines = [",".join(FOCUS_COLUMNS)]
    for row in rows:
        cells = ((usual | row).get(name, "") for name in FOCUS_COLUMNS)
        lines.append(",".join('"' + cell.replace('"', '""') + '"' for cell in cells))
    return "\r\n".join(lines) + "\r\n"


def charge(agent: str, amount: str, **more: str) -> dict[str, str]:
    return {"BilledCost": amount, "Tags": json.dumps({"agent": agent}), **more}


def test_a_bill_is_stored_with_one_audit_entry(office: Office) -> None:
    text = HEADER + "coder,2026-11-03,12.5\ncopilot,2026-11-04,0.25\ncoder,2026-11-03,0.0000015\n"
    path = office.file(text)
    answer = office.done(path, "--reason", "bill of November", "--author", "ada")
    assert answer.out.startswith(
        "acme: bill.csv, source billing: 3 lines, 2 agent-days from 2026-11-03 to 2026-11-04, $12.75\n"
        "Imported: 2 agent-days added, 0 changed, 0 unchanged.\n"
    )
    assert office.billed() == {
        ("billing", "coder", "2026-11-03"): 12_500_002,
        ("billing", "copilot", "2026-11-04"): 250_000,
    }
    (entry,) = office.stored()[1]
    assert {name: entry[name] for name in ("org_id", "author", "action", "subject", "reason")} == {
        "org_id": "acme",
        "author": "ada",
        "action": "costs.import",
        "subject": "billing",
        "reason": "bill of November",
    }
    assert entry["details"] == {
        "file": "bill.csv",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "kind": "simple",
        "rows": 3,
        "days": {"first": "2026-11-03", "last": "2026-11-04", "count": 2},
        "total_usd": "12.750002",
        "added": 2,
        "changed": 0,
        "unchanged": 0,
        "kept": 0,
        "unassigned_usd": "0",
        "left_out": [],
    }


def test_the_same_file_again_changes_nothing(office: Office) -> None:
    path = office.file(HEADER + "coder,2026-11-03,12.5\n")
    office.done(path)
    before = office.stored()
    again = office.done(path, "--reason", "once more")
    assert "Nothing changed: every amount in this file was imported before.\n" in again.out
    # As gzip, in another order and with other words, it is the same bill.
    zipped = office.file(gzip.compress(b"\xef\xbb\xbfday;cost;agent\n2026-11-03;12.50;coder\n"), "bill.csv.gz")
    told = office.done(zipped, "--json").json
    assert told["agent_days"] == {"added": 0, "changed": 0, "unchanged": 1, "kept": 0}
    assert told["sha256"] == hashlib.sha256(Path(zipped).read_bytes()).hexdigest()
    assert office.stored() == before


def test_a_corrected_file_replaces_what_it_has_and_keeps_the_rest(office: Office) -> None:
    office.done(
        office.file(HEADER + "coder,2026-11-03,1\ncopilot,2026-11-03,2\ncoder,2026-11-04,3\ncoder,2026-11-09,4\n")
    )
    first = office.stored()
    answer = office.done(office.file(HEADER + "coder,2026-11-03,1.5\ncoder,2026-11-04,3\nnew_one,2026-11-04,9\n"))
    assert "Imported: 1 agent-day added, 1 changed, 1 unchanged.\n" in answer.out
    assert "1 agent-day that source billing has for these days is not in this file and stays.\n" in answer.out
    assert office.billed() == {
        ("billing", "coder", "2026-11-03"): 1_500_000,
        ("billing", "coder", "2026-11-04"): 3_000_000,
        ("billing", "coder", "2026-11-09"): 4_000_000,
        ("billing", "copilot", "2026-11-03"): 2_000_000,
        ("billing", "new_one", "2026-11-04"): 9_000_000,
    }
    costs, entries = office.stored()
    assert len(set(costs) & set(first[0])) == 3, "what stays the same keeps the time of its import"
    assert [(entry["details"]["added"], entry["details"]["changed"]) for entry in entries] == [(4, 0), (1, 1)]
    assert entries[-1]["reason"] == "bill.csv imported"
    # What was kept is still billed, so it takes part in the comparison.
    assert " $15.50 was billed for days before the ledger's first day.\n" in answer.out


def test_a_focus_file_goes_to_the_agents_of_its_tags(office: Office) -> None:
    path = office.file(
        focus(
            charge("coder", "10"),
            charge("coder", "-1", ChargeClass="Correction"),
            {"BilledCost": "2", "ResourceName": "copilot"},
            {"BilledCost": "3", "ResourceName": "somebody", "ServiceName": "Bing Search"},
            {"BilledCost": "4", "ServiceName": "Bing Search"},
            charge("coder", "500", ChargeCategory="Purchase"),
            charge("coder", "0.7", ChargeCategory="Tax"),
        ),
        "focus.csv",
    )
    answer = office.done(path)
    assert office.billed() == {
        ("microsoft-azure", "coder", "2026-11-03"): 9_000_000,
        ("microsoft-azure", "copilot", "2026-11-03"): 2_000_000,
    }
    assert "Usage of no agent: Bing Search $7.00 (2 lines). A tag `agent` says whose it is.\n" in answer.out
    assert "Not usage, left out: Purchase $500.00 (1 line), Tax $0.70 (1 line).\n" in answer.out
    (entry,) = office.stored()[1]
    assert (entry["subject"], entry["details"]["unassigned_usd"]) == ("microsoft-azure", "7")
    assert entry["details"]["left_out"][0] == {"category": "Purchase", "rows": 1, "amount_usd": "500"}


def test_a_monthly_charge_is_spread_over_its_days_and_a_monthly_purchase_is_not(office: Office) -> None:
    month = {"ChargePeriodStart": "2026-09-01T00:00:00Z", "ChargePeriodEnd": "2026-10-01T00:00:00Z"}
    path = office.file(
        focus(charge("coder", "100", **month), charge("copilot", "9", ChargeCategory="Purchase", **month))
    )
    told = office.done(path, "--json").json
    billed = office.billed()
    assert {agent for _, agent, _ in billed} == {"coder"}
    assert (len(billed), sum(billed.values())) == (30, 100_000_000)
    assert sorted(set(billed.values())) == [3_333_333, 3_333_334]
    assert told["left_out"] == [{"category": "Purchase", "rows": 1, "amount_usd": "9"}]
    assert told["days"] == {"first": "2026-09-01", "last": "2026-09-30", "count": 30}


def test_the_bill_is_compared_with_the_ledger(office: Office) -> None:
    office.spend("coder", NOV_3, 10_000_000)
    office.spend("copilot", NOV_3, 2_000_000, actual=1_500_000)
    office.spend("unbilled", NOV_3, 3_000_000)
    office.spend("coder", date(2026, 11, 5), 99_000_000)
    office.spend("coder", TODAY, 1_000_000)
    lines = "coder,2026-11-03,10.1\ncopilot,2026-11-03,1.5\nunknown,2026-11-03,4\n"
    answer = office.done(office.file(HEADER + lines))
    headline, *tables = answer.out.splitlines()[3:]
    assert headline == (
        "Bill $15.60, ledger $15.00: $0.60 (4.0 %) more was billed than recorded; 3 agent-days differ by more than "
        "1 %. $100.00 of 2026-11-05 to 2026-11-25 is not billed yet."
    )
    assert tables == [
        "",
        "  day         agent     billed  ledger  difference",
        f"  2026-11-03  unknown    $4.00   $0.00      +$4.00{' ' * 12}{UNKNOWN}",
        "  2026-11-03  unbilled   $0.00   $3.00      -$3.00  -100.0 %  not in the bill",
        "  2026-11-03  copilot    $1.50   $2.00      -$0.50   -25.0 %  drift",
        "",
        "  agent     billed  ledger  difference",
        "  unknown    $4.00   $0.00      +$4.00            1 of 1 day different",
        "  unbilled   $0.00   $3.00      -$3.00  -100.0 %  1 of 1 day different",
        "  copilot    $1.50   $2.00      -$0.50   -25.0 %  1 of 1 day different",
        "  coder     $10.10  $10.00      +$0.10    +1.0 %",
    ]
    result = office.done(str(office.folder / "bill.csv"), "--json").json["reconciliation"]
    assert result["counts"] == {
        "matched": 1, "drift": 1, "missing_in_ledger": 0, "unknown_agent": 1, "missing_in_bill": 1,
        "not_billed_yet": 0, "before_ledger": 0,
    }  # fmt: skip
    assert (result["billed_usd"], result["ledger_usd"], result["ledger_actual_usd"]) == ("15.6", "15", "14.5")
    assert [each["agent"] for each in result["agent_days"]] == ["unknown", "unbilled", "copilot", "coder"]


def test_what_was_spent_yesterday_and_today_is_not_billed_yet(office: Office) -> None:
    for back, spent in ((0, 200_000_000), (1, 44_190_000), (3, 1_000_000)):
        office.spend("coder", TODAY - timedelta(days=back), spent)
    lines = "".join(f"coder,{TODAY - timedelta(days=back)},{amount}\n" for back, amount in ((3, 1), (1, 0)))
    path = office.file(HEADER + lines)
    assert (
        "Bill $1.00, ledger $1.00: no difference; every other agent-day matches. "
        "$244.19 of yesterday and today is not billed yet.\n"
    ) in office.done(path).out
    told = office.done(path, "--json").json["reconciliation"]
    assert (told["counts"]["not_billed_yet"], told["counts"]["missing_in_bill"]) == (1, 0)
    assert told["not_billed_yet"] == {
        "ledger_usd": "244.19",
        "days": {"first": "2026-11-24", "last": "2026-11-25", "count": 2},
    }
    assert (told["ledger_usd"], told["difference_usd"]) == ("1", "0")


def test_days_that_a_bill_has_already_are_not_said_to_be_not_billed_yet(office: Office) -> None:
    for day in (3, 4, 5, 6):
        office.spend("coder", date(2026, 11, day), 1_000_000)
        office.spend("copilot", date(2026, 11, day), 10_000_000)
    # Days up to the last of the same source, and agents' days of another one, are billed.
    office.done(office.file(HEADER + "coder,2026-11-05,1\n"))
    office.done(office.file(HEADER + "copilot,2026-11-06,10\n"), "--source", "other")
    told = office.done(office.file(HEADER + "coder,2026-11-03,1\n"), "--json").json["reconciliation"]
    assert told["not_billed_yet"]["ledger_usd"] == "1"


def focus_of_coder(office: Office) -> str:
    office.spend("coder", NOV_3, 10_000_000)
    office.spend("other_coder", NOV_3, 3_000_000)
    office.spend("copilot", NOV_3, 232_190_000, provider="copilot_studio")
    return office.file(focus(charge("coder", "10")))


def test_a_focus_bill_is_compared_with_agents_of_the_providers_it_names(office: Office) -> None:
    path = focus_of_coder(office)
    answer = office.done(path)
    assert "\nBill $10.00, ledger $13.00: $3.00 (23.1 %) less was billed than recorded; " in answer.out
    assert (
        "Not compared: $232.19 of copilot_studio agents; "
        "--provider azure_openai --provider copilot_studio compares them too.\n"
    ) in answer.out
    assert "  copilot " not in answer.out
    told = office.done(path, "--json").json["reconciliation"]
    assert told["providers"] == ["azure_openai"]
    assert told["not_compared"] == [{"provider": "copilot_studio", "ledger_usd": "232.19"}]


def test_the_providers_may_be_chosen(office: Office) -> None:
    path = focus_of_coder(office)
    both = office.done(path, "--provider", "azure_openai", "--provider", "copilot_studio").out
    assert "\nBill $10.00, ledger $245.19: " in both
    assert "Not compared" not in both
    # An agent that the bill names is compared whatever is chosen.
    one = office.done(path, "--provider", "copilot_studio").out
    assert "\nBill $10.00, ledger $242.19: " in one
    assert "Not compared: $3.00 of azure_openai agents; " in one
    simple = office.file(HEADER + "coder,2026-11-03,10\n", "simple.csv")
    assert "ledger $245.19: " in office.done(simple, "--dry-run").out
    assert "ledger $13.00: " in office.done(simple, "--dry-run", "--provider", "azure_openai").out
    assert office.refused(path, "--provider", "opnai") == (
        "--provider: no agent of the ledger or the document has 'opnai'; they have azure_openai, copilot_studio"
    )


def test_what_others_billed_agents_that_are_not_compared_is_left_out(office: Office) -> None:
    path = focus_of_coder(office)
    office.done(office.file(HEADER + "copilot,2026-11-03,200\n", "copilot.csv"), "--source", "microsoft")
    answer = office.done(path)
    assert "\nBill $10.00, ledger $13.00: " in answer.out
    assert "other sources" not in answer.out


def test_an_agent_without_calls_is_of_its_documents_provider(office: Office) -> None:
    office.spend("coder", NOV_4, 1)
    office.spend("other_copilot", NOV_3, 2_000_000, provider="copilot_studio")
    told = office.done(office.file(focus(charge("copilot", "5"))), "--json").json["reconciliation"]
    assert told["providers"] == ["copilot_studio"]
    assert told["ledger_usd"] == "2"


def test_ungoverned_use_says_whether_the_agent_is_known(office: Office) -> None:
    office.spend("copilot", NOV_3, 1)
    lines = "coder,2026-11-03,3\nstranger,2026-11-03,2\ncoder,2026-11-02,1\n"
    answer = office.done(office.file(HEADER + lines))
    table = [line.split("  ") for line in answer.out.splitlines() if line.startswith("  2026")]
    assert [(row[1], row[2].strip(), row[-1].strip()) for row in table] == [
        ("2026-11-03", "coder", "ungoverned use: no call with a cost was recorded that day"),
        ("2026-11-03", "stranger", UNKNOWN),
        ("2026-11-02", "coder", "before the ledger's first day"),
    ]
    assert " $1.00 was billed for days before the ledger's first day, 2026-11-03.\n" in answer.out


def test_a_day_in_the_future_refuses_the_file(office: Office) -> None:
    said = office.refused(office.file(HEADER + "coder,2026-11-25,1\ncoder,2026-11-26,1\n"))
    assert said == (
        "bill.csv: nothing was imported: line 3: day: must not be in the future, got '2026-11-26' and today is "
        "2026-11-25 (UTC); correct it, or import it when it is over"
    )


def test_the_same_file_as_another_source_is_refused_unless_asked_for(office: Office) -> None:
    path = office.file(HEADER + "coder,2026-11-03,1\n")
    office.done(path, "--source", "azure")
    for dry in ([], ["--dry-run"]):
        assert office.refused(path, "--source", "openai", *dry) == (
            "bill.csv: nothing was imported: this file is kept as source azure already and would be counted twice; "
            "--again keeps it as source openai too"
        )
    said = "This file is kept as source azure too, so its amounts count more than once.\n"
    assert said in office.done(path, "--source", "openai", "--again").out
    # What changes nothing needs no permission.
    assert said in office.done(path, "--source", "openai").out
    assert office.done(path, "--source", "azure", "--json").json["also_imported_as"] == ["openai"]


def test_the_help_says_what_becomes_of_lines_and_whom_a_bill_is_compared_with(office: Office) -> None:
    said = " ".join(office.done("--help").out.split())
    assert "Several lines of one agent and day are summed." in said
    assert "--provider" in said
    assert "--again" in said


def test_sources_are_kept_apart_and_compared_together(office: Office) -> None:
    office.spend("coder", NOV_3, 3_000_000)
    path = office.file(HEADER + "coder,2026-11-03,1\n")
    office.done(path, "--source", "azure")
    answer = office.done(path, "--source", "openai", "--again")
    assert "Billed for these days by other sources too: azure $1.00.\n" in answer.out
    assert "Bill $2.00, ledger $3.00" in answer.out
    assert office.billed() == {
        ("azure", "coder", "2026-11-03"): 1_000_000,
        ("openai", "coder", "2026-11-03"): 1_000_000,
    }


def test_a_dry_run_says_the_same_and_writes_nothing(office: Office) -> None:
    office.spend("coder", NOV_3, 3_000_000)
    path = office.file(HEADER + "coder,2026-11-03,1\ncopilot,2026-11-04,1\n")
    before = office.stored()
    dry = office.done(path, "--dry-run")
    assert "Dry run, nothing is written; an import would have 2 agent-days added, 0 changed, 0 unchanged.\n" in dry.out
    told = office.done(path, "--dry-run", "--json").json
    assert office.stored() == before == ([], [])
    really = office.done(path, "--json").json
    assert (told.pop("dry_run"), really.pop("dry_run")) == (True, False)
    assert told == really


def test_a_bad_line_at_the_end_of_a_long_file_writes_nothing(office: Office) -> None:
    office.done(office.file(HEADER + "coder,2026-11-03,1\n"))
    lines = "".join(f"agent-{number % 500},2026-09-{number % 30 + 1:02},1.25\n" for number in range(120_000))
    said = office.refused(office.file(f"{HEADER}{lines}coder,2026-11-31,1\n"))
    assert said == (
        "bill.csv: nothing was imported: line 120,002: day: must be a day such as 2026-11-03, got '2026-11-31'"
    )


def test_corrections_of_an_earlier_bill_do_not_take_its_place(office: Office) -> None:
    office.done(office.file(focus(charge("coder", "10", **OCT_3), charge("copilot", "5", **OCT_3))))
    later = office.file(
        focus(charge("coder", "-4", ChargeClass="Correction", **OCT_3), charge("coder", "7")), "november.csv"
    )
    for dry in ([], ["--dry-run"]):
        assert office.refused(later, *dry) == (
            "november.csv: nothing was imported: it has nothing but corrections for 1 of the agent-days that source "
            "microsoft-azure has already, such as coder on 2026-10-03, and would replace what they correct; give this "
            "bill a source of its own, such as --source microsoft-azure-2026-11"
        )
    office.spend("coder", date(2026, 10, 1), 1)
    told = office.done(later, "--source", "microsoft-azure-2026-11", "--json").json
    assert told["reconciliation"]["billed_usd"] == "13"
    office.done(later, "--source", "microsoft-azure-2026-11")


def test_files_that_cannot_be_read_are_refused_in_one_sentence(office: Office, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert office.refused(str(folder)) == f"{folder}: cannot be read: it is a directory, not a file"
    assert (
        office.refused(str(tmp_path / "pipe")) == f"{tmp_path}/pipe: cannot be read: it is a pipe or device, not a file"
    )
    assert office.refused(str(tmp_path / "none")) == f"{tmp_path}/none: cannot be read: No such file or directory"
    begin = "bill.csv: nothing was imported: "
    for content, said in (
        (b"", "the file is empty"),
        (HEADER.encode() + b"c\xf6der,2026-11-03,1\n", "line 2 is not UTF-8 text; save the file as CSV UTF-8"),
        (HEADER.encode("utf-16"), "line 1 is not UTF-8 text; save the file as CSV UTF-8"),
        (HEADER.encode() + b"x" * 1_000_001, "line 2 is longer than 1 MB; is this a CSV file?"),
        (gzip.compress(HEADER.encode() * 9)[:-12], "is a damaged gzip file; get it again"),
        (b"\x1f\x8b\x08\x00nonsense", "is a damaged gzip file; get it again"),
        (gzip.compress(b""), "the file is empty"),
    ):
        assert office.refused(office.file(content)) == begin + said


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_refused(office: Office) -> None:
    path = Path(office.file(HEADER))
    path.chmod(0)
    assert office.refused(str(path)).endswith("bill.csv: cannot be read: Permission denied")


def test_options_that_cannot_be_used_are_refused(office: Office) -> None:
    path = office.file(HEADER + "coder,2026-11-03,1\n")
    assert office.refused(path, "--source", "my source").startswith("--source: must be 1 to 128 letters")
    assert office.refused(path, "--reason", " ") == "--reason: must not be empty"
    assert office.refused(path, "--author", "a\nb").startswith("--author: must be one line")
    assert office.refused(path, "--org", "beta") == "--org: 'beta' is not in this ledger, which has acme"
    assert office.refused(path, "--cost-column", "ListCost") == (
        "--cost-column: must be BilledCost or EffectiveCost, got 'ListCost'"
    )
    several = office.file(focus(charge("coder", "1"), charge("coder", "1", ProviderName="OpenAI")), "two.csv")
    assert office.refused(several) == (
        "two.csv: is of Microsoft Azure, OpenAI; say with --source under which name it is kept"
    )
    assert office.done(several, "--source", "both").code == 0


def test_a_file_without_an_agent_is_told_and_stores_nothing(office: Office) -> None:
    office.spend("coder", NOV_3, 3_000_000)
    answer = office.done(office.file(focus({"BilledCost": "3"})))
    assert "Nothing to import: no usage in this file belongs to an agent.\n" in answer.out
    assert "Nothing to compare: " in answer.out
    assert "Not compared: $3.00 of azure_openai agents; --provider azure_openai compares them too.\n" in answer.out
    assert office.stored() == ([], [])


@pytest.mark.parametrize("moment", ["read_file", "recorded_spend", "record_audit"])
def test_ctrl_c_leaves_nothing_behind(office: Office, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    office.done(office.file(HEADER + "coder,2026-11-03,1\n"))
    before = office.stored()

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importing, moment, interrupted)
    answer = office.run(office.file(HEADER + "coder,2026-11-03,2\n"))
    assert (answer.code, answer.out) == (130, "")
    assert office.stored() == before


def test_of_several_who_import_the_same_at_once_one_does(office: Office) -> None:
    lines = "".join(f"agent-{number},2025-11-{day:02},1.25\n" for number in range(100) for day in range(1, 21))
    path = office.file(HEADER + lines)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, "import", path, "--json"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    told = []
    for process in started:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        told.append(json.loads(out)["agent_days"])
    assert sorted(each["added"] for each in told) == [0, 0, 0, 2_000]
    assert sorted(each["unchanged"] for each in told) == [0, 2_000, 2_000, 2_000]
    costs, entries = office.stored()
    assert (len(costs), len(entries)) == (2_000, 1)
