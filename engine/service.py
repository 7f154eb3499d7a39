"""The enforcement engine: decide calls, settle them, cancel them. One round trip to Redis each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

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


class GovernanceService:
    """Governs one organization's agents. Safe to share between threads, and usable after a fork.

    Make one with `from_document`; close it (or use it as a context manager) when done.
    """

    def __init__(
        self,
        database: Database,
        gate: RedisGate,
        live: LiveDocument,
        settings: Settings,
        owned: contextlib.ExitStack | None = None,
    ) -> None:
        self.org_id = live.document.organization
        self.database = database
        self.gate = gate
        self._owned = owned or contextlib.ExitStack()
        rebuild_gate = gate.sibling(timeout_seconds=REBUILD_TIMEOUT_SECONDS, max_connections=2)
        self._owned.callback(rebuild_gate.close)
        self._core = Core(database, gate, rebuild_gate, live, settings)
        self._owned.callback(self._core.close)
        self._vault = AgentVault(database, settings, self.org_id)

    @classmethod
    def from_document(cls, path: Path | str, *, settings: Settings | None = None) -> GovernanceService:
        """Govern by the document at `path`, which becomes the organization's live version, everywhere at once.

        Without URLs in the settings, the ledger is an SQLite file and Redis a private server, both in the state
        directory and ended with this service. A Redis that does not answer yet is no error: calls then go the outage
        way until it does. A file that newer versions have followed is not published again: the live version governs,
        and a warning says so. Raises `DocumentError`, `DatabaseError`, or `InvalidValue` for a setting.
        """
        return cls._open(lambda opened, chosen: open_parts(opened, path, chosen), settings)

    @classmethod
    def from_live(cls, org_id: str, *, settings: Settings | None = None) -> GovernanceService:
        """Govern by the live document in the ledger, which `bursar apply` and pages change.

        Raises `DocumentError` when the organization has none yet, else as `from_document`.
        """
        return cls._open(lambda opened, chosen: open_live_parts(opened, org_id, chosen), settings)

    @classmethod
    def _open(cls, opening: Opening, settings: Settings | None) -> GovernanceService:
        settings = settings or read_settings()
        with contextlib.ExitStack() as opened:
            database, url, live = opening(opened, settings)
            gate = RedisGate(
                url,
                timeout_seconds=settings.redis_timeout_seconds,
                max_connections=settings.redis_max_connections,
                breaker=Breaker(),
            )
            opened.callback(gate.close)
            service = cls(database, gate, live, settings, opened.pop_all())
        service.warm_up()
        return service

    @property
    def document(self) -> LiveDocument:
        """The document version in use."""
        return self._core.document

    def warm_up(self, seconds: float = FIRST_REBUILD_SECONDS) -> None:
        """See that Redis holds the organization's state and the newest document, as far as that can be done in time.

        Also looks at what earlier processes could not write to SQL.
        """
        self._core.recorder.recover()
        self._run(asking.warm_up(self._core, seconds))

    def check(
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
        """Decide whether the call may happen now; if so, hold its reserve and count it.

        `estimated_cost` (US dollars) is held as given; without it the price book's estimate plus its buffer is, made
        from tokens (`input_tokens` without those read from a cache or written to one, which are counted apart) or
        Copilot Credits. Asking again
        under the same `idempotency_key` within 24 hours answers with the first decision that allowed it; a denied call
        did nothing, so its key stays free. With other arguments it raises `KeyReused`.

        `country` (ISO 3166 alpha-2) and `ip` say where the call comes from, `tags` are the agent's when the document
        does not name them. What is left out, or is no country or address, is unknown to policies, which never opens a
        door.

        Raises `InvalidValue` (a `ValueError`) naming a bad field, having written nothing. When Redis does not answer,
        the limits of an outage decide: the decision then says so in `outage`.
        """
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
        return self._run(checking.check(self._core, Request(facts, idempotency_key)))

    def check_many(self, requests: Iterable[Mapping[str, Any]]) -> list[Decision]:
        """Decide several calls in one go, in their order; each mapping holds the arguments of one `check`.

        Every request is validated before any is asked. Each is decided by itself: one may be denied and the next
        allowed.
        """
        return self._run(checking.check_many(self._core, read_requests(requests)))

    def settle(
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
        """Replace the decision's hold by what the call really cost, in the period of the hold.

        `decision` is what `check` answered, or its id: then pricing by tokens asks Redis once more. Give
        `actual_cost` in US dollars, or tokens or Copilot Credits, which the price book turns into a cost by the prices
        of the call's own time. Returns the cost in micro-dollars. Settling again with the same cost changes nothing;
        with another, or after a cancel, raises `SettleConflict`. Raises `UnknownDecision` for an id that was never
        allowed here. While Redis is away the settle is kept in SQL, or in a file when that is away too, and counted
        later; it is not lost.
        """
        return self._run(
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

    def cancel(self, decision: Decision | str, *, org_id: str | None = None) -> None:
        """Say that the call never left: its hold and execution count are undone. Errors as in `settle`.

        `decision` is what `check` answered, or its id.
        """
        self._run(settling.cancel(self._core, decision, org_id=org_id))

    @contextlib.contextmanager
    def guard(self, agent_id: str, **request: Any) -> Iterator[GuardedCall]:
        """Check, then run the block with a call to settle. Raises `Denied` when the call may not happen.

        A block that neither settles nor cancels leaves its hold to expire, which charges the reserve.
        Takes the arguments of `check`.
        """
        decision = self.check(agent_id, **request)
        if not decision.allowed:
            raise Denied(decision)
        yield GuardedCall(self, decision)

    def check_budget(self, agent_id: str, **request: Any) -> BudgetCheckResult:
        """Whether budgets leave room for this call. Changes nothing. Takes the arguments of `check`."""
        return self._run(viewing.check_budget(self._core, {"agent_id": agent_id, **request}))

    def check_rate_limit(
        self,
        agent_id: str,
        user_id: str | None = None,
        team_id: str | None = None,
        org_id: str | None = None,
    ) -> RateLimitCheckResult:
        """Whether rate limits leave room for one request. Changes nothing (guide, Rate Limit Hierarchy)."""
        facts = {"agent_id": agent_id, "user_id": user_id, "team_id": team_id, "org_id": org_id}
        return self._run(viewing.check_rate_limit(self._core, facts))

    @property
    def estimator(self) -> ExternalAgentCostEstimator:
        """Estimates calls without asking for them, by the prices that decisions use now."""
        return ExternalAgentCostEstimator(self._core.document.prices)

    def evaluate_policies(self, context: PolicyContext) -> PolicyEvaluationResult:
        """What the live policies say of a call now, by Redis' clock. Changes nothing."""
        return self._core.evaluate_policies(context)

    def status(self, agent_id: str) -> dict[str, Any]:
        """Budgets, rate limits and policies of one agent. Raises `GateUnavailable` when Redis does not answer."""
        return self._run(viewing.status(self._core, agent_id))

    def encrypt_credentials(
        self, auth_config: Mapping[str, Any], *, agent_id: str | None = None, **options: Any
    ) -> StoredCredential:
        """Encrypt what an agent is called with and keep it (guide, Encrypt All Credentials).

        `auth_config` has a `type` (api_key, bearer_token, basic, oauth2, custom) and that type's fields; `agent_id` may
        be among them. Options: `name`, `author`, `reason`, `replace`. Raises `InvalidValue`, and `VaultKeyMissing`.
        """
        return self._vault.encrypt(auth_config, self.document.document.agents, agent_id=agent_id, **options)

    def decrypt_credentials(self, agent_id: str, *, user_id: str, purpose: str, name: str = "default") -> Secret:
        """An agent's credential: a mapping of its fields. An audit entry says first who has it for what.

        Raises `UnknownCredential`, `CredentialDamaged`, `VaultKeyMissing`, and `DatabaseError` when there can be no
        audit entry: then there is no secret.
        """
        return self._vault.decrypt(agent_id, user_id=user_id, purpose=purpose, name=name)

    def close(self) -> None:
        """Close connections, and end the private server if this service started it."""
        self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, flow: Flow[T]) -> T:
        """Run a flow, waiting in this thread."""
        answer: Any = None
        problem: BursarError | None = None
        try:
            while True:
                step = flow.send(answer) if problem is None else flow.throw(problem)
                answer, problem = None, None
                try:
                    answer = self._answer(step)
                except BursarError as error:
                    problem = error
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            # A caller that goes away in the middle must not leave a hold behind.
            flow.close()

    def _answer(self, step: Ask | AskMany | Await) -> Any:
        if isinstance(step, Ask):
            return self.gate.ask(step.question)
        if isinstance(step, AskMany):
            return self.gate.ask_many(step.questions)
        try:
            return step.future.result(step.seconds)
        except FutureTimeout:
            raise NotInTime("not in time") from None


class GuardedCall:
    """An allowed call inside `guard`: settle or cancel it once its outcome is known."""

    def __init__(self, service: GovernanceService, decision: Decision) -> None:
        self._service = service
        self.decision = decision

    def settle(
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
        """As `GovernanceService.settle`, for this call. Beside output tokens, those of input may be left out."""
        fresh, cached, written = (input_tokens, cached_input_tokens, cache_write_tokens)
        if actual_cost is not None or output_tokens is not None:
            fresh, cached, written = input_told(self.decision, fresh, cached, written)
        return self._service.settle(
            self.decision,
            actual_cost=actual_cost,
            input_tokens=fresh,
            output_tokens=output_tokens,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            credits=credits,
            success=success,
        )

    def cancel(self) -> None:
        """As `GovernanceService.cancel`, for this call."""
        self._service.cancel(self.decision.id)
