"""The commands around the price book, as a person and a pipeline use them."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import Any

import pytest

from bursar.prices.commands import prices_app
from engine.document.store import live_document
from engine.errors import InvalidValue
from engine.ledger.audit import audit_entries
from engine.ledger.database import Database
from engine.ledger.price_books import live_book
from tests.integration.bursar.test_governing import Office, Terminal, refused

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
def office(empty: Office) -> Office:
    empty.apply()
    return empty


def ledger(office: Office) -> Database:
    return Database(f"sqlite:///{office.bursar.folder / '.bursar' / 'ledger.db'}")


def audited(office: Office) -> list[Any]:
    with closing(ledger(office)) as database, database.read() as connection:
        return audit_entries(connection, "acme")


@pytest.mark.parametrize("command", ["show", "diff", "set", "import", "history"])
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
    done = office.run("prices", "set", "our_own", "big/model:1", "--input", "0", "--output", "0", *HOW)
    assert "+ our_own big/model:1 from " in done.stdout
    assert "! calls of our_own big/model:1 will be free" in done.stdout
    done = office.run("prices", "set", "our_own", "big/model:1", "--cached-input", "0.5", *HOW)
    assert "cached input $0.00 (as input) -> $0.50" in done.stdout
    assert len(audited(office)) == 5


BAD_SETS = {
    "--effective-from: must be a date such as 2026-12-01": ["openai", "--per-call", "1", "--effective-from", "soon"],
    "--effective-from: needs an offset from UTC": ["openai", "--per-call", "1", "--effective-from", "2026-12-01T09:00"],
    "--per-call: must be between 0 and 1,000,000, got -1": ["openai", "--per-call=-1"],
    "--input: must be a finite decimal number, got NaN": ["openai", "--input", "NaN", "--output", "1"],
    "--output: must be a finite decimal number, got Infinity": ["openai", "--input", "1", "--output", "inf"],
    "--per-call: must be between 0 and 1,000,000, got 1000001": ["openai", "--per-call", "1000001"],
    "--per-call: must be a number, got 'five'": ["openai", "--per-call", "five"],
    "--per-call: must have at most 12 decimals": ["openai", "--per-call", "1e-13"],
    "PROVIDER: must be 1 to 128 letters": ["open ai", "--per-call", "1"],
    "PROVIDER: is missing: whose price is it?": ["--per-call", "1"],
    "PROVIDER: is missing; give a provider and its price": [],
    "MODEL: must be 1 to 128 letters": ["openai", "gpt 4", "--per-call", "1"],
    "MODEL: must not be empty": ["openai", "", "--per-call", "1"],
    "--credits-per-call: contradicts --per-call": ["openai", "--per-call", "1", "--credits-per-call", "5"],
    "--per-call: is missing, and so is every other price of openai": ["openai", "--buffer", "0.3"],
    "--buffer: is a share, as in 0.25 for 25 %": ["--buffer", "25"],
    "--credit: must be PLAN=USD": ["--credit", "0.01"],
}


@pytest.mark.parametrize("problem", BAD_SETS)
def test_a_price_that_cannot_be_is_refused_naming_the_option(problem: str) -> None:
    # In this process, for there are many; what the command line makes of such an error is tried below.
    with pytest.raises(InvalidValue) as refusal:
        prices_app(["set", *BAD_SETS[problem], *HOW], standalone_mode=False)
    assert str(refusal.value).startswith(problem)
    assert "\n" not in str(refusal.value)


def test_who_why_and_whence_are_needed(office: Office) -> None:
    price = ("prices", "set", "openai", "--per-call", "1")
    refused(office.run(*price[:-2], "--input", "1", *HOW), 2, "--output: is missing; tokens are priced both ways")
    refused(office.run(*price[:-2], "--cached-input", "1", *HOW), 2, "--cached-input: needs --input and --output")
    refused(office.run(*price, "--reason", "r"), 2, "--source: must say where the price comes from")
    refused(office.run(*price, "--reason", "r", "--source", "x" * 257), 2, "--source: must say")
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
        assert live_book(connection, "acme").version == codes.count(0) == len(audit_entries(connection, "acme"))
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
    assert "(a wider terminal shows the sources too, and so does --json)" in person.seen
