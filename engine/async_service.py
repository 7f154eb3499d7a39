"""The enforcement engine for event loops: the same names and the same steps as `GovernanceService`, awaited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from engine.admission.async_gate import AsyncRedisGate
from engine.admission.breaker import Breaker
from engine.admission.gate import RedisGate
from engine.core import REBUILD_TIMEOUT_SECONDS, Core
from engine.decision import Decision, Denied, input_told
from engine.document.live import LiveDocument
from engine.errors import BursarError
from engine.flows import asking, checking, settling, viewing
from engine.flows.steps import Ask, AskMany, Await, Flow, NotInTime
from engine.ledger.database import Database
from engine.money import Micros
from engine.opening import FIRST_REBUILD_SECONDS, Opening, open_live_parts, open_parts
from engine.policy.context import PolicyContext
from engine.policy.result import PolicyEvaluationResult
from engine.pricing.estimator import ExternalAgentCostEstimator
from engine.request import Request, read_requests
from engine.settings import Settings, read_settings
from engine.status import BudgetCheckResult, RateLimitCheckResult
from engine.vault.auth_config import Secret
from engine.vault.of_agents import AgentVault
from engine.vault.rows import StoredCredential

T = TypeVar("T")


class AsyncGovernanceService:
    """Governs one organization's agents from one event loop. Arguments, answers and errors as in `GovernanceService`.

    Make one with `await AsyncGovernanceService.from_document(...)`; close it (or use it as an asynchronous context
    manager) when done.
    """

    def __init__(
        self,
        database: Database,
        gate: AsyncRedisGate,
        rebuild_gate: RedisGate,
        live: LiveDocument,
        settings: Settings,
        owned: contextlib.ExitStack | None = None,
    ) -> None:
        self.org_id = live.document.organization
        self.database = database
        self.gate = gate
        self._owned = owned or contextlib.ExitStack()
        self._core = Core(database, gate, rebuild_gate, live, settings)
        self._owned.callback(self._core.close)
        self._vault = AgentVault(database, settings, self.org_id)

    @classmethod
    async def from_document(cls, path: Path | str, *, settings: Settings | None = None) -> AsyncGovernanceService:
        """Govern by the document at `path`, as `GovernanceService.from_document` does."""
        return await cls._open(lambda opened, chosen: open_parts(opened, path, chosen), settings)

    @classmethod
    async def from_live(cls, org_id: str, *, settings: Settings | None = None) -> AsyncGovernanceService:
        """Govern by the live document in the ledger, as `GovernanceService.from_live` does."""
        return await cls._open(lambda opened, chosen: open_live_parts(opened, org_id, chosen), settings)

    @classmethod
    async def _open(cls, opening: Opening, settings: Settings | None) -> AsyncGovernanceService:
        chosen = settings or read_settings()
        with contextlib.ExitStack() as opened:
            database, url, live = await asyncio.to_thread(opening, opened, chosen)
            rebuild_gate = opened.enter_context(
                contextlib.closing(RedisGate(url, timeout_seconds=REBUILD_TIMEOUT_SECONDS, max_connections=2))
            )
            gate = AsyncRedisGate(url, timeout_seconds=chosen.redis_timeout_seconds, breaker=Breaker())
            service = cls(database, gate, rebuild_gate, live, chosen, opened.pop_all())
        await service.warm_up()
        return service

    @property
    def document(self) -> LiveDocument:
        """The document version in use."""
        return self._core.document

    async def warm_up(self, seconds: float = FIRST_REBUILD_SECONDS) -> None:
        """As `GovernanceService.warm_up`."""
        self._core.recorder.recover()
        await self._run(asking.warm_up(self._core, seconds))

    async def check(
        self,
        agent_id: str,
        *,
        org_id: str | None = None,
        team_id: str | None = None,
        user_id: str | None = None,
        action: str = "invoke",
        environment: str | None = None,
        country: str | None = None,
        ip: str | None = None,
        tags: Iterable[str] | None = None,
        complexity: str = "standard",
        model: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_input_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        credits: Decimal | str | int | None = None,
        estimated_cost: Decimal | str | int | None = None,
        idempotency_key: str | None = None,
    ) -> Decision:
        """As `GovernanceService.check`."""
        facts = {
            "agent_id": agent_id,
            "org_id": org_id,
            "team_id": team_id,
            "user_id": user_id,
            "action": action,
            "environment": environment,
            "country": country,
            "ip": ip,
            "tags": tags,
            "complexity": complexity,
            "model": model,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cached_input_tokens": cached_input_tokens,
            "cache_write_tokens": cache_write_tokens,
            "credits": credits,
            "estimated_cost": estimated_cost,
        }
        return await self._run(checking.check(self._core, Request(facts, idempotency_key)))

    async def check_many(self, requests: Iterable[Mapping[str, Any]]) -> list[Decision]:
        """As `GovernanceService.check_many`."""
        return await self._run(checking.check_many(self._core, read_requests(requests)))

    async def settle(
        self,
        decision: Decision | str,
        *,
        org_id: str | None = None,
        actual_cost: Decimal | str | int | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_input_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        credits: Decimal | str | int | None = None,
        success: bool = True,
    ) -> Micros:
        """As `GovernanceService.settle`."""
        return await self._run(
            settling.settle(
                self._core,
                decision,
                org_id=org_id,
                actual_cost=actual_cost,
                usage={
                    "input_tokens": input_tokens,
                    "output_tokens": output_tokens,
                    "cached_input_tokens": cached_input_tokens,
                    "cache_write_tokens": cache_write_tokens,
                    "credits": credits,
                },
                success=success,
            )
        )

    async def cancel(self, decision: Decision | str, *, org_id: str | None = None) -> None:
        """As `GovernanceService.cancel`."""
        await self._run(settling.cancel(self._core, decision, org_id=org_id))

    @contextlib.asynccontextmanager
    async def guard(self, agent_id: str, **request: Any) -> AsyncIterator[AsyncGuardedCall]:
        """As `GovernanceService.guard`."""
        decision = await self.check(agent_id, **request)
        if not decision.allowed:
            raise Denied(decision)
        yield AsyncGuardedCall(self, decision)

    async def check_budget(self, agent_id: str, **request: Any) -> BudgetCheckResult:
        """As `GovernanceService.check_budget`."""
        return await self._run(viewing.check_budget(self._core, {"agent_id": agent_id, **request}))

    async def check_rate_limit(
        self,
        agent_id: str,
        user_id: str | None = None,
        team_id: str | None = None,
        org_id: str | None = None,
    ) -> RateLimitCheckResult:
        """As `GovernanceService.check_rate_limit`."""
        facts = {"agent_id": agent_id, "user_id": user_id, "team_id": team_id, "org_id": org_id}
        return await self._run(viewing.check_rate_limit(self._core, facts))

    @property
    def estimator(self) -> ExternalAgentCostEstimator:
        """As `GovernanceService.estimator`."""
        return ExternalAgentCostEstimator(self._core.document.prices)

    async def evaluate_policies(self, context: PolicyContext) -> PolicyEvaluationResult:
        """As `GovernanceService.evaluate_policies`."""
        return self._core.evaluate_policies(context)

    async def status(self, agent_id: str) -> dict[str, Any]:
        """As `GovernanceService.status`."""
        return await self._run(viewing.status(self._core, agent_id))

    async def encrypt_credentials(
        self, auth_config: Mapping[str, Any], *, agent_id: str | None = None, **options: Any
    ) -> StoredCredential:
        """As `GovernanceService.encrypt_credentials`."""
        agents = self.document.document.agents
        return await asyncio.to_thread(self._vault.encrypt, auth_config, agents, agent_id=agent_id, **options)

    async def decrypt_credentials(self, agent_id: str, *, user_id: str, purpose: str, name: str = "default") -> Secret:
        """As `GovernanceService.decrypt_credentials`."""
        return await asyncio.to_thread(self._vault.decrypt, agent_id, user_id=user_id, purpose=purpose, name=name)

    async def close(self) -> None:
        """Close connections, and end the private server if this service started it."""
        await self.gate.close()
        await asyncio.to_thread(self._owned.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, flow: Flow[T]) -> T:
        """Run a flow, suspending this task while it waits."""
        answer: Any = None
        problem: BursarError | None = None
        try:
            while True:
                step = flow.send(answer) if problem is None else flow.throw(problem)
                answer, problem = None, None
                try:
                    answer = await self._answer(step)
                except BursarError as error:
                    problem = error
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            # A caller that goes away in the middle must not leave a hold behind.
            flow.close()

    async def _answer(self, step: Ask | AskMany | Await) -> Any:
        if isinstance(step, Ask):
            return await self.gate.ask(step.question)
        if isinstance(step, AskMany):
            return await self.gate.ask_many(step.questions)
        future = asyncio.wrap_future(step.future)
        # Not wait_for: that would cancel what others may wait for too.
        done, _ = await asyncio.wait({future}, timeout=step.seconds)
        if not done:
            raise NotInTime("not in time")
        return future.result()


class AsyncGuardedCall:
    """An allowed call inside `guard`: settle or cancel it once its outcome is known."""

    def __init__(self, service: AsyncGovernanceService, decision: Decision) -> None:
        self._service = service
        self.decision = decision

    async def settle(
        self,
        *,
        actual_cost: Decimal | str | int | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_input_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        credits: Decimal | str | int | None = None,
        success: bool = True,
    ) -> Micros:
        """As `AsyncGovernanceService.settle`, for this call. Beside output tokens, those of input may be left out."""
        fresh, cached, written = (input_tokens, cached_input_tokens, cache_write_tokens)
        if actual_cost is not None or output_tokens is not None:
            fresh, cached, written = input_told(self.decision, fresh, cached, written)
        return await self._service.settle(
            self.decision,
            actual_cost=actual_cost,
            input_tokens=fresh,
            output_tokens=output_tokens,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            credits=credits,
            success=success,
        )

    async def cancel(self) -> None:
        """As `AsyncGovernanceService.cancel`, for this call."""
        await self._service.cancel(self.decision.id)
