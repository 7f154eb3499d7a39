"""Rollups on real servers: they equal a count of the decisions, whatever comes late and however it is stored."""

from __future__ import annotations

import contextlib
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from engine.admission.keys import events_key
from engine.clock import utc_now
from engine.errors import SettleConflict
from engine.ledger.budget_moves import Thresholds
from engine.ledger.database import Database
from engine.ledger.histogram import bin_of
from engine.ledger.organizations import StreamBacklog
from engine.ledger.queries.health import waiting_in_stream
from engine.ledger.tables import budget_usage, crossings, decisions, events, latencies, limits, usage, users
from engine.ledger.totals import prune_minutes
from jobs.writer_loop import WriterLoop
from tests.support.rollups_by_hand import peaks_by_hand, stored_peaks

BUDGETS = [
    {"id": "org", "per": "org", "monthly_budget_usd": 60},
    {"id": "each", "per": "agent", "daily_budget_usd": 20, "warning_threshold": 0.6, "degradation_threshold": 0.85},
    {"id": "people", "per": "user", "daily_execution_limit": 60},
]
RATES = [
    {"id": "all", "per": "org", "requests_per_minute": 400, "requests_per_day": 100_000},
    {"id": "user", "per": "user", "requests_per_minute": 12, "requests_per_hour": 1_000},
]
POLICIES = [
    {"policy_id": "go", "effect": "allow"},
    {"policy_id": "no-labs", "effect": "deny", "conditions": [{"environments": ["lab"]}]},
    {"policy_id": "soon", "effect": "deny", "shadow": True},
]


def crossings_by_hand(acme: Any) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Play the ledger's events back, one after the other, and watch every counter."""
    made = {row.decision_id: row for row in acme.rows(decisions)}
    watched = {
        (row.budget_id, row.scope, row.period, row.period_label): Thresholds(
            row.limit_micros, row.warning_threshold, row.degradation_threshold
        )
        for row in acme.rows(budget_usage)
    }
    spent: dict[tuple[Any, ...], int] = dict.fromkeys(watched, 0)
    charged: dict[str, int] = {}
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for event in sorted(acme.rows(events), key=lambda row: int(row.seq)):
        row = made[event.decision_id]
        counters = row.tests["counters"]
        if event.kind == "check":
            if row.reason.startswith("budget_"):
                counter = counters[row.tests["denied_by"] - 1]
                key = (counter["budget_id"], counter["scope"], counter["period"], counter["period_label"])
                noted = found.get((*key, 0))
                # Noted anew when the last one is a minute old.
                if noted is None or event.at >= noted[0] + timedelta(minutes=1):
                    found[*key, 0] = (event.at, counter["spent_micros"])
            continue
        amount = int(event.payload["m"])
        for counter in counters:
            key = (counter["budget_id"], counter["scope"], counter["period"], counter["period_label"])
            spent[key] += amount - charged.get(event.decision_id, 0)
            for threshold in watched[key].reached(spent[key]):
                found.setdefault((*key, threshold), (event.at, spent[key]))
        charged[event.decision_id] = amount
    return found


