"""The commands around the price book, as a person and a pipeline use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bursar.prices.commands import prices_app
from engine.document.store import live_document
from engine.errors import InvalidValue
from engine.ledger.audit import audit_entries
from engine.ledger.database import Database
from engine.ledger.price_books import live_book, publish_book
from tests.integration.bursar.test_governing import Office, Terminal, refused
from tests.support.ledger_copies import LedgerCopies

DOCUMENT = """\
organization: acme
agents:
  coder: {provider: azure_openai, model: gpt-4o}
  copilot: {provider: copilot_studio}
  lost: {provider: openai}
budgets:
  - {id: org, per: org, monthly_budget_usd: 5000}
policies:
  - {policy_id: go, effect: allow}
prices:
  copilot_credits: {plan: prepaid, discount: 0.12}
  overrides:
    - {provider: azure_openai, model: gpt-4o, terms: [data_zone]}
    - {agent: copilot, buffer: 0.5, source: contract 17}
"""
HOW = ("--source", "price list of May", "--reason", "cheaper now", "--author", "ada")


@pytest.fixture
def empty(bursar: Any) -> Office:
    """A folder without a ledger."""
    office = Office(bursar)
    office.file.write_text(DOCUMENT)
    return office


@pytest.fixture
def office(empty: Office, ledger_copies: LedgerCopies) -> Office:
    empty.begin(ledger_copies)
    return empty


def ledger(office: Office) -> Database:
    return Database(f"sqlite:///{office.bursar.folder / '.bursar' / 'ledger.db'}")


def audited(office: Office) -> list[Any]:
    with closing(ledger(office)) as database, database.read() as connection:
        return [entry for entry in audit_entries(connection, "acme") if entry.action != "document.apply"]


@pytest.mark.parametrize("command", ["show", "diff", "set", "import", "history", "rollback"])
def test_every_command_has_help_with_an_example(empty: Office, command: str) -> None:
    done = empty.run("prices", command, "--help")
    assert done.returncode == 0
    assert f"Example: bursar prices {command}" in done.stdout


def test_without_a_ledger_the_shipped_book_is_shown_and_nothing_is_created(empty: Office) -> None:
    shown = empty.run("prices", "show")
    assert shown.returncode == 0
    assert shown.stdout.startswith("No ledger yet: this is the price book that Bursar ships (2026-11-01, version 0)\n")
    assert "copilot_studio     any                5 credits" in shown.stdout
    told = json.loads(empty.run("prices", "show", "--json").stdout)
    assert (told["organization"], told["version"], told["buffer"]) == (None, 0, "0.2")
    compared = empty.run("prices", "diff", "--from", "genai-prices", "--model", "gpt-4o")
    assert compared.returncode == 0
    assert "~ openai gpt-4o from " in compared.stdout
    assert "cached input $2.50 (as input) -> $1.25 (-50 %)" in compared.stdout
    assert empty.run("prices", "import", "--dry-run").returncode == 0
    for command in (["set", "--buffer", "0.3", "--reason", "r"], ["import"], ["history"], ["diff"]):
        refused(empty.run("prices", *command), 2, "has no ledger yet; `bursar apply FILE` makes one")
    refused(empty.run("prices", "show", "--agent", "coder"), 2, "--agent: needs a governance document")
    refused(empty.run("prices", "show", "--version", "3"), 2, "no version 3")
    refused(empty.run("prices", "show", "--org", "acme"), 2, "--org: 'acme' is not known here")
    assert empty.bursar.left_behind() == set()


def test_a_price_is_set_shown_compared_and_recorded(office: Office) -> None:
    done = office.run("prices", "set", "openai", "gpt-4o", "--input", "2", "--effective-from", "2026-11-20", *HOW)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "acme: version 1 of the price book will be made from the price book that Bursar ships:\n"
        "  ~ openai gpt-4o from 2026-11-20: input $2.50 -> $2.00 (-20 %)\n"
        "Version 1 of the price book of acme is made.\n"
        "Running services take it up within 60 s.\n"
    )
    row = json.loads(office.run("prices", "show", "--provider", "openai", "--model", "gpt-4o", "--json").stdout)
    assert row["label"] == "v1"
    assert [(each["input_usd_per_million"], each["output_usd_per_million"]) for each in row["prices"]] == [("2", "10")]
    # Before that day, and of the version before it, the old price is shown.
    for options in (("--at", "2026-11-19"), ("--version", "0")):
        old = office.run("prices", "show", "--model", "gpt-4o", "--provider", "openai", *options).stdout
        assert " $2.50 " in old
        assert " $2.00 " not in old
    every = office.run("prices", "show", "--all", "--model", "gpt-4o", "--provider", "openai").stdout
    assert "2026-11-01, past" in every
    again = office.run("prices", "set", "openai", "gpt-4o", "--input", "2.00", *HOW)
    assert (again.returncode, again.stdout) == (0, "acme: no change; version 1 of the price book says the same\n")
    assert "~ openai gpt-4o from 2026-11-20: input $2.50 -> $2.00 (-20 %)" in office.run("prices", "diff").stdout
    assert office.run("prices", "diff").stdout == office.run("prices", "diff", "0").stdout
    assert "say the same" in office.run("prices", "diff", "1", "1").stdout
    told = json.loads(office.run("prices", "diff", "1", "0", "--json").stdout)
    assert (told["from"], told["to"], [each["kind"] for each in told["changes"]]) == (1, 0, ["removed"])
    refused(office.run("prices", "diff", "7"), 2, "has no version 7")
    history = office.run("prices", "history").stdout
    assert history.endswith(" UTC  ada  set  cheaper now  (live)\n")
    told = json.loads(office.run("prices", "history", "--json").stdout)
    assert [(each["version"], each["live"], each["author"], each["action"]) for each in told] == [
        (1, True, "ada", "set")
    ]
    (entry,) = audited(office)
    assert (entry.author, entry.reason, entry.action, entry.subject) == ("ada", "cheaper now", "prices.set", "v1")
    assert entry.details["changes"] == ["openai gpt-4o from 2026-11-20: input $2.50 -> $2.00 (-20 %)"]


def test_a_price_of_next_month_waits_and_is_announced(office: Office) -> None:
    future = ("--effective-from", "2126-12-01")
    assert office.run("prices", "set", "openai", "gpt-4o", "--input", "1", *future, *HOW).returncode == 0
    now = office.run("prices", "set", "openai", "gpt-4o", "--input", "2", *HOW)
    assert "! openai gpt-4o: the row from 2126-12-01 (price list of May) stays, and holds from then on" in now.stdout
    assert "from 2126-12-01" not in office.run("prices", "show").stdout
    assert "from 2126-12-01" in office.run("prices", "show", "--all").stdout


def test_buffer_plans_and_kinds_of_price_can_be_set(office: Office) -> None:
    done = office.run("prices", "set", "--buffer", "0.25", "--reason", "more room")
    assert "~ buffer: 20 % -> 25 %" in done.stdout
    done = office.run("prices", "set", "--credit", "pack=0.0075", "--credit", "prepaid=0.009", *HOW)
    assert "$0.008 -> $0.0075 (-6.2 %)" in done.stdout
    assert "Copilot Credits by plan prepaid from " in done.stdout
    done = office.run("prices", "set", "copilot_studio", "--per-call", "0.05", *HOW)
    assert "per call 5 credits -> $0.05" in done.stdout
    assert "! copilot_studio is not priced by Copilot Credits any more" in done.stdout
    done = office.run("prices", "set", "our_own", "big/model:1", "--input", "0", "--output", "0", "--yes", *HOW)
    assert "+ our_own big/model:1 from " in done.stdout
    assert "! calls of our_own big/model:1 will be free" in done.stdout
    done = office.run("prices", "set", "our_own", "big/model:1", "--cached-input", "0.5", *HOW)
    assert "cached input $0.00 (as input) -> $0.50" in done.stdout
    assert len(audited(office)) == 5


BAD_SETS = {
    "--effective-from: must be a date such as 2026-12-01": ["openai", "--per-call", "1", "--effective-from", "soon"],
    "--effective-from: needs an offset from UTC": ["openai", "--per-call", "1", "--effective-from", "2026-12-01T09:00"],
    "--per-call: must be between 0 and 1,000,000, got -1": ["openai", "--per-call=-1"],
    "--input: must be a number such as 0.25, got 'NaN'": ["openai", "--input", "NaN", "--output", "1"],
    "--output: must be a number such as 0.25, got 'inf'": ["openai", "--input", "1", "--output", "inf"],
    "--input: must be a number such as 0.25, got '2_0'": ["openai", "--input", "2_0", "--output", "1"],
    "--credit: must be a number such as 0.25, got '1_0'": ["--credit", "pack=1_0"],
    "--buffer: must be a number such as 0.25, got '\u0663'": ["--buffer", "\u0663"],
    "--per-call: must be between 0 and 1,000,000, got 1000001": ["openai", "--per-call", "1000001"],
    "--per-call: must be a number such as 0.25, got 'five'": ["openai", "--per-call", "five"],
    "--per-call: must have at most 12 decimals": ["openai", "--per-call", "1e-13"],
    "PROVIDER: must be 1 to 128 letters": ["open ai", "--per-call", "1"],
    "PROVIDER: is missing: whose price is it?": ["--per-call", "1"],
    "PROVIDER: is missing; give a provider and its price": [],
    "MODEL: must be 1 to 128 letters": ["openai", "gpt 4", "--per-call", "1"],
    "MODEL: must not be empty": ["openai", "", "--per-call", "1"],
    "--credits-per-call: contradicts --per-call": ["openai", "--per-call", "1", "--credits-per-call", "5"],
    "--per-call: is missing, and so is every other price of openai": ["openai"],
    "--buffer: is for the whole book, not for openai gpt-4o alone: ": ["openai", "gpt-4o", "--buffer", "0.3"],
    "--buffer: is a share, as in 0.25 for 25 %, from 0 to 10; got 25": ["--buffer", "25"],
    "--buffer: is a share, as in 0.25 for 25 %, from 0 to 10; got -1": ["--buffer=-1"],
    "--buffer: must have at most 12 decimals": ["--buffer", "1e-13"],
    "--credit: must be PLAN=USD": ["--credit", "0.01"],
}


@pytest.mark.parametrize("problem", BAD_SETS)
def test_a_price_that_cannot_be_is_refused_naming_the_option(problem: str) -> None:
    # In this process, for there are many; what the command line makes of such an error is tried below.
    with pytest.raises(InvalidValue) as refusal:
        prices_app(["set", *BAD_SETS[problem], *HOW], standalone_mode=False)
    assert str(refusal.value).startswith(problem)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("source", ["one\ntwo", "a\x1b[2Jb", "a\udcff", "a\u2028b", "tab\tbed"])
def test_a_source_is_one_line_of_text(source: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        prices_app(["set", "openai", "--per-call", "1", "--reason", "r", "--source", source], standalone_mode=False)
    assert str(refusal.value) == "--source: must be one line of UTF-8 text without control characters"


BAD_REMOVALS = {
    "PROVIDER: is missing": ["--effective-from", "2026-11-20"],
    "--effective-from: is missing": ["openai"],
    "--remove: takes a row back and goes without --input": ["openai", "--input", "1"],
    "--remove: takes a row back and goes without --credit": ["openai", "--credit", "pack=1"],
    "--remove: takes a row back and goes without --source": ["openai", "--source", "s"],
}


@pytest.mark.parametrize("problem", BAD_REMOVALS)
def test_a_removal_takes_a_provider_and_a_date_only(problem: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        prices_app(["set", "--remove", "--reason", "r", *BAD_REMOVALS[problem]], standalone_mode=False)
    assert str(refusal.value).startswith(problem)


BAD_LOOKS = {
    "--provider: must be 1 to 128 letters": ["show", "--provider", ""],
    "--model: must be 1 to 128 letters": ["show", "--model", ""],
    "--at: must be a date such as 2026-12-01": ["show", "--at", ""],
    "--version: must be the number of a version, as in `bursar prices history`, got 'x'": ["show", "--version", "x"],
    "--version: must be the number of a version, as in `bursar prices history`, got '-1'": ["show", "--version=-1"],
    "A: must be the number of a version": ["diff", "99999999999"],
    "B: must be the number of a version": ["diff", "0", "\u0663"],
}


@pytest.mark.parametrize("problem", BAD_LOOKS)
def test_what_cannot_be_looked_up_is_refused_in_one_sentence(problem: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        prices_app(BAD_LOOKS[problem], standalone_mode=False)
    assert str(refusal.value).startswith(problem)
    assert "\n" not in str(refusal.value)


def test_a_price_that_is_hard_to_believe_needs_a_yes_or_a_person(office: Office) -> None:
    price = ("prices", "set", "openai", "gpt-4o", *HOW)
    sentence = "--yes: is needed where nobody can be asked, for a price becomes 0 or changes more than tenfold: "
    refused(office.run(*price, "--input", "0"), 2, f"{sentence}openai gpt-4o input $2.50 -> $0.00 (-100 %)")
    refused(office.run(*price, "--output", "100.01"), 2, sentence, "output $10.00 -> $100.01")
    refused(office.run("prices", "set", "--credit", "pack=0.0001", *HOW), 2, sentence, "by plan pack $0.008 -> ")
    assert audited(office) == []
    tried = office.run(*price, "--input", "0", "--dry-run")
    assert (tried.returncode, tried.stderr) == (0, "")
    assert "version 1 of the price book would be made" in tried.stdout
    assert audited(office) == []
    person = Terminal(office, *price, "--input", "0", NO_COLOR="1")
    person.until("Here a price becomes 0 or changes more than tenfold. Make version 1 of the price book live? [y/N]")
    person.type("n\n")
    assert person.end() == 1
    # Ten times as much is not more than that.
    assert office.run(*price, "--input", "25").returncode == 0
    assert office.run(*price, "--input", "0", "--yes").returncode == 0


def test_a_provider_that_no_agent_has_is_remarked(office: Office) -> None:
    price = ("prices", "set", "--input", "1", "--output", "2", "--dry-run", *HOW)
    assert "  ! no agent of acme has the provider openia; similar: openai\n" in office.run(*price, "openia").stdout
    assert "  ! no agent of acme has the provider anthropic\n" in office.run(*price, "anthropic").stdout
    assert "no agent" not in office.run(*price, "azure_openai", "gpt-4o").stdout


def test_a_wrong_source_and_a_cached_price_are_corrected(office: Office) -> None:
    price = ("prices", "set", "openai", "gpt-4o", "--reason", "r", "--source")
    assert office.run(*price, "s1", "--input", "2", "--cached-input", "0.4").returncode == 0
    assert 'source "s1" -> "s2"' in office.run(*price, "s2", "--input", "2").stdout
    back = office.run(*price, "s2", "--cached-input", "none")
    assert "cached input $0.40 -> $2.00 (as input)" in back.stdout
    assert "no change" in office.run(*price, "s2", "--input", "2").stdout
    plan = ("prices", "set", "--credit", "pack=0.008", "--reason", "r", "--source", "an order")
    assert '-> "an order"' in office.run(*plan).stdout


def test_a_row_of_ones_own_can_be_removed(office: Office) -> None:
    row = ("prices", "set", "openai", "gpt-4o", "--reason", "r", "--effective-from")
    refused(office.run(*row, "2127-01-01", "--remove"), 2, "no row of its own from 2127-01-01; there is none of openai")
    for day, usd in (("2127-01-01", "3"), ("2026-11-01", "4")):
        assert office.run(*row, day, "--input", usd, "--source", "s").returncode == 0
    refused(office.run(*row, "2128-01-01", "--remove"), 2, "those of openai gpt-4o are from 2026-11-01, 2127-01-01")
    assert "openai gpt-4o from 2127-01-01 removed" in office.run(*row, "2127-01-01", "--remove").stdout
    # Where it took the place of a row that Bursar ships, that one is back.
    assert "input $4.00 -> $2.50" in office.run(*row, "2026-11-01", "--remove").stdout
    refused(office.run(*row, "2026-11-01", "--remove"), 2, "there is none of openai gpt-4o")
    assert "say the same" in office.run("prices", "diff", "0", "4").stdout


def test_a_rollback_says_what_changes_now_and_the_history_to_what(office: Office) -> None:
    for day, usd in (("2026-11-05", "3"), ("2026-11-20", "4"), ("2127-01-01", "5")):
        price = ("prices", "set", "openai", "gpt-4o", "--input", usd, "--effective-from", day)
        assert office.run(*price, *HOW).returncode == 0
    done = office.run("prices", "rollback", "0", "--reason", "wrong letter", "--author", "eve")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:5] == [
        "acme: version 4 of the price book will be made from version 3 of the price book:",
        "  In effect now:",
        "  ~ openai gpt-4o: input $4.00 -> $2.50 (-37.5 %)",
        "  3 rows change, of which 1 from a later date on",
        "  `bursar prices diff 3 0` shows every row",
    ]
    assert "eve  rollback to version 0  wrong letter  (live)" in office.run("prices", "history", "--limit", "1").stdout
    told = json.loads(office.run("prices", "history", "--json").stdout)
    assert [(each["action"], each["content_of"], each["calibration"]) for each in told[:2]] == [
        ("rollback", 0, None),
        ("set", None, None),
    ]


def test_the_history_names_the_calibration_of_a_promotion(office: Office) -> None:
    with closing(ledger(office)) as database, database.write() as connection:
        book = replace(live_book(connection, "acme").book, buffer=Decimal("0.3"))
        details = {"calibration": 7}
        publish_book(connection, "acme", book, base=0, action="promote", author="a", reason="r", details=details)
    assert "a  promote of calibration 7  r" in office.run("prices", "history").stdout


def test_what_is_shown_reads_well(office: Office) -> None:
    unknown = office.run("prices", "show", "--provider", "openia")
    assert unknown.returncode == 0
    assert "no row is about the provider openia: its calls have no price; similar: openai\n" in unknown.stdout
    unknown = office.run("prices", "show", "--provider", "openai", "--model", "gpt-4oo")
    assert "no row is about openai gpt-4oo: its calls have no price; similar: gpt-4o, " in unknown.stdout
    copilot = office.run("prices", "show", "--provider", "copilot_studio", "--at", "2020-01-01").stdout
    assert " 2026-11-01 (and before)  Microsoft" in copilot
    assert "agent copilot: buffer 50 %" in copilot
    assert "data_zone" not in copilot
    openai = office.run("prices", "show", "--provider", "openai").stdout
    assert "$2.50  $10.00      as input     as input" in openai
    assert "agent copilot" not in openai
    agent = office.run("prices", "show", "--agent", "copilot").stdout
    assert "  Copilot Credits: plan prepaid, $0.0088 per credit, 12 % off pay_as_you_go\n" in agent
    features = office.run("prices", "show").stdout
    for words in (" 8  per page ", " 13  per 100 actions ", " 10  per message ", " 0.1  per response "):
        assert words in features


@pytest.mark.parametrize("options", [(), ("--json",), ("--help",)])
def test_output_that_cannot_be_written_is_one_sentence(empty: Office, options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "bursar", "prices", "show", *options]
    how: Any = {**empty.bursar._how({}), "stderr": subprocess.PIPE, "timeout": 60}
    reader, writer = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("wb") as full:
        for stdout, why in ((full, "No space left on device"), (writer, "Broken pipe")):
            done = subprocess.run(command, stdout=stdout, check=False, **how)
            assert (done.returncode, done.stderr) == (1, f"bursar: the output cannot be written: {why}\n")
    os.close(writer)
    without = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    done = subprocess.run(without, check=False, **how)
    assert (done.returncode, done.stderr) == (1, "bursar: the output cannot be written: standard output is closed\n")


def test_who_why_and_whence_are_needed(office: Office) -> None:
    price = ("prices", "set", "openai", "--per-call", "1")
    refused(office.run(*price[:-2], "--input", "1", *HOW), 2, "--output: is missing; tokens are priced both ways")
    refused(office.run(*price[:-2], "--cached-input", "1", *HOW), 2, "--cached-input: needs --input and --output")
    refused(office.run(*price, "--reason", "r"), 2, "--source: must say where the price comes from")
    refused(office.run(*price, "--reason", "r", "--source", "x" * 257), 2, "--source: must be at most 256 characters")
    refused(office.run(*price, "--reason", " ", "--source", "s"), 2, "--reason: must not be empty")
    refused(office.run(*price, "--reason", "r", "--source", "s", "--author", ""), 2, "--author: must not be empty")
    refused(office.run(*price, "--reason", "r", "--source", "s", "--org", "beta"), 2, "--org: 'beta' is not in")
    assert (
        office.run("prices", "history").stdout == "acme has no price book of its own yet; Bursar's prices its calls\n"
    )
    refused(office.run("prices", "diff"), 2, "acme has no price book of its own yet")
    assert audited(office) == []


def test_a_list_is_imported_once(office: Office) -> None:
    dry = office.run("prices", "import", "--provider", "openai", "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert "an import of genai-prices " in dry.stdout
    assert audited(office) == []
    first = office.run("prices", "import", "--from", "genai-prices", "--provider", "openai", "--author", "cron")
    assert first.returncode == 0
    assert "more; --all shows them" in first.stdout
    assert "! has tiers, of which the base price is taken; " in first.stdout
    assert "!   gpt-5.4 above 272,000 input tokens: input $5.00, output $22.50, cached input $0.50" in first.stdout
    assert "! left out, not priced by tokens: " in first.stdout
    assert "Version 1 of the price book of acme is made." in first.stdout
    second = office.run("prices", "import", "--provider", "openai")
    assert (second.returncode, second.stdout) == (0, "acme: no change; version 1 of the price book says the same\n")
    assert "says the same" in office.run("prices", "diff", "--from", "genai-prices", "--provider", "openai").stdout
    (entry,) = audited(office)
    assert (entry.action, entry.author) == ("prices.import", "cron")
    assert entry.reason.startswith("prices of genai-prices ")
    told = json.loads(office.run("prices", "diff", "--from", "genai-prices", "--json").stdout)
    assert {change["key"][0] for change in told["changes"]} == {"anthropic", "azure_openai"}
    assert {"tiers", "approximated", "left_out"} <= told.keys()


def test_an_import_says_what_it_replaces_and_what_it_leaves(office: Office) -> None:
    for day, usd in (("2026-11-05", "9"), ("2126-01-01", "1")):
        by_hand = ("prices", "set", "openai", "gpt-4o", "--input", usd, "--effective-from", day, *HOW)
        assert office.run(*by_hand).returncode == 0
    options = ("--provider", "openai", "--model", "gpt-4o", "--effective-from", "2026-11-25")
    done = office.run("prices", "import", *options)
    assert "~ openai gpt-4o from 2026-11-25: input $9.00 -> $2.50 (-72.2 %)" in done.stdout
    assert "! openai gpt-4o: takes the place of a price set by hand (price list of May)" in done.stdout
    kept = "! openai gpt-4o: the book's own row from 2126-01-01 (price list of May) stays, and holds from then on"
    assert kept in done.stdout
    again = office.run("prices", "import", *options)
    assert again.stdout.splitlines() == ["acme: no change; version 3 of the price book says the same", f"  {kept}"]


def test_known_only_adds_no_model(office: Office) -> None:
    done = office.run("prices", "import", "--known-only", "--provider", "anthropic")
    lines = [line for line in done.stdout.splitlines() if line.startswith("  ~ ")]
    assert [line.split()[2] for line in lines] == ["claude-haiku-4-5", "claude-opus-5-5", "claude-sonnet-5-5"]
    assert "  + " not in done.stdout
    refused(office.run("prices", "import", "--from", "elsewhere"), 2, "--from: must be genai-prices")
    refused(office.run("prices", "import", "--provider", "google"), 2, "--provider: 'google' is not imported")
    refused(office.run("prices", "import", "--model", "gpt-99"), 2, "--model: 'gpt-99' is not a model")
    refused(office.run("prices", "import", "--effective-from", "x"), 2, "--effective-from: must be a date")
    refused(office.run("prices", "diff", "--provider", "openai"), 2, "--provider: goes with --from genai-prices")
    refused(office.run("prices", "diff", "1", "--from", "genai-prices"), 2, "--from: compares with the live version")


def test_an_agent_is_shown_its_price_with_an_example(office: Office) -> None:
    coder = office.run("prices", "show", "--agent", "coder").stdout
    assert "Agent coder: provider azure_openai, model gpt-4o, complexity standard" in coder
    assert "override: provider azure_openai, model gpt-4o: terms data_zone (governance document)" in coder
    assert "1,000 input and 500 output tokens is estimated at $0.00825, and $0.0099 is held" in coder
    copilot = office.run("prices", "show", "--agent", "copilot").stdout
    # Five credits at 12 % off, and half as much again.
    assert "a call is estimated at $0.044, and $0.066 is held" in copilot
    lost = office.run("prices", "show", "--agent", "lost").stdout
    assert "such calls are denied (unknown_price: deny)" in lost
    given = json.loads(office.run("prices", "show", "--agent", "lost", "--model", "gpt-4o", "--json").stdout)["agent"]
    assert (given["example"]["estimate_usd"], given["example"]["reserve_usd"]) == ("0.0075", "0.009")
    refused(office.run("prices", "show", "--agent", "nobody"), 2, "--agent: 'nobody' is not an agent of acme")
    refused(office.run("prices", "show", "--agent", "coder", "--model", "x"), 2, "--model: 'x' is not coder's")
    shown = office.run("prices", "show").stdout
    assert "plan of acme: $0.0088 at 12 % off" in shown
    assert "agent copilot: buffer 50 % (contract 17)" in shown
    refused(office.run("prices", "show", "--at", "soon"), 2, "--at: must be a date")


def test_what_is_shown_is_what_calls_are_decided_by(office: Office) -> None:
    office.run("prices", "set", "copilot_studio", "--credits-per-call", "6", "--effective-from", "2026-11-20", *HOW)
    with closing(ledger(office)) as database, database.read() as connection:
        live = live_document(connection, "acme")
    told = json.loads(office.run("prices", "show", "--json").stdout)
    assert live.book.label == told["label"] == "v1"
    assert live.book.to_json()["credits"] == [
        {name: value for name, value in row.items() if name != "in_effect"} for row in told["credits"]
    ]


def test_of_many_who_set_a_price_at_once_one_wins(bursar: Any, database_url: str) -> None:
    office = Office(bursar, BURSAR_DATABASE_URL=database_url)
    office.apply()
    price = ("prices", "set", "openai", "gpt-4o", "--effective-from", "2026-11-20", "--source", "s")
    racers = [
        bursar.start(*price, "--input", str(number + 3), "--reason", f"racer {number}", **office.settings)
        for number in range(4)
    ]
    told = [(process.communicate(timeout=60), process.returncode) for process in racers]
    codes = [code for _, code in told]
    assert set(codes) <= {0, 3}
    with closing(Database(database_url)) as database, database.read() as connection:
        # Whoever looked after another had finished follows it; nobody overwrites what was not seen.
        assert live_book(connection, "acme").version == codes.count(0) == len(audit_entries(connection, "acme")) - 1
    for (_, stderr), code in told:
        if code == 3:
            assert stderr.startswith("bursar: version ")
            assert "reason: racer " in stderr
            assert stderr.endswith(" and try again\n")
            assert stderr.count("\n") == 1


def test_who_waits_too_long_with_the_answer_is_refused(office: Office) -> None:
    person = Terminal(office, "prices", "set", "openai", "gpt-4o", "--input", "3", *HOW, NO_COLOR="1")
    person.until("Make version 1 of the price book live? [y/N]")
    assert "input $2.50 -> $3.00 (+20 %)" in person.seen
    assert "\x1b[" not in person.seen
    faster = ("prices", "set", "webhook", "--per-call", "0.002", "--source", "s", "--reason", "faster")
    assert office.run(*faster).returncode == 0
    person.type("y\n")
    assert person.end() == 3
    told = " ".join(person.seen.split())
    assert "bursar: version 1 of the price book of 'acme' is live, not 0" in told
    assert "reason: faster; look at `bursar prices diff 0 1` and try again" in told
    assert [entry.reason for entry in audited(office)] == ["faster"]


def test_a_no_and_ctrl_c_change_nothing(office: Office) -> None:
    price = ("prices", "set", "openai", "gpt-4o", "--input", "3", *HOW)
    person = Terminal(office, *price)
    person.until("[y/N]")
    person.type("n\n")
    assert person.end() == 1
    person = Terminal(office, *price)
    person.until("[y/N]")
    os.killpg(person.process.pid, 2)
    assert person.end() == 130
    assert person.seen.endswith("[y/N] \r\nNothing was changed.\r\n")
    assert audited(office) == []
    # The table that a person sees.
    person = Terminal(office, "prices", "show", "--provider", "openai", COLUMNS="160")
    assert person.end() == 0
    assert "gpt-5.6-luna" in person.seen
    assert "list price of the vendor, November 2026" in person.seen
    person = Terminal(office, "prices", "show", "--provider", "openai", COLUMNS="80")
    assert person.end() == 0
    # Without the room for it nothing is cut: lines run on.
    (line,) = (line for line in person.seen.splitlines() if "gpt-5.6-luna" in line)
    assert "  $0.20   $1.20      as input     as input  2026-11-01  list price of the vendor, November 2026" in line
