"""Reviews at the command line: stored ones, and new ones that are neither kept nor sent."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from engine.clock import utc_now
from engine.document.store import live_document
from engine.ledger.database import Database
from engine.ledger.tables import outbox, reviews
from engine.reviews.content import kind_of, review_from_json
from engine.reviews.gathering import gather
from engine.reviews.periods import REVIEW_KINDS, newest_complete
from engine.reviews.reading import Asked
from jobs.reviews.due import make_due_reviews
from tests.integration.bursar.test_governing import Office, refused


@pytest.fixture
def office(bursar: Any) -> Office:
    return Office(bursar)


def ledger(office: Office) -> Database:
    return Database(f"sqlite:///{office.bursar.folder / '.bursar' / 'ledger.db'}")


def fill(office: Office) -> None:
    done = office.run("seed", "--decisions", "600", "--days", "45", "--yes")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["show", "run"])
def test_every_command_has_help_with_an_example(office: Office, command: str) -> None:
    done = office.run("reviews", command, "--help")
    assert done.returncode == 0
    assert f"Example: bursar reviews {command}" in done.stdout


@pytest.mark.parametrize("command", ["show", "run"])
def test_without_a_ledger_nothing_is_created(office: Office, command: str) -> None:
    refused(office.run("reviews", command, "daily"), 2, "has no ledger yet; `bursar apply FILE` makes one")
    assert not (office.bursar.folder / ".bursar").exists()


def test_a_review_is_made_and_printed_but_not_kept(office: Office) -> None:
    fill(office)
    with closing(ledger(office)) as database:
        with database.read() as connection:
            (org_id,) = connection.execute(select(func.max(reviews.metadata.tables["organizations"].c.org_id))).one()
            document = live_document(connection, org_id).document
        for kind in REVIEW_KINDS:
            done = office.run("reviews", "run", kind, "--json")
            assert done.returncode == 0, done.stderr
            printed = json.loads(done.stdout)
            assert printed.pop("kind") == kind
            period = newest_complete(kind, utc_now(), document.timezone)
            made = gather(database, Asked(document, period, utc_now()))
            found = review_from_json(kind, printed)
            assert (found.label, found.spent, found.executions) == (made.label, made.spent, made.executions)
        text = office.run("reviews", "run", "monthly").stdout
        assert text.startswith(f"Monthly review of {org_id}, ")
        assert "Recommended budgets for " in text
        assert text.endswith("Made now; neither kept nor sent.\n")
        with database.read() as connection:
            assert connection.scalar(select(func.count()).select_from(reviews)) == 0
            assert connection.scalar(select(func.count()).select_from(outbox)) == 0
    refused(office.run("reviews", "show", "weekly"), 2, "has no weekly review; `bursar reviews run weekly` makes one")


def test_a_stored_review_is_shown_as_it_was_made(office: Office) -> None:
    fill(office)
    with closing(ledger(office)) as database:
        # Two days later all kinds are due, whatever the hour is; the ledger is drained until the history's end.
        now = utc_now()
        made = make_due_reviews(database, dashboard_url="http://bursar.test", now=now)
        assert made >= 1
        with database.read() as connection:
            row = connection.execute(select(reviews).order_by(reviews.c.kind).limit(1)).one()
    shown = office.run("reviews", "show", row.kind)
    assert shown.returncode == 0, shown.stderr
    review = review_from_json(row.kind, row.content)
    assert shown.stdout.startswith(f"{row.kind.capitalize()} review of {review.org_id}, {row.period_label}: ")
    assert f"Made {row.made_at:%Y-%m-%d %H:%M} UTC." in shown.stdout
    as_json = office.run("reviews", "show", row.kind, "--period", row.period_label, "--json")
    assert json.loads(as_json.stdout) == {"kind": kind_of(review), **row.content}
    as_html = office.run("reviews", "show", row.kind, "--html").stdout
    assert as_html.startswith("<!DOCTYPE html>")
    assert f"period={row.period_label}" in as_html
    missing = office.run("reviews", "show", "daily", "--period", "2020-01-01")
    refused(missing, 2, "has no daily review of 2020-01-01", "`bursar reviews run daily --period 2020-01-01` makes one")


def test_what_cannot_be_shown_is_refused_in_a_sentence(office: Office) -> None:
    office.apply()
    tomorrow = (utc_now() + timedelta(days=2)).date().isoformat()
    for arguments, words in (
        (("run", "daily", "--period", "2026-11"), "--period: must be like 2026-11-25 for a daily review"),
        (("show", "weekly", "--period", "2026-W99"), "--period: must be like 2026-W47 for a weekly review"),
        (("run", "daily", "--period", tomorrow), f"--period: {tomorrow} is not over yet"),
        (("run", "daily", "--json", "--html"), "--json and --html exclude each other"),
        (("run", "daily", "--org", "nobody"), "--org: 'nobody' is not in this ledger"),
    ):
        refused(office.run("reviews", *arguments), 2, words)
    assert office.run("reviews", "run", "yearly").returncode == 2


def test_a_ledger_that_is_behind_is_said(office: Office) -> None:
    office.apply()
    done = office.run("reviews", "run", "daily")
    assert done.returncode == 0
    assert "calls may be missing. Is a worker running?" in done.stderr
    assert "Spent $0.00" in done.stdout
