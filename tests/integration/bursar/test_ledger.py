"""`bursar ledger rebuild-rollups`: what it says, what it changes, how it ends."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from sqlalchemy import insert, select, update

from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.tables import budget_usage, organizations, usage, users

STATE = {"BURSAR_STATE_DIR": "state"}
TODAY = datetime.now(UTC).date()
# Around midnight the calls may be of the day before.
DAYS = ("--from", str(TODAY - timedelta(days=1)), "--to", str(TODAY + timedelta(days=1)))
ALL_RIGHT = r"acme: 3 decisions of \d UTC days? counted; every total is right.\n"


@pytest.fixture
def lived(bursar: Any) -> Any:
    """A ledger with three calls of today."""
    replay(bursar)
    return bursar


def replay(bursar: Any) -> None:
    """Three calls, and everything about them in the ledger."""
    done = bursar.run("replay", "trace.csv", "--document", "bursar.yaml", "--agent", "coder", "--speed", "max", **STATE)
    assert done.returncode == 0, done.stderr


def database(bursar: Any) -> Database:
    return Database(f"sqlite:///{bursar.folder / 'state' / 'ledger.db'}")


def damage(bursar: Any) -> None:
    with closing(database(bursar)) as opened, opened.write() as connection:
        connection.execute(update(usage).where(usage.c.grain == "day").values(decisions=usage.c.decisions + 1))


def daily_decisions(bursar: Any) -> int:
    with closing(database(bursar)) as opened, opened.read() as connection:
        return sum(connection.execute(select(usage.c.decisions).where(usage.c.grain == "day")).scalars())


def test_help_has_an_example(bursar: Any) -> None:
    done = bursar.run("ledger", "rebuild-rollups", "--help")
    assert done.returncode == 0
    assert "Example: bursar ledger rebuild-rollups" in done.stdout


def test_without_drift_it_ends_with_nought(lived: Any) -> None:
    done = lived.run("ledger", "rebuild-rollups", *DAYS, **STATE)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(ALL_RIGHT, done.stdout)


@pytest.mark.parametrize(
    "days",
    [
        (),
        ("--from", "0001-01-01"),
        ("--from", "2000-01-01", "--to", "9999-12-31"),
        ("--to", "9999-12-31"),
    ],
)
def test_days_are_those_that_have_something(lived: Any, days: tuple[str, ...]) -> None:
    damage(lived)
    done = lived.run("ledger", "rebuild-rollups", *days, "--json", **STATE)
    assert (done.returncode, done.stderr) == (1, "")
    said = json.loads(done.stdout)
    assert (said["decisions"], said["mended"]) == (3, True)
    assert str(TODAY - timedelta(days=1)) <= said["from"] <= said["to"] <= str(TODAY + timedelta(days=1))
    assert re.fullmatch(ALL_RIGHT, lived.run("ledger", "rebuild-rollups", *days, **STATE).stdout)


@pytest.mark.parametrize("days", [("--from", "9999-12-31", "--to", "9999-12-31"), ("--to", "2000-01-01")])
def test_days_without_anything_are_said_in_one_sentence(lived: Any, days: tuple[str, ...]) -> None:
    done = lived.run("ledger", "rebuild-rollups", *days, **STATE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "acme: no decisions and no totals in these days; there is nothing to count.\n"
    told = json.loads(lived.run("ledger", "rebuild-rollups", *days, "--json", **STATE).stdout)
    assert (told["from"], told["to"], told["decisions"], told["mended"]) == (None, None, 0, False)


def test_a_total_of_a_day_without_decisions_is_found(lived: Any) -> None:
    long_ago = datetime(TODAY.year - 1, 3, 4, tzinfo=UTC)
    with closing(database(lived)) as opened, opened.write() as connection:
        connection.execute(
            insert(users).values(org_id="acme", bucket=long_ago, user_id="ada", agent_id="x", decisions=1, denied=0,
                                 spent_micros=1)
        )  # fmt: skip
    done = lived.run("ledger", "rebuild-rollups", **STATE)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{long_ago:%Y-%m-%d}: wrong rows: 1 of users\n")
    with closing(database(lived)) as opened, opened.read() as connection:
        assert long_ago not in connection.execute(select(users.c.bucket)).scalars().all()


def test_days_that_retention_has_emptied_are_passed_over_unless_they_are_asked_for(lived: Any) -> None:
    today = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
    with closing(database(lived)) as opened, opened.write() as connection:
        connection.execute(update(organizations).values(decisions_kept_from=today + timedelta(days=2)))
    asked = lived.run("ledger", "rebuild-rollups", "--from", "2000-01-01", **STATE)
    assert asked.returncode == 2
    assert "are no longer kept" in asked.stderr
    left = lived.run("ledger", "rebuild-rollups", **STATE)
    assert (left.returncode, left.stdout) == (
        0, "acme: no decisions and no totals in these days; there is nothing to count.\n",
    )  # fmt: skip


def test_drift_is_reported_and_mended(lived: Any) -> None:
    damage(lived)
    tried = lived.run("ledger", "rebuild-rollups", *DAYS, "--dry-run", **STATE)
    assert tried.returncode == 1
    assert "wrong rows: 1 of usage\n" in tried.stdout
    assert "1 row is wrong. Nothing was changed (--dry-run)." in tried.stdout
    assert daily_decisions(lived) == 4
    told = lived.run("ledger", "rebuild-rollups", *DAYS, "--json", **STATE)
    assert told.returncode == 1
    said = json.loads(told.stdout)
    assert said["drift"] == {"usage": 1, "latencies": 0, "limits": 0, "policies": 0, "users": 0, "budget_usage": 0}
    assert (said["organization"], said["decisions"], said["mended"], len(said["days_with_drift"])) == (
        "acme",
        3,
        True,
        1,
    )
    assert daily_decisions(lived) == 3
    assert lived.run("ledger", "rebuild-rollups", *DAYS, **STATE).returncode == 0
    entries = json.loads(lived.run("audit", "show", "--json", **STATE).stdout)
    assert [entry["action"] for entry in entries] == ["ledger.rebuild_rollups", "document.apply"]
    assert entries[0]["details"]["rows"]["usage"] == 1


def test_a_new_budget_by_which_nothing_was_decided_yet_is_no_drift(lived: Any) -> None:
    document = lived.folder / "bursar.yaml"
    before = document.read_text()
    assert "budgets" in before
    with closing(database(lived)) as opened:
        content = yaml.safe_load(before)
        content["budgets"].append({"id": "fresh", "per": "agent", "daily_budget_usd": 7})
        publish_document(opened, parse_document(content, "test"), author="test", reason="test")
    done = lived.run("ledger", "rebuild-rollups", **STATE)
    assert done.returncode == 0, done.stdout


def test_changed_budget_counters_are_reported_and_counted_anew_by_the_writer(lived: Any) -> None:
    with closing(database(lived)) as opened:
        with opened.read() as connection:
            before = connection.execute(select(budget_usage.c.spent_micros, budget_usage.c.executions)).all()
        with opened.write() as connection:
            connection.execute(update(budget_usage).values(spent_micros=0, executions=1))
        tried = lived.run("ledger", "rebuild-rollups", "--dry-run", **STATE)
        assert tried.returncode == 1
        assert "wrong." in tried.stdout.splitlines()[0]
        told = lived.run("ledger", "rebuild-rollups", **STATE)
        assert told.returncode == 1
        assert "the ledger writer counts them anew" in told.stdout
        replay(lived)
        with opened.read() as connection:
            after = connection.execute(select(budget_usage.c.spent_micros, budget_usage.c.executions)).all()
    assert before
    assert {executions for _, executions in after} == {executions + 3 for _, executions in before}
    assert lived.run("ledger", "rebuild-rollups", **STATE).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "2026-02-30"), "does not match"),
        (("--from", "2026-11-02", "--to", "2026-11-01"), "--to: 2026-11-01 is before 2026-11-02"),
        (("--from", "2026-11-01", "--org", "other"), "--org: 'other' is not in this ledger"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(lived: Any, arguments: tuple[str, ...], said: str) -> None:
    done = lived.run("ledger", "rebuild-rollups", *arguments, **STATE)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_ledger_nothing_is_created(bursar: Any) -> None:
    done = bursar.run("ledger", "rebuild-rollups", "--from", str(TODAY), **STATE)
    assert done.returncode == 2
    assert "has no ledger yet" in done.stderr
    assert not (bursar.folder / "state").exists()
