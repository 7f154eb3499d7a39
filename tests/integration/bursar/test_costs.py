"""From estimates that are wrong to estimates that are not, by the commands that a person uses."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.ledger.audit import audit_entries
from engine.ledger.database import Database
from tests.integration.bursar.test_governing import Office, Terminal, refused
from tests.support.ledger_copies import LedgerCopies
from tests.support.priced_calls import noisy_days, store_calls

DOCUMENT = """\
organization: acme
agents:
  coder: {provider: openai, model: gpt-4o}
  fine: {provider: openai, model: gpt-4o}
policies:
  - {policy_id: go, effect: allow}
"""
WHY = ("--reason", "they grew", "--author", "ada")


def ledger(office: Office) -> Database:
    return Database(f"sqlite:///{office.bursar.folder / '.bursar' / 'ledger.db'}")


@pytest.fixture
def empty(bursar: Any) -> Office:
    """A folder without a ledger."""
    office = Office(bursar)
    office.file.write_text(DOCUMENT)
    return office


@pytest.fixture
def office(empty: Office, ledger_copies: LedgerCopies) -> Office:
    """Five weeks in which the coder's calls cost a third more than the book says, and another's do not."""
    empty.begin(ledger_copies)
    first = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=35)
    with closing(ledger(empty)) as database:
        store_calls(database, noisy_days(first, 35, 20, level=1.33))
        store_calls(database, noisy_days(first, 35, 20, level=1.0, seed=2, agent_id="fine"))
        store_calls(database, noisy_days(first, 28, 1, level=1.0, seed=3, agent_id="rare"))
    return empty


def audited(office: Office) -> list[tuple[str, str, str]]:
    with closing(ledger(office)) as database, database.read() as connection:
        entries = [(row.action, row.author, row.reason) for row in audit_entries(connection, "acme")]
    return [entry for entry in entries if entry[0] != "document.apply"]


COMMANDS = ("import", "variance", "calibrate", "calibrations", "promote", "reject", "rollback")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(empty: Office, command: str) -> None:
    done = empty.run("costs", command, "--help")
    assert done.returncode == 0
    assert f"Example: bursar costs {command}" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [("variance",), ("calibrate", *WHY), ("calibrations",), ("promote", *WHY), ("reject", *WHY), ("rollback", *WHY)],
)
def test_without_a_ledger_nothing_is_created(empty: Office, arguments: tuple[str, ...]) -> None:
    refused(empty.run("costs", *arguments), 2, "has no ledger yet; `bursar apply FILE` makes one")
    assert not (empty.bursar.folder / ".bursar").exists()


def test_a_wrong_price_is_seen_corrected_and_taken_back(office: Office) -> None:
    seen = office.run("costs", "variance")
    assert seen.returncode == 0
    lines = {line.split()[0]: line for line in seen.stdout.splitlines()[2:]}
    assert "beyond 15 %" in lines["coder"]
    assert lines["fine"].rstrip().endswith(" fine")
    assert "too few calls" in lines["rare"]

    tried = office.run("costs", "calibrate", *WHY, "--dry-run")
    assert "no calibration was made" in tried.stdout
    made = office.run("costs", "calibrate", *WHY)
    assert "Calibration 1 is made; `bursar costs promote 1" in made.stdout
    assert "passed: WAPE " in made.stdout
    told = json.loads(office.run("costs", "calibrations", "1", "--json").stdout)
    assert (told["state"], told["passed"], told["price_book"]) == ("proposed", True, "2026-11-01")
    (proposal,) = told["proposals"]
    assert proposal["agent_id"] == "coder"
    assert 1.3 < float(proposal["new_factor"]) < 1.36

    promoted = office.run("costs", "promote", "--yes", *WHY)
    assert promoted.returncode == 0
    assert "version 1 of the price book" in promoted.stdout
    priced = json.loads(office.run("prices", "show", "--json").stdout)
    assert [row["agent_id"] for row in priced["corrections"]] == ["coder"]
    refused(office.run("costs", "promote", *WHY), 2, "calibration 1 is promoted already")

    back = office.run("costs", "rollback", "--yes", "--reason", "a bad week", "--author", "eve")
    assert back.returncode == 0
    assert "Version 2 of the price book of acme is made." in back.stdout
    assert json.loads(office.run("prices", "show", "--json").stdout)["corrections"] == []
    office.run("costs", "calibrate", *WHY)
    office.run("prices", "set", "webhook", "--per-call", "0.002", "--source", "us", "--yes", *WHY)
    assert "outdated" in office.run("costs", "calibrations").stdout
    office.run("costs", "rollback", "--yes", *WHY)
    again = office.run("costs", "rollback", "0", *WHY)
    assert (again.returncode, "no change" in again.stdout) == (0, True)
    assert audited(office)[3:] == [
        ("costs.rollback", "eve", "a bad week"),
        ("costs.promote", "ada", "they grew"),
        ("costs.calibrate", "ada", "they grew"),
    ]


def test_variance_is_told_to_programs_and_by_days(office: Office) -> None:
    told = json.loads(office.run("costs", "variance", "--days", "8", "--agent", "coder", "--json").stdout)
    (segment,) = told["segments"]
    assert (segment["settled"], segment["band"], segment["beyond_alert"]) == (140, "act", True)
    assert segment["bias_low"] < segment["bias"] < segment["bias_high"]
    days = json.loads(office.run("costs", "variance", "--days", "8", "--daily", "--json").stdout)["days"]
    assert len(days) == 7
    assert sum(day["settled"] for day in days) == 140 * 2
    nothing = office.run("costs", "variance", "--model", "gpt-9").stdout
    assert nothing.startswith("acme: no call of model gpt-9 that the price book")


def test_what_fails_the_backtest_is_not_promoted(empty: Office) -> None:
    empty.apply()
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with closing(ledger(empty)) as database:
        store_calls(database, noisy_days(today - timedelta(days=35), 28, 20, level=1.33))
        store_calls(database, noisy_days(today - timedelta(days=7), 7, 20, level=1.0, seed=4))
    made = empty.run("costs", "calibrate", *WHY)
    assert "Calibration 1 is made; it cannot be promoted." in made.stdout
    refused(empty.run("costs", "promote", "1", "--yes", *WHY), 2, "calibration 1 did not stand the backtest: WAPE")
    rejected = empty.run("costs", "reject", "1", *WHY)
    assert rejected.stdout == "Calibration 1 of acme is rejected.\n"
    refused(empty.run("costs", "promote", "1", "--yes", *WHY), 2, "calibration 1 is rejected already")
    assert "rejected" in empty.run("costs", "calibrations").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("calibrate", "--reason", " "), "--reason: must not be empty"),
        (("promote", "7", *WHY), "organization 'acme' has no calibration 7"),
        (("promote", *WHY), "organization 'acme' has no calibration yet"),
        (("reject", "7", *WHY), "organization 'acme' has no calibration 7"),
        (("rollback", *WHY), "acme uses the price book that Bursar ships: there is none before it"),
        (("rollback", "4", *WHY), "organization 'acme' has no version 4 of its price book"),
        (("variance", "--org", "other"), "--org: 'other' is not in this ledger, which has acme"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(empty: Office, arguments: tuple[str, ...], said: str) -> None:
    empty.apply()
    refused(empty.run("costs", *arguments), 2, said)
    assert audited(empty) == []


def test_an_empty_ledger_has_nothing_to_say(empty: Office) -> None:
    empty.apply()
    assert empty.run("costs", "variance").stdout == (
        "acme: no call that the price book estimated in the last 28 UTC days\n"
    )
    made = empty.run("costs", "calibrate", *WHY)
    assert (made.returncode, made.stdout.endswith("There is nothing to keep: no calibration was made.\n")) == (0, True)
    assert empty.run("costs", "calibrations").stdout == (
        "acme has no calibration yet; `bursar costs calibrate` makes one\n"
    )


def test_on_a_terminal_a_person_is_asked(office: Office) -> None:
    office.run("costs", "calibrate", *WHY)
    terminal = Terminal(office, "costs", "promote", *WHY)
    terminal.until("Promote calibration 1? [y/N]")
    terminal.type("n\n")
    assert terminal.end() == 1
    assert json.loads(office.run("costs", "calibrations", "1", "--json").stdout)["state"] == "proposed"
