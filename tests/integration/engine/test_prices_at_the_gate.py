"""Prices of real calls: by tokens, credits and their own time; versions that services take up; nothing unknown free."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from engine.admission.keys import state_keys
from engine.errors import DatabaseError, InvalidValue
from engine.ledger.audit import AuditEntry, audit_entries, record_audit
from engine.ledger.price_books import BookMoved, UnknownBook, book_history, live_book, publish_book, stored_book
from engine.ledger.tables import audit_log, price_book_versions
from engine.pricing.basis import EstimateBasis
from engine.pricing.rows import PriceRow
from engine.pricing.shipped import SHIPPED_BOOK

EVE = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
CHEAPER = PriceRow(
    provider="azure_openai", model="gpt-4o", input_usd_per_million=Decimal(1), output_usd_per_million=Decimal(4),
    cached_input_usd_per_million=Decimal("0.1"), effective_from=MIDNIGHT, source="a test",
)  # fmt: skip
CREDITS = {"plan": "pack"}


def publish(acme: Any, *rows: PriceRow, base: int = 0) -> None:
    with acme.open_database().write() as connection:
        book = stored_book(connection, "acme", base).book.with_prices(rows)
        publish_book(connection, "acme", book, base=base, action="set", author="eve", reason="a test", details={})


def test_a_call_is_priced_by_its_own_time_however_it_is_settled(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10}])
    acme.unopened_service()
    publish(acme, CHEAPER)
    service = acme.clocked_service(EVE)
    old = [service.check("coder", input_tokens=1000, output_tokens=100) for _ in range(3)]
    acme.store(service)
    acme.set_clock(MIDNIGHT)
    new = service.check("coder", input_tokens=1000, output_tokens=100)
    assert [decision.estimate.estimate_micros for decision in (*old, new)] == [3500, 3500, 3500, 1400]
    acme.redis.hdel(state_keys("acme")[1], old[2].id)
    for decision in (old[0], old[1].id, old[2].id):
        assert service.settle(decision, input_tokens=2000, output_tokens=0) == 5000
    assert service.settle(new.id, input_tokens=2000, output_tokens=0) == 2000
    acme.store_everything(service)
    acme.assert_adds_up()


def test_a_retry_after_midnight_is_priced_by_the_call_it_repeats(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10}])
    acme.unopened_service()
    publish(acme, CHEAPER)
    service = acme.clocked_service(EVE)
    asked: dict[str, Any] = {"input_tokens": 1000, "output_tokens": 100, "idempotency_key": "once"}
    first = service.check("coder", **asked)
    acme.set_clock(MIDNIGHT)
    # From here on the service knows that it is December.
    assert service.check("coder", input_tokens=1000, output_tokens=100).estimate.estimate_micros == 1400
    again = service.check("coder", **asked)
    assert (again.id, again.repeated, again.estimate.estimate_micros) == (first.id, True, 3500)
    assert service.settle(again, input_tokens=1000, output_tokens=100) == 3500
    assert service.settle(first, input_tokens=1000, output_tokens=100) == 3500


def test_a_base_of_nothing_lets_no_call_through_for_free(acme: Any) -> None:
    acme.write(
        budgets=[{"id": "none", "per": "org", "monthly_budget_usd": 0}],
        prices={"overrides": [{"provider": "azure_openai", "per_call_usd": 0}]},
    )
    service = acme.clocked_service(EVE)
    decision = service.check("coder")
    assert (decision.allowed, decision.reason.value) == (False, "unknown_price")
    assert not service.check("coder", input_tokens=1000, output_tokens=0).allowed


def test_a_call_of_billions_is_refused_before_anything_is_written(acme: Any) -> None:
    dear = {"provider": "azure_openai", "input_usd_per_million": 999_999, "output_usd_per_million": 999_999}
    acme.write(prices={"overrides": [dear]})
    service = acme.clocked_service(EVE)
    with pytest.raises(InvalidValue, match=r"^input_tokens: the call comes to"):
        service.check("coder", input_tokens=10**9, output_tokens=10**9)
    held = service.check("coder", input_tokens=1, output_tokens=1)
    with pytest.raises(InvalidValue, match=r"^input_tokens: the call comes to"):
        service.settle(held, input_tokens=10**9, output_tokens=10**9)
    assert service.settle(held, actual_cost=1) == 1_000_000
    acme.store(service)
    assert [row.state for row in acme.rows()] == ["settled"]


def test_cached_tokens_are_recorded_and_billed_once(acme: Any) -> None:
    acme.unopened_service()
    publish(acme, CHEAPER)
    service = acme.clocked_service(MIDNIGHT)
    decision = service.check("coder", input_tokens=1000, output_tokens=100, cached_input_tokens=10_000)
    assert decision.estimate.estimate_micros == 1000 + 400 + 1000
    assert decision.estimate.tokens == 11_100
    assert service.settle(decision, input_tokens=500, output_tokens=50, cached_input_tokens=20_000) == 500 + 200 + 2000
    acme.store(service)
    (row,) = acme.rows()
    assert (row.input_tokens, row.output_tokens, row.cached_input_tokens) == (500, 50, 20_000)
    assert row.estimated_usage == {"input_tokens": 1000, "output_tokens": 100, "cached_input_tokens": 10_000}
    assert (row.estimate_basis, row.price_book_version) == ("priced", "v1")


def test_guard_takes_the_input_of_the_check_as_a_whole_or_not_at_all(acme: Any) -> None:
    acme.unopened_service()
    publish(acme, CHEAPER)
    service = acme.clocked_service(MIDNIGHT)
    asked = {"input_tokens": 1000, "cached_input_tokens": 10_000}
    with service.guard("coder", **asked) as call:
        assert call.settle(output_tokens=100) == 1000 + 1000 + 400
    with service.guard("coder", **asked) as call:
        with pytest.raises(InvalidValue, match=r"^input_tokens: must be given beside cached_input_tokens"):
            call.settle(cached_input_tokens=700, output_tokens=100)
        with pytest.raises(InvalidValue, match=r"^actual_cost: give the actual cost, or tokens"):
            call.settle()
        # This provider counts cached tokens in; those of the check must not come on top.
        assert call.settle(input_tokens=11_000, output_tokens=100) == 11_000 + 400
    acme.store(service)
    rows = sorted(acme.rows(), key=lambda row: row.input_tokens)
    assert [(row.input_tokens, row.cached_input_tokens, row.output_tokens) for row in rows] == [
        (1000, 10_000, 100),
        (11_000, None, 100),
    ]


def test_credits_are_held_and_settled_by_the_plan(acme: Any) -> None:
    acme.write(prices={"copilot_credits": CREDITS}, budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 1}])
    service = acme.clocked_service(EVE)
    usual = service.check("copilot_hr")
    assert (usual.estimate.estimate_micros, usual.estimate.reserve_micros) == (40_000, 48_000)
    decision = service.check("copilot_hr", credits="12.5")
    assert (decision.estimate.estimate_micros, decision.estimate.reserve_micros) == (100_000, 120_000)
    assert service.settle(decision.id, credits=12) == 96_000
    assert service.settle(decision.id, credits=12) == 96_000
    acme.store(service)
    acme.assert_adds_up()
    rows = {row.decision_id: row for row in acme.rows()}
    assert rows[decision.id].microcredits == 12_000_000
    assert rows[decision.id].estimated_usage == {"microcredits": 12_500_000}
    with pytest.raises(
        InvalidValue, match=r"^actual_cost: must be given, because provider 'azure_openai' is not priced"
    ):
        service.settle(service.check("coder", input_tokens=1, output_tokens=1), credits=3)
    denied = service.check("coder", credits=3)
    assert denied.message == "Unknown price: provider 'azure_openai' is not priced by Copilot Credits"


def test_overrides_of_the_document_price_calls(acme: Any) -> None:
    acme.write(
        prices={
            "overrides": [
                {"agent": "hook", "per_call_usd": 0.5, "buffer": 0.1},
                {"provider": "azure_openai", "terms": ["batch"]},
            ]
        }
    )
    service = acme.clocked_service(EVE)
    hook = service.check("hook").estimate
    assert (hook.estimate_micros, hook.reserve_micros) == (500_000, 550_000)
    assert service.check("coder", input_tokens=1000, output_tokens=0).estimate.estimate_micros == 1250


def test_an_assumed_price_is_the_dearest_and_says_so(acme: Any) -> None:
    agents = {"new": {"provider": "openai", "model": "gpt-9"}, "own": {"provider": "pigeon_post"}}
    acme.write(agents=agents, prices={"unknown_price": "assume"})
    service = acme.clocked_service(EVE)
    decision = service.check("new", input_tokens=1_000_000, output_tokens=0)
    assert (decision.allowed, decision.estimate.estimate_micros) == (True, 4_000_000)
    assert service.check("own").estimate.estimate_micros == 100_000
    assert service.settle(decision.id, input_tokens=0, output_tokens=1_000_000) == 20_000_000
    assert not service.check("new").allowed, "without tokens nothing can be assumed"
    acme.store(service)
    assert {row.agent_id: row.estimate_basis for row in acme.rows() if row.outcome == "allowed"} == {
        "new": "assumed",
        "own": "assumed",
    }


def test_the_services_estimator_has_the_prices_that_decide(acme: Any) -> None:
    acme.write(prices={"overrides": [{"agent": "hook", "per_call_usd": 0.5}]})
    service = acme.clocked_service(EVE)
    estimate = service.estimator.estimate_cost("webhook", "hook", at=EVE)
    assert estimate == Decimal("0.60") == service.check("hook").estimate.total
    assert service.estimator.estimate_cost("webhook", "other", at=EVE) == Decimal("0.0012")


def test_a_call_before_the_first_price_says_that_it_is_backdated(acme: Any) -> None:
    service = acme.clocked_service(datetime(2026, 10, 1, tzinfo=UTC))
    decision = service.check("hook")
    assert (decision.allowed, decision.estimate.basis) == (True, EstimateBasis.BACKDATED)
    given = service.check("hook", estimated_cost="0.7")
    assert (given.estimate.basis, given.estimate.reserve_micros) == (EstimateBasis.GIVEN, 700_000)
    acme.store(service)
    assert sorted(row.estimate_basis for row in acme.rows()) == ["backdated", "given"]


def test_a_running_service_takes_a_new_version_up(acme_on_each: Any) -> None:
    service = acme_on_each.service(cache_ttl_seconds=1)
    assert service.check("hook").price_book_version == SHIPPED_BOOK.label
    dearer = PriceRow(
        provider="webhook", per_call_usd=Decimal(1), effective_from=datetime(2026, 1, 1, tzinfo=UTC), source="a test"
    )
    publish(acme_on_each, dearer)
    patience = time.monotonic() + 20
    while (decision := service.check("hook")).price_book_version != "v1":
        assert time.monotonic() < patience
        time.sleep(0.05)
    # The shipped row of November is newer than the one added, so that is still in effect.
    assert decision.estimate.estimate_micros == 1000
    again = acme_on_each.service()
    assert again.check("hook").price_book_version == "v1", "a service that starts uses it at once"


def test_versions_are_numbered_compared_and_kept(acme_on_each: Any) -> None:
    acme_on_each.service()
    database = acme_on_each.open_database()
    publish(acme_on_each, CHEAPER)
    with pytest.raises(BookMoved, match="version 1 of the price book of 'acme' is live, not 0"):
        publish(acme_on_each, base=0)
    publish(acme_on_each, CHEAPER, base=1)
    with database.read() as connection:
        assert [record.version for record in book_history(connection, "acme")] == [1], "no change makes no version"
        assert live_book(connection, "acme").book.content_hash == book_history(connection, "acme")[0].content_hash
        with pytest.raises(UnknownBook, match="has no version 7 of its price book; it has versions 0 to 1"):
            stored_book(connection, "acme", 7)
        (entry,) = audit_entries(connection, "acme", action="prices.set")
    assert (entry.action, entry.subject, entry.author, entry.reason) == ("prices.set", "v1", "eve", "a test")


@pytest.mark.parametrize("table", [price_book_versions, audit_log])
def test_what_is_kept_cannot_be_changed(acme_on_each: Any, table: Any) -> None:
    acme_on_each.service()
    publish(acme_on_each, CHEAPER)
    database = acme_on_each.open_database()
    with database.read() as connection:
        authors = set(connection.execute(select(table.c.author)).scalars())
    assert "eve" in authors
    for change in (update(table).values(author="mallory"), delete(table)):
        with pytest.raises((DBAPIError, DatabaseError), match="never changed"), database.write() as connection:
            connection.execute(change)
    with database.read() as connection:
        assert set(connection.execute(select(table.c.author)).scalars()) == authors


def test_audit_entries_are_numbered_and_paged(acme_on_each: Any) -> None:
    database = acme_on_each.open_database()
    at = datetime(2026, 11, 25, tzinfo=UTC)
    for number in range(5):
        with database.write() as connection:
            entry = AuditEntry(at + timedelta(seconds=number), "eve", "test.do", str(number), "why", {"n": number})
            assert record_audit(connection, "acme", entry) == number + 1
    with database.read() as connection:
        assert [row.entry for row in audit_entries(connection, "acme", most=2)] == [5, 4]
        assert [row.details["n"] for row in audit_entries(connection, "acme", below=4, most=2)] == [2, 1]
        assert audit_entries(connection, "other") == []