def stored_crossings(acme: Any) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {
        (row.budget_id, row.scope, row.period, row.period_label, row.threshold): (row.at, row.spent_micros)
        for row in acme.rows(crossings)
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_history_with_late_settles_stored_in_batches_of_every_size_adds_up(
    acme_on_each: Any, seed: int
) -> None:
    acme, dice = acme_on_each, random.Random(seed)
    acme.write(budgets=BUDGETS, rate_limits=RATES, policies=POLICIES)
    now = utc_now().replace(hour=22, minute=50, second=0, microsecond=0) - timedelta(days=1)
    service = acme.clocked_service(now, hold_seconds=300)
    writer = acme.writer(service)
    left: list[Any] = []
    for _ in range(180):
        now += timedelta(milliseconds=dice.choice((1, 500, 2_000, 60_000)))
        acme.set_clock(now)
        agent = dice.choice(("hook", "hook", "copilot_hr", "coder"))
        decision = service.check(
            agent,
            user_id=dice.choice((None, "ada", "bob")),
            environment=dice.choice((None, "lab")) if agent == "hook" and dice.random() < 0.3 else None,
            estimated_cost=f"{dice.choice((0, 0, 1))}.{dice.randrange(10, 99)}",
        )
        if decision.allowed and dice.random() < 0.85:
            left.append(decision)
        while left and dice.random() < 0.5:
            # Some of them long after they have expired, and in another day than they were made in.
            end(service, left.pop(dice.choice((0, -1))), dice)
        if dice.random() < 0.1:
            service.gate.sweep(acme.org_id)
        if dice.random() < 0.2:
            writer._batch = dice.choice((1, 2, 7, 50))
            writer.step()
    writer.release()
    acme.set_clock(now + timedelta(minutes=6))
    assert service.gate.sweep(acme.org_id).status == "SWEPT"
    acme.store_everything(service)
    states = {row.state for row in acme.rows()}
    assert states >= {"settled", "cancelled", "expired", "denied"}
    acme.assert_adds_up()
    with acme.open_database().read() as connection:
        assert stored_peaks(connection) == peaks_by_hand(acme.rows())
    assert stored_crossings(acme) == crossings_by_hand(acme)
    assert {threshold for *_, threshold in stored_crossings(acme)} >= {0, 5_000, 6_000, 8_500}


def end(service: Any, decision: Any, dice: random.Random) -> None:
    if dice.random() < 0.15:
        # What has expired cannot be cancelled any more.
        with contextlib.suppress(SettleConflict):
            service.cancel(decision)
    else:
        service.settle(decision, actual_cost=f"1.{dice.randrange(10, 99)}", success=dice.random() < 0.8)


def test_a_late_settle_changes_the_buckets_of_its_calls_own_time(acme_on_each: Any) -> None:
    acme = acme_on_each
    yesterday = utc_now().replace(hour=10, minute=59, second=59, microsecond=0) - timedelta(days=1)
    service = acme.clocked_service(yesterday)
    decision = service.check("hook", user_id="ada", estimated_cost=2)
    acme.store(service)
    acme.set_clock(yesterday + timedelta(hours=14))
    service.gate.sweep(acme.org_id)
    acme.store(service)
    assert _spent(acme) == {("day", "2"), ("hour", "2"), ("minute", "2")}
    service.settle(decision, actual_cost="1.25")
    acme.store(service)
    assert _spent(acme) == {("day", "1.25"), ("hour", "1.25"), ("minute", "1.25")}
    minute = yesterday.replace(second=0)
    assert {row.grain: row.bucket for row in acme.rows(usage)} == {
        "minute": minute,
        "hour": minute.replace(minute=0),
        "day": minute.replace(hour=0, minute=0),
    }
    (row,) = acme.rows(users)
    assert (row.bucket, row.decisions, row.spent_micros) == (minute.replace(hour=0, minute=0), 1, 1_250_000)
    acme.assert_adds_up()


def _spent(acme: Any) -> set[tuple[str, str]]:
    return {(row.grain, f"{row.spent_micros / 1e6:g}") for row in acme.rows(usage)}


def test_a_settle_tells_how_long_its_caller_waited_for_the_gate(acme_on_each: Any) -> None:
    acme = acme_on_each
    service = acme.service()
    told, by_id = (service.check("hook", user_id="ada", estimated_cost=1) for _ in range(2))
    service.settle(told, actual_cost=1)
    service.settle(by_id.id, actual_cost=1)
    service.check("hook", estimated_cost=1)
    acme.store()
    rows = {row.decision_id: row.gate_us for row in acme.rows()}
    assert (rows[told.id], rows[by_id.id]) == (told.gate_us, None)
    hours = [row for row in acme.rows(latencies) if row.grain == "hour"]
    assert sum(row.calls for row in hours if row.metric == "prepare_us") == 3
    assert [(row.bin, row.calls) for row in hours if row.metric == "gate_us"] == [(bin_of(told.gate_us), 1)]
    whole = told.gate_us + told.prepare_us
    assert [(row.bin, row.calls) for row in hours if row.metric == "check_us"] == [(bin_of(whole), 1)]
    acme.assert_adds_up()


def test_rows_by_the_minute_are_kept_for_two_days_and_not_opened_again(acme_on_each: Any) -> None:
    acme = acme_on_each
    now = utc_now()
    service = acme.clocked_service(now - timedelta(days=2, minutes=2))
    old = service.check("hook", estimated_cost=1)
    acme.set_clock(now - timedelta(days=1))
    young = service.check("hook", estimated_cost=1)
    acme.store(service)
    assert _minutes(acme) == {young.at.replace(second=0, microsecond=0)}
    database = acme.open_database()
    assert prune_minutes(database, now - timedelta(days=2)) == 0
    assert prune_minutes(database, now) == 2
    for decision in (old, young):
        service.settle(decision, actual_cost=2)
    acme.store(service)
    assert sum(row.spent_micros for row in acme.rows(usage) if row.grain == "hour") == 4_000_000
    assert all(row.bucket >= now - timedelta(days=2) for row in acme.rows(usage) if row.grain == "minute")


def _minutes(acme: Any) -> set[datetime]:
    return {row.bucket for table in (usage, latencies) for row in acme.rows(table) if row.grain == "minute"}


def test_crossings_are_noted_once_in_the_transaction_of_the_settle(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10, "warning_threshold": 0.7}])
    service = acme.service()
    service.settle(service.check("hook", estimated_cost=3), actual_cost="4.99")
    acme.store()
    assert acme.rows(crossings) == []
    # One settle jumps over three thresholds.
    service.settle(service.check("hook", estimated_cost=5), actual_cost="4.4")
    acme.store()
    found = {row.threshold: row for row in acme.rows(crossings)}
    assert sorted(found) == [5_000, 7_000, 9_000]
    assert {(row.spent_micros, row.limit_micros, row.consumed_at) for row in found.values()} == {
        (9_390_000, 10_000_000, None)
    }
    (settled,) = [row.at for row in acme.rows(events) if row.kind == "settle" and row.payload["m"] == "4400000"]
    assert {row.at for row in found.values()} == {settled}
    # It denies at 93.9 %, and once more.
    for _ in range(2):
        assert not service.check("hook", estimated_cost=1).allowed
    acme.store()
    (denial,) = [row for row in acme.rows(crossings) if row.threshold == 0]
    assert (denial.spent_micros, denial.period) == (9_390_000, "month")
    service.settle(service.check("hook", estimated_cost="0.5"), actual_cost="0.7")
    acme.store()
    assert sorted(row.threshold for row in acme.rows(crossings)) == [0, 5_000, 7_000, 9_000, 9_500, 10_000]
    assert stored_crossings(acme) == crossings_by_hand(acme)


