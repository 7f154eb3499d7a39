"""The service for event loops gives the same answers, shares one connection, and waits no longer than told."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from engine import AsyncGovernanceService, Denied, PolicyContext
from engine.decision import ReasonCode
from engine.errors import InvalidValue, KeyReused, SettleConflict, UnknownDecision
from engine.ids import new_decision_id

DEADLINE = 0.05
SLACK = 0.2


def run(acme: Any, do: Any, **changed: Any) -> Any:
    async def main() -> Any:
        async with await AsyncGovernanceService.from_document(
            acme.document, settings=acme.settings(**changed)
        ) as service:
            return await do(service)

    return asyncio.run(main())


def test_tasks_together_get_exactly_what_the_budget_holds(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "agent", "monthly_budget_usd": "0.60"}])

    async def calls(service: AsyncGovernanceService) -> list[Any]:
        return await asyncio.gather(*(service.check("hook", estimated_cost="0.06") for _ in range(200)))

    decisions = run(acme, calls)
    assert sum(decision.allowed for decision in decisions) == 10
    acme.store()
    acme.assert_adds_up()
    assert len(acme.rows()) == 200


def test_a_calls_whole_life_is_the_same_as_in_threads(acme: Any) -> None:
    acme.write(
        budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10}],
        rate_limits=[{"id": "r", "per": "org", "requests_per_minute": 100}],
    )

    async def life(service: AsyncGovernanceService) -> None:
        settled = await service.check("coder", input_tokens=1000, output_tokens=100)
        assert await service.settle(settled.id, input_tokens=2000, output_tokens=100) == 6000
        with pytest.raises(SettleConflict):
            await service.settle(settled, actual_cost=1)
        with pytest.raises(UnknownDecision):
            await service.settle(new_decision_id(), actual_cost=1)
        with pytest.raises(InvalidValue, match=r"^estimated_cost: "):
            await service.check("hook", estimated_cost="nan")
        first = await service.check("hook", estimated_cost=1, idempotency_key="k")
        assert (await service.check("hook", estimated_cost=1, idempotency_key="k")).id == first.id
        with pytest.raises(KeyReused):
            await service.check("hook", estimated_cost=2, idempotency_key="k")
        await service.cancel(first)
        async with service.guard("hook", estimated_cost=1) as call:
            await call.settle(actual_cost="0.5")
        async with service.guard("hook", estimated_cost=1) as call:
            await call.cancel()
        with pytest.raises(Denied):
            async with service.guard("hook", estimated_cost=11):
                pytest.fail("the block of a denied call must not run")
        many = await service.check_many([{"agent_id": "hook", "estimated_cost": 5}] * 2)
        assert [decision.allowed for decision in many] == [True, False]
        assert not (await service.check_budget("hook", estimated_cost=5)).allowed
        assert (await service.check_rate_limit("hook")).allowed
        assert (await service.status("hook"))["budget"]["monthly_spent_usd"] > 0
        assert (await service.evaluate_policies(PolicyContext())).effect == "allow"

    run(acme, life)
    acme.store()
    acme.assert_adds_up()


def test_a_hung_server_keeps_no_task_waiting_and_the_loop_goes_on(acme: Any) -> None:
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10, "outage_allowance": 0.2}])

    async def outage(service: AsyncGovernanceService) -> tuple[list[Any], float, int]:
        while (await service.check("hook", estimated_cost=0)).outage:
            pass
        pid = acme.redis.info("server")["process_id"]
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticker = asyncio.create_task(tick())
        os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        try:
            decisions = await asyncio.gather(*(service.check("hook", estimated_cost=1) for _ in range(30)))
        finally:
            taken = time.monotonic() - started
            os.kill(pid, signal.SIGCONT)
        while (await service.check("hook", estimated_cost=0)).outage:
            pass
        ticker.cancel()
        return decisions, taken, ticks

    decisions, taken, ticks = run(acme, outage, redis_timeout_seconds=DEADLINE)
    assert taken < DEADLINE + 0.25 + SLACK
    assert ticks > 3
    assert sum(decision.allowed for decision in decisions) == 2
    assert all(decision.outage for decision in decisions)
    acme.store_everything()
    acme.assert_adds_up()


def test_a_restarted_connection_is_made_anew_and_answers_are_never_mixed_up(acme: Any) -> None:
    acme.write(rate_limits=[{"id": "r", "per": "user", "requests_per_minute": 1000}])

    async def busy(service: AsyncGovernanceService) -> None:
        async def ask(user: int) -> None:
            for _ in range(20):
                decision = await service.check("hook", user_id=f"user-{user}", estimated_cost=0)
                if not decision.outage:
                    assert decision.rates[0].scope == f"user-{user}"
                    assert decision.reason is ReasonCode.ALLOWED

        async def kill_connections() -> None:
            for _ in range(5):
                await asyncio.sleep(0.01)
                await asyncio.to_thread(acme.redis.client_kill_filter, _type="normal", skipme=True)

        work: list[Coroutine[Any, Any, None]] = [ask(user) for user in range(20)]
        await asyncio.gather(*work, kill_connections())
        patience = time.monotonic() + 20
        while (await service.check("hook", estimated_cost=0)).outage:
            assert time.monotonic() < patience
            await asyncio.sleep(0.01)

    run(acme, busy)
    acme.store_everything()
    acme.assert_adds_up()
    assert len(acme.rows()) >= 401
