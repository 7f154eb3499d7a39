"""The life of a hold: settled, cancelled or expired, once, in its own period (promises 2 and 7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from engine.admission.keys import state_keys
from engine.admission.questions import Hold
from engine.decision import Denied, ReasonCode
from engine.errors import InvalidValue, SettleConflict, UnknownDecision
from engine.ids import new_decision_id
from engine.ledger.tables import decisions, events, pending_events

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BUDGETS = [{"id": "cap", "per": "agent", "monthly_budget_usd": 10, "daily_budget_usd": 10}]


@pytest.fixture
def governed(acme: Any) -> Any:
    acme.write(budgets=BUDGETS)
    return acme


def month(acme: Any, suffix: str, label: str = "2026-11") -> int:
    total: int = acme.counters().get(f"cap|hook|month|{label}:{suffix}", 0)
    return total


def test_settling_replaces_the_hold_by_the_actual_cost(governed: Any) -> None:
    service = governed.clocked_service(NOON)
    decision = service.check("hook", estimated_cost=4)
    assert (month(governed, "s"), month(governed, "h"), month(governed, "x")) == (0, 4_000_000, 1)
    assert service.settle(decision, actual_cost="12.5") == 12_500_000
    assert (month(governed, "s"), month(governed, "h"), month(governed, "x")) == (12_500_000, 0, 1)
    # An actual above its reserve may pass the limit, and that is counted.
    assert service.check("hook", estimated_cost=0).reason is ReasonCode.BUDGET_MONTHLY_COST
    governed.store(service)
    governed.assert_adds_up()


def test_settling_again_with_the_same_amount_changes_nothing_and_with_another_is_a_conflict(governed: Any) -> None:
    service = governed.clocked_service(NOON)
    decision = service.check("hook", estimated_cost=1)
    for _ in range(3):
        assert service.settle(decision.id, actual_cost=Decimal("0.5")) == 500_000
    with pytest.raises(SettleConflict, match=r"already settled at \$0.50"):
        service.settle(decision.id, actual_cost="0.6")
    with pytest.raises(SettleConflict, match=r"already settled at \$0.50"):
        service.cancel(decision.id)
    assert month(governed, "s") == 500_000
    governed.store(service)
    governed.assert_adds_up()
    assert [row.kind for row in governed.rows(events)] == ["check", "settle"]


def test_cancelling_undoes_the_hold_and_the_execution(governed: Any) -> None:
    service = governed.clocked_service(NOON)
    decision = service.check("hook", estimated_cost=10)
    assert not service.check("hook", estimated_cost=1).allowed
    service.cancel(decision.id)
    service.cancel(decision)
    assert governed.counters() == {}
    assert service.check("hook", estimated_cost=10).allowed
    with pytest.raises(SettleConflict, match="already cancelled"):
        service.settle(decision.id, actual_cost=1)
    governed.store(service)
    assert governed.state_of(decision.id) == ("cancelled", 0)
    governed.assert_adds_up()


def test_an_expired_hold_is_charged_at_its_reserve_and_a_late_settle_corrects_it(governed: Any) -> None:
    service = governed.clocked_service(NOON)
    decision = service.check("hook", estimated_cost=4)
    governed.set_clock(NOON + timedelta(seconds=301))
    assert service.check("hook", estimated_cost="6.000001").reason is ReasonCode.BUDGET_MONTHLY_COST
    assert (month(governed, "s"), month(governed, "h")) == (4_000_000, 0)
    governed.store(service)
    assert governed.state_of(decision.id) == ("expired", 4_000_000)
    with pytest.raises(SettleConflict, match=r"has expired and was charged \$4.00"):
        service.cancel(decision.id)
    service.settle(decision.id, actual_cost=1)
    assert (month(governed, "s"), month(governed, "h"), month(governed, "x")) == (1_000_000, 0, 1)
    governed.store(service)
    assert governed.state_of(decision.id) == ("settled", 1_000_000)
    governed.assert_adds_up()


@pytest.mark.parametrize("ending", ["settle", "cancel", "expire"])
def test_a_hold_of_nothing_ends_like_any_other(governed: Any, ending: str) -> None:
    service = governed.clocked_service(NOON)
    decision = service.check("hook", estimated_cost=0)
    if ending == "settle":
        service.settle(decision, actual_cost=0)
    elif ending == "cancel":
        service.cancel(decision.id)
    else:
        governed.set_clock(NOON + timedelta(seconds=300))
    assert service.check("hook", estimated_cost=1).allowed
    governed.store(service)
    governed.assert_adds_up()


def test_a_sweep_expires_what_is_due_and_nothing_else(governed: Any) -> None:
    service = governed.clocked_service(NOON)
    first = [service.check("hook", estimated_cost="0.01") for _ in range(20)]
    governed.set_clock(NOON + timedelta(seconds=299))
    later = service.check("hook", estimated_cost="0.01")
    service.settle(first[0], actual_cost=0)
    governed.set_clock(NOON + timedelta(seconds=300))
    writer = governed.writer(service)
    assert writer.drain()
    writer.sweep()
    writer.release()
    governed.store(service)
    states = {row.decision_id: row.state for row in governed.rows()}
    assert [states[decision.id] for decision in first] == ["settled"] + ["expired"] * 19
    assert states[later.id] == "held"
    governed.assert_adds_up()


@pytest.mark.parametrize("drained_before_it_expired", [True, False])
def test_a_settle_after_redis_forgot_the_hold_is_folded_in_by_the_writer_exactly_once(
    acme_on_each: Any, drained_before_it_expired: bool
) -> None:
    acme_on_each.write(budgets=BUDGETS)
    service = acme_on_each.clocked_service(NOON)
    decision = service.check("hook", estimated_cost=4)
    if drained_before_it_expired:
        acme_on_each.store(service)
    acme_on_each.set_clock(NOON + timedelta(minutes=6))
    service.check("hook", estimated_cost=0)
    acme_on_each.set_clock(NOON + timedelta(minutes=6, hours=1))
    service.check("hook", estimated_cost=0)
    assert service.gate.ask(Hold("acme", decision.id)).raw[2] == ""
    if not drained_before_it_expired:
        acme_on_each.store(service)
    for _ in range(2):
        assert service.settle(decision.id, actual_cost=1) == 1_000_000
    with pytest.raises(SettleConflict, match=r"already settled at \$1.00"):
        service.settle(decision.id, actual_cost=2)
    assert month(acme_on_each, "s") == 4_000_000
    for _ in range(3):
        acme_on_each.store(service)
    assert acme_on_each.rows(pending_events) == []
    assert acme_on_each.state_of(decision.id) == ("settled", 1_000_000)
    assert month(acme_on_each, "s") == 1_000_000
    assert [row.kind for row in acme_on_each.rows(events) if row.decision_id == decision.id] == [
        "check", "expired", "settle",
    ]  # fmt: skip
    acme_on_each.assert_adds_up()
    assert service.settle(decision.id, actual_cost=1) == 1_000_000
    with pytest.raises(SettleConflict):
        service.settle(decision.id, actual_cost=2)


def test_a_late_settle_lands_in_the_period_of_its_hold(governed: Any) -> None:
    service = governed.clocked_service(datetime(2026, 11, 30, 23, 59, 50, tzinfo=UTC))
    decision = service.check("hook", estimated_cost=4)
    governed.set_clock(datetime(2026, 12, 1, 0, 0, 10, tzinfo=UTC))
    assert service.check("hook", estimated_cost=10).allowed
    service.settle(decision, actual_cost=3)
    assert (month(governed, "s"), month(governed, "h")) == (3_000_000, 0)
    assert month(governed, "h", "2026-12") == 10_000_000
    governed.store(service)
    governed.assert_adds_up()


def test_a_caller_whose_clock_is_wrong_is_put_right_by_redis_clock(governed: Any) -> None:
    """WRONG_PERIOD: the plan is made for the server's month, not the caller's."""
    service = governed.clocked_service(datetime(2027, 2, 1, 0, 0, 0, tzinfo=UTC))
    decision = service.check("hook", estimated_cost=1)
    assert decision.allowed
    assert [counter.period_label for counter in decision.counters] == ["2027-02", "2027-02-01"]
    assert decision.at == datetime(2027, 2, 1, tzinfo=UTC)
    governed.set_clock(datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC))
    back = service.check("hook", estimated_cost=1)
    assert [counter.period_label for counter in back.counters] == ["2027-01", "2027-01-31"]


def test_the_state_of_a_period_long_over_is_forgotten_and_a_settle_for_it_still_counts(governed: Any) -> None:
    service = governed.clocked_service(NOON)
    decision = service.check("hook", estimated_cost=4)
    governed.store(service)
    for hours in (1, 49, 98):
        governed.set_clock(NOON + timedelta(hours=hours + 24))
        for _ in range(3):
            service.gate.sweep("acme")
    assert not any("|day|" in name for name in governed.redis.hgetall(state_keys("acme")[0]))
    governed.store(service)
    service.settle(decision.id, actual_cost=1)
    for _ in range(2):  # one gives it to Redis, the next stores the event of that
        governed.store(service)
    assert governed.state_of(decision.id) == ("settled", 1_000_000)
    assert month(governed, "s") == 1_000_000


@pytest.mark.parametrize("nonsense", ["epoch", "", "x", None, 5])
def test_a_text_that_is_no_decision_id_cannot_harm_the_state(governed: Any, nonsense: Any) -> None:
    service = governed.clocked_service(NOON)
    service.check("hook", estimated_cost=1)
    before = governed.redis.dump(state_keys("acme")[1])
    for ask, how in ((service.settle, {"actual_cost": 1}), (service.settle, {"input_tokens": 1}), (service.cancel, {})):
        with pytest.raises(InvalidValue, match=r"^decision_id: "):
            ask(nonsense, **how)
    assert governed.redis.dump(state_keys("acme")[1]) == before


def test_an_id_that_was_never_allowed_is_unknown(governed: Any) -> None:
    service = governed.clocked_service(NOON)
    denied = service.check("hook", estimated_cost=11)
    governed.store(service)
    for decision_id in (new_decision_id(), denied.id):
        with pytest.raises(UnknownDecision):
            service.settle(decision_id, actual_cost=1)
        with pytest.raises(UnknownDecision):
            service.cancel(decision_id)
    assert governed.rows(pending_events) == []


@pytest.mark.parametrize("amount", ["-1", "nan", "1000000001", True])
def test_a_senseless_actual_cost_is_refused_and_the_hold_stays(governed: Any, amount: Any) -> None:
    service = governed.clocked_service(NOON)
    decision = service.check("hook", estimated_cost=1)
    with pytest.raises(InvalidValue, match=r"^actual_cost: "):
        service.settle(decision, actual_cost=amount)
    with pytest.raises(InvalidValue, match=r"^output_tokens: "):
        service.settle(decision, output_tokens=-5)
    with pytest.raises(InvalidValue, match=r"^actual_cost: give the actual cost"):
        service.settle(decision)
    assert month(governed, "h") == 1_000_000


def test_tokens_are_priced_alike_by_decision_by_id_and_after_redis_forgot(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10}])
    service = acme.clocked_service(NOON)
    first, second, third = (service.check("coder", input_tokens=1000, output_tokens=100) for _ in range(3))
    assert first.estimate.reserve_micros == 4200
    assert service.settle(first, input_tokens=2000, output_tokens=100) == 6000
    assert service.settle(second.id, input_tokens=2000, output_tokens=100) == 6000
    acme.store(service)
    acme.redis.hdel(state_keys("acme")[1], third.id)
    assert service.settle(third.id, input_tokens=2000, output_tokens=100) == 6000
    acme.store(service)
    acme.store(service)
    acme.assert_adds_up()
    assert [row.input_tokens for row in acme.rows()] == [2000] * 3


def test_guard_raises_denied_and_leaves_an_unsettled_hold_open(governed: Any) -> None:
    service = governed.clocked_service(NOON)
    with pytest.raises(RuntimeError, match="agent failed"), service.guard("hook", estimated_cost=4):
        raise RuntimeError("agent failed")
    assert month(governed, "h") == 4_000_000
    with service.guard("hook", estimated_cost=6) as call:
        call.settle(actual_cost=1, success=False)
    with pytest.raises(Denied) as denied, service.guard("hook", estimated_cost=6):
        pytest.fail("the block of a denied call must not run")
    assert denied.value.decision.http_status == 402
    with service.guard("hook", estimated_cost=5) as call:
        call.cancel()
    governed.store(service)
    governed.assert_adds_up()
    with governed.open_database().read() as connection:
        assert connection.execute(
            select(decisions.c.success).where(decisions.c.state == "settled")
        ).scalars().all() == [False]
