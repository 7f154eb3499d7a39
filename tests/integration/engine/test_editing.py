"""A budget changed by one click: a version and its audit entry together or neither, and in force at the next call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from engine.admission.limits import limits_now
from engine.clock import utc_now
from engine.document.budget_text import BudgetText
from engine.document.editing import end_raise, raise_budget, raise_for_a_while
from engine.document.live import LiveDocument
from engine.document.load import parse_text
from engine.document.store import DocumentMoved, live_document, publish, source_text, version_history
from engine.errors import DatabaseError, InvalidValue
from engine.in_force import put_in_force
from engine.ledger.audit import audit_entries
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from tests.support.ledger_copies import LedgerCopies
from tests.support.outages import hung

NOW = datetime(2026, 11, 26, 10, 0, 0, 123456, tzinfo=UTC)
USD = 1_000_000
TEXT = """\
organization: acme
agents:
  hook: {provider: webhook}   # ours
budgets:
  - id: all                   # agreed in June
    per: org
    monthly_budget_usd: 500
  - {id: each, per: agent, daily_execution_limit: 9}
policies: [{policy_id: go, effect: allow}]
"""


@pytest.fixture
def database(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Database]:
    yield from governed(database_url, ledger_copies)


@pytest.fixture
def on_sqlite(sqlite_url: str, ledger_copies: LedgerCopies) -> Iterator[Database]:
    yield from governed(sqlite_url, ledger_copies)


def governed(url: str, ledger_copies: LedgerCopies) -> Iterator[Database]:
    ledger_copies.put(url, migrate)
    with closing(Database(url)) as opened:
        made = parse_text(TEXT, "bursar.yaml")
        publish(opened, made.document, base=0, author="ada", reason="first", source_text=made.text)
        yield opened


def by(base: int = 1, **more: Any) -> dict[str, Any]:
    return {"base": base, "author": "bob@example.com", "reason": "quarter end", "now": NOW, **more}


def for_a_while(database: Database, **more: Any) -> LiveDocument:
    asked = {"scope": None, "kind": "month", "by_usd": Decimal(50), "hours": 24, **by(), **more}
    return raise_for_a_while(database, "acme", "all", **asked)


def for_good(database: Database, usd: Any = 600, **more: Any) -> LiveDocument:
    asked = {"kind": "month", "new_limit_usd": Decimal(usd), **by(), **more}
    return raise_budget(database, "acme", asked.pop("budget_id", "all"), **asked)


def versions(database: Database) -> list[tuple[int, str, str]]:
    with database.read() as connection:
        return [(each.version, each.author, each.reason) for each in version_history(connection, "acme")]


def audited(database: Database) -> list[tuple[str, str, str, str, dict[str, Any]]]:
    with database.read() as connection:
        entries = [row for row in audit_entries(connection, "acme") if row.action != "document.apply"]
    # What the hash says is compared elsewhere.
    kept = [{name: value for name, value in row.details.items() if name != "document_hash"} for row in entries]
    assert all(len(row.details) == len(each) + 1 for row, each in zip(entries, kept, strict=True))
    return [(row.author, row.action, row.subject, row.reason, each) for row, each in zip(entries, kept, strict=True)]


def applied(database: Database, version: int) -> str | None:
    with database.read() as connection:
        assert live_document(connection, "acme").version == version
        return source_text(connection, "acme", version)


def limit(live: LiveDocument, at: datetime) -> int | None:
    found = limits_now(live.document, "all", "acme", "month", at)
    return None if found is None else found.micros


def test_a_limit_raised_for_good_is_a_version_with_an_audit_entry_and_its_comments(database: Database) -> None:
    made = for_good(database)
    assert (made.version, limit(made, NOW)) == (2, 600 * USD)
    assert versions(database)[0] == (2, "bob@example.com", "quarter end")
    details = {"period": "month", "old_limit_usd": "500", "new_limit_usd": "600", "version": 2}
    assert audited(database) == [("bob@example.com", "budget.raise", "all", "quarter end", details)]
    assert applied(database, 2) == TEXT.replace("500", "600")


def test_a_raise_for_a_while_begins_at_once_and_ends_by_itself(database: Database) -> None:
    made = for_a_while(database, reason=" quarter\n end ")
    (raised,) = made.document.budgets[0].raises
    begins, ends = NOW.replace(microsecond=0), NOW.replace(microsecond=0) + timedelta(hours=24)
    assert (raised.from_, raised.until, raised.reason) == (
        "2026-11-26T10:00:00Z", "2026-11-27T10:00:00Z", "quarter end",
    )  # fmt: skip
    assert [limit(made, at) for at in (begins, ends - timedelta(milliseconds=1), ends)] == [
        550 * USD, 550 * USD, 500 * USD,
    ]  # fmt: skip
    written = applied(database, 2)
    assert written is not None
    assert [line for line in written.splitlines() if "raises" not in line] == TEXT.splitlines()
    ((author, action, subject, _, details),) = audited(database)
    assert (author, action, subject) == ("bob@example.com", "budget.raise_for_a_while", "all")
    assert details == {"monthly_usd": "50", "from": raised.from_, "until": raised.until, "version": 2}


def test_a_raise_can_be_ended_early_and_one_not_begun_is_removed(database: Database) -> None:
    for_a_while(database)
    later = NOW + timedelta(hours=1)
    for_a_while(database, base=2, now=later)
    ended = end_raise(database, "acme", "all", index=0, **by(3, now=later + timedelta(minutes=1), reason="done"))
    assert [each.until for each in ended.document.budgets[0].raises] == [
        "2026-11-26T11:01:00.123Z", "2026-11-27T11:00:00Z",
    ]  # fmt: skip
    assert applied(database, 4) is not None
    before = end_raise(database, "acme", "all", index=1, **by(4, now=NOW))
    assert len(before.document.budgets[0].raises) == 1
    assert applied(database, 5) is not None
    assert [entry[1] for entry in audited(database)][:2] == ["budget.end_raise"] * 2
    with pytest.raises(InvalidValue, match=r"has ended already, at 2026-11-26T11:01:00\.123Z"):
        end_raise(database, "acme", "all", index=0, **by(5, now=later + timedelta(hours=1)))
    with pytest.raises(InvalidValue, match="has no raise of number 1"):
        end_raise(database, "acme", "all", index=1, **by(5))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda data: for_good(data, 500),
            r"must be more than \$500\.00, the monthly limit of budget all",
        ),
        (lambda data: for_good(data, -1), "new_limit_usd: must not be negative"),
        (lambda data: for_good(data, "NaN"), "new_limit_usd: must be a finite amount"),
        (lambda data: for_good(data, "600.0000001"), "new_limit_usd: must have at most 6 digits after the point"),
        (lambda data: for_good(data, budget_id="none"), "budget: there is no budget 'none' in version 1"),
        (lambda data: for_good(data, kind="day"), "budget: all has no daily money limit to raise: it is unlimited"),
        (lambda data: for_good(data, kind="week"), "kind: must be month or day, got 'week'"),
        (lambda data: for_good(data, reason=" \n"), "reason: must not be empty"),
        (lambda data: for_good(data, reason="x" * 501), "reason: must be at most 500 characters, got 501"),
        (lambda data: for_good(data, author=""), "author: must not be empty"),
        (lambda data: for_good(data, now=NOW.replace(tzinfo=None)), "now: needs an offset from UTC"),
        (lambda data: for_a_while(data, by_usd=Decimal(0)), r"by_usd: must be more than \$0"),
        (lambda data: for_a_while(data, by_usd=Decimal(10**9)), "with all of them monthly_budget_usd would be more"),
        (lambda data: for_a_while(data, hours=0), "hours: must be a whole number from 1 to 744, got 0"),
        (lambda data: for_a_while(data, hours=745), "hours: must be a whole number from 1 to 744"),
        (lambda data: for_a_while(data, hours=True), "hours: must be a whole number from 1 to 744"),
        (lambda data: for_a_while(data, scope="hook"), "scope: budget all counts no org that is called 'hook'"),
        (lambda data: for_a_while(data, scope="a|b"), "scope: must be 1 to 128 letters"),
    ],
)
def test_what_cannot_be_meant_so_is_refused_in_a_sentence_and_nothing_is_written(
    on_sqlite: Database, change: Callable[[Database], Any], problem: str
) -> None:
    with pytest.raises(InvalidValue, match=problem) as refused:
        change(on_sqlite)
    assert "\n" not in str(refused.value)
    assert (len(versions(on_sqlite)), audited(on_sqlite)) == (1, [])


def test_a_change_of_what_is_not_live_any_more_writes_nothing(database: Database) -> None:
    for_good(database)
    for change in (for_good, for_a_while, lambda data: end_raise(data, "acme", "all", index=0, **by())):
        with pytest.raises(DocumentMoved, match="version 2 of the governance document of 'acme' is live, not 1"):
            change(database)
    assert (len(versions(database)), len(audited(database))) == (2, 1)


def test_version_and_audit_entry_are_written_together_or_not_at_all(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("ALTER TABLE audit_log RENAME TO audit_log_away"))
    with pytest.raises((DatabaseError, ProgrammingError), match="audit_log"):
        for_good(database)
    with database.write() as connection:
        connection.execute(text("ALTER TABLE audit_log_away RENAME TO audit_log"))
    assert (len(versions(database)), audited(database)) == (1, [])


def test_a_text_that_cannot_be_edited_is_let_go(on_sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BudgetText, "with_amount", lambda self, *_: self.text)
    assert for_good(on_sqlite).version == 2
    assert applied(on_sqlite, 2) is None


def test_a_full_list_of_raises_lets_those_go_that_have_ended(on_sqlite: Database) -> None:
    content = parse_text(TEXT, "x").document.model_dump(mode="json", exclude_unset=True)
    old = {"monthly_usd": 1, "from": "2026-01-01T00:00:00Z", "until": "2026-01-01T01:00:00Z"}
    content["budgets"][0]["raises"] = [old] * 100
    publish(on_sqlite, parse_text(json.dumps(content), "x").document, base=1, author="a", reason="r")
    assert len(for_a_while(on_sqlite, base=2).document.budgets[0].raises) == 1


def test_a_change_is_in_force_at_the_next_call(acme: Any) -> None:
    acme.write(budgets=[{"id": "all", "per": "org", "monthly_budget_usd": 1}])
    service, settings = acme.service(), acme.settings()
    assert not service.check("hook", estimated_cost=2).allowed
    ledger = acme.open_database()
    made = for_a_while(ledger, now=utc_now())
    assert put_in_force(settings, ledger, made) == "Version 2 is in force everywhere now."
    assert service.check("hook", estimated_cost=2).allowed
    ended = end_raise(ledger, "acme", "all", index=0, **by(2, now=utc_now()))
    assert "in force everywhere" in put_in_force(settings, ledger, ended)
    assert not service.check("hook", estimated_cost=2).allowed


def test_when_redis_does_not_answer_it_is_said_when_the_change_will_be_in_force(acme: Any) -> None:
    acme.write(budgets=[{"id": "all", "per": "org", "monthly_budget_usd": 1}])
    acme.service()
    ledger = acme.open_database()
    made = for_good(ledger, 2)
    later = "services take version 2 up within 60 s."
    with hung(acme.redis):
        assert put_in_force(acme.settings(), ledger, made) == f"Redis does not answer: {later}"
    away = put_in_force(acme.settings(redis_url="redis://127.0.0.1:1"), ledger, made)
    assert away == f"Redis does not answer: {later}"
    nonsense = put_in_force(acme.settings(redis_url="nonsense"), ledger, made)
    assert nonsense.endswith(later)
    assert "BURSAR_REDIS_URL is not set" in put_in_force(acme.settings(redis_url=None), ledger, made)
