"""Unit tests of policies, as an administrator writes them: a request, an instant, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from engine.document.live import LiveDocument
from engine.document.parts import Id, Part, Text, checked_by
from engine.errors import InvalidValue
from engine.policy.context import PolicyContext
from engine.policy.instants import read_instant
from engine.policy.policy import PolicyEffect
from engine.policy.result import PolicyEvaluationResult
from engine.request import gather_facts


class RequestSpec(Part):
    """The facts of a call that policies look at. What is left out comes from the agent's registration or is unknown."""

    agent_id: str
    team_id: str | None = None
    user_id: str | None = None
    action: str = "invoke"
    environment: str | None = None
    country: str | None = None
    ip: str | None = None
    tags: list[str] | None = None


class ExpectationSpec(Part):
    """What must come of it. `policies` and `shadow` are ids in order; left out, anything will do."""

    effect: Literal["allow", "deny"]
    policies: list[Id] | None = None
    shadow: list[Id] | None = None


def _short_form(value: Any) -> Any:
    return {"effect": value} if isinstance(value, str) else value


class CaseSpec(Part):
    """One test. `expect: deny` is short for `expect: {effect: deny}`."""

    name: Text
    request: RequestSpec
    at: Annotated[str, checked_by(read_instant)]
    expect: Annotated[ExpectationSpec, BeforeValidator(_short_form)]


class CasesSpec(Part):
    """A file of tests, and the document that they are about: a path, as seen from the file."""

    document: str | None = None
    tests: Annotated[list[CaseSpec], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of one test; `problems` is empty when that was what was expected."""

    name: str
    problems: tuple[str, ...]
    context: PolicyContext | None
    at: datetime
    result: PolicyEvaluationResult | None
    expected_policies: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.problems


def run_case(live: LiveDocument, case: CaseSpec) -> CaseResult:
    """Evaluate one test as a check of that request at that instant would be."""
    at = read_instant(case.at, "at")
    try:
        context = context_of(live, case.request.model_dump())
    except InvalidValue as refused:
        return CaseResult(case.name, (f"the request is refused: {refused}",), None, at, None)
    result = live.policies.evaluate(context, at)
    expected = (*(case.expect.policies or ()), *(case.expect.shadow or ()))
    return CaseResult(case.name, tuple(_differences(case.expect, result)), context, at, result, expected)


def context_of(live: LiveDocument, request: Mapping[str, Any]) -> PolicyContext:
    """What policies would see of a request: its facts and those of the agent. Raises `InvalidValue` as a check does."""
    return gather_facts(live.document, **request).policy_context()


def untested(live: LiveDocument, results: Iterable[CaseResult]) -> list[str]:
    """Ids of the enabled policies that applied in none of the tests, in order."""
    seen = {
        policy_id
        for done in results
        if done.result is not None
        for policy_id in (*done.result.matched_policies, *done.result.shadow_policies)
    }
    return [policy.policy_id for policy in live.policies.ordered if policy.policy_id not in seen]


def _differences(expected: ExpectationSpec, result: PolicyEvaluationResult) -> Iterable[str]:
    if result.effect is not PolicyEffect(expected.effect):
        yield f"expected {expected.effect}, got {result.effect.value}: {result.reason}"
    for word, wanted, got in (
        ("policies", expected.policies, result.matched_policies),
        ("shadow policies", expected.shadow, result.shadow_policies),
    ):
        if wanted is not None and tuple(wanted) != got:
            yield f"expected {word} {_listed(wanted)}, got {_listed(got)}"


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(ids) or "none"