def test_a_lowered_budget_and_a_new_one_pass_what_is_spent_already(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10}])
    service = acme.service()
    service.settle(service.check("hook", estimated_cost=6), actual_cost=6)
    acme.store()
    assert [row.threshold for row in acme.rows(crossings)] == [5_000]
    acme.write(
        budgets=[
            {"id": "cap", "per": "org", "monthly_budget_usd": 7},
            {"id": "new", "per": "org", "monthly_budget_usd": 11},
        ]
    )
    # A changed document has the state rebuilt.
    assert acme.service().check("hook", estimated_cost="0.1").allowed
    acme.store()
    assert {(row.budget_id, row.threshold) for row in acme.rows(crossings)} == {
        ("cap", 5_000),
        ("cap", 8_000),
        ("new", 5_000),
    }
    acme.assert_rollups_add_up()


def test_a_scope_says_how_often_it_was_asked_how_often_full_and_how_full(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(rate_limits=[{"id": "r", "per": "user", "requests_per_minute": 3, "requests_per_day": 100}])
    service = acme.service()
    for _ in range(5):
        service.check("hook", user_id="ada", estimated_cost=0)
    acme.store()
    found = {row.window: (row.scope, row.checks, row.exceeded, row.fail_open, row.peak_permille)
             for row in acme.rows(limits)}  # fmt: skip
    assert found == {"minute": ("ada", 5, 2, 0, 1000), "day": ("ada", 5, 0, 0, 30)}


def test_how_much_waits_in_the_stream_is_in_sql(acme: Any) -> None:
    service = acme.service()
    first = service.check("hook", estimated_cost=0)
    service.check("hook", estimated_cost=0)
    writer = acme.writer()
    assert writer.backlog() == StreamBacklog(2, first.at)
    loop = WriterLoop(acme.open_database(), service.gate, lease_seconds=10)
    with acme.open_database().read() as connection:
        assert waiting_in_stream(connection, "nobody") is None
        found = waiting_in_stream(connection, acme.org_id)
        assert found is not None
        assert found.seen_at is None
    loop._look_around()
    drain = loop._drains[acme.org_id]
    drain._batch = 1
    drain.step()
    loop._look_around()
    with acme.open_database().read() as connection:
        found = waiting_in_stream(connection, acme.org_id)
    assert found is not None
    assert (found.events, found.since is not None) == (1, True)
    loop._store_next()
    loop._store_next()
    loop._look_around()
    with acme.open_database().read() as connection:
        found = waiting_in_stream(connection, acme.org_id)
    assert found is not None
    assert (found.events, found.since) == (0, None)
    assert found.seen_at is not None
    drain.release()


def test_numbers_larger_than_their_columns_block_nothing(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(rate_limits=[{"id": "r", "per": "org", "requests_per_minute": 1}])
    service = acme.service()
    decision = service.check("hook", estimated_cost=0)
    (good,) = acme.events()
    fields = {**good, "d": decision.id[:-1] + ("0" if decision.id[-1] != "0" else "1")}
    prepared = f",{decision.prepare_us},"
    assert good["b"].count(prepared) == 1
    fields["b"] = good["b"].replace(prepared, f",{2**50},")
    fields["a"] = good["a"].split("|")[0] + "||" + f"{2**50}:0:0"
    acme.redis.xadd(events_key("acme"), fields)
    service.settle(decision, actual_cost=0)
    acme.store()
    assert max(row.prepare_us for row in acme.rows()) == 2**31 - 1
    assert max(row.peak_permille for row in acme.rows(limits)) == 2**31 - 1


def test_decisions_of_an_earlier_version_are_counted_when_they_are_settled(acme_on_each: Any) -> None:
    """Rows that were there before the rollups: only their settles are new."""
    acme = acme_on_each
    service = acme.service()
    decision = service.check("hook", user_id="ada", estimated_cost=1)
    acme.store()
    database: Database = acme.open_database()
    with database.write() as connection:
        for table in (users, limits, latencies):
            connection.execute(table.delete())
    service.settle(decision, actual_cost=2)
    acme.store()
    with database.read() as connection:
        (row,) = connection.execute(select(users)).all()
    assert (row.decisions, row.spent_micros) == (0, 2_000_000)
    assert row.bucket.tzinfo is UTC
