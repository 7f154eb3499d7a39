"""Document versions: immutable, made by compare-and-set, and old files do not undo what was applied since."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from engine.clock import utc_now
from engine.document.load import parse_document, read_document
from engine.document.plan import make_plan
from engine.document.schema import GovernanceDocument
from engine.document.store import (
    DocumentMoved,
    document_version,
    live_document,
    publish,
    source_text,
    version_history,
)
from engine.errors import DocumentError, InvalidValue
from engine.ledger.audit import audit_entries
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.opening import open_live_parts
from engine.service import GovernanceService
from tests.integration.engine.child import PROCESSES, Child
from tests.support.ledger_copies import LedgerCopies


def document(limit: int | str = 1, **parts: Any) -> GovernanceDocument:
    budgets = [{"id": "b", "per": "org", "monthly_budget_usd": limit}]
    return parse_document({"organization": "acme", "budgets": budgets, **parts}, "test")


def apply(database: Database, base: int | None, limit: int, **parts: Any) -> int:
    made = publish(database, document(limit), base=base, author="ada", reason=f"limit {limit}", **parts)
    return made.version


@pytest.fixture
def database(database_url: str, ledger_copies: LedgerCopies) -> Any:
    ledger_copies.put(database_url, migrate)
    with closing(Database(database_url)) as opened:
        yield opened


def test_a_version_cannot_be_changed_or_removed(database: Database) -> None:
    apply(database, 0, 1, source_text="organization: acme")
    apply(database, 1, 2)
    statements = [
        "UPDATE document_versions SET reason = 'another'",
        "UPDATE document_versions SET source_text = NULL WHERE version = 1",
        "DELETE FROM document_versions",
        "DELETE FROM document_versions WHERE version = 2",
        "INSERT OR REPLACE INTO document_versions SELECT * FROM document_versions WHERE version = 1"
        if database.is_sqlite
        else "TRUNCATE document_versions",
    ]
    for statement in statements:
        with pytest.raises(IntegrityError, match="document versions are immutable"), database.write() as connection:
            connection.execute(text(statement))
    with database.read() as connection:
        assert [(each.version, each.reason) for each in version_history(connection, "acme")] == [
            (2, "limit 2"),
            (1, "limit 1"),
        ]


def test_a_version_is_made_only_from_the_one_it_was_based_on(database: Database) -> None:
    with pytest.raises(DocumentMoved, match="has no version 3 of its governance document: it has none yet"):
        apply(database, 3, 1)
    assert apply(database, 0, 1) == 1
    assert apply(database, 1, 2) == 2
    for base in (0, 1, 7):
        with pytest.raises(DocumentMoved) as moved:
            apply(database, base, 3)
        live = moved.value.live
        assert live is not None
        assert (live.version, live.author, live.reason) == (2, "ada", "limit 2")
        assert abs(live.created_at - utc_now()) < timedelta(minutes=1)
    assert apply(database, 0, 2) == 2, "what is live already is not made again"
    assert apply(database, None, 3) == 3
    with database.read() as connection:
        assert live_document(connection, "acme") == document_version(connection, "acme", 3)
        assert [each.version for each in version_history(connection, "acme", above=1, most=1)] == [3]


def test_the_text_is_kept_as_it_was_applied(database: Database) -> None:
    applied = "# ours 🙂\r\norganization: acme\r\n"
    apply(database, 0, 1, source_text=applied)
    apply(database, 1, 2)
    with database.read() as connection:
        assert [source_text(connection, "acme", version) for version in (1, 2, 3)] == [applied, None, None]


def race(line: Any, url: str, limit: int, barrier: Any) -> None:
    with closing(Database(url)) as database:
        barrier.wait(30)
        try:
            line.send(apply(database, 1, limit))
        except DocumentMoved as moved:
            line.send(f"moved to {moved.live.version if moved.live else None}")


def test_of_many_appliers_with_the_same_base_exactly_one_wins(database: Database, database_url: str) -> None:
    apply(database, 0, 1)
    database.close()
    count = 6
    barrier = PROCESSES.Barrier(count)
    racers = {limit: Child(race, database_url, limit, barrier) for limit in range(10, 10 + count)}
    told = {limit: racer.hear() for limit, racer in racers.items()}
    assert [racer.ending() for racer in racers.values()] == [0] * count
    assert sorted(map(str, told.values())) == ["2", *["moved to 2"] * (count - 1)]
    winner = next(limit for limit, answer in told.items() if answer == 2)
    with database.read() as connection:
        assert live_document(connection, "acme").document == document(winner)
        assert len(version_history(connection, "acme")) == 2


def written(acme: Any, limit: int, **parts: Any) -> Path:
    return Path(acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": limit}], **parts))


def test_a_service_that_restarts_with_an_old_file_undoes_nothing(acme: Any, caplog: pytest.LogCaptureFixture) -> None:
    old = written(acme, 10).read_text()
    assert acme.service().document.version == 1
    publish(acme.open_database(), read_document(written(acme, 5)), base=1, author="ada", reason="less", source_text="x")
    acme.document.write_text(old)
    with caplog.at_level(logging.WARNING, "engine.opening"):
        service = acme.service()
    assert service.document.version == 2
    assert not service.check("hook", estimated_cost=6).allowed
    (record,) = [each for each in caplog.records if each.name == "engine.opening"]
    assert "is older than version 2, made by ada, and is not used" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_file_based_on_an_older_version_is_not_used_and_a_newer_one_is(
    acme: Any, caplog: pytest.LogCaptureFixture
) -> None:
    written(acme, 10)
    acme.service()
    publish(acme.open_database(), read_document(written(acme, 5)), base=1, author="ada", reason="less")
    caplog.clear()
    written(acme, 7, based_on=1)
    assert acme.service().document.version == 2
    assert len([each for each in caplog.records if each.name == "engine.opening"]) == 1
    caplog.clear()
    written(acme, 7, based_on=2)
    assert acme.service().document.version == 3
    assert acme.service().document.version == 3
    written(acme, 8)
    assert acme.service().document.version == 4
    assert [each for each in caplog.records if each.name == "engine.opening"] == []
    with acme.open_database().read() as connection:
        assert source_text(connection, "acme", 4) == acme.document.read_text()


def test_a_bad_file_never_replaces_a_good_version(acme: Any) -> None:
    good = read_document(written(acme, 10))
    acme.service()
    acme.document.write_text(acme.document.read_text().replace("monthly_budget_usd: 10", "monthly_budget_usd: -10"))
    with pytest.raises(DocumentError, match="monthly_budget_usd"):
        acme.service()
    with acme.open_database().read() as connection:
        assert live_document(connection, "acme").document == good


def test_what_is_live_is_found_without_a_file(acme: Any) -> None:
    with ExitStack() as opened, pytest.raises(DocumentError, match="has no governance document yet"):
        open_live_parts(opened, "acme", acme.settings())
    written(acme, 10)
    acme.service()
    with ExitStack() as opened:
        _, url, live = open_live_parts(opened, "acme", acme.settings())
        assert (url, live.version, live.document) == (acme.redis_url, 1, read_document(acme.document))


UNTIL = "until 1 Dec 2026 (America/New_York)"


def planned(acme: Any, at: datetime, **parts: Any) -> list[str]:
    content = yaml.safe_load(acme.document.read_text())
    with acme.open_database().read() as connection:
        live = live_document(connection, "acme")
        plan = make_plan(connection, live, parse_document({**content, **parts}, "test"), at)
    return [str(change) for change in plan.changes]


def spend(acme: Any, service: GovernanceService, agent: str, usd: int, *, settle: bool = True) -> None:
    decision = service.check(agent, estimated_cost=usd)
    assert decision.allowed
    if settle:
        service.settle(decision, actual_cost=usd)


def test_a_plan_says_what_becomes_of_what_is_spent(acme_on_each: Any) -> None:
    acme = acme_on_each
    zone = "America/New_York"
    budgets = [
        {"id": "cap", "per": "org", "monthly_budget_usd": 500},
        {"id": "each", "per": "agent", "monthly_budget_usd": 400},
    ]
    acme.write(budgets=budgets, timezone=zone)
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    service = acme.clocked_service(at)
    spend(acme, service, "copilot_hr", 300)
    spend(acme, service, "coder", 12)
    assert acme.writer(service).drain(give_up_after=20)

    def cap(**changes: Any) -> list[str]:
        return planned(acme, at, budgets=[{**budgets[0], **changes}, budgets[1]])

    assert cap(monthly_budget_usd=800) == ["budget cap monthly 500 -> 800 USD; 312 already spent is kept"]
    assert cap(monthly_budget_usd=300) == [
        f"budget cap monthly 500 -> 300 USD; 312 of 300 is already used: calls are denied {UNTIL}"
    ]
    assert cap(monthly_budget_usd=300, enforcement_mode="soft")[0].endswith(
        "calls are marked over_soft_budget until 1 Dec 2026 (America/New_York)"
    )
    assert cap(daily_budget_usd=400) == [
        "budget cap daily unlimited -> 400 USD; counts what its period has already spent: 312"
    ]
    assert cap(monthly_execution_limit=2) == [
        f"budget cap monthly executions unlimited -> 2; 2 of 2 is already used: calls are denied {UNTIL}"
    ]
    assert cap(warning_threshold=0.5) == ["budget cap warning_threshold 0.8 -> 0.5"]
    assert cap(per="agent") == [
        "budget cap per org -> agent; counts what its period has already spent: 2 agents, at most 300 (copilot_hr)"
    ]
    new = {"id": "hr", "per": "org", "applies_to": {"team": "team-hr"}, "monthly_budget_usd": 1000}
    assert planned(acme, at, budgets=[*budgets, new]) == [
        "budget hr added: per org, for team team-hr, monthly 1,000 USD; counts what its period has already spent: 300"
    ]
    each = {**budgets[1], "monthly_budget_usd": 450}
    assert planned(acme, at, budgets=[budgets[0], each]) == [
        "budget each monthly 400 -> 450 USD; 2 agents have spent, at most 300 (copilot_hr); kept"
    ]
    assert cap(monthly_budget_usd="312.05") == [
        "budget cap monthly 500 -> 312.05 USD; 312 already spent is kept, 0.05 left"
    ]
    each = {**budgets[1], "monthly_budget_usd": 310}
    assert planned(acme, at, budgets=[budgets[0], each]) == [
        "budget each monthly 400 -> 310 USD; 2 agents have spent, at most 300 (copilot_hr); kept, at least 10 left"
    ]
    each = {**budgets[1], "monthly_budget_usd": 100}
    used_up = f"1 of 2 agents has used it up (copilot_hr: 300 of 100): its calls are denied {UNTIL}"
    assert planned(acme, at, budgets=[budgets[0], each]) == [f"budget each monthly 400 -> 100 USD; {used_up}"]
    each = {**budgets[1], "monthly_budget_usd": 11, "daily_execution_limit": 1}
    both = planned(acme, at, budgets=[budgets[0], each])
    assert both[0].endswith(f"; 2 of 2 agents have used it up (copilot_hr: 300 of 11): their calls are denied {UNTIL}")
    assert "; 2 of 2 agents have used it up (coder: 1 of 1): " in both[1].replace("copilot_hr", "coder")
    (moved,) = planned(acme, at, timezone="UTC")
    assert moved.splitlines() == [
        f"timezone {zone} -> UTC",
        "  budget cap monthly counts what its period has already spent: 312",
        "  budget each monthly counts what its period has already spent: 2 agents, at most 300 (copilot_hr)",
    ]
    assert planned(acme, at + timedelta(days=20), budgets=[{**budgets[0], "monthly_budget_usd": 1}, budgets[1]]) == [
        "budget cap monthly 500 -> 1 USD"
    ], "another month has spent nothing"


def test_a_plan_says_whose_calls_are_allowed_again(acme: Any) -> None:
    cap = {"id": "cap", "per": "org", "monthly_budget_usd": 40}
    each = {"id": "each", "per": "agent", "monthly_budget_usd": 20, "monthly_execution_limit": 1}
    soft = {"id": "soft", "per": "org", "monthly_budget_usd": 1, "enforcement_mode": "soft"}
    stop = {"id": "stop", "per": "agent", "applies_to": {"agent": "hook"}, "monthly_budget_usd": 0}
    acme.write(budgets=[cap, each, soft, stop], timezone="America/New_York")
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    service = acme.clocked_service(at)
    spend(acme, service, "copilot_hr", 20)
    spend(acme, service, "coder", 20)
    assert acme.writer(service).drain(give_up_after=20)
    again = "that it denies now are allowed again"
    assert planned(acme, at, budgets=[{**cap, "monthly_budget_usd": 80}, each, soft, stop])[0].splitlines() == [
        "budget cap monthly 40 -> 80 USD",
        "  40 already spent is kept",
        f"  calls {again}",
    ]
    assert planned(acme, at, budgets=[each, soft, stop]) == [
        f"budget cap removed (it was: per org, monthly 40 USD); calls {again}"
    ]
    assert planned(acme, at, budgets=[{**cap, "enforcement_mode": "soft"}, each, soft, stop]) == [
        f"budget cap enforcement_mode hard -> soft; calls {again}"
    ]
    (one,) = planned(acme, at, budgets=[cap, {**each, "monthly_budget_usd": 80}, soft, stop])
    assert "again" not in one, "the other limit of the budget still denies"
    two = planned(acme, at, budgets=[cap, {**each, "monthly_budget_usd": 80, "monthly_execution_limit": 9}, soft, stop])
    assert [f"calls of 2 agents {again}" in sentence for sentence in two] == [True, False], "it is said once"
    assert again not in planned(acme, at, budgets=[cap, each, stop])[0], "a soft budget denies nothing"
    assert planned(acme, at, budgets=[cap, each, soft, {**stop, "monthly_budget_usd": 1}]) == [
        f"budget stop monthly 0 -> 1 USD; calls {again}"
    ]


def test_a_plan_says_what_a_raise_changes_now(acme: Any) -> None:
    each = {"id": "each", "per": "agent", "monthly_budget_usd": 20}
    acme.write(budgets=[each], timezone="America/New_York")
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    service = acme.clocked_service(at)
    spend(acme, service, "copilot_hr", 20)
    assert acme.writer(service).drain(give_up_after=20)

    def raised(**more: Any) -> list[str]:
        part = {"monthly_usd": 5, "from": at.isoformat(), "until": (at + timedelta(days=1)).isoformat(), **more}
        return planned(acme, at, budgets=[{**each, "raises": [part]}])

    words = "5 USD a month from 2026-11-20 12:00 UTC until 2026-11-21 12:00 UTC"
    again = "calls of copilot_hr that it denies now are allowed again"
    assert raised() == [f"budget each raised by {words}; {again}"]
    assert raised(scope="copilot_hr") == [f"budget each raised for copilot_hr by {words}; {again}"]
    (other,) = raised(scope="coder")
    assert other == (
        f"budget each raised for coder by {words}; monthly: 1 of 1 agent has used it up (copilot_hr: 20 of 20): "
        f"its calls are denied {UNTIL}"
    )
    assert again not in raised(**{"from": (at + timedelta(hours=1)).isoformat()})[0], "it has not begun"


def test_a_plan_counts_what_is_held_as_used(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 500}])
    service = acme.service()
    spend(acme, service, "hook", 100)
    spend(acme, service, "hook", 150, settle=False)
    acme.store(service)
    (sentence,) = planned(acme, utc_now(), budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 200}])
    assert "; 250 of 200 is already used (150 of it held): calls are denied until " in sentence
    (sentence,) = planned(acme, utc_now(), budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 260}])
    assert sentence.endswith("; 100 already spent is kept, 10 left besides 150 held")


def test_an_agent_of_a_newer_version_is_known_a_moment_after_it_was_refused(acme: Any) -> None:
    written(acme, 10)
    service = acme.service()
    newer = read_document(acme.document).model_copy(deep=True)
    newer.agents["newcomer"] = newer.agents["hook"].model_copy()
    publish(acme.open_database(), newer, base=1, author="ada", reason="a newcomer")
    with pytest.raises(InvalidValue, match="newcomer"):
        service.check("newcomer", estimated_cost=1)
    deadline = time.monotonic() + 10
    while service.document.version == 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert service.check("newcomer", estimated_cost=1).allowed


def test_a_version_from_a_file_has_an_audit_entry_that_holds_its_content(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        migrate(database)
        document = parse_document({"organization": "acme"}, "test")
        for _ in range(2):
            publish(database, document, base=None, author="ada", reason="first")
        with database.read() as connection:
            (entry,) = audit_entries(connection, "acme")
            held = version_history(connection, "acme")[0].content_hash
        assert (entry.action, entry.subject, entry.author, entry.reason) == (
            "document.apply", "version 1", "ada", "first",
        )  # fmt: skip
        assert entry.details == {"version": 1, "document_hash": held}
